//! RESP 2 and 3, the protocol of Redis: no I/O, and no values either.
//!
//! [`Decoder`] turns the bytes at the front of a stream into events, from which the binding builds
//! whatever its language has; [`encode`] appends to a buffer.

mod decode;
pub mod encode;
mod error;
mod event;
mod number;
#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use error::RespError;
pub use event::{Aggregate, Event, Step, Text};

/// How much a peer may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Aggregates inside each other.
    pub nesting: usize,
    /// Bytes of a string that comes with its length, or in chunks.
    pub string: usize,
    /// Bytes of a line, without its type and its end.
    pub line: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { nesting: 128, string: 512 * 1024 * 1024, line: 64 * 1024 }
    }
}
