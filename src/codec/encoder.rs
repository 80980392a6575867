//! Compressing, step by step.

use flate2::{Compress, Compression, FlushCompress};

use super::checksum::Checksum;
use super::{CodecError, Fault, Format, Header, Level, Status, Step};

/// A smaller room than this is not given to the library but filled from a buffer of this size: a
/// flush that ends where the room ends looks like one that doesn't, and would be repeated.
const SMALL_ROOM: usize = 64;
/// Most input given to the library at once. It sees no more than 32 bits' worth, and would take
/// that for all of it.
const MAX_PIECE: usize = 1 << 30;

/// What is to be done with what the encoder has not put out yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Keep it, for better compression.
    None,
    /// Put it out, so that all input up to here can be decompressed.
    Sync,
    /// Put it out and end the stream. Holds for all later steps as well.
    Finish,
}

/// A stream that is being compressed.
///
/// It owns about 400 KB, whatever its level and its length.
#[derive(Debug)]
pub struct Encoder {
    deflate: Compress,
    checksum: Checksum,
    pending: Pending,
    /// Something was consumed that no flush has put out.
    unflushed: bool,
    finishing: bool,
    ended: bool,
}

impl Encoder {
    /// A gzip member.
    #[must_use]
    pub fn gzip(header: &Header, level: Level) -> Self {
        let mut start = Vec::new();
        header.write(level, &mut start);
        Self::new(Format::Gzip, level, start)
    }

    /// A zlib stream.
    #[must_use]
    pub fn zlib(level: Level) -> Self {
        Self::new(Format::Zlib, level, zlib_header(level).to_vec())
    }

    fn new(format: Format, level: Level, start: Vec<u8>) -> Self {
        Self {
            deflate: raw_deflate(level),
            checksum: Checksum::new(format),
            pending: Pending { bytes: start, from: 0 },
            unflushed: false,
            finishing: false,
            ended: false,
        }
    }

    /// Compresses as much as there is input and room for.
    ///
    /// # Errors
    /// [`Fault::Library`], which no input brings about.
    pub fn step(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        flush: Flush,
    ) -> Result<Step, CodecError> {
        self.finishing |= flush == Flush::Finish;
        let flush = if self.finishing { Flush::Finish } else { flush };
        let (mut consumed, mut produced) = (0, 0);
        let status = loop {
            produced += self.pending.take(&mut output[produced..]);
            if !self.pending.is_empty() {
                break Status::NeedsOutput;
            }
            if self.ended {
                break Status::Done;
            }
            let rest = &input[consumed..];
            if rest.is_empty() && !self.owes(flush) {
                break Status::NeedsInput;
            }
            if produced == output.len() {
                break Status::NeedsOutput;
            }
            let (taken, given) = self.advance(rest, &mut output[produced..], flush)?;
            consumed += taken;
            produced += given;
        };
        Ok(Step { consumed, produced, status })
    }

    /// Whether a step with [`Flush::Sync`] would put anything out.
    #[must_use]
    pub fn is_unflushed(&self) -> bool {
        self.unflushed || !self.pending.is_empty()
    }

    fn owes(&self, flush: Flush) -> bool {
        match flush {
            Flush::None => false,
            Flush::Sync => self.unflushed,
            Flush::Finish => true,
        }
    }

    /// One call of the library: bytes consumed and produced.
    fn advance(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        flush: Flush,
    ) -> Result<(usize, usize), CodecError> {
        if output.len() >= SMALL_ROOM {
            return self.deflate(input, output, flush);
        }
        let mut small = [0; SMALL_ROOM];
        let (consumed, produced) = self.deflate(input, &mut small, flush)?;
        // In front of the trailer, which may be there already.
        self.pending.bytes.splice(0..0, small[..produced].iter().copied());
        Ok((consumed, 0))
    }

    fn deflate(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        flush: Flush,
    ) -> Result<(usize, usize), CodecError> {
        let piece = &input[..input.len().min(MAX_PIECE)];
        let mode = match flush {
            _ if piece.len() < input.len() => FlushCompress::None,
            Flush::None => FlushCompress::None,
            Flush::Sync => FlushCompress::Sync,
            Flush::Finish => FlushCompress::Finish,
        };
        let (consumed, produced, end) = compress(&mut self.deflate, piece, output, mode)?;
        self.checksum.update(&piece[..consumed]);
        self.unflushed |= consumed > 0;
        if end {
            self.checksum.write_trailer(&mut self.pending.bytes);
            self.ended = true;
        } else if mode == FlushCompress::Sync && produced < output.len() {
            self.unflushed = false;
        } else if consumed == 0 && produced == 0 {
            return Err(library_failed());
        }
        Ok((consumed, produced))
    }
}

/// Bytes that have to go out before anything else: header, trailer, and what a small room leaves.
#[derive(Debug)]
struct Pending {
    bytes: Vec<u8>,
    from: usize,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn take(&mut self, output: &mut [u8]) -> usize {
        let count = output.len().min(self.bytes.len() - self.from);
        output[..count].copy_from_slice(&self.bytes[self.from..self.from + count]);
        self.from += count;
        if self.from == self.bytes.len() {
            self.bytes.clear();
            self.from = 0;
        }
        count
    }
}

pub(super) fn raw_deflate(level: Level) -> Compress {
    Compress::new(Compression::new(u32::from(level.get())), false)
}

/// One call of the library: bytes consumed and produced, and whether the stream has ended.
pub(super) fn compress(
    deflate: &mut Compress,
    input: &[u8],
    output: &mut [u8],
    mode: FlushCompress,
) -> Result<(usize, usize, bool), CodecError> {
    let (seen, written) = (deflate.total_in(), deflate.total_out());
    let status = deflate.compress(input, output, mode).map_err(|_| library_failed())?;
    // Both differences fit: they are lengths of parts of slices.
    let consumed = usize::try_from(deflate.total_in() - seen).unwrap_or(0);
    let produced = usize::try_from(deflate.total_out() - written).unwrap_or(0);
    Ok((consumed, produced, status == flate2::Status::StreamEnd))
}

pub(super) fn library_failed() -> CodecError {
    CodecError { fault: Fault::Library, written: 0, verified: 0 }
}

/// Deflate with a window of 32 KB, the level's class, and a check that makes it a multiple of 31.
pub(super) fn zlib_header(level: Level) -> [u8; 2] {
    match level.get() {
        0 | 1 => [0x78, 0x01],
        2..=5 => [0x78, 0x5e],
        6 => [0x78, 0x9c],
        _ => [0x78, 0xda],
    }
}
