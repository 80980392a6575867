//! The running fiber between two parks, and the machine that it parks in.
//!
//! While a fiber is parked, others close descriptors and open new ones, which get the same numbers.
//! So a transfer keeps no number across a park. That is for the compiler to see to: an end's number
//! ([`Fd`]) borrows the [`Unparked`], and all that may park takes it mutably. After each park an end
//! is asked again, and answers with an IOError (or EBADF) where it was closed.
//!
//! A transfer ends as well when an end is closed that it doesn't wait for at the moment: while the
//! fiber is parked, a local op on each of its ends tells.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::os::fd::RawFd;

use polyphony_core::net::poll_now;
use polyphony_core::offload::{Kind, Slot};
use polyphony_core::op::{Op, OpKey, Progress};
use polyphony_core::splice::{Cached, Sighting};
use rb_sys::VALUE;

use super::ends::End;
use super::moves::{Moved, outcome_of};
use crate::clock;
use crate::errors::{Outcome, Raise};
use crate::machine::{Known, Machine, OnInterrupt, Role, Seen, Watch};
use crate::ruby::buffer::Loan;
use crate::ruby::{fiber, io, value};
use crate::scheduler;

/// A descriptor's number, good until the fiber parks.
#[derive(Clone, Copy)]
pub(super) struct Fd<'a> {
    number: RawFd,
    until: PhantomData<&'a Unparked>,
}

impl Fd<'_> {
    /// For a call or an op that begins right now.
    pub(super) fn number(self) -> RawFd {
        self.number
    }
}

/// See above.
pub(super) struct Unparked {
    machine: &'static Machine,
    /// The ends of which a close is to be heard.
    heard: [Heard; 4],
}

/// An end, and the op that is over when it is closed.
#[derive(Clone, Copy, Default)]
struct Heard {
    end: Option<End>,
    op: Option<OpKey>,
}

/// Makes a transfer with the running fiber's machine; under another scheduler than ours with one
/// that lets the scheduler wait.
pub(super) fn with_machine(transfer: impl FnOnce(&mut Unparked) -> Outcome) -> Outcome {
    let run = |machine| with(machine, transfer);
    if Machine::of_fiber(fiber::current()).is_none() && scheduler::is_foreign()? {
        return Machine::with_guest(run);
    }
    run(Machine::of(super::current_machine()?)?)
}

/// The same with a machine that is known.
pub(super) fn with<T>(machine: &'static Machine, transfer: impl FnOnce(&mut Unparked) -> T) -> T {
    let mut unparked = Unparked { machine, heard: [Heard::default(); 4] };
    let outcome = transfer(&mut unparked);
    unparked.stop_hearing();
    outcome
}

/// What doesn't park.
impl Unparked {
    /// From now on the end of a wait, if one of these is closed meanwhile.
    pub(super) fn hear(&mut self, ends: &[&End]) {
        for (heard, end) in self.heard.iter_mut().zip(ends) {
            heard.end = Some(**end);
        }
    }

    fn stop_hearing(&mut self) {
        // In a forked child there is no ring.
        if self.machine.check_usable().is_ok() {
            let ops = self.heard.iter_mut().filter_map(|heard| heard.op.take());
            ops.for_each(|op| self.machine.abandon(op));
        }
    }

    /// The number of an IO's descriptor. An IOError where the IO was closed meanwhile.
    pub(super) fn number_of(&self, io: VALUE) -> Outcome<Fd<'_>> {
        match io::descriptor(io) {
            Ok(number) => Ok(Fd { number, until: PhantomData }),
            Err(_) if io::is_closed(io) => Err(Raise::io_closed()),
            Err(raise) => Err(raise),
        }
    }

    /// The number of a bare descriptor. EBADF where it was closed meanwhile.
    pub(super) fn number(&self, known: Known) -> Outcome<Fd<'_>> {
        let number = self.machine.descriptor_of(known)?;
        Ok(Fd { number, until: PhantomData })
    }

    pub(super) fn know(&self, number: RawFd) -> Known {
        self.machine.know(number)
    }

    /// Queues an op of the transfer's.
    ///
    /// # Safety
    /// As [`Machine::submit`].
    pub(super) unsafe fn submit<O: Op>(&self, op: O, loan: Loan) -> Outcome<OpKey> {
        // SAFETY: this function's own contract.
        unsafe { self.machine.submit_anyway(op, loan) }
    }

    /// Starts a poll for an end, by the IO's own timeout.
    pub(super) fn watch(&self, end: &End, events: i16) -> Outcome<Watch> {
        self.machine.watch(end.fd(self)?.number(), events, end.deadline()?)
    }

    /// Takes what has come of a poll.
    pub(super) fn look_at(&self, watch: &mut Watch) -> Outcome<Seen> {
        watch.take(self.machine)
    }

    /// Starts a wait for nothing but time.
    pub(super) fn start_timer(&self, name: &'static str, seconds: f64) -> OpKey {
        self.machine.start_local(name, Some(clock::after(seconds)), Role::Wake)
    }

    /// Has a worker do something.
    pub(super) fn offload<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> (OpKey, Slot<T>) {
        self.machine.offload(Kind::Computing, work)
    }

    pub(super) fn take(&self, key: OpKey) -> Progress {
        self.machine.take(key)
    }

    pub(super) fn abandon(&self, key: OpKey) {
        self.machine.abandon(key);
    }

    pub(super) fn set_deadline(&self, key: OpKey, deadline: Option<u64>) {
        if let Some(deadline) = deadline {
            self.machine.state().borrow_mut().driver.set_deadline(key, deadline);
        }
    }

    pub(super) fn count_op(&self) {
        self.machine.count_op();
    }

    /// What is known of a source's bytes in memory.
    pub(super) fn cached(&self, from: &End) -> Cached {
        let state = self.machine.state().borrow();
        let can_ask = state.driver.capabilities().cachestat;
        Cached::new(can_ask, from.file, state.sighting, clock::coarse())
    }

    /// For the next transfer from the same file.
    pub(super) fn remember(&self, sighting: Option<Sighting>) {
        self.machine.state().borrow_mut().sighting = sighting;
    }

    /// Whether an end is ready now.
    pub(super) fn is_ready(&self, end: &End, events: i16) -> Outcome<bool> {
        let fd = end.fd(self)?.number();
        let mut fds = [libc::pollfd { fd, events, revents: 0 }];
        poll_now(&mut fds)?;
        Ok(fds[0].revents != 0)
    }
}

