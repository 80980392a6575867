//! Parking the running fiber and running the next one.
//!
//! There is no loop fiber: whoever parks switches straight to the next runnable fiber, and waits
//! for completions itself when there is none. A fiber that ends gives control to the leaf of the
//! root fiber's resume chain, which is parked in here as well. So every fiber that comes back
//! from a switch first finds out whether it was meant: the one that switches says in
//! `resumed` to whom and why.

use polyphony_core::op::{OpKey, Progress};
use polyphony_core::ring::wait::Outcome as WaitOutcome;
use rb_sys::VALUE;

use super::async_op::AsyncOp;
use super::runqueue::{Entry, Kind};
use super::spun::Spun;
use super::{Machine, Role, State};
use crate::errors::{Outcome, Raise};
use crate::ruby::{NIL, fiber, nogvl, prefetch, typed, value};

/// Bytes that take the kernel about as long as some switches of fibers: a transfer holds the
/// others up for at most 1 MiB, a quarter of a millisecond.
const BYTES_OF_A_TURN: u64 = 16 * 1024;

/// The stacks of fewer fibers fit into a core's own cache, some 3 KB of each.
const MANY: usize = 256;

/// Why a parked fiber goes on.
#[derive(Clone, Copy)]
pub(crate) enum Resume {
    /// One of its ops has something to say.
    Op,
    /// Scheduled with a value.
    Value(VALUE),
    /// A timeout block ran out. Its op holds what to do, and is gone once the block has ended.
    Expired(OpKey),
    /// Unblocked; means nothing to a fiber that is not blocked.
    Unblock,
    /// The fiber that it had started has parked.
    Return,
}

impl Resume {
    pub(super) fn mark(self) {
        if let Self::Value(value) = self {
            typed::mark(value);
        }
    }
}

/// A fiber to run, and why.
pub(super) struct Turn {
    pub(super) fiber: VALUE,
    pub(super) resume: Resume,
    /// It has not run yet.
    pub(super) start: bool,
}

impl Turn {
    fn of(fiber: VALUE, resume: Resume) -> Self {
        Self { fiber, resume, start: false }
    }
}

impl Machine {
    /// Suspends the running fiber until it gets a turn. `Err`: an exception for it that did not
    /// come through the runqueue (`Fiber#raise`, an interrupt).
    pub(crate) fn park(&self) -> Outcome<Resume> {
        self.check_process()?;
        let me = fiber::current();
        if self.is_hosted() {
            return self.park_in_host(me);
        }
        self.park_in_handler();
        let outer = self.take_turn(me);
        let resume = self.park_until_turn(me);
        self.give_turn_back(me, outer);
        resume
    }

    fn park_until_turn(&self, me: VALUE) -> Outcome<Resume> {
        loop {
            let turn = self.next_turn(me)?;
            let resume =
                if turn.fiber == me { Some(turn.resume) } else { self.switch_to(me, turn)? };
            if let Some(resume) = resume {
                if matches!(resume, Resume::Unblock) {
                    self.unblocked_in_handler(me);
                }
                return Ok(resume);
            }
        }
    }

    /// Switches to a fiber. Comes back when the caller gets a turn (`Some`), or for no reason of
    /// its own because some fiber ended (`None`: run the next one).
    pub(super) fn switch_to(&self, me: VALUE, turn: Turn) -> Outcome<Option<Resume>> {
        let argument = turn.argument();
        self.resumed.set(Some((turn.fiber, turn.resume)));
        let root = me == self.root.get();
        if root {
            self.root_parked.set(true);
        }
        let came_back = if turn.start {
            self.start(turn.fiber, argument)
        } else {
            fiber::transfer(turn.fiber, &[argument])
        };
        if root {
            self.root_parked.set(false);
        }
        let Err(raise) = came_back else {
            return Ok(self.take_turn(me));
        };
        match self.resumed.get() {
            // Meant for us: we were switched to by the runqueue, and an interrupt was handled
            // on the way in.
            Some((fiber, resume)) if fiber == me => {
                self.resumed.set(None);
                self.interrupt(me, raise)?;
                Ok(Some(resume))
            }
            // Never arrived: that fiber can't be switched to.
            Some((fiber, resume)) if fiber == turn.fiber && is_switch_error(&raise) => {
                self.resumed.set(None);
                match raise {
                    Raise::Exception(error) if turn.start => {
                        self.fail_to_start(fiber, error);
                    }
                    _ => self.deliver_elsewhere(fiber, resume)?,
                }
                Ok(None)
            }
            // Somebody raised in us, past the runqueue.
            _ => Err(raise),
        }
    }

