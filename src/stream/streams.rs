//! The streams of a ring.

use super::{Store, Stream};

/// Names a stream of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(u32);

/// Streams by their ids, which are used again.
#[derive(Debug, Default)]
pub struct Streams {
    slots: Vec<Option<Stream>>,
    free: Vec<u32>,
}

impl Streams {
    /// A new stream.
    pub fn open(&mut self) -> StreamId {
        if let Some(index) = self.free.pop() {
            self.slots[index as usize] = Some(Stream::default());
            return StreamId(index);
        }
        // Memory ends before the numbers do.
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Some(Stream::default()));
        StreamId(index)
    }

    /// The end of a stream; what is unread is dropped.
    pub fn close(&mut self, id: StreamId, store: &mut impl Store) {
        let Some(mut stream) = self.slots.get_mut(id.0 as usize).and_then(Option::take) else {
            return;
        };
        stream.clear(store);
        self.free.push(id.0);
    }

    /// The end of all streams.
    pub fn close_all(&mut self, store: &mut impl Store) {
        self.slots.drain(..).flatten().for_each(|mut stream| stream.clear(store));
        self.free.clear();
    }

    /// A stream that was not closed.
    #[must_use]
    pub fn get(&self, id: StreamId) -> Option<&Stream> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    /// Whether somebody waits for one of them.
    pub fn any_awaited(&self) -> bool {
        self.slots.iter().flatten().any(Stream::is_awaited)
    }

    /// Buffers are short: has all streams copy what pins more than it needs.
    pub fn release_sparse(&mut self, store: &mut impl Store) {
        for stream in self.slots.iter_mut().flatten() {
            stream.release_sparse(store);
        }
    }
}
