//! What has come in on a stream and was not consumed yet: pieces in the kernel's buffers, searched
//! and copied from there.
//!
//! A [`Stream`] does no I/O. It is [fed](Stream::feed) segments, is [asked](Stream::look) for a
//! number of bytes or a delimiter, and answers that it is there, that there is no such thing, or
//! that it needs more.
//!
//! Unread segments pin buffers that all descriptors of the ring share, so a stream keeps few of
//! them: of small ones only the first stay where they are, the others are copied to its own
//! memory. When it is [full](Stream::is_full), whoever feeds it should stop; it takes more only
//! when a question can't be answered otherwise.

mod ask;
mod streams;

use std::collections::VecDeque;

use crate::buf::Segment;

pub use ask::{Answer, Ask, Found};
pub use streams::{StreamId, Streams};

/// Unread bytes from which on a stream is full.
const FULL: usize = 256 * 1024;
/// Segments from which on it is.
const FULL_SEGMENTS: usize = 32;
/// So many segments stay in their buffers however small they are: they are consumed soon as a
/// rule.
const FEW: usize = 4;
/// Segments shorter than this are copied beyond that, as they pin a buffer many times their size.
const SMALL: u16 = 4096;

/// Where the bytes of segments are.
pub trait Store {
    /// The bytes of a segment. They stay in place until it is released.
    fn bytes(&self, segment: Segment) -> &[u8];
    /// The segment was read.
    fn release(&mut self, segment: Segment);
}

/// Bytes that belong together.
#[derive(Debug)]
enum Piece {
    /// In a buffer of the pool.
    Held(Segment),
    /// Copied out of buffers.
    Copied(Vec<u8>),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Held(segment) => usize::from(segment.len),
            Self::Copied(bytes) => bytes.len(),
        }
    }

    fn bytes<'a>(&'a self, store: &'a impl Store) -> &'a [u8] {
        match self {
            Self::Held(segment) => store.bytes(*segment),
            Self::Copied(bytes) => bytes,
        }
    }
}

/// A piece that was taken out of a stream, to be released.
#[derive(Debug)]
pub struct Chunk(Piece);

impl Chunk {
    /// The bytes. They stay in place until the chunk is released.
    pub fn bytes<'a>(&'a self, store: &'a impl Store) -> &'a [u8] {
        self.0.bytes(store)
    }

    /// The bytes were read.
    pub fn release(self, store: &mut impl Store) {
        if let Piece::Held(segment) = self.0 {
            store.release(segment);
        }
    }
}

/// Bytes that were looked through for a delimiter, so that none is looked at twice.
#[derive(Clone, Copy, Debug, Default)]
struct Searched {
    delimiter: u8,
    /// From the first unread byte on.
    count: usize,
}

/// Unread bytes, in the order in which they came.
#[derive(Debug, Default)]
pub struct Stream {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that are consumed.
    offset: usize,
    pending: usize,
    consumed: u64,
    /// Pieces that are in buffers.
    held: usize,
    /// More than [`FULL`] while a question needs more.
    room: usize,
    searched: Searched,
    ended: bool,
    awaited: Option<usize>,
    /// What the op that fed it has ended with, while nobody waited.
    outcome: Option<i32>,
}

impl Stream {
    /// Bytes that are there to be consumed.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Bytes consumed so far.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Whether nothing comes behind what is there.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Nothing comes any more.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Says how many bytes somebody waits for, if anybody does.
    pub fn set_awaited(&mut self, count: Option<usize>) {
        self.awaited = count;
    }

