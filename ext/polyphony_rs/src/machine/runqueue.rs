//! Who runs next, and what ended without anybody waiting.

use polyphony_core::driver::Sink;
use polyphony_core::op::OpKey;
use polyphony_core::runqueue::Runqueue;
use rb_sys::VALUE;

use super::Waiter;
use crate::ruby::buffer::Loan;
use crate::ruby::{NIL, typed};

/// One turn of a fiber.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// The fiber; nil for an op, which knows its own.
    pub(crate) fiber: VALUE,
    pub(crate) value: VALUE,
    pub(crate) kind: Kind,
}

/// Why a fiber gets a turn.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// An op of its has something to say. Stale when the op is gone.
    Op(OpKey),
    /// Somebody scheduled it with a value.
    Schedule,
    /// It was spun: its first turn.
    Start,
    /// Somebody unblocked it; means nothing unless it is blocked.
    Unblock,
    /// It had started another fiber and goes on now.
    Return,
}

impl Entry {
    pub(crate) fn op(key: OpKey) -> Self {
        Self { fiber: NIL, value: NIL, kind: Kind::Op(key) }
    }

    pub(super) fn is_op(&self) -> bool {
        matches!(self.kind, Kind::Op(_))
    }
}

/// The runqueue, and loans to give back once no borrow is alive.
#[derive(Default)]
pub(crate) struct Queues {
    pub(crate) run: Runqueue<Entry>,
    /// Entries that are no op's.
    scheduled: usize,
    pub(crate) retired: Vec<Loan>,
}

impl Queues {
    /// Appends an entry that is no op's.
    pub(super) fn schedule(&mut self, entry: Entry) {
        self.scheduled += 1;
        self.run.push(entry);
    }

    /// Makes an entry that is no op's the next.
    pub(super) fn schedule_first(&mut self, entry: Entry) {
        self.scheduled += 1;
        self.run.push_front(entry);
    }

    /// Takes out the first turn of a fiber that has not come yet: what it starts with.
    pub(super) fn take_start(&mut self, fiber: VALUE) -> Option<VALUE> {
        let is_start = |entry: &Entry| entry.fiber == fiber && matches!(entry.kind, Kind::Start);
        let entry = self.run.take_last(is_start)?;
        self.scheduled -= 1;
        Some(entry.value)
    }

    /// The next entry, within the budget.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.run.pop()?;
        if !entry.is_op() {
            self.scheduled -= 1;
        }
        Some(entry)
    }

    /// Number of entries that are no op's.
    pub(super) fn scheduled(&self) -> usize {
        self.scheduled
    }

    pub(crate) fn mark(&self) {
        for entry in self.run.iter() {
            typed::mark(entry.fiber);
            typed::mark(entry.value);
        }
        for loan in &self.retired {
            typed::mark(loan.value);
        }
    }
}

impl Sink<Waiter> for Queues {
    fn wake(&mut self, key: OpKey) {
        self.run.push(Entry::op(key));
    }

    fn freed(&mut self, waiter: Waiter) {
        if waiter.loan.value != NIL {
            self.retired.push(waiter.loan);
        }
    }
}
