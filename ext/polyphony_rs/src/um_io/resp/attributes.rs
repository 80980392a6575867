//! Attributes: what a peer says about a value, before it.

use std::cell::{Cell, RefCell};

use rb_sys::VALUE;

use crate::errors::Outcome;
use crate::ruby::{NIL, typed, value};

/// Those of the reply that is being read, where somebody wants them.
pub(super) struct Attributes {
    wanted: Cell<bool>,
    /// An Array that no program can find, of attributes and their values in turn; nil while there
    /// are none.
    list: Cell<VALUE>,
    /// Those whose value hasn't come yet, the innermost last.
    due: RefCell<Vec<Due>>,
}

#[derive(Clone, Copy)]
struct Due {
    /// How many aggregates the value is inside of.
    depth: usize,
    /// Where in the list it belongs.
    index: usize,
}

impl Attributes {
    pub(super) fn new() -> Self {
        Self { wanted: Cell::new(false), list: Cell::new(NIL), due: RefCell::default() }
    }

    pub(super) fn mark(&self) {
        typed::mark(self.list.get());
    }

    /// For the next reply.
    pub(super) fn begin(&self, wanted: bool) {
        // Left by one that was no RESP.
        if self.list.get() != NIL {
            self.clear();
        }
        self.wanted.set(wanted);
    }

    pub(super) fn clear(&self) {
        self.wanted.set(false);
        self.list.set(NIL);
        self.due.borrow_mut().clear();
    }

    pub(super) fn are_wanted(&self) -> bool {
        self.wanted.get()
    }

    /// One has come, inside of so many aggregates. Unwinds when memory runs out.
    pub(super) fn add(&self, attribute: VALUE, depth: usize) {
        if self.list.get() == NIL {
            self.list.set(value::hidden_array());
        }
        let list = self.list.get();
        let index = value::array_len(list) + 1;
        value::push(list, attribute);
        // Its value, or what it stays with where there is none.
        value::push(list, NIL);
        self.due.borrow_mut().push(Due { depth, index });
    }

    /// A value has come, inside of so many aggregates: that of the attributes right before it.
    pub(super) fn value_came(&self, element: VALUE, depth: usize) {
        if self.list.get() == NIL {
            return;
        }
        let due = &mut *self.due.borrow_mut();
        while let Some(last) = due.last().copied().filter(|last| last.depth >= depth) {
            due.pop();
            // Deeper ones had nothing behind them.
            if last.depth == depth {
                value::set_at(self.list.get(), last.index, element);
            }
        }
    }

    /// What has come with the reply that is whole now; nil where there was nothing.
    pub(super) fn take(&self) -> VALUE {
        self.list.replace(NIL)
    }
}

/// Yields each attribute and its value.
pub(super) fn yield_each(list: VALUE) -> Outcome<()> {
    if list == NIL {
        return Ok(());
    }
    for index in (0..value::array_len(list)).step_by(2) {
        value::yield_two(value::at(list, index), value::at(list, index + 1))?;
    }
    std::hint::black_box(list);
    Ok(())
}
