//! The buffers that the kernel fills.

use super::Driver;
use crate::buf::{Figures, Pool, Segment};
use crate::stream::Store;

impl<T> Driver<T> {
    /// Sees to it that the kernel has buffers to fill; to be called before each op that takes
    /// them. False: there are none at this time, as whoever has unread segments holds them all,
    /// or because the kernel refuses.
    pub fn provide_buffers(&mut self) -> bool {
        if self.pool.is_none() && self.is_usable() {
            self.pool = self.ring.new_pool().ok();
        }
        self.pool.as_mut().is_some_and(Pool::refill)
    }

    /// The bytes of a segment.
    #[must_use]
    pub fn segment(&self, segment: Segment) -> &[u8] {
        self.pool.bytes(segment)
    }

    /// A segment was read.
    pub fn release(&mut self, segment: Segment) {
        self.pool.release(segment);
    }

    pub(super) fn release_unclaimed(&mut self) {
        for segment in self.ops.take_unclaimed() {
            self.release(segment);
        }
    }

    /// How many buffers there are; none before the first use.
    #[must_use]
    pub fn buffers(&self) -> Figures {
        self.pool.as_ref().map_or_else(Figures::default, Pool::figures)
    }
}
