//! Accepting connections.
//!
//! A listening socket that is shut down ends what waits for its connections. The kernel says so
//! only for TCP: an accept of the ring doesn't block, and of a Unix socket that was shut down it
//! just has nothing at present, for ever. There a poll beside the accept tells.

use std::ops::ControlFlow;
use std::os::fd::RawFd;

use polyphony_core::net;
use polyphony_core::op::{Accept, AcceptMultishot, Completion, OpKey, PollShutdown, Progress};
use rb_sys::VALUE;

use super::each::Strays;
use super::files::fd_of;
use super::queue::Queue;
use super::{Machine, OnInterrupt};
use crate::errors::{Outcome, Raise, check, integer_or_errno};
use crate::ruby::buffer::Loan;
use crate::ruby::method::{define, method};
use crate::ruby::{NIL, value};

fn accept(this: VALUE, fd: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let op = Accept { fd: fd_of(fd)?, flags: 0 };
    // SAFETY: the op points to nothing.
    let key = unsafe { machine.submit(op, Loan::NONE) }?;
    if !net::is_unix(op.fd) {
        return machine.conclude(key, OnInterrupt::Abandon, integer_or_errno);
    }
    let outcome = match machine.poll_shutdown(op.fd) {
        Ok(shutdown) => {
            let outcome = machine.accept_until(key, shutdown);
            machine.abandon(shutdown);
            outcome
        }
        Err(raise) => Err(raise),
    };
    machine.abandon(key);
    outcome
}

/// Yields each connection's descriptor until the socket is shut down.
fn accept_each(this: VALUE, fd: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let op = AcceptMultishot { fd: fd_of(fd)?, flags: 0 };
    value::check_block()?;
    let each = |fd| value::yield_to_block(value::integer(i64::from(fd)));
    machine.accept_each(op, Strays::GoOn, each)
}

/// Pushes each connection's descriptor to a queue until the socket is shut down.
fn accept_into_queue(this: VALUE, fd: VALUE, queue: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let op = AcceptMultishot { fd: fd_of(fd)?, flags: 0 };
    let queue = Queue::to_change(queue)?;
    let each = |fd| {
        queue.push(value::integer(i64::from(fd)));
        Ok(NIL)
    };
    machine.accept_each(op, Strays::GoOn, each)
}

impl Machine {
    /// Calls `each` with each connection's descriptor until the socket is shut down. EINVAL for one
    /// that doesn't listen to begin with.
    pub(crate) fn accept_each(
        &self,
        op: AcceptMultishot,
        strays: Strays,
        mut each: impl FnMut(i32) -> Outcome,
    ) -> Outcome {
        // The kernel's answer is the same for both, and a TCP socket has forgotten afterwards that
        // it ever listened. What is no socket has an error of its own.
        let mut listens = net::is_listening(op.fd);
        let shutdown = match net::is_unix(op.fd) {
            true if !listens => return Err(Raise::Errno(libc::EINVAL)),
            true => Some(self.poll_shutdown(op.fd)?),
            false => None,
        };
        let mut each = |Completion { result, .. }| match result {
            result if result == -libc::EINVAL && listens => Ok(ControlFlow::Break(())),
            result => {
                let connection = check(result)?;
                listens = true;
                each(connection).map(|_| ControlFlow::Continue(()))
            }
        };
        let ended = self.until_done(op.fd, || {
            // SAFETY: the op points to nothing. Connections that were accepted and not handed out
            // are closed.
            unsafe { self.each_result_until(shutdown, op, Loan::NONE, strays, &mut each) }
        });
        // In a forked child there is no ring.
        if self.check_usable().is_ok() {
            shutdown.into_iter().for_each(|shutdown| self.abandon(shutdown));
        }
        ended
    }

    fn poll_shutdown(&self, fd: RawFd) -> Outcome<OpKey> {
        // SAFETY: the op points to nothing.
        unsafe { self.submit_anyway(PollShutdown { fd }, Loan::NONE) }
    }

    /// Waits for a connection, or for the socket's end: EINVAL, as for TCP.
    fn accept_until(&self, key: OpKey, shutdown: OpKey) -> Outcome {
        loop {
            if let Some(interruption) = self.park_interruptible() {
                return interruption.conclude();
            }
            match self.take(key) {
                Progress::Result(completion, _) => return integer_or_errno(completion.result),
                Progress::Gone => return Err(Raise::Errno(libc::ECANCELED)),
                Progress::Pending | Progress::TimedOut => {}
            }
            if self.has_come(shutdown) {
                // There may be a connection all the same.
                return match self.stop(key, OnInterrupt::AwaitCancel) {
                    Some(fd @ 0..) => integer_or_errno(fd),
                    _ => Err(Raise::Errno(libc::EINVAL)),
                };
            }
        }
    }
}

pub(super) fn init(class: VALUE) {
    define(class, c"accept", method!(accept, 1));
    define(class, c"accept_each", method!(accept_each, 1));
    define(class, c"accept_into_queue", method!(accept_into_queue, 2));
}
