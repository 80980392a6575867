//! Polls that end by what was asked for, and by nothing else.
//!
//! The kernel tells every poll that the peer of a socket sends no more (`POLLRDHUP`), wanted or
//! not. One for room to write would be over at once, and so would the next. A multishot poll is
//! told once: where the first poll has brought nothing that was wanted, one takes its place.

use std::os::fd::RawFd;

use polyphony_core::op::{OpKey, Poll, PollMultishot, Progress};

use super::{Interruption, Known, Machine};
use crate::errors::Outcome;
use crate::ruby::buffer::Loan;

/// A poll in flight.
#[derive(Clone, Copy)]
pub(crate) struct Watch {
    key: OpKey,
    fd: Known,
    /// `POLL*`
    events: u32,
    deadline: Option<u64>,
}

/// What a poll has brought so far.
pub(crate) enum Seen {
    Nothing,
    /// Events of which one at least was wanted, or a negated errno. It is over.
    Result(i32),
    /// Its deadline passed; it goes on.
    TimedOut,
}

/// How the wait for a poll ended.
pub(crate) enum Watched {
    /// With events, or a negated errno.
    Result(i32),
    TimedOut,
    Interrupted(Interruption),
}

impl Watch {
    /// Of a poll that was just queued.
    pub(super) fn of(machine: &Machine, key: OpKey, Poll { fd, events }: Poll) -> Self {
        Self { key, fd: machine.know(fd), events, deadline: None }
    }

    pub(crate) fn key(&self) -> OpKey {
        self.key
    }

    /// Takes what has come.
    pub(crate) fn take(&mut self, machine: &Machine) -> Outcome<Seen> {
        loop {
            let result = match machine.take(self.key) {
                Progress::Result(completion, _) => completion.result,
                Progress::Gone => -libc::ECANCELED,
                Progress::Pending => return Ok(Seen::Nothing),
                Progress::TimedOut => return Ok(Seen::TimedOut),
            };
            if let Some(result) = self.heed(machine, result)? {
                return Ok(Seen::Result(result));
            }
        }
    }

    /// What a result of its op comes to; `None`: nothing that was wanted, and it goes on.
    pub(crate) fn heed(&mut self, machine: &Machine, result: i32) -> Outcome<Option<i32>> {
        let came = if result < 0 { result } else { result & wanted(self.events) };
        if came != 0 {
            machine.abandon(self.key);
            return Ok(Some(came));
        }
        if !machine.state().borrow().driver.ops().is_running(self.key) {
            let op = PollMultishot { fd: machine.descriptor_of(self.fd)?, events: self.events };
            // SAFETY: the op points to nothing.
            self.key = unsafe { machine.submit_anyway(op, Loan::NONE) }?;
            self.set_deadline(machine, self.deadline);
        }
        Ok(None)
    }

    fn set_deadline(&mut self, machine: &Machine, deadline: Option<u64>) {
        self.deadline = deadline;
        if let Some(deadline) = deadline {
            machine.state().borrow_mut().driver.set_deadline(self.key, deadline);
        }
    }
}

impl Machine {
    /// Starts a poll for the running fiber.
    pub(crate) fn watch(&self, fd: RawFd, events: i16, deadline: Option<u64>) -> Outcome<Watch> {
        let op = Poll { fd, events: event_mask(events) };
        // SAFETY: the op points to nothing.
        let key = unsafe { self.submit_anyway(op, Loan::NONE) }?;
        let mut watch = Watch::of(self, key, op);
        watch.set_deadline(self, deadline);
        Ok(watch)
    }

    /// Waits for a poll; it is over afterwards.
    pub(crate) fn wait_for_watch(&self, mut watch: Watch) -> Outcome<Watched> {
        let watched = loop {
            if let Some(interruption) = self.park_interruptible() {
                break Watched::Interrupted(interruption);
            }
            match watch.take(self)? {
                Seen::Nothing => {}
                Seen::Result(result) => return Ok(Watched::Result(result)),
                Seen::TimedOut => break Watched::TimedOut,
            }
        };
        self.abandon(watch.key);
        Ok(watched)
    }
}

/// The bits of a poll's result that mean something to who asked for `events`.
fn wanted(events: u32) -> i32 {
    // As the kernel returns them.
    (events | event_mask(libc::POLLERR | libc::POLLHUP | libc::POLLNVAL)) as i32
}

/// Events of poll(2) as a poll op takes them.
pub(super) fn event_mask(events: i16) -> u32 {
    u32::from(events as u16)
}
