//! The checksum of a format, and how a stream of that format ends.

use flate2::Crc;

use super::Format;
use super::adler::Adler;

/// Bytes behind the compressed data of a gzip member: CRC-32 and length.
const GZIP_TRAILER: usize = 8;
/// The same of a zlib stream: Adler-32.
const ZLIB_TRAILER: usize = 4;

/// The checksum of what was compressed or decompressed so far.
#[derive(Debug)]
pub(super) enum Checksum {
    Crc(Crc),
    Adler(Adler),
}

impl Checksum {
    pub(super) fn new(format: Format) -> Self {
        match format {
            Format::Gzip => Self::Crc(Crc::new()),
            Format::Zlib => Self::Adler(Adler::new()),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(crc) => crc.update(bytes),
            Self::Adler(adler) => adler.update(bytes),
        }
    }

    /// Appends the checksum of what follows, of the same format.
    pub(super) fn combine(&mut self, next: &Self) {
        match (self, next) {
            (Self::Crc(crc), Self::Crc(next)) => crc.combine(next),
            (Self::Adler(adler), Self::Adler(next)) => adler.combine(next),
            _ => debug_assert!(false, "one stream has one format"),
        }
    }

    pub(super) fn value(&self) -> u32 {
        match self {
            Self::Crc(crc) => crc.sum(),
            Self::Adler(adler) => adler.value(),
        }
    }

    /// Bytes seen, modulo 2³², where the format says so at its end.
    pub(super) fn length(&self) -> Option<u32> {
        match self {
            Self::Crc(crc) => Some(crc.amount()),
            Self::Adler(_) => None,
        }
    }

    /// Appends what ends the stream.
    pub(super) fn write_trailer(&self, into: &mut Vec<u8>) {
        match self {
            Self::Crc(crc) => {
                into.extend_from_slice(&crc.sum().to_le_bytes());
                into.extend_from_slice(&crc.amount().to_le_bytes());
            }
            Self::Adler(adler) => into.extend_from_slice(&adler.value().to_be_bytes()),
        }
    }
}

/// The end of a stream as it comes in.
#[derive(Debug)]
pub(super) struct Trailer {
    bytes: [u8; GZIP_TRAILER],
    have: usize,
    len: usize,
}

impl Trailer {
    pub(super) fn new(format: Format) -> Self {
        let len = match format {
            Format::Gzip => GZIP_TRAILER,
            Format::Zlib => ZLIB_TRAILER,
        };
        Self { bytes: [0; GZIP_TRAILER], have: 0, len }
    }

    /// Takes what belongs to it from the front of `input`; how many bytes that are.
    pub(super) fn feed(&mut self, input: &[u8]) -> usize {
        let count = input.len().min(self.len - self.have);
        self.bytes[self.have..self.have + count].copy_from_slice(&input[..count]);
        self.have += count;
        count
    }

    pub(super) fn is_complete(&self) -> bool {
        self.have == self.len
    }

    /// The checksum that the sender has computed.
    pub(super) fn checksum(&self) -> u32 {
        let [a, b, c, d, ..] = self.bytes;
        if self.len == GZIP_TRAILER {
            u32::from_le_bytes([a, b, c, d])
        } else {
            u32::from_be_bytes([a, b, c, d])
        }
    }

    /// The length of the data that the sender has seen, modulo 2³²; a zlib stream doesn't say.
    pub(super) fn length(&self) -> Option<u32> {
        let [.., a, b, c, d] = self.bytes;
        (self.len == GZIP_TRAILER).then(|| u32::from_le_bytes([a, b, c, d]))
    }
}