/// What may park.
impl Unparked {
    /// Parks until there is something to look at. An interruption is raised, and that an end was
    /// closed; a plain value is no reason to stop.
    pub(super) fn park(&mut self) -> Outcome<()> {
        self.begin_hearing()?;
        if let Some(interruption) = self.machine.park_interruptible() {
            interruption.conclude()?;
        }
        self.check_closes()
    }

    /// While it is parked, each end has an op that is over when it is closed.
    fn begin_hearing(&mut self) -> Outcome<()> {
        for index in 0..self.heard.len() {
            let Heard { end: Some(end), op: None } = self.heard[index] else { continue };
            if end.by_methods().is_some() {
                continue;
            }
            let fd = end.fd(self)?.number();
            self.heard[index].op = Some(self.machine.hear_close(fd));
        }
        Ok(())
    }

    fn check_closes(&self) -> Outcome<()> {
        for Heard { end, op } in &self.heard {
            if let (Some(end), Some(op)) = (end, op) {
                if !matches!(self.machine.take(*op), Progress::Pending) {
                    return Err(end.failure(libc::EBADF));
                }
            }
        }
        Ok(())
    }

    /// Waits for an op that moves bytes, to its end, or until its deadline.
    pub(super) fn await_move(&mut self, key: OpKey, deadline: Option<u64>) -> Moved {
        self.set_deadline(key, deadline);
        let then = loop {
            if let Err(raise) = self.park() {
                break Err(raise);
            }
            match self.take(key) {
                Progress::Pending => {}
                Progress::TimedOut => break Err(Raise::io_timeout()),
                Progress::Result(completion, _) => {
                    return Moved::at_once(outcome_of(completion.result));
                }
                Progress::Gone => return Moved::at_once(Err(libc::ECANCELED)),
            }
        };
        let bytes = match self.stop(key).map(outcome_of) {
            None | Some(Err(libc::ECANCELED)) => Err(libc::EINTR),
            Some(late) => late,
        };
        Moved { bytes, then }
    }

    /// A move by the ring, between descriptors.
    pub(super) fn by_ring<O: Op>(&mut self, op: O, deadline: Option<u64>) -> Outcome<Moved> {
        // SAFETY: ops between descriptors point to nothing.
        let key = unsafe { self.submit(op, Loan::NONE) }?;
        Ok(self.await_move(key, deadline))
    }

    /// Ends an op before its time: what it has come to all the same. `None`: nothing, or the thread
    /// is dying.
    pub(super) fn stop(&mut self, key: OpKey) -> Option<i32> {
        self.machine.stop(key, OnInterrupt::AwaitCancel)
    }

    /// Waits until an end is ready, by the IO's own timeout.
    pub(super) fn wait(&mut self, end: &End, events: i16) -> Outcome<()> {
        let mut watch = self.watch(end, events)?;
        let outcome = self.wait_for(&mut watch, end);
        self.abandon(watch.key());
        outcome
    }

    fn wait_for(&mut self, watch: &mut Watch, end: &End) -> Outcome<()> {
        loop {
            self.park()?;
            match self.look_at(watch)? {
                Seen::Nothing => {}
                Seen::Result(result @ ..0) => return Err(end.failure(-result)),
                Seen::Result(_) => return Ok(()),
                Seen::TimedOut => return Err(Raise::io_timeout()),
            }
        }
    }

    /// Waits until the one of two ends that is not ready is. `false`: both are.
    pub(super) fn wait_for_either(&mut self, from: &End, to: &End) -> Outcome<bool> {
        for (end, events) in [(from, libc::POLLIN), (to, libc::POLLOUT)] {
            if !self.is_ready(end, events)? {
                self.wait(end, events)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// After work that needed no wait, and moved so many bytes: lets the others run when it is their
    /// turn.
    pub(super) fn take_turns_after(&mut self, bytes: u64) -> Outcome<()> {
        if self.machine.may_go_on_after(bytes) { Ok(()) } else { self.let_others_run() }
    }

    /// Gives the other fibers a turn.
    pub(super) fn let_others_run(&mut self) -> Outcome<()> {
        if self.machine.is_guest() {
            return self.machine.let_scheduler_run();
        }
        self.machine.snooze().map(drop)
    }

    /// Calls a method, which may wait.
    pub(super) fn call(&mut self, object: VALUE, method: &CStr, args: &[VALUE]) -> Outcome {
        value::call(object, method, args)
    }

    /// Runs something that may wait.
    pub(super) fn run<T>(&mut self, body: impl FnOnce() -> T) -> T {
        body()
    }
}
