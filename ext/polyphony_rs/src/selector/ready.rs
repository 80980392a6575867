//! What is to be transferred to at the next turn of the loop.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use rb_sys::VALUE;

use crate::ruby::{NIL, typed};

/// A FIFO whose entries can be taken back.
#[derive(Default)]
pub(super) struct Ready {
    /// Nil: was taken back.
    entries: RefCell<VecDeque<VALUE>>,
    /// Entries that have left it.
    gone: Cell<u64>,
}

/// An entry's number, counted from the first one ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

impl Ready {
    /// Appends a fiber, or what can be transferred to like one. From any thread.
    pub(super) fn push(&self, object: VALUE) -> Ticket {
        let ticket = self.end();
        self.entries.borrow_mut().push_back(object);
        ticket
    }

    /// Takes an entry back, unless it is gone.
    pub(super) fn void(&self, ticket: Ticket) {
        let index = ticket.0.checked_sub(self.gone.get()).map(usize::try_from);
        if let Some(Ok(index)) = index {
            if let Some(entry) = self.entries.borrow_mut().get_mut(index) {
                *entry = NIL;
            }
        }
    }

    /// The next entry, if it came before `end`. `Some(nil)`: it was taken back.
    pub(super) fn pop(&self, end: Ticket) -> Option<VALUE> {
        if self.gone.get() >= end.0 {
            return None;
        }
        let object = self.entries.borrow_mut().pop_front()?;
        self.gone.set(self.gone.get() + 1);
        Some(object)
    }

    /// The number of the entry to come.
    pub(super) fn end(&self) -> Ticket {
        Ticket(self.gone.get() + self.entries.borrow().len() as u64)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    pub(super) fn mark(&self) {
        self.entries.borrow().iter().copied().filter(|object| *object != NIL).for_each(typed::mark);
    }
}
