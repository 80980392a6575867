//! Fibers in line for something, on whichever machines: the order in which they get it.
//!
//! A fiber that is parked is in no position to see that whom it waits for is gone. So a thread that
//! ends has a look at all lines that anybody stands in. Nobody pays for that who only locks,
//! pushes or takes.

use std::cell::RefCell;
use std::collections::VecDeque;

use polyphony_core::op::OpKey;
use rb_sys::{ID, VALUE};

use super::{Machine, OnInterrupt, Role, Waited, registry};
use crate::errors::Outcome;
use crate::ruby::{fiber, thread, typed};

/// A fiber, and the machine that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    machine: VALUE,
    pub(crate) fiber: VALUE,
}

impl Holder {
    /// The running fiber.
    pub(crate) fn current(machine: VALUE) -> Self {
        Self { machine, fiber: fiber::current() }
    }

    pub(crate) fn mark(self) {
        typed::mark(self.machine);
        typed::mark(self.fiber);
    }

    /// Whether the machine will never run the fiber again: its thread has ended, or it stayed
    /// behind in the parent of this process.
    pub(crate) fn is_gone(self) -> bool {
        !Machine::any(self.machine).is_ok_and(Machine::has_thread)
    }

    /// Whether the fiber is of this process.
    pub(crate) fn survives_fork(self) -> bool {
        Machine::any(self.machine).is_ok_and(Machine::survives_fork)
    }

    /// Whether the fiber will never leave what it is in: it is gone, and isn't the one that goes on
    /// in a child which it has forked.
    pub(crate) fn has_left(self) -> bool {
        self.is_gone() && !Machine::any(self.machine).is_ok_and(|it| it.forker() == self.fiber)
    }
}

/// What a line is for.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// The queue, mutex or connection.
    pub(crate) object: VALUE,
    /// Passes on what those have who are gone. Calls nothing of Ruby that could collect garbage.
    pub(crate) pass_on: fn(VALUE),
}

/// A fiber in line, and the local op that it waits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticket {
    holder: Holder,
    key: OpKey,
}

/// First come, first served. No borrow is alive across a call into Ruby.
#[derive(Default)]
pub(crate) struct Line {
    waiting: Tickets,
    /// Those whose turn has come, until they run.
    called: Tickets,
}

#[derive(Default)]
struct Tickets(RefCell<VecDeque<Ticket>>);

/// How a wait in line ended.
pub(crate) enum Turned {
    /// The fiber's turn has come.
    Called,
    /// It was interrupted. Where its turn had come by then, it is for the fiber to pass it on.
    Interrupted(super::Interruption),
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
    pub(crate) fn mark(&self) {
        self.waiting.mark();
        self.called.mark();
    }

    /// Parks the running fiber at the end of the line.
    pub(crate) fn wait(&self, this: VALUE, name: &'static str, place: Place) -> Outcome<Turned> {
        let machine = Machine::of(this)?;
        let key = machine.start_local(name, None, Role::Line(place));
        machine.count_op();
        let ticket = Ticket { holder: Holder::current(this), key };
        self.waiting.push(ticket);
        let waited = machine.wait_for(key, OnInterrupt::Abandon);
        self.called.remove(ticket);
        Ok(match waited {
            Waited::Interrupted(interruption, _) => {
                self.waiting.remove(ticket);
                Turned::Interrupted(interruption)
            }
            Waited::Done(_) | Waited::TimedOut => Turned::Called,
        })
    }

    /// Lets the first in line go on. From any thread.
    pub(crate) fn call_next(&self) -> Option<Holder> {
        self.called.first_present();
        let ticket = self.waiting.first_present()?;
        self.waiting.remove(ticket);
        self.called.push(ticket);
        if let Ok(machine) = Machine::any(ticket.holder.machine) {
            machine.complete_local(ticket.key, 0);
        }
        Some(ticket.holder)
    }

    /// How many were called and have not run yet. Who won't any more doesn't count once it is the
    /// first of them.
    pub(crate) fn called(&self) -> usize {
        self.called.first_present();
        self.called.0.borrow().len()
    }
}

/// The running thread ends. Its fibers never run again, and what they have goes on to those who
/// wait for it in other threads.
unsafe extern "C" fn thread_ends(_: u32, _: VALUE, _: VALUE, _: ID, _: VALUE) {
    let mut was_ours = false;
    for machine in registry::machines_here().filter(|machine| machine.is_of_thread()) {
        machine.lose_thread();
        was_ours = true;
    }
    if !was_ours {
        return;
    }
    let mut places: Vec<Place> = registry::machines_here().flat_map(Machine::places).collect();
    places.sort_unstable_by_key(|place| place.object);
    places.dedup_by_key(|place| place.object);
    // Fibers that stand in line keep what they wait for, and none of them runs in here.
    places.into_iter().for_each(|place| (place.pass_on)(place.object));
}

impl Machine {
    /// What its fibers stand in line for.
    fn places(&self) -> Vec<Place> {
        let state = self.state.borrow();
        let waiters = state.driver.ops().iter();
        waiters
            .filter_map(|waiter| match waiter.role {
                Role::Line(place) => Some(place),
                _ => None,
            })
            .collect()
    }
}

pub(crate) fn init() {
    thread::at_each_end(thread_ends);
}
