//! Where each buffer is, and how many the kernel should have: no memory, no kernel.

use super::{BUFFER_SIZE, MAX_BUFFERS, Segment};

/// Bytes that the kernel has at least, and those it gets when it has less. Both double when it
/// has run out.
const LOW_MARK: usize = 8 * BUFFER_SIZE;
const HIGH_MARK: usize = 16 * BUFFER_SIZE;
/// After so many completions without running out the marks halve, down to the above.
const CALM: u32 = 1024;
/// Memory beyond so many times the high mark is given back.
const SPARE: usize = 2;

// Offsets and lengths of segments have 16 bits.
const _: () = assert!(BUFFER_SIZE <= u16::MAX as usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It has no memory.
    Absent,
    Free,
    /// The kernel fills it.
    Kernel,
    /// The kernel is done with it; segments are left.
    Spent,
}

#[derive(Clone, Copy, Debug)]
struct Buffer {
    place: Place,
    /// Bytes that the kernel has filled.
    cursor: usize,
    /// Segments that were not released.
    segments: u32,
}

/// The books of a pool.
#[derive(Debug)]
pub(super) struct Ledger {
    buffers: Vec<Buffer>,
    /// Free ones, the latest last.
    free: Vec<u16>,
    /// Those without memory.
    absent: Vec<u16>,
    /// Bytes that the kernel may fill.
    available: usize,
    low: usize,
    high: usize,
    /// Completions since the kernel ran out, or since the marks changed.
    calm: u32,
    segments: usize,
    most_segments: usize,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            buffers: Vec::new(),
            free: Vec::new(),
            absent: Vec::new(),
            available: 0,
            low: LOW_MARK,
            high: HIGH_MARK,
            calm: 0,
            segments: 0,
            most_segments: 0,
        }
    }
}

impl Ledger {
    /// Buffers that have memory.
    pub(super) fn allocated(&self) -> usize {
        self.buffers.len() - self.absent.len()
    }

    /// Buffers that are neither the kernel's nor anybody's.
    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// Bytes that the kernel may fill.
    pub(super) fn available(&self) -> usize {
        self.available
    }

    /// Segments that were not released, and the most there ever were.
    pub(super) fn segments(&self) -> (usize, usize) {
        (self.segments, self.most_segments)
    }

    /// Whether the kernel should get buffers.
    pub(super) fn is_low(&self) -> bool {
        self.available < self.low
    }

    /// The next buffer that the kernel should get, until it has as much as it should have, or
    /// there is none.
    pub(super) fn next(&mut self) -> Option<u16> {
        if self.available + BUFFER_SIZE > self.high {
            return None;
        }
        if let Some(bid) = self.free.last().or(self.absent.last()) {
            return Some(*bid);
        }
        let bid = u16::try_from(self.buffers.len()).ok()?;
        if self.buffers.len() == MAX_BUFFERS {
            return None;
        }
        self.buffers.push(Buffer { place: Place::Absent, cursor: 0, segments: 0 });
        self.absent.push(bid);
        Some(bid)
    }

    /// The buffer that [`Ledger::next`] has named was given to the kernel.
    pub(super) fn offered(&mut self, bid: u16) {
        let buffer = &mut self.buffers[usize::from(bid)];
        let list = if buffer.place == Place::Free { &mut self.free } else { &mut self.absent };
        list.pop();
        *buffer = Buffer { place: Place::Kernel, cursor: 0, segments: 0 };
        self.available += BUFFER_SIZE;
    }

    /// The kernel has put `len` bytes into a buffer, and is `done` with it or not. The segment is
    /// to be released, also an empty one.
    pub(super) fn filled(&mut self, bid: u16, len: usize, done: bool) -> Option<Segment> {
        let buffer = self.buffers.get_mut(usize::from(bid))?;
        if buffer.place != Place::Kernel {
            return None;
        }
        let left = BUFFER_SIZE - buffer.cursor;
        let len = len.min(left);
        let offset = buffer.cursor;
        buffer.cursor += len;
        buffer.segments += 1;
        if done {
            buffer.place = Place::Spent;
        }
        self.available -= if done { left } else { len };
        self.segments += 1;
        self.most_segments = self.most_segments.max(self.segments);
        self.calm_down();
        // Both are at most a buffer's size, which fits.
        let small = |number| u16::try_from(number).unwrap_or(u16::MAX);
        Some(Segment { bid, offset: small(offset), len: small(len) })
    }

