//! One stream out of blocks that several threads compress.
//!
//! Each block is compressed by itself, with the 32 KB before it as dictionary, and ends at a byte's
//! border (a sync flush), so that what comes out can be joined to one deflate stream; the checksums
//! of the blocks combine to that of the whole.

mod block;

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use super::checksum::Checksum;
use super::encoder::{library_failed, zlib_header};
use super::{CodecError, Format, Header, Level};
use block::Workspace;

pub use block::{CompressedBlock, Job};

/// Bytes of input in a block: large enough to be worth a thread's while, and the end of a block
/// costs 5 bytes.
pub const BLOCK: usize = 128 * 1024;
/// How far back deflate can refer.
const WINDOW: usize = 32 * 1024;

/// A stream that is being compressed in blocks. It plans; who drives it runs the jobs.
///
/// It has up to 0.5 MB for each block that is filled, compressed or written, which are no more than
/// twice the threads and two; each job that runs has 0.4 MB more.
#[derive(Debug)]
pub struct Parallel {
    format: Format,
    level: Level,
    checksum: Checksum,
    /// The header, and at last the trailer.
    edge: Vec<u8>,
    /// Bytes of the edge, or else of the first finished block, that are written.
    taken: usize,
    filling: Option<Workspace>,
    /// The last bytes before the block that is filled.
    window: Vec<u8>,
    ready: VecDeque<Job>,
    /// Blocks that wait to be written, from number `first` on; `None`: not back yet.
    finished: VecDeque<Option<CompressedBlock>>,
    first: u64,
    /// Number of the next block that is cut.
    next: u64,
    spare: Vec<Workspace>,
    made: usize,
    limit: usize,
    finishing: bool,
    /// The last block has been cut.
    cut_last: bool,
    /// The last block has been written.
    ended: bool,
}

impl Parallel {
    /// A gzip member.
    #[must_use]
    pub fn gzip(header: &Header, level: Level, threads: NonZeroUsize) -> Self {
        let mut start = Vec::new();
        header.write(level, &mut start);
        Self::new(Format::Gzip, level, threads, start)
    }

    /// A zlib stream.
    #[must_use]
    pub fn zlib(level: Level, threads: NonZeroUsize) -> Self {
        Self::new(Format::Zlib, level, threads, zlib_header(level).to_vec())
    }

    fn new(format: Format, level: Level, threads: NonZeroUsize, start: Vec<u8>) -> Self {
        Self {
            format,
            level,
            checksum: Checksum::new(format),
            edge: start,
            taken: 0,
            filling: None,
            window: Vec::new(),
            ready: VecDeque::new(),
            finished: VecDeque::new(),
            first: 0,
            next: 0,
            spare: Vec::new(),
            made: 0,
            // One for each thread and one more in line, one that is filled, one that is written.
            limit: threads.get().saturating_mul(2).saturating_add(2),
            finishing: false,
            cut_last: false,
            ended: false,
        }
    }

    /// Takes input; how many bytes of it. Less than all: more when some output was consumed.
    pub fn feed(&mut self, input: &[u8]) -> usize {
        let mut fed = 0;
        while fed < input.len() && !self.finishing && self.has_workspace() {
            if let Some(workspace) = &mut self.filling {
                let room = BLOCK - workspace.block().len();
                let count = room.min(input.len() - fed);
                workspace.input.extend_from_slice(&input[fed..fed + count]);
                fed += count;
                if count == room {
                    self.cut();
                }
            }
        }
        fed
    }

    /// Ends the block that is being filled, so that all input up to here can be decompressed once
    /// it is written. Costs compression if done often.
    pub fn flush(&mut self) {
        if self.filling.as_ref().is_some_and(|workspace| !workspace.block().is_empty()) {
            self.cut();
        }
    }

    /// There is no more input.
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// A block to be compressed, if one is ready.
    pub fn next_job(&mut self) -> Option<Job> {
        if self.ready.is_empty() && self.finishing && !self.cut_last && self.has_workspace() {
            self.cut_last = true;
            self.cut();
        }
        self.ready.pop_front()
    }

    /// Takes a compressed block back. The order doesn't matter.
    ///
    /// # Errors
    /// [`Fault::Library`](super::Fault::Library), which no input brings about.
    pub fn put(&mut self, block: CompressedBlock) -> Result<(), CodecError> {
        block.len?;
        let place = block.number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let slot = place.and_then(|place| self.finished.get_mut(place));
        *slot.ok_or_else(library_failed)? = Some(block);
        Ok(())
    }

    /// What is to be written next; empty: nothing at present.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        let front = match self.finished.front() {
            Some(Some(block)) => block.output(),
            _ if self.ended => &[],
            // The header waits for the first block, so that they can be written at once.
            _ => return &[],
        };
        let bytes = if self.edge.is_empty() { front } else { &self.edge };
        &bytes[self.taken..]
    }

    /// So many bytes of [`Self::output`] were written.
    pub fn consume(&mut self, count: usize) {
        self.taken += count.min(self.output().len());
        if !self.edge.is_empty() {
            if self.taken == self.edge.len() {
                self.edge.clear();
                self.taken = 0;
            }
            return;
        }
        let Some(Some(front)) = self.finished.front() else { return };
        if self.taken < front.output().len() {
            return;
        }
        let Some(Some(block)) = self.finished.pop_front() else { return };
        self.taken = 0;
        self.first += 1;
        self.checksum.combine(&block.checksum);
        self.spare.push(block.workspace);
        if block.last {
            self.checksum.write_trailer(&mut self.edge);
            self.ended = true;
        }
    }

    /// Whether the stream is complete and written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ended && self.edge.is_empty()
    }

    /// Makes sure that there is a block to fill, if there may be one.
    fn has_workspace(&mut self) -> bool {
        if self.filling.is_some() {
            return true;
        }
        let spare = self.spare.pop();
        let mut workspace = match spare {
            Some(workspace) => workspace,
            None if self.made < self.limit => {
                self.made += 1;
                Workspace::new()
            }
            None => return false,
        };
        workspace.begin(&self.window);
        self.filling = Some(workspace);
        true
    }

    /// Ends the block that is being filled.
    fn cut(&mut self) {
        let Some(workspace) = self.filling.take() else { return };
        let start = workspace.input.len().saturating_sub(WINDOW);
        self.window.clear();
        self.window.extend_from_slice(&workspace.input[start..]);
        self.ready.push_back(Job {
            level: self.level,
            workspace,
            checksum: Checksum::new(self.format),
            number: self.next,
            last: self.cut_last,
        });
        self.finished.push_back(None);
        self.next += 1;
    }
}
