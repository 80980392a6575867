//! Fibers in line for something, on whichever machines: the order in which they get it.

use std::cell::RefCell;
use std::collections::VecDeque;

use polyphony_core::op::OpKey;
use rb_sys::VALUE;

use super::{Machine, OnInterrupt, Role, Waited};
use crate::errors::Outcome;
use crate::ruby::{fiber, typed};

/// A fiber in line, and the local op that it waits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticket {
    machine: VALUE,
    fiber: VALUE,
    key: OpKey,
}

/// First come, first served. No borrow is alive across a call into Ruby.
#[derive(Default)]
pub(super) struct Line(RefCell<VecDeque<Ticket>>);

/// How a wait in line ended.
pub(super) enum Turned {
    /// The fiber's turn has come.
    Called,
    /// It was interrupted: with what, and whether its turn had come by then, so that it is for
    /// the fiber to pass it on.
    Interrupted(super::Interruption, bool),
}

impl Line {
    pub(super) fn mark(&self) {
        for ticket in self.0.borrow().iter() {
            typed::mark(ticket.machine);
            typed::mark(ticket.fiber);
        }
    }

    /// Parks the running fiber at the end of the line.
    pub(super) fn wait(&self, this: VALUE, name: &'static str) -> Outcome<Turned> {
        let machine = Machine::of(this)?;
        let key = machine.start_local(name, None, Role::Wake);
        machine.count_op();
        let ticket = Ticket { machine: this, fiber: fiber::current(), key };
        self.0.borrow_mut().push_back(ticket);
        Ok(match machine.wait_for(key, OnInterrupt::Abandon) {
            Waited::Interrupted(interruption, _) => {
                let mut line = self.0.borrow_mut();
                let before = line.len();
                line.retain(|other| *other != ticket);
                Turned::Interrupted(interruption, line.len() == before)
            }
            Waited::Done(_) | Waited::TimedOut => Turned::Called,
        })
    }

    /// Lets the first in line go on. Fibers of threads that have ended are passed over. From any
    /// thread.
    pub(super) fn call_next(&self) -> Option<VALUE> {
        loop {
            let ticket = self.0.borrow_mut().pop_front()?;
            let Ok(machine) = Machine::any(ticket.machine) else { continue };
            if machine.has_thread() {
                machine.complete_local(ticket.key, 0);
                return Some(ticket.fiber);
            }
        }
    }
}
