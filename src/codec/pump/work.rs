//! What a pump hands out, and what comes back.

use std::ops::Range;

use crate::codec::{CodecError, CompressedBlock, Decoder, Encoder, Flush, Job, Step};

/// What turns bytes into bytes.
#[derive(Debug)]
pub enum Codec {
    /// Compresses.
    Encoder(Box<Encoder>),
    /// Decompresses.
    Decoder(Box<Decoder>),
}

/// Bytes in a buffer that are to be moved or worked on.
#[derive(Debug)]
pub struct Piece {
    pub(super) buffer: Vec<u8>,
    pub(super) range: Range<usize>,
}

impl Piece {
    pub(super) fn empty(buffer: Vec<u8>) -> Self {
        Self { buffer, range: 0..0 }
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }
}

/// Something to compute, on any thread.
#[derive(Debug)]
pub struct Work(pub(super) Task);

#[derive(Debug)]
pub(super) enum Task {
    Step { codec: Codec, input: Option<Piece>, room: Piece, flush: Flush },
    Block(Job),
}

/// [`Work`] that is done.
#[derive(Debug)]
pub struct Worked(pub(super) Outcome);

#[derive(Debug)]
pub(super) enum Outcome {
    Step(Stepped),
    Block(CompressedBlock),
}

#[derive(Debug)]
pub(super) struct Stepped {
    pub(super) codec: Codec,
    pub(super) input: Option<Piece>,
    /// Without what was produced, which is behind it.
    pub(super) room: Piece,
    pub(super) flush: Flush,
    pub(super) result: Result<Step, CodecError>,
}

impl Work {
    /// Bytes of input. Where they are few, handing them to a thread costs more than they do.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Task::Step { input, .. } => input.as_ref().map_or(0, |piece| piece.range.len()),
            Task::Block(job) => job.len(),
        }
    }

    /// Whether it has no input, but only puts out what there is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Computes.
    #[must_use]
    pub fn run(self) -> Worked {
        Worked(match self.0 {
            Task::Step { mut codec, input, mut room, flush } => {
                let bytes = input.as_ref().map_or(&[][..], Piece::as_ref);
                let output = &mut room.buffer[room.range.end..];
                let result = match &mut codec {
                    Codec::Encoder(encoder) => encoder.step(bytes, output, flush),
                    Codec::Decoder(decoder) => decoder.step(bytes, output),
                };
                Outcome::Step(Stepped { codec, input, room, flush, result })
            }
            Task::Block(job) => Outcome::Block(job.run()),
        })
    }
}
