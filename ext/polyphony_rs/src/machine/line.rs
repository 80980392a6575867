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
use crate::ruby::{NIL, UNDEF, fiber, thread, typed};

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
#[derive(Clone, Copy)]
struct Ticket {
    holder: Holder,
    key: OpKey,
    /// What it was called with. In line: nil, or [`READY`].
    gift: VALUE,
}

/// It needs no call to go on.
const READY: VALUE = UNDEF;

/// First come, first served. No borrow is alive across a call into Ruby.
#[derive(Default)]
pub(crate) struct Line {
    waiting: Tickets,
    /// Those whose turn has come, until they run.
    called: Tickets,
}

/// The running fiber's place in line.
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    machine: &'static Machine,
    holder: Holder,
    key: OpKey,
}

#[derive(Default)]
struct Tickets(RefCell<VecDeque<Ticket>>);

/// How a wait in line ended.
pub(crate) enum Turned {
    /// The fiber's turn has come, and what it was called with.
    Called(VALUE),
    /// It didn't come in time.
    TimedOut,
    /// It was interrupted. Where its turn had come by then, with what stands here, it is for the
    /// fiber to pass it on.
    Interrupted(super::Interruption, Option<VALUE>),
}

impl Ticket {
    fn is_ready(&self) -> bool {
        self.gift == READY
    }
}

impl Tickets {
    fn push(&self, ticket: Ticket) {
        self.0.borrow_mut().push_back(ticket);
    }

    fn first(&self) -> Option<Ticket> {
        self.0.borrow().front().copied()
    }

    fn take_first(&self) -> Option<Ticket> {
        self.0.borrow_mut().pop_front()
    }

    /// Takes a fiber's ticket out: none has more than one.
    fn take(&self, holder: Holder) -> Option<Ticket> {
        let tickets = &mut *self.0.borrow_mut();
        let position = tickets.iter().position(|ticket| ticket.holder == holder)?;
        tickets.remove(position)
    }

    /// The first ticket; those before it whose holders are gone are thrown away.
    fn first_present(&self) -> Option<Ticket> {
        loop {
            let ticket = self.first()?;
            if !ticket.holder.is_gone() {
                return Some(ticket);
            }
            self.take_first();
        }
    }

    /// Takes out the first ticket whose holder is there and needs a call.
    fn take_idle(&self) -> Option<Ticket> {
        let tickets = &mut *self.0.borrow_mut();
        let idle = |ticket: &Ticket| !ticket.is_ready() && !ticket.holder.is_gone();
        let position = tickets.iter().position(idle)?;
        tickets.remove(position)
    }

    /// Number of tickets. Whose holder is gone doesn't count once it is the first of them.
    fn count(&self) -> usize {
        self.first_present();
        self.0.borrow().len()
    }

    fn mark(&self) {
        for ticket in self.0.borrow().iter() {
            ticket.holder.mark();
            typed::mark(ticket.gift);
        }
    }
}

impl Line {
    pub(crate) fn mark(&self) {
        self.waiting.mark();
        self.called.mark();
    }

    /// Parks the running fiber at the end of the line.
    pub(crate) fn wait(&self, this: VALUE, name: &'static str, place: Place) -> Outcome<Turned> {
        let standing = self.join(this, name, None, place)?;
        let waited = standing.machine.wait_for(standing.key, OnInterrupt::Abandon);
        Ok(self.turned(standing, waited))
    }

    /// Puts the running fiber at the end of the line, where it is to [`stay`](Self::stay).
    pub(crate) fn join(
        &self,
        this: VALUE,
        name: &'static str,
        deadline: Option<u64>,
        place: Place,
    ) -> Outcome<Standing> {
        let machine = Machine::of(this)?;
        let key = machine.start_local(name, deadline, Role::Line(place));
        machine.count_op();
        let holder = Holder::current(this);
        self.waiting.push(Ticket { holder, key, gift: NIL });
        Ok(Standing { machine, holder, key })
    }

