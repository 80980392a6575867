//! Transfers from a source through a pipe to a destination, as a pure state machine.
//!
//! A [`Pump`] knows how much may go in and out of its pipe; whoever drives it carries the moves
//! out (by `splice(2)` or through the ring) and reports what came of them.

use super::pipe::SMALL_PIPE;

/// How much to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Most bytes of one move.
    pub chunk: usize,
    /// Most bytes in total; `None`: to EOF.
    pub limit: Option<u64>,
}

impl Plan {
    /// Everything up to EOF, in moves as large as the pipe.
    pub const TO_EOF: Self = Self { chunk: usize::MAX, limit: None };
}

/// One direction of a transfer.
#[derive(Clone, Copy, Debug)]
pub struct Pump {
    plan: Plan,
    /// Bytes in the pipe.
    buffered: usize,
    /// Those of them that were read ahead of the transfer: they come first.
    ahead: usize,
    capacity: usize,
    /// Nothing more goes in: the source has ended, or the limit was reached.
    full: bool,
    /// The source has ended.
    ended: bool,
    /// The pipe took no more although it is not full by bytes (each small piece takes a slot):
    /// nothing more goes in before something went out.
    stalled: bool,
    read: u64,
    moved: u64,
}

impl Pump {
    /// A transfer that has not begun, through a pipe of [`SMALL_PIPE`].
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            buffered: 0,
            ahead: 0,
            capacity: SMALL_PIPE,
            full: plan.limit == Some(0),
            ended: false,
            stalled: false,
            read: 0,
            moved: 0,
        }
    }

    /// How many bytes to move from the source into the pipe; `None`: none at present.
    #[must_use]
    pub fn wants_in(&self) -> Option<usize> {
        if self.full || self.stalled || self.buffered >= self.capacity {
            return None;
        }
        let room = (self.capacity - self.buffered).min(self.plan.chunk);
        Some(room.min(self.left()))
    }

    /// Bytes that the limit leaves.
    fn left(&self) -> usize {
        let left = self.plan.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.read));
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// How many bytes may go past the pipe, as it is empty; `None`: none at present.
    #[must_use]
    pub fn wants_past(&self) -> Option<usize> {
        if self.full || self.buffered > 0 {
            return None;
        }
        Some(self.plan.chunk.min(self.left()))
    }

    /// How many bytes to move from the pipe to the destination; `None`: it is empty.
    #[must_use]
    pub fn wants_out(&self) -> Option<usize> {
        (self.buffered > 0).then_some(self.buffered)
    }

    /// Bytes went into the pipe; 0 is the source's EOF.
    pub fn moved_in(&mut self, bytes: usize) {
        self.buffered += bytes;
        self.read += bytes as u64;
        self.ended = self.ended || bytes == 0;
        let limited = self.plan.limit.is_some_and(|limit| self.read >= limit);
        self.full = self.full || self.ended || limited;
    }

    /// Bytes went into the pipe that were read ahead of the transfer: before any other.
    pub fn moved_ahead(&mut self, bytes: usize) {
        if bytes > 0 {
            self.ahead += bytes;
            self.moved_in(bytes);
        }
    }

    /// Bytes went out of the pipe.
    pub fn moved_out(&mut self, bytes: usize) {
        self.buffered = self.buffered.saturating_sub(bytes);
        self.ahead = self.ahead.saturating_sub(bytes);
        self.moved += bytes as u64;
        self.stalled = false;
    }

    /// Bytes went past the pipe, from the source to the destination; 0 is the source's EOF.
    pub fn moved_past(&mut self, bytes: usize) {
        self.moved_in(bytes);
        self.moved_out(bytes);
    }

    /// A move into the pipe would have to wait. True if it is the source that it waits for:
    /// with bytes in the pipe it may be the pipe as well, and those go out first.
    pub fn would_wait(&mut self) -> bool {
        self.stalled = self.buffered > 0;
        !self.stalled
    }

    /// Whether the pipe has been filled by a transfer that goes on: the time to make it larger.
    #[must_use]
    pub fn wants_larger_pipe(&self) -> bool {
        self.capacity == SMALL_PIPE && self.buffered >= SMALL_PIPE && !self.full
    }

    /// The pipe's capacity has changed (or could not be changed, and is what it is).
    pub fn set_capacity(&mut self, bytes: usize) {
        // Anything but SMALL_PIPE, so that growing is tried once.
        self.capacity = if bytes == SMALL_PIPE { SMALL_PIPE - 1 } else { bytes };
    }

    /// Whether the source has ended (or the limit was reached) and the pipe is empty.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.full && self.buffered == 0
    }

    /// Whether the source itself has ended, not just the transfer.
    #[must_use]
    pub fn source_ended(&self) -> bool {
        self.ended
    }

    /// Bytes that were taken from the source and have not reached the destination.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    /// Those of [`Pump::buffered`] that were read ahead of the transfer, and not from the source
    /// itself. They come first.
    #[must_use]
    pub fn ahead(&self) -> usize {
        self.ahead
    }

    /// Bytes that have reached the destination.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splice::LARGE_PIPE;
    use proptest::prelude::*;

    #[test]
    fn in_then_out_then_eof() {
        let mut pump = Pump::new(Plan::TO_EOF);
        assert_eq!((pump.wants_in(), pump.wants_out()), (Some(SMALL_PIPE), None));
        pump.moved_in(100);
        assert_eq!((pump.wants_in(), pump.wants_out()), (Some(SMALL_PIPE - 100), Some(100)));
        pump.moved_in(0);
        assert_eq!((pump.wants_in(), pump.is_done()), (None, false));
        pump.moved_out(60);
        pump.moved_out(40);
        assert!(pump.is_done());
        assert_eq!(pump.moved(), 100);
    }

    #[test]
    fn what_was_read_ahead_leaves_the_pipe_first() {
        let mut pump = Pump::new(Plan::TO_EOF);
        pump.moved_ahead(0);
        assert!(!pump.source_ended(), "nothing was read ahead, which is no end");
        pump.moved_ahead(100);
        pump.moved_in(50);
        pump.moved_out(60);
        assert_eq!((pump.ahead(), pump.buffered()), (40, 90));
        pump.moved_out(60);
        assert_eq!((pump.ahead(), pump.buffered()), (0, 30));
    }

    #[test]
    fn a_limit_ends_it_like_eof() {
        let mut pump = Pump::new(Plan { chunk: usize::MAX, limit: Some(10) });
        assert_eq!(pump.wants_in(), Some(10));
        pump.moved_in(4);
        assert_eq!(pump.wants_in(), Some(6));
        pump.moved_in(6);
        assert_eq!(pump.wants_in(), None);
        pump.moved_out(10);
        assert!(pump.is_done());
        assert!(!pump.source_ended(), "nobody has seen its end");
        assert!(Pump::new(Plan { chunk: 1, limit: Some(0) }).is_done());
    }

    #[test]
    fn a_chunk_bounds_each_move_in() {
        let pump = Pump::new(Plan { chunk: 8192, limit: None });
        assert_eq!(pump.wants_in(), Some(8192));
    }

    #[test]
    fn a_pipe_out_of_slots_is_emptied_before_more_goes_in() {
        let mut pump = Pump::new(Plan::TO_EOF);
        assert!(pump.would_wait(), "an empty pipe: it is the source");
        pump.moved_in(1);
        assert!(!pump.would_wait());
        assert_eq!(pump.wants_in(), None);
        pump.moved_out(1);
        assert!(pump.wants_in().is_some());
    }

    #[test]
    fn what_goes_past_the_pipe_counts_both_ways_and_keeps_the_order() {
        let mut pump = Pump::new(Plan { chunk: 1_000_000, limit: Some(1_500_000) });
        assert_eq!(pump.wants_past(), Some(1_000_000));
        pump.moved_past(1_000_000);
        assert_eq!(
            (pump.wants_past(), pump.moved(), pump.buffered()),
            (Some(500_000), 1_000_000, 0)
        );
        pump.moved_in(10);
        assert_eq!(pump.wants_past(), None, "what is in the pipe goes first");
        pump.moved_out(10);
        pump.moved_past(499_990);
        assert!(pump.is_done());
        assert_eq!(pump.wants_past(), None);
    }

    #[test]
    fn growing_is_asked_for_once() {
        let mut pump = Pump::new(Plan::TO_EOF);
        pump.moved_in(SMALL_PIPE);
        assert!(pump.wants_larger_pipe());
        let mut grown = pump;
        grown.set_capacity(LARGE_PIPE);
        assert_eq!(
            (grown.wants_larger_pipe(), grown.wants_in()),
            (false, Some(LARGE_PIPE - SMALL_PIPE))
        );
        pump.set_capacity(SMALL_PIPE);
        assert!(!pump.wants_larger_pipe());
    }

    proptest! {
        /// Whatever the moves, every byte that went in comes out, and no more than the limit.
        #[test]
        fn nothing_is_lost(
            limit in prop::option::of(0u64..300_000),
            moves in prop::collection::vec((any::<bool>(), 1usize..100_000), 0..100),
        ) {
            let mut pump = Pump::new(Plan { chunk: 50_000, limit });
            let mut total_in = 0;
            for (inward, size) in moves {
                if inward {
                    if let Some(most) = pump.wants_in() {
                        let size = size.min(most);
                        pump.moved_in(size);
                        total_in += size as u64;
                    }
                } else if let Some(most) = pump.wants_out() {
                    pump.moved_out(size.min(most));
                }
            }
            pump.moved_in(0);
            while let Some(most) = pump.wants_out() {
                pump.moved_out(most);
            }
            prop_assert!(pump.is_done());
            prop_assert_eq!(pump.moved(), total_in);
            prop_assert!(limit.is_none_or(|limit| total_in <= limit));
        }
    }
}
