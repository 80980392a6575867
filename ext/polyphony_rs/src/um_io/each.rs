//! `read_each`: what comes in, in place.

use polyphony_core::stream::{Ask, Chunk};
use rb_sys::VALUE;

use super::fill::{Read, Reader, read_in_turn};
use crate::errors::Outcome;
use crate::ruby::method::{define, method};
use crate::ruby::{buffer, value};

impl Reader {
    fn each(&self) -> Read<()> {
        while self.find(Ask::UpTo(1))?.is_some() {
            let chunk = self.io.with_stream(self.machine, |stream, _| stream.take_chunk())?;
            if let Some(chunk) = chunk {
                self.yield_chunk(chunk)?;
            }
        }
        Ok(())
    }

    /// Yields a chunk as an `IO::Buffer`, which is void afterwards.
    fn yield_chunk(&self, chunk: Chunk) -> Outcome<()> {
        let bytes = self.io.with_stream(self.machine, |_, buffers| {
            let bytes: *const [u8] = chunk.bytes(buffers);
            bytes
        })?;
        // SAFETY: the bytes stay in place until the chunk is released.
        let yielded = unsafe { buffer::yield_in_place(&*bytes) };
        // In a child that the block has forked there is no stream any more.
        let released = self.io.with_stream(self.machine, |_, buffers| chunk.release(buffers));
        yielded.and(released)
    }
}

/// Yields what comes in, until the end.
fn read_each(this: VALUE) -> Outcome {
    value::check_block()?;
    read_in_turn(this, |reader| reader.each().map(|()| this))
}

pub(super) fn init(class: VALUE) {
    define(class, c"read_each", method!(read_each, 0));
}
