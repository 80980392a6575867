//! gzip and zlib streams: no I/O, no threads, no clock.
//!
//! [`Encoder`] and [`Decoder`] turn bytes into bytes, as far as input and room go. [`Parallel`]
//! makes one stream out of blocks that several threads compress. [`Pump`] has the buffers of a
//! transfer and says what may be read, computed and written next, all of which may happen at once.

mod adler;
mod checksum;
mod decoder;
mod encoder;
mod error;
mod header;
mod parallel;
mod pump;
#[cfg(test)]
mod tests;

pub use decoder::Decoder;
pub use encoder::{Encoder, Flush};
pub use error::{CodecError, Fault, Part};
pub use header::{Header, MAX_KEPT_TEXT, MAX_TEXT};
pub use parallel::{BLOCK, CompressedBlock, Job, Parallel};
pub use pump::{Codec, Piece, Pump, Work, Worked};

/// What is around the compressed data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 1952: a header that may name the file, CRC-32 and length. Members may follow each other.
    Gzip,
    /// RFC 1950: a header of two bytes, Adler-32.
    Zlib,
}

/// How hard to try, from 0 (not at all: stored) to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(u8);

impl Level {
    /// A level, if there is one of this number.
    #[must_use]
    pub fn new(level: u8) -> Option<Self> {
        (level <= 9).then_some(Self(level))
    }

    /// Its number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Level {
    fn default() -> Self {
        Self(6)
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes taken from the front of the input. The rest is to be given again.
    pub consumed: usize,
    /// Bytes written to the front of the output.
    pub produced: usize,
    /// What the next step needs.
    pub status: Status,
}

/// What keeps a stream from going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All input was consumed, and what was asked for is in the output.
    NeedsInput,
    /// The output is full, or a fault is next: there is more to say.
    NeedsOutput,
    /// The stream was finished, and all of it is in the output.
    Done,
}