    fn calm_down(&mut self) {
        self.calm += 1;
        if self.calm >= CALM {
            self.calm = 0;
            self.low = (self.low / 2).max(LOW_MARK);
            self.high = (self.high / 2).max(HIGH_MARK);
        }
    }

    /// The kernel had no buffer left for somebody.
    pub(super) fn ran_out(&mut self) {
        self.calm = 0;
        self.low = (self.low * 2).min(MAX_BUFFERS * BUFFER_SIZE / 2);
        self.high = (self.high * 2).min(MAX_BUFFERS * BUFFER_SIZE);
    }

    /// Nobody reads a segment any more. True: its buffer's memory should be given back.
    pub(super) fn release(&mut self, segment: Segment) -> bool {
        let bid = segment.bid;
        let Some(buffer) = self.buffers.get_mut(usize::from(bid)) else { return false };
        let Some(left) = buffer.segments.checked_sub(1) else { return false };
        buffer.segments = left;
        self.segments -= 1;
        if left > 0 || buffer.place != Place::Spent {
            return false;
        }
        let surplus = self.allocated() * BUFFER_SIZE > self.high * SPARE;
        let (place, list) =
            if surplus { (Place::Absent, &mut self.absent) } else { (Place::Free, &mut self.free) };
        self.buffers[usize::from(bid)].place = place;
        list.push(bid);
        surplus
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn refill(ledger: &mut Ledger) -> Vec<u16> {
        let mut given = Vec::new();
        if ledger.is_low() {
            while let Some(bid) = ledger.next() {
                ledger.offered(bid);
                given.push(bid);
            }
        }
        given
    }

    fn stocked() -> Ledger {
        let mut ledger = Ledger::default();
        assert_eq!(refill(&mut ledger), (0..16).collect::<Vec<_>>());
        ledger
    }

    /// The kernel fills a buffer whole.
    fn fill(ledger: &mut Ledger, bid: u16) -> Segment {
        ledger.filled(bid, BUFFER_SIZE, true).expect("the kernel's")
    }

    #[test]
    fn nothing_is_there_before_the_first_use() {
        let ledger = Ledger::default();
        assert_eq!((ledger.allocated(), ledger.available(), ledger.segments()), (0, 0, (0, 0)));
    }

    #[test]
    fn segments_follow_each_other_in_a_buffer() {
        let mut ledger = stocked();
        let first = ledger.filled(0, 6, false).expect("first");
        let second = ledger.filled(0, 4, false).expect("second");
        assert_eq!((first.offset, first.len, second.offset, second.len), (0, 6, 6, 4));
        assert_eq!((ledger.available(), ledger.segments()), (16 * BUFFER_SIZE - 10, (2, 2)));
        ledger.release(first);
        ledger.release(second);
        // Still the kernel's.
        assert_eq!((ledger.free(), ledger.segments()), (0, (0, 2)));
    }

    #[test]
    fn a_buffer_is_free_when_the_kernel_and_all_readers_have_left_it() {
        let mut ledger = stocked();
        let first = ledger.filled(3, 100, false).expect("first");
        let rest = ledger.filled(3, BUFFER_SIZE, true).expect("rest");
        assert_eq!(usize::from(rest.len), BUFFER_SIZE - 100);
        ledger.release(rest);
        assert_eq!(ledger.free(), 0);
        ledger.release(first);
        assert_eq!(ledger.free(), 1);
    }

    #[test]
    fn one_completion_may_use_up_a_buffer() {
        let mut ledger = stocked();
        let segment = ledger.filled(0, 6, true).expect("segment");
        assert_eq!(ledger.available(), 15 * BUFFER_SIZE);
        ledger.release(segment);
        assert_eq!((ledger.allocated(), ledger.free()), (16, 1));
    }

    #[test]
    fn below_half_the_kernel_gets_all_again_used_ones_first() {
        let mut ledger = stocked();
        for bid in 0..8 {
            let segment = fill(&mut ledger, bid);
            ledger.release(segment);
        }
        assert_eq!(refill(&mut ledger), []);
        let held = fill(&mut ledger, 8);
        assert_eq!(refill(&mut ledger), [7, 6, 5, 4, 3, 2, 1, 0, 16]);
        ledger.release(held);
    }

    #[test]
    fn what_is_not_the_kernels_is_not_filled() {
        let mut ledger = stocked();
        fill(&mut ledger, 0);
        assert_eq!((ledger.filled(0, 1, false), ledger.filled(99, 1, false)), (None, None));
    }

    #[test]
    fn releasing_twice_changes_nothing() {
        let mut ledger = stocked();
        let segment = fill(&mut ledger, 0);
        ledger.release(segment);
        ledger.release(segment);
        assert_eq!((ledger.free(), ledger.segments().0), (1, 0));
    }

    #[test]
    fn both_marks_double_when_the_kernel_runs_out() {
        let mut ledger = stocked();
        ledger.ran_out();
        refill(&mut ledger);
        assert_eq!(ledger.available(), 16 * BUFFER_SIZE); // just at the low mark
        fill(&mut ledger, 0);
        assert_eq!(refill(&mut ledger).len(), 17);
        assert_eq!(ledger.available(), 32 * BUFFER_SIZE);
    }

    #[test]
    fn readers_that_give_nothing_back_get_a_bounded_number_of_buffers() {
        let mut ledger = Ledger::default();
        for _ in 0..20 {
            for bid in refill(&mut ledger) {
                fill(&mut ledger, bid);
            }
            ledger.ran_out();
        }
        assert_eq!((ledger.allocated(), ledger.segments().0), (MAX_BUFFERS, MAX_BUFFERS));
        assert_eq!((ledger.next(), ledger.available()), (None, 0));
    }

    #[test]
    fn memory_comes_back_after_a_burst() {
        let mut ledger = stocked();
        for _ in 0..3 {
            ledger.ran_out();
        }
        let mut held: VecDeque<_> = (0..16).map(|bid| fill(&mut ledger, bid)).collect();
        let mut kernels: VecDeque<_> = refill(&mut ledger).into();
        assert_eq!(ledger.allocated(), 16 + 128);
        for _ in 0..20 * CALM {
            let bid = kernels.pop_front().expect("a buffer");
            held.push_back(fill(&mut ledger, bid));
            if let Some(segment) = held.pop_front() {
                ledger.release(segment);
            }
            kernels.extend(refill(&mut ledger));
        }
        for segment in held {
            ledger.release(segment);
        }
        assert!(ledger.allocated() <= SPARE * 16, "{}", ledger.allocated());
    }

    /// Every byte of every buffer by itself, and who has it.
    #[derive(Default)]
    struct Naive {
        /// The kernel's, in the order in which it takes them, with the bytes that are left.
        kernel: VecDeque<(u16, usize)>,
        held: Vec<Segment>,
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_byte_belongs_to_two(
            steps in prop::collection::vec((0u8..8, 0usize..BUFFER_SIZE * 2, any::<bool>()), 1..200)
        ) {
            let mut ledger = Ledger::default();
            let mut naive = Naive::default();
            for (kind, size, classic) in steps {
                match kind {
                    0..=3 => if let Some((bid, left)) = naive.kernel.pop_front() {
                        let len = size.min(left);
                        let done = classic || len == left;
                        let segment = ledger.filled(bid, len, done).expect("the kernel's");
                        prop_assert_eq!(usize::from(segment.offset), BUFFER_SIZE - left);
                        prop_assert_eq!(usize::from(segment.len), len);
                        naive.held.push(segment);
                        if !done {
                            naive.kernel.push_front((bid, left - len));
                        }
                    },
                    4 | 5 => if !naive.held.is_empty() {
                        let segment = naive.held.swap_remove(size % naive.held.len());
                        ledger.release(segment);
                    },
                    6 => ledger.ran_out(),
                    _ => for bid in refill(&mut ledger) {
                        prop_assert!(naive.kernel.iter().all(|(other, _)| *other != bid));
                        prop_assert!(naive.held.iter().all(|segment| segment.bid != bid));
                        naive.kernel.push_back((bid, BUFFER_SIZE));
                    },
                }
                let available: usize = naive.kernel.iter().map(|(_, left)| left).sum();
                prop_assert_eq!(ledger.available(), available);
                prop_assert_eq!(ledger.segments().0, naive.held.len());
                let mut busy: Vec<_> = naive.kernel.iter().map(|(bid, _)| *bid).collect();
                busy.extend(naive.held.iter().map(|segment| segment.bid));
                busy.sort_unstable();
                busy.dedup();
                prop_assert_eq!(ledger.allocated() - ledger.free(), busy.len());
                prop_assert!(ledger.allocated() <= MAX_BUFFERS);
            }
        }
    }
}
