//! Who lets a fiber wait: the machine that it belongs to, or Ruby.
//!
//! Ruby does where another scheduler than ours runs the fiber (its hook `io_wait` is asked then),
//! and in a thread that has neither a scheduler nor a machine: no fiber of ours can starve there.
//! Either way a wait ends by the IO's own timeout, and when another fiber closes the IO.

use polyphony_core::op::{OpKey, Progress};
use rb_sys::VALUE;

use crate::clock;
use crate::errors::{Outcome, Raise};
use crate::machine::{Interruption, Machine, OnInterrupt};
use crate::ruby::{fiber, io};
use crate::scheduler;

#[derive(Clone, Copy)]
pub(super) enum Host {
    Machine(&'static Machine),
    Ruby,
}

impl Host {
    /// The host of the running fiber.
    pub(super) fn current() -> Outcome<Self> {
        let machine = match Machine::of_fiber(fiber::current()) {
            Some(machine) => Some(machine),
            None if scheduler::is_foreign()? => None,
            None => match scheduler::current_machine()? {
                Some(machine) => Some(machine),
                None => Machine::existing_of_thread()?,
            },
        };
        machine.map_or(Ok(Self::Ruby), |machine| Machine::of(machine).map(Self::Machine))
    }

    /// Whether it is still the fiber's. A thread may have got its machine meanwhile, and after a
    /// fork the child hasn't got its parent's.
    pub(super) fn is_settled(self) -> bool {
        match self {
            Self::Machine(machine) => machine.check_usable().is_ok(),
            Self::Ruby => false,
        }
    }

    /// Before what may not have to wait: one fiber must not keep the others from running.
    pub(super) fn let_others_run(self) -> Outcome<()> {
        match self {
            Self::Machine(machine) if !machine.may_go_on() => machine.snooze().map(drop),
            _ => Ok(()),
        }
    }

    /// Waits until an IO is ready for one of the events of poll(2).
    pub(super) fn wait(self, io: VALUE, events: i16) -> Outcome<()> {
        let Self::Machine(machine) = self else { return io::wait(io, events) };
        let mut watch = machine.watch(io::descriptor(io)?, events, None)?;
        loop {
            match result_of(machine, io, watch.key(), OnInterrupt::Abandon) {
                Ok(result) => match watch.heed(machine, result)? {
                    Some(result @ ..0) => return Err(io::failure(io, -result)),
                    Some(_) => return Ok(()),
                    None => {}
                },
                Err((raise, _)) => return Err(raise),
            }
        }
    }
}

/// Waits for the result of an op on an IO. An error comes with the result that the op had all the
/// same. A plain value scheduled into the fiber is no reason to stop.
pub(super) fn result_of(
    machine: &Machine,
    io: VALUE,
    key: OpKey,
    how: OnInterrupt,
) -> Result<i32, (Raise, Option<i32>)> {
    let stopped = |raise| {
        let late = machine.stop(key, how);
        (raise, late)
    };
    if let Some(seconds) = io::timeout(io).map_err(stopped)? {
        machine.state().borrow_mut().driver.set_deadline(key, clock::after(seconds));
    }
    loop {
        if let Some(Interruption::Raise(raise)) = machine.park_interruptible() {
            return Err(stopped(raise));
        }
        match machine.take(key) {
            Progress::Result(completion, _) if completion.result == -libc::EBADF => {
                return Err((io::failure(io, libc::EBADF), None));
            }
            Progress::Result(completion, _) => return Ok(completion.result),
            Progress::Gone => return Err((Raise::Errno(libc::ECANCELED), None)),
            Progress::TimedOut => return Err(stopped(Raise::io_timeout())),
            // Whoever closes the IO wakes those who wait for it.
            Progress::Pending if io::is_closed(io) => return Err(stopped(Raise::io_closed())),
            Progress::Pending => {}
        }
    }
}
