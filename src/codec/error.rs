//! What is wrong with a compressed stream.

use std::fmt;

use super::header::MAX_KEPT_TEXT;

/// A part of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What comes before the compressed data.
    Header,
    /// The compressed data.
    Data,
    /// Checksum, and length where the format has it.
    Trailer,
}

/// Why a stream can't be decompressed, or not to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It doesn't begin as a gzip member does.
    NotGzip,
    /// It doesn't begin as a zlib stream does.
    NotZlib,
    /// Compressed by another method than deflate.
    Method(u8),
    /// Bits of a gzip header that have no meaning yet: what follows can't be understood.
    ReservedFlags(u8),
    /// A name or a comment of more than [`MAX_KEPT_TEXT`] bytes, and it was to be kept.
    LongHeader,
    /// The header's own checksum is wrong.
    HeaderChecksum,
    /// A dictionary that both sides know beforehand would be needed.
    Dictionary,
    /// No valid deflate data.
    Data,
    /// What was decompressed is not what was compressed.
    Checksum,
    /// The same, but only its length shows it.
    Length,
    /// The source has ended within this part.
    Truncated(Part),
    /// Behind the end of the stream comes something else.
    TrailingGarbage,
    /// More than so many bytes would come out.
    TooLarge(u64),
    /// The library refuses what it accepts from everybody: a bug.
    Library,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGzip => f.write_str("not in gzip format"),
            Self::NotZlib => f.write_str("not in zlib format"),
            Self::Method(method) => write!(f, "unknown compression method {method}"),
            Self::ReservedFlags(flags) => write!(f, "unknown flags {flags:#04x} in the header"),
            Self::LongHeader => {
                write!(f, "a text in the header is longer than {MAX_KEPT_TEXT} bytes")
            }
            Self::HeaderChecksum => f.write_str("wrong checksum of the header"),
            Self::Dictionary => f.write_str("a preset dictionary is needed"),
            Self::Data => f.write_str("invalid compressed data"),
            Self::Checksum => f.write_str("wrong checksum"),
            Self::Length => f.write_str("wrong length"),
            Self::Truncated(part) => write!(f, "unexpected end of file in the {part}"),
            Self::TrailingGarbage => f.write_str("garbage behind the end of the compressed data"),
            Self::TooLarge(limit) => write!(f, "more than {limit} bytes when decompressed"),
            Self::Library => f.write_str("the compression library failed"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Data => "compressed data",
            Self::Trailer => "checksum",
        })
    }
}

/// A fault, and what was good before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecError {
    /// What is wrong.
    pub fault: Fault,
    /// Bytes that came out before it was met.
    pub written: u64,
    /// How many of them belong to members whose checksum and length were right.
    pub verified: u64,
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (after {} bytes", self.fault, self.written)?;
        if self.verified < self.written {
            write!(f, ", {} of them verified", self.verified)?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for CodecError {}
