//! Deadlines in user space: an indexed 4-ary heap.
//!
//! Each op has at most one deadline, so a timer is named by its op's slot and the heap keeps one
//! position per slot: setting, moving and cancelling allocate nothing and leave nothing behind.
//! Times are nanoseconds of a clock that only the caller knows.
//!
//! ```
//! use polyphony_core::timer::TimerHeap;
//!
//! let mut timers = TimerHeap::default();
//! timers.set(7, 2_000);
//! timers.set(3, 1_000);
//! assert_eq!(timers.next_deadline(), Some(1_000));
//! assert_eq!(timers.pop_expired(1_500), Some(3));
//! assert_eq!(timers.pop_expired(1_500), None);
//! ```

const NOWHERE: u32 = u32::MAX;
const ARITY: usize = 4;

/// How much longer than asked for a timer may take, as a part of its duration: a 2^7th.
const SLACK_SHIFT: u32 = 7;
/// The most that a timer is put off, in nanoseconds (about a millisecond).
const MAX_SLACK_NS: u64 = 1 << 20;

/// The deadline `duration` after `now`, put off to the next multiple of a power of two that is
/// small beside the duration. Deadlines of many fibers then fall together, and one wait ends for
/// all of them: on its own each would cost a trip into the kernel.
///
/// ```
/// use polyphony_core::timer::deadline_after;
///
/// assert_eq!(deadline_after(1_000_001, 100), 1_000_101);
/// assert_eq!(deadline_after(1_000_001, 1_000_000_000) % (1 << 20), 0);
/// ```
#[must_use]
pub fn deadline_after(now: u64, duration: u64) -> u64 {
    let exact = now.saturating_add(duration);
    let slack = (duration >> SLACK_SHIFT).clamp(1, MAX_SLACK_NS);
    exact.checked_next_multiple_of(1 << slack.ilog2()).unwrap_or(exact)
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    deadline: u64,
    /// Set order, so that equal deadlines fire first come first served.
    order: u64,
    slot: u32,
}

impl Entry {
    fn before(&self, other: &Self) -> bool {
        (self.deadline, self.order) < (other.deadline, other.order)
    }
}

/// A priority queue of deadlines by slot.
#[derive(Debug, Default)]
pub struct TimerHeap {
    heap: Vec<Entry>,
    /// Where each slot's entry is in `heap`, or `NOWHERE`.
    positions: Vec<u32>,
    order: u64,
}

impl TimerHeap {
    /// Sets the deadline of a slot, in place of an earlier one.
    pub fn set(&mut self, slot: u32, deadline: u64) {
        self.cancel(slot);
        let index = slot as usize;
        if self.positions.len() <= index {
            self.positions.resize(index + 1, NOWHERE);
        }
        self.order += 1;
        let at = self.heap.len();
        self.heap.push(Entry { deadline, order: self.order, slot });
        self.place(at);
        self.sift_up(at);
    }

    /// Takes a slot's deadline away; false if it had none.
    pub fn cancel(&mut self, slot: u32) -> bool {
        let Some(&position) = self.positions.get(slot as usize) else { return false };
        if position == NOWHERE {
            return false;
        }
        self.remove(position as usize);
        true
    }