    /// A fiber that has ended, or has resumed another one, can't be switched to. What was meant
    /// for it is void, except an exception for one that is alive: the fiber that it has resumed
    /// gets it, as with `Fiber#raise`.
    fn deliver_elsewhere(&self, target: VALUE, resume: Resume) -> Outcome<()> {
        let raised = match resume {
            Resume::Value(value) => value::is_exception(value).then_some(value),
            Resume::Expired(key) => match self.expired(key) {
                Some(super::Interruption::Raise(raise)) => raise.into_exception(),
                _ => None,
            },
            _ => None,
        };
        super::node::arrived(target);
        if let Some(exception) = raised.filter(|_| fiber::alive(target)) {
            match fiber::raise(target, exception) {
                // A FiberError: it can't be had at all.
                Err(raise) if !is_switch_error(&raise) => return Err(raise),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the switch that ended was for this fiber, and why.
    pub(super) fn take_turn(&self, me: VALUE) -> Option<Resume> {
        match self.resumed.take() {
            Some((fiber, resume)) if fiber == me => Some(resume),
            _ => None,
        }
    }

    /// An interrupt's exception goes to the root fiber, whoever happened to run: at once where
    /// that is the running one, else as its next turn.
    pub(super) fn interrupt(&self, me: VALUE, raise: Raise) -> Outcome<()> {
        let root = self.root.get();
        match raise {
            Raise::Exception(exception) if root != me && fiber::alive(root) => {
                self.schedule_first(root, exception);
                Ok(())
            }
            // A dying thread unwinds each fiber that it runs; Ruby passes it on to the root.
            raise => Err(raise),
        }
    }

    /// The next fiber to run; waits for one.
    pub(super) fn next_turn(&self, me: VALUE) -> Outcome<Turn> {
        loop {
            self.prepare_start(me)?;
            if self.test_mode.get() && self.is_next_scheduled() {
                self.poll()?;
            }
            if let Some(turn) = self.pop_valid_turn() {
                return Ok(turn);
            }
            self.poll()?;
            if let Some(turn) = self.pop_valid_turn() {
                return Ok(turn);
            }
            if self.idle_watcher.get() != NIL && !self.has_work() {
                return Ok(Turn::of(self.idle_watcher.get(), Resume::Op));
            }
            if self.wait(me, None)? {
                return Ok(Turn::of(me, Resume::Op));
            }
        }
    }

    /// As [`Machine::pop_turn`], without fibers that were ended before they began.
    fn pop_valid_turn(&self) -> Option<Turn> {
        loop {
            let turn = self.pop_turn()?;
            let void = self.void_starts.get();
            if void == 0 || !turn.start || !Spun::of(turn.fiber).is_some_and(Spun::is_done) {
                return Some(turn);
            }
            self.void_starts.set(void - 1);
        }
    }

    /// Takes entries off the runqueue until one is not stale. `None`: it is empty, or the ring
    /// must be looked at first.
    pub(super) fn pop_turn(&self) -> Option<Turn> {
        let state = &mut *self.state.borrow_mut();
        while let Some(entry) = state.queues.pop() {
            if let Some(turn) = turn_of(state, entry) {
                state.total_switches += 1;
                prefetch_next(state);
                return Some(turn);
            }
        }
        None
    }

    /// Submits what is queued, and takes in what is ready, without waiting.
    pub(crate) fn poll(&self) -> Outcome<()> {
        let entered = {
            let state = &mut *self.state.borrow_mut();
            state.total_waits += 1;
            state.driver.enter()
        };
        self.take_in();
        entered.map_err(Raise::from)
    }

    /// Waits for a completion, the nearest deadline or the end of `limit` (nanoseconds), letting
    /// other threads run. Whether the caller should look at its ops, as a signal handler has run
    /// that may have taken its turn.
    pub(super) fn wait(&self, me: VALUE, limit: Option<u64>) -> Outcome<bool> {
        if self.is_guest() {
            return self.wait_for_bell().map(|()| false);
        }
        let (wait, timeout) = {
            let state = &mut *self.state.borrow_mut();
            // Scheduled from another thread meanwhile.
            if !state.queues.run.is_empty() {
                return Ok(false);
            }
            let now = crate::clock::now();
            let nearest = state.driver.next_deadline().map(|at| at.saturating_sub(now));
            (state.driver.prepare_wait()?, nearest.into_iter().chain(limit).min())
        };
        let begun = self.begin_wait();
        self.waiting.set(true);
        let outcome = nogvl::wait(wait, timeout, self.wake_fd);
        self.waiting.set(false);
        self.end_wait(begun);
        self.take_in();
        let parked = self.handle_interrupts(me)?;
        match outcome {
            Some(WaitOutcome::Failed(errno)) => Err(Raise::Errno(errno)),
            _ => Ok(parked),
        }
    }

    /// Takes in what the kernel, time and other threads have brought.
    fn take_in(&self) {
        {
            let State { driver, queues, .. } = &mut *self.state.borrow_mut();
            driver.set_now(crate::clock::coarse());
            driver.drain(queues);
            if driver.next_deadline().is_some() {
                driver.expire(crate::clock::now(), queues);
            }
            queues.run.replenish();
        }
        self.close_orphans();
        self.release_retired();
    }

    /// Closes streams whose readers were collected. Not inlined: the frame below `drain` would grow,
    /// and with it every stack that it runs on.
    #[inline(never)]
    fn close_orphans(&self) {
        let State { driver, queues, orphans, .. } = &mut *self.state.borrow_mut();
        for mut inlet in orphans.borrow_mut().drain(..) {
            inlet.close(driver, queues);
        }
    }

    /// Gives back the loans of ops that ended without a waiter.
    fn release_retired(&self) {
        while let Some(loan) = self.pop_retired() {
            loan.release();
        }
    }

    fn pop_retired(&self) -> Option<crate::ruby::buffer::Loan> {
        self.state.borrow_mut().queues.retired.pop()
    }

    /// Runs `body` in `fiber` (fresh, not started) up to its first park, and comes back before
    /// anybody else gets a turn. An error where it can't be started.
    pub(crate) fn start_now(&self, fiber: VALUE, argument: VALUE) -> Outcome<()> {
        let me = fiber::current();
        self.park_in_handler();
        let outer = self.take_turn(me);
        let outcome = self.start_and_come_back(me, fiber, argument);
        self.give_turn_back(me, outer);
        outcome
    }

    fn start_and_come_back(&self, me: VALUE, fiber: VALUE, argument: VALUE) -> Outcome<()> {
        let back = Entry { fiber: me, value: NIL, kind: Kind::Return };
        self.state.borrow_mut().queues.schedule_first(back);
        let mut turn = Some(Turn { fiber, resume: Resume::Value(argument), start: true });
        loop {
            let next = match turn.take() {
                Some(turn) => turn,
                None => self.next_turn(me)?,
            };
            let resume =
                if next.fiber == me { Some(next.resume) } else { self.switch_to(me, next)? };
            match resume {
                None => {}
                Some(Resume::Return) => break,
                // For a later park: the caller doesn't wait for anything yet.
                Some(Resume::Value(value)) => self.schedule(me, value),
                Some(Resume::Expired(key)) => self.expire_later(key),
                Some(Resume::Unblock) => self.unblocked_in_handler(me),
                Some(Resume::Op) => {}
            }
        }
        let error = Spun::of(fiber).and_then(Spun::start_error);
        error.map_or(Ok(()), |error| Err(Raise::Exception(error)))
    }

    /// Runs other fibers until nothing is runnable and no op is pending. An exception scheduled
    /// into the caller is raised.
    pub(crate) fn run_until_idle(&self) -> Outcome<()> {
        self.check_process()?;
        let outer = self.idle_watcher.replace(fiber::current());
        let outcome = self.run_while_busy(fiber::current());
        self.idle_watcher.set(outer);
        outcome
    }

    fn run_while_busy(&self, me: VALUE) -> Outcome<()> {
        while self.has_work() {
            let turn = self.next_turn(me)?;
            let resume =
                if turn.fiber == me { Some(turn.resume) } else { self.switch_to(me, turn)? };
            match resume {
                Some(Resume::Value(scheduled)) => {
                    if let Some(interruption) = super::Interruption::of(scheduled) {
                        interruption.conclude()?;
                    }
                }
                Some(Resume::Expired(key)) => {
                    if let Some(interruption) = self.expired(key) {
                        interruption.conclude()?;
                    }
                }
                Some(Resume::Op | Resume::Unblock | Resume::Return) | None => {}
            }
        }
        Ok(())
    }

    /// Whether the running fiber was started by another one that goes on once it parks.
    pub(crate) fn in_first_slice(&self) -> bool {
        let state = self.state.borrow();
        state.queues.run.front().is_some_and(|entry| matches!(entry.kind, Kind::Return))
    }

    /// Whether the next entry is somebody's schedule, and no op's end.
    fn is_next_scheduled(&self) -> bool {
        self.state.borrow().queues.run.front().is_some_and(|entry| !entry.is_op())
    }

    pub(super) fn has_work(&self) -> bool {
        let state = self.state.borrow();
        !state.queues.run.is_empty() || state.driver.is_busy()
    }

    /// Whether another fiber is to run as soon as this one parks.
    pub(crate) fn has_next_turn(&self) -> bool {
        !self.state.borrow().queues.run.is_empty()
    }

    /// Whether a fiber may go on without a switch after work that needed none; false once per
    /// budget, so that a fiber which never has to wait lets the others run.
    pub(crate) fn may_go_on(&self) -> bool {
        self.may_go_on_after(0)
    }

    /// The same after `bytes` were moved, which counts as more work the more they are.
    pub(crate) fn may_go_on_after(&self, bytes: u64) -> bool {
        let units = u32::try_from(1 + bytes / BYTES_OF_A_TURN).unwrap_or(u32::MAX);
        self.state.borrow_mut().queues.run.spend(units)
    }
}

/// Has the stacks of the one behind the next turn brought to the cache meanwhile.
fn prefetch_next(state: &State) {
    let ops = state.driver.ops();
    if ops.live() < MANY {
        return;
    }
    if let Some(Entry { kind: Kind::Op(key), .. }) = state.queues.run.front() {
        if let Some(waiter) = ops.data(*key) {
            prefetch::fiber(waiter.fiber, waiter.place);
        }
    }
}

fn is_switch_error(raise: &Raise) -> bool {
    matches!(raise, Raise::Exception(exception) if fiber::is_switch_error(*exception))
}

/// What an entry means now; `None` where it is stale.
fn turn_of(state: &mut State, entry: Entry) -> Option<Turn> {
    let key = match entry.kind {
        Kind::Schedule => {
            return Some(Turn::of(entry.fiber, Resume::Value(entry.value)));
        }
        Kind::Start => {
            let resume = Resume::Value(entry.value);
            return Some(Turn { fiber: entry.fiber, resume, start: true });
        }
        Kind::Unblock => return Some(Turn::of(entry.fiber, Resume::Unblock)),
        Kind::Return => return Some(Turn::of(entry.fiber, Resume::Return)),
        Kind::Op(key) => key,
    };
    let waiter = state.driver.ops_mut().acknowledge(key)?;
    let (fiber, role) = (waiter.fiber, waiter.role);
    match role {
        Role::Wake | Role::Join(_) | Role::Line(_) if fiber != NIL => {
            Some(Turn::of(fiber, Resume::Op))
        }
        Role::Timeout(_) => Some(Turn::of(fiber, Resume::Expired(key))),
        Role::Async(op) => {
            let Progress::Result(end, _) = state.driver.take(key, drop) else { return None };
            AsyncOp::finish(op, end.result).map(|waiter| Turn::of(waiter, Resume::Op))
        }
        Role::Wake | Role::Join(_) | Role::Line(_) | Role::Timer => None,
    }
}