    /// There is no need for the fiber to be called. It keeps its place, and goes on once those have
    /// run who are runnable already.
    pub(crate) fn be_ready(&self, standing: Standing) {
        if let Some(ticket) = self.waiting.0.borrow_mut().back_mut() {
            ticket.gift = READY;
        }
        standing.machine.complete_local(standing.key, 0);
    }

    /// Parks the running fiber until its turn has come.
    pub(crate) fn stay(&self, standing: Standing) -> Turned {
        let waited = standing.machine.wait_for(standing.key, OnInterrupt::Abandon);
        self.turned(standing, waited)
    }

    /// Not inlined: what it needs of the stack is not to lie below the wait.
    #[inline(never)]
    fn turned(&self, standing: Standing, waited: Waited) -> Turned {
        let called = self.depart(standing);
        match waited {
            Waited::Interrupted(interruption, _) => Turned::Interrupted(interruption, called),
            Waited::Done(_) | Waited::TimedOut => called.map_or(Turned::TimedOut, Turned::Called),
        }
    }

    /// Takes the running fiber out of the line where it doesn't come to stay; what it was called
    /// with, if it was.
    pub(crate) fn leave(&self, standing: Standing) -> Option<VALUE> {
        let called = self.depart(standing);
        standing.machine.abandon(standing.key);
        called
    }

    fn depart(&self, standing: Standing) -> Option<VALUE> {
        let (ticket, gift) = match self.called.take(standing.holder) {
            Some(ticket) => (ticket, Some(ticket.gift)),
            None => {
                let ticket = self.waiting.take(standing.holder)?;
                (ticket, ticket.is_ready().then_some(NIL))
            }
        };
        if ticket.key != standing.key {
            // It was postponed.
            standing.machine.abandon(ticket.key);
        }
        gift
    }

    /// Lets the first in line go on. From any thread.
    pub(crate) fn call_next(&self) -> Option<Holder> {
        self.call_next_with(NIL)
    }

    /// The same with a value for it.
    pub(crate) fn call_next_with(&self, gift: VALUE) -> Option<Holder> {
        self.called.first_present();
        let ticket = self.waiting.first_present()?;
        self.waiting.take_first();
        self.call(ticket, gift)
    }

    /// The same for all.
    pub(crate) fn call_all_with(&self, gift: VALUE) {
        while self.call_next_with(gift).is_some() {}
    }

    /// Lets the first go on who would not without a call.
    pub(crate) fn call_idle(&self) -> Option<Holder> {
        let ticket = self.waiting.take_idle()?;
        self.call(ticket, NIL)
    }

    /// One that was ready goes behind all that are runnable, as if it were so only now.
    fn call(&self, ticket: Ticket, gift: VALUE) -> Option<Holder> {
        let machine = Machine::any(ticket.holder.machine).ok()?;
        let key = if ticket.is_ready() { machine.postpone(ticket.key) } else { Some(ticket.key) };
        self.called.push(Ticket { key: key.unwrap_or(ticket.key), gift, ..ticket });
        if !ticket.is_ready() {
            machine.complete_local(ticket.key, 0);
        }
        Some(ticket.holder)
    }

    /// How many were called and have not run yet. Who won't any more doesn't count once it is the
    /// first of them.
    pub(crate) fn called(&self) -> usize {
        self.called.count()
    }

    /// How many stand in line and were not called.
    pub(crate) fn standing(&self) -> usize {
        self.waiting.count()
    }

    /// How many will go on. Looks at all of them.
    pub(crate) fn going_on(&self) -> usize {
        let (called, waiting) = (self.called.0.borrow(), self.waiting.0.borrow());
        let ready = waiting.iter().filter(|ticket| ticket.is_ready());
        called.iter().chain(ready).filter(|ticket| !ticket.holder.is_gone()).count()
    }

    /// Of those who were called, takes out one who won't run any more: what it was called with.
    pub(crate) fn take_lost_call(&self) -> Option<VALUE> {
        let called = &mut *self.called.0.borrow_mut();
        let position = called.iter().position(|ticket| ticket.holder.is_gone())?;
        called.remove(position).map(|ticket| ticket.gift)
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