    /// Whether somebody waits.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.awaited.is_some()
    }

    /// Whether what somebody waits for is there, or there is no room for it.
    #[must_use]
    pub fn has_awaited(&self) -> bool {
        self.awaited.is_some_and(|count| self.pending >= count || self.is_full())
    }

    /// Notes what the op that has fed it ended with.
    pub(crate) fn set_outcome(&mut self, result: i32) {
        self.outcome = Some(result);
    }

    /// The same, once.
    pub(crate) fn take_outcome(&mut self) -> Option<i32> {
        self.outcome.take()
    }

    /// Whether it should get no more for now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.pending >= FULL.max(self.room) || self.held >= FULL_SEGMENTS
    }

    /// Takes a segment in, which is not empty. It is released when it was consumed or copied.
    pub fn feed(&mut self, segment: Segment, store: &mut impl Store) {
        self.pending += usize::from(segment.len);
        if self.held >= FEW && segment.len < SMALL {
            self.copy(segment, store);
        } else {
            self.held += 1;
            self.pieces.push_back(Piece::Held(segment));
        }
    }

    fn copy(&mut self, segment: Segment, store: &mut impl Store) {
        let bytes = store.bytes(segment);
        if let Some(Piece::Copied(copied)) = self.pieces.back_mut() {
            copied.extend_from_slice(bytes);
        } else {
            self.pieces.push_back(Piece::Copied(bytes.to_vec()));
        }
        store.release(segment);
    }

    /// Takes bytes in that are in no buffer.
    pub fn feed_bytes(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.pending += bytes.len();
            self.pieces.push_back(Piece::Copied(bytes));
        }
    }

    /// Gives back what was consumed last, to be consumed again.
    pub fn unread(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.leave_consumed();
        self.pending += bytes.len();
        self.consumed -= bytes.len() as u64;
        self.searched.count = 0;
        self.pieces.push_front(Piece::Copied(bytes.to_vec()));
    }

    /// Shortens the first piece by what is consumed of it, so that another one may go before it.
    fn leave_consumed(&mut self) {
        let offset = std::mem::take(&mut self.offset);
        match self.pieces.front_mut() {
            Some(Piece::Held(segment)) => {
                // Less than the segment's length, which has 16 bits.
                let consumed = u16::try_from(offset).unwrap_or(segment.len);
                segment.offset += consumed;
                segment.len -= consumed;
            }
            Some(Piece::Copied(bytes)) => {
                bytes.drain(..offset);
            }
            None => {}
        }
    }

    /// Makes room for more where a question needs more than a full stream has: what is in buffers
    /// is copied to memory of its own.
    pub fn make_room(&mut self, store: &mut impl Store) {
        if self.is_full() {
            self.release_shorter(u16::MAX, store);
            self.room = self.pending * 2;
        }
    }

    /// Copies small segments, which pin buffers that others need.
    pub fn release_sparse(&mut self, store: &mut impl Store) {
        self.release_shorter(SMALL, store);
    }

    fn release_shorter(&mut self, len: u16, store: &mut impl Store) {
        for piece in &mut self.pieces {
            if let Piece::Held(segment) = *piece {
                if segment.len < len {
                    *piece = Piece::Copied(store.bytes(segment).to_vec());
                    store.release(segment);
                    self.held -= 1;
                }
            }
        }
    }

    /// The unread bytes of the first piece; none when nothing is there.
    pub fn front<'a>(&'a self, store: &'a impl Store) -> &'a [u8] {
        self.pieces.front().map_or(&[], |piece| &piece.bytes(store)[self.offset..])
    }

    /// The first `count` bytes (fewer where fewer are there), moved together if need be.
    pub fn contiguous<'a>(&'a mut self, count: usize, store: &'a mut impl Store) -> &'a [u8] {
        let count = count.min(self.pending);
        if self.front(store).len() < count {
            self.gather(count, store);
        }
        &self.front(store)[..count]
    }

    /// Makes one piece of the first `count` bytes, of which there are so many.
    fn gather(&mut self, count: usize, store: &mut impl Store) {
        let mut gathered = Vec::with_capacity(count);
        let (consumed, searched) = (self.consumed, self.searched);
        while gathered.len() < count {
            let chunk = self.front(store);
            let chunk = &chunk[..chunk.len().min(count - gathered.len())];
            gathered.extend_from_slice(chunk);
            let len = chunk.len();
            self.consume(len, store);
        }
        self.leave_consumed();
        self.pending += gathered.len();
        self.pieces.push_front(Piece::Copied(gathered));
        (self.consumed, self.searched) = (consumed, searched);
    }

    /// Passes over `count` bytes, or all where fewer are there. How many they were.
    pub fn consume(&mut self, count: usize, store: &mut impl Store) -> usize {
        let count = count.min(self.pending);
        self.pending -= count;
        self.consumed += count as u64;
        self.searched.count = self.searched.count.saturating_sub(count);
        self.room = 0;
        self.offset += count;
        while let Some(piece) = self.pieces.front() {
            if self.offset < piece.len() {
                break;
            }
            self.offset -= piece.len();
            if let Some(Piece::Held(segment)) = self.pieces.pop_front() {
                self.held -= 1;
                store.release(segment);
            }
        }
        count
    }

    /// Copies as many bytes as `into` takes, or as are there, and consumes them.
    pub fn read(&mut self, into: &mut [u8], store: &mut impl Store) -> usize {
        let mut done = 0;
        while done < into.len() {
            let chunk = self.front(store);
            let count = chunk.len().min(into.len() - done);
            if count == 0 {
                break;
            }
            into[done..done + count].copy_from_slice(&chunk[..count]);
            done += self.consume(count, store);
        }
        done
    }

    /// Takes the first piece out, to be looked at in place; with it go its bytes.
    pub fn take_chunk(&mut self) -> Option<Chunk> {
        self.leave_consumed();
        let piece = self.pieces.pop_front()?;
        let len = piece.len();
        self.pending -= len;
        self.consumed += len as u64;
        self.searched.count = self.searched.count.saturating_sub(len);
        self.room = 0;
        self.held -= usize::from(matches!(piece, Piece::Held(_)));
        Some(Chunk(piece))
    }

    /// Drops what is there, and forgets that the stream has ended. Who waits looks again at the
    /// next byte.
    pub fn clear(&mut self, store: &mut impl Store) {
        let (consumed, awaited) = (self.consumed, self.awaited.map(|_| 1));
        self.consume(self.pending, store);
        *self = Self { consumed, awaited, ..Self::default() };
    }

    /// The unread pieces, each with the position of its first byte.
    pub fn chunks<'a>(&'a self, store: &'a impl Store) -> impl Iterator<Item = (usize, &'a [u8])> {
        let mut skip = self.offset;
        let mut position = 0;
        self.pieces.iter().map(move |piece| {
            let bytes = &piece.bytes(store)[std::mem::take(&mut skip)..];
            let start = position;
            position += bytes.len();
            (start, bytes)
        })
    }
}

#[cfg(test)]
mod tests;