    /// The nearest deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.heap.first().map(|entry| entry.deadline)
    }

    /// Takes one slot whose deadline is not after `now`, earliest first.
    pub fn pop_expired(&mut self, now: u64) -> Option<u32> {
        let first = *self.heap.first()?;
        if first.deadline > now {
            return None;
        }
        self.remove(0);
        Some(first.slot)
    }

    /// Number of deadlines set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no deadline is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    fn remove(&mut self, at: usize) {
        let removed = self.heap.swap_remove(at);
        self.positions[removed.slot as usize] = NOWHERE;
        if at < self.heap.len() {
            self.place(at);
            self.sift_up(at);
            self.sift_down(at);
        }
    }

    fn place(&mut self, at: usize) {
        let slot = self.heap[at].slot as usize;
        // The heap is never longer than the number of slots, which is a u32.
        self.positions[slot] = u32::try_from(at).unwrap_or(NOWHERE);
    }

    fn sift_up(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if !self.heap[at].before(&self.heap[parent]) {
                break;
            }
            self.swap(at, parent);
            at = parent;
        }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let first = at * ARITY + 1;
            let last = (first + ARITY).min(self.heap.len());
            let mut least = at;
            for child in first..last {
                if self.heap[child].before(&self.heap[least]) {
                    least = child;
                }
            }
            if least == at {
                break;
            }
            self.swap(at, least);
            at = least;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.place(a);
        self.place(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn deadlines_fire_in_order_and_not_early() {
        let mut timers = TimerHeap::default();
        timers.set(3, 30);
        timers.set(1, 10);
        timers.set(2, 20);
        assert_eq!(timers.next_deadline(), Some(10));
        assert_eq!(timers.pop_expired(9), None);
        assert_eq!(timers.pop_expired(25), Some(1));
        assert_eq!(timers.pop_expired(25), Some(2));
        assert_eq!(timers.pop_expired(25), None);
        assert_eq!(timers.len(), 1);
    }

    #[test]
    fn deadlines_of_one_moment_fall_together() {
        let ms = 1_000_000;
        let far: std::collections::HashSet<_> =
            (0..1000).map(|i| deadline_after(i * 1000, 1000 * ms)).collect();
        assert!(far.len() <= 2, "{far:?}");
        assert_eq!(deadline_after(u64::MAX, ms), u64::MAX);
        assert_eq!(deadline_after(7, 0), 7);
    }

    #[test]
    fn equal_deadlines_fire_first_come_first_served() {
        let mut timers = TimerHeap::default();
        for slot in [5, 2, 9] {
            timers.set(slot, 10);
        }
        let fired: Vec<_> = std::iter::from_fn(|| timers.pop_expired(10)).collect();
        assert_eq!(fired, [5, 2, 9]);
    }

    #[test]
    fn setting_again_moves_and_cancelling_removes() {
        let mut timers = TimerHeap::default();
        timers.set(1, 10);
        timers.set(1, 50);
        assert_eq!((timers.len(), timers.next_deadline()), (1, Some(50)));
        assert!(timers.cancel(1));
        assert!(!timers.cancel(1));
        assert!(!timers.cancel(77));
        assert!(timers.is_empty());
    }

    proptest! {
        #[test]
        fn a_deadline_is_never_early_and_late_by_a_128th_at_most(now in 0..1u64 << 60, duration in 0..1u64 << 60) {
            let late = deadline_after(now, duration) - (now + duration);
            prop_assert!(late <= (duration >> 7).min(1 << 20), "{late}");
        }

        #[test]
        fn behaves_as_a_sorted_list(steps in prop::collection::vec((0u8..3, 0u32..20, 0u64..100), 1..200)) {
            let mut timers = TimerHeap::default();
            let mut naive: Vec<(u64, u64, u32)> = Vec::new();
            for (count, (kind, slot, time)) in steps.into_iter().enumerate() {
                match kind {
                    0 => {
                        timers.set(slot, time);
                        naive.retain(|entry| entry.2 != slot);
                        naive.push((time, count as u64, slot));
                    }
                    1 => {
                        let had = naive.iter().any(|entry| entry.2 == slot);
                        naive.retain(|entry| entry.2 != slot);
                        prop_assert_eq!(timers.cancel(slot), had);
                    }
                    _ => {
                        naive.sort_unstable();
                        let due = naive.first().filter(|entry| entry.0 <= time).map(|entry| entry.2);
                        naive.retain(|entry| Some(entry.2) != due);
                        prop_assert_eq!(timers.pop_expired(time), due);
                    }
                }
                prop_assert_eq!(timers.len(), naive.len());
            }
        }
    }
}
