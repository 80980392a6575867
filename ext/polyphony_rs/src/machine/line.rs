//! Fibers in line for something, on whichever machines: the order in which they get it.

use std::cell::RefCell;
use std::collections::VecDeque;

use polyphony_core::op::OpKey;
use rb_sys::VALUE;

use super::{Machine, OnInterrupt, Role, Waited};
use crate::errors::Outcome;
use crate::ruby::{fiber, typed};

/// A fiber, and the machine that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    machine: VALUE,
    pub(super) fiber: VALUE,
}

impl Holder {
    /// The running fiber.
    pub(super) fn current(machine: VALUE) -> Self {
        Self { machine, fiber: fiber::current() }
    }

    pub(super) fn mark(self) {
        typed::mark(self.machine);
        typed::mark(self.fiber);
    }

    /// Whether the fiber will never run again: its thread has ended, or stayed behind in the
    /// parent of this process. Calls Ruby.
    pub(super) fn is_gone(self) -> bool {
        !Machine::any(self.machine).is_ok_and(Machine::has_thread)
    }
}

/// A fiber in line, and the local op that it waits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticket {
    holder: Holder,
    key: OpKey,
}

/// First come, first served. No borrow is alive across a call into Ruby.
#[derive(Default)]
pub(super) struct Line {
    waiting: Tickets,
    /// Those whose turn has come, until they run.
    called: Tickets,
}

#[derive(Default)]
struct Tickets(RefCell<VecDeque<Ticket>>);

/// How a wait in line ended.
pub(super) enum Turned {
    /// The fiber's turn has come.
    Called,
    /// It was interrupted: with what, and whether its turn had come by then, so that it is for
    /// the fiber to pass it on.
    Interrupted(super::Interruption, bool),
}

impl Tickets {
    fn push(&self, ticket: Ticket) {
        self.0.borrow_mut().push_back(ticket);
    }

    fn first(&self) -> Option<Ticket> {
        self.0.borrow().front().copied()
    }

    /// Takes a ticket out; whether it was in.
    fn remove(&self, ticket: Ticket) -> bool {
        let tickets = &mut *self.0.borrow_mut();
        let position = tickets.iter().position(|other| *other == ticket);
        position.is_some_and(|position| tickets.remove(position).is_some())
    }

    /// The first ticket; those before it whose holders are gone are thrown away.
    fn first_present(&self) -> Option<Ticket> {
        loop {
            let ticket = self.first()?;
            if !ticket.holder.is_gone() {
                return Some(ticket);
            }
            self.remove(ticket);
        }
    }

    fn mark(&self) {
        self.0.borrow().iter().for_each(|ticket| ticket.holder.mark());
    }
}

impl Line {
    pub(super) fn mark(&self) {
        self.waiting.mark();
        self.called.mark();
    }

    /// Parks the running fiber at the end of the line.
    pub(super) fn wait(&self, this: VALUE, name: &'static str) -> Outcome<Turned> {
        let machine = Machine::of(this)?;
        let key = machine.start_local(name, None, Role::Wake);
        machine.count_op();
        let ticket = Ticket { holder: Holder::current(this), key };
        self.waiting.push(ticket);
        let waited = machine.wait_for(key, OnInterrupt::Abandon);
        let called = self.called.remove(ticket);
        Ok(match waited {
            Waited::Interrupted(interruption, _) => {
                self.waiting.remove(ticket);
                Turned::Interrupted(interruption, called)
            }
            Waited::Done(_) | Waited::TimedOut => Turned::Called,
        })
    }

    /// Lets the first in line go on. From any thread.
    pub(super) fn call_next(&self) -> Option<Holder> {
        self.called.first_present();
        let ticket = loop {
            let ticket = self.waiting.first_present()?;
            // Looking at its holder has called Ruby: another thread may have been faster.
            if self.waiting.remove(ticket) {
                break ticket;
            }
        };
        self.called.push(ticket);
        if let Ok(machine) = Machine::any(ticket.holder.machine) {
            machine.complete_local(ticket.key, 0);
        }
        Some(ticket.holder)
    }

    /// How many were called and have not run yet. Who won't any more doesn't count once it is the
    /// first of them.
    pub(super) fn called(&self) -> usize {
        self.called.first_present();
        self.called.0.borrow().len()
    }
}
