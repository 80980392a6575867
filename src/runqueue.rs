//! Who runs next, and how long before the ring must be looked at again.

use std::collections::VecDeque;

/// Most entries that may be taken between two drains of the ring. A runqueue that never gets
/// empty would otherwise starve I/O and timers. 64 switches are about 20 µs: a drain that finds
/// nothing costs a memory read, one that submits costs a syscall spread over those 64.
pub const MAX_SWITCHES_PER_DRAIN: u32 = 64;

/// A FIFO of runnable entries with a budget.
#[derive(Debug)]
pub struct Runqueue<E> {
    entries: VecDeque<E>,
    budget: u32,
}

impl<E> Default for Runqueue<E> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), budget: MAX_SWITCHES_PER_DRAIN }
    }
}

impl<E> Runqueue<E> {
    /// Adds an entry behind the others.
    pub fn push(&mut self, entry: E) {
        self.entries.push_back(entry);
    }

    /// Adds an entry before the others.
    pub fn push_front(&mut self, entry: E) {
        self.entries.push_front(entry);
    }

    /// Takes the next entry, unless the budget is used up: then the ring comes first.
    pub fn pop(&mut self) -> Option<E> {
        if self.budget == 0 {
            return None;
        }
        let entry = self.entries.pop_front()?;
        self.budget -= 1;
        Some(entry)
    }

    /// Takes units of the budget for work done without a switch; false when none was left.
    pub fn spend(&mut self, units: u32) -> bool {
        let left = self.budget > 0;
        self.budget = self.budget.saturating_sub(units);
        left
    }

    /// Gives the whole budget back, after a drain.
    pub fn replenish(&mut self) {
        self.budget = MAX_SWITCHES_PER_DRAIN;
    }

    /// The next entry.
    #[must_use]
    pub fn front(&self) -> Option<&E> {
        self.entries.front()
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody is runnable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes out the last entry that is the one.
    pub fn take_last(&mut self, is_it: impl Fn(&E) -> bool) -> Option<E> {
        let index = self.entries.iter().rposition(is_it)?;
        self.entries.remove(index)
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_order_and_front_first() {
        let mut queue = Runqueue::default();
        queue.push(1);
        queue.push(2);
        queue.push_front(0);
        assert_eq!(
            [queue.pop(), queue.pop(), queue.pop(), queue.pop()],
            [Some(0), Some(1), Some(2), None]
        );
    }

    #[test]
    fn the_last_of_the_entries_that_fit_is_taken_out() {
        let mut queue = Runqueue::default();
        [1, 2, 3, 4].into_iter().for_each(|i| queue.push(i));
        assert_eq!(queue.take_last(|i| i % 2 == 1), Some(3));
        assert_eq!(queue.take_last(|i| *i == 3), None);
        assert_eq!(queue.iter().copied().collect::<Vec<_>>(), [1, 2, 4]);
    }

    #[test]
    fn a_spent_budget_hides_entries_until_replenished() {
        let mut queue = Runqueue::default();
        for i in 0..=MAX_SWITCHES_PER_DRAIN {
            queue.push(i);
        }
        for i in 0..MAX_SWITCHES_PER_DRAIN {
            assert_eq!(queue.pop(), Some(i));
        }
        assert_eq!(queue.pop(), None);
        assert!(!queue.spend(1));
        assert_eq!(queue.len(), 1);
        queue.replenish();
        assert_eq!(queue.pop(), Some(MAX_SWITCHES_PER_DRAIN));
        assert!(queue.spend(MAX_SWITCHES_PER_DRAIN), "more than there is, once");
        assert!(!queue.spend(1));
    }
}
