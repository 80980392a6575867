//! A block, its memory, and how it is compressed.

use flate2::FlushCompress;

use super::{BLOCK, WINDOW};
use crate::codec::checksum::Checksum;
use crate::codec::encoder::{compress, library_failed, raw_deflate};
use crate::codec::{CodecError, Level};

/// The memory of a block, on its way from filling to writing and back.
#[derive(Debug)]
pub(super) struct Workspace {
    /// The dictionary, then the block.
    pub(super) input: Vec<u8>,
    pub(super) dictionary: usize,
    /// All of it initialized; how much is used is the block's business.
    pub(super) output: Vec<u8>,
}

/// A block to be compressed, on any thread.
#[derive(Debug)]
pub struct Job {
    pub(super) level: Level,
    pub(super) workspace: Workspace,
    pub(super) checksum: Checksum,
    pub(super) number: u64,
    pub(super) last: bool,
}

/// What came of a [`Job`].
#[derive(Debug)]
pub struct CompressedBlock {
    pub(super) workspace: Workspace,
    pub(super) checksum: Checksum,
    pub(super) number: u64,
    pub(super) last: bool,
    pub(super) len: Result<usize, CodecError>,
}

impl Workspace {
    pub(super) fn new() -> Self {
        Self {
            input: Vec::with_capacity(WINDOW + BLOCK),
            dictionary: 0,
            output: vec![0; BLOCK / 2],
        }
    }

    pub(super) fn begin(&mut self, window: &[u8]) {
        self.input.clear();
        self.input.extend_from_slice(window);
        self.dictionary = window.len();
    }

    pub(super) fn block(&self) -> &[u8] {
        &self.input[self.dictionary..]
    }

    /// Compresses the block: bytes of output.
    fn compress(&mut self, level: Level, mode: FlushCompress) -> Result<usize, CodecError> {
        // A new one each time: what zlib-rs chooses depends a little on what a used one has seen
        // before, and the same input shall give the same output.
        let mut deflate = raw_deflate(level);
        let (dictionary, mut block) = self.input.split_at(self.dictionary);
        if !dictionary.is_empty() {
            deflate.set_dictionary(dictionary).map_err(|_| library_failed())?;
        }
        let mut len = 0;
        loop {
            let room = &mut self.output[len..];
            let (consumed, produced, end) = compress(&mut deflate, block, room, mode)?;
            // A flush that fills the room may not be over.
            let over = end || (mode == FlushCompress::Sync && produced < room.len());
            block = &block[consumed..];
            len += produced;
            if over {
                return Ok(len);
            }
            // Ends: what doesn't shrink grows by an eighth at most.
            self.output.resize(self.output.len() * 2, 0);
        }
    }
}

impl Job {
    pub(in crate::codec) fn len(&self) -> usize {
        self.workspace.block().len()
    }

    /// Compresses the block.
    #[must_use]
    pub fn run(mut self) -> CompressedBlock {
        self.checksum.update(self.workspace.block());
        let mode = if self.last { FlushCompress::Finish } else { FlushCompress::Sync };
        let len = self.workspace.compress(self.level, mode);
        let Self { workspace, checksum, number, last, .. } = self;
        CompressedBlock { workspace, checksum, number, last, len }
    }
}

impl CompressedBlock {
    pub(super) fn output(&self) -> &[u8] {
        &self.workspace.output[..self.len.unwrap_or(0)]
    }
}
