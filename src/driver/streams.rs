//! Streams, and the buffers that their bytes are in.

use super::Driver;
use crate::buf::{Pool, Segment};
use crate::op::{Completion, OpKey, OpMemory, OpTable, Progress, Remains, Todo};
use crate::stream::{Store, Stream, StreamId};

/// The pool of a ring; `None` before the first use.
pub type Buffers = Option<Pool>;

impl Store for Buffers {
    fn bytes(&self, segment: Segment) -> &[u8] {
        self.as_ref().map_or(&[], |pool| pool.bytes(segment))
    }

    fn release(&mut self, segment: Segment) {
        if let Some(pool) = self {
            pool.release(segment);
        }
    }
}

impl<T> Driver<T> {
    /// A new stream, to be closed.
    pub fn open_stream(&mut self) -> StreamId {
        self.streams.open()
    }

    /// The end of a stream. No op feeds it any more.
    pub fn close_stream(&mut self, id: StreamId) {
        self.streams.close(id, &mut self.pool);
    }

    /// Whether an op is in flight that somebody waits for, or that has something to do. One that
    /// feeds a stream which nobody reads has not: it may go on for ever.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.ops.live() > self.ops.feeding() || self.streams.any_awaited()
    }

    /// A stream, and where its bytes are.
    pub fn stream(&mut self, id: StreamId) -> Option<(&mut Stream, &mut Buffers)> {
        Some((self.streams.get_mut(id)?, &mut self.pool))
    }
}

/// A result of an op that feeds a stream: what came in goes there. The end of one that somebody
/// waits for is left to be taken, others are over with it.
pub(super) fn take_in<T>(
    ops: &mut OpTable<T>,
    (stream, buffers): (&mut Stream, &mut Buffers),
    key: OpKey,
    mut completion: Completion,
) -> Todo<T> {
    if let Some(segment) = completion.segment.take() {
        stream.feed(segment, buffers);
    }
    if io_uring::cqueue::more(completion.flags) {
        return if stream.has_awaited() { ops.announce(key) } else { Todo::Nothing };
    }
    // As a rule nothing comes any more, and what is unread may stay so until the binding's garbage
    // is collected.
    stream.release_sparse(buffers);
    let todo = ops.complete(key, completion);
    if stream.is_awaited() {
        return todo;
    }
    let mut data = None;
    let over = ops.take(key, |remains| data = Some(remains));
    if let (Progress::Result(end, _), Some(remains)) = (over, data) {
        stream.set_outcome(end.result);
        return Todo::Freed(Some(feed_remains(stream, end.result, remains)));
    }
    Todo::Nothing
}

/// Feeds a stream what an op has read into memory of its own; the binding's value is left.
pub(super) fn feed_remains<T>(stream: &mut Stream, result: i32, remains: Remains<T>) -> T {
    if let (OpMemory::Bytes(bytes), Ok(count @ 1..)) = (remains.memory, usize::try_from(result)) {
        let mut bytes = bytes.into_vec();
        bytes.truncate(count);
        bytes.shrink_to_fit();
        stream.feed_bytes(bytes);
    }
    remains.data
}
