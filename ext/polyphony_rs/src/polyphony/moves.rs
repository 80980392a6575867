//! Single moves that wait: what transfers of all kinds are made of.

use std::os::fd::RawFd;

use polyphony_core::net::poll_now;
use polyphony_core::op::{Op, OpKey, Splice};
use polyphony_core::splice::calls::{self, Kind, Next};
use polyphony_core::splice::{Cached, Pipe};
use rb_sys::VALUE;

use super::ends::End;
use crate::clock;
use crate::errors::{Outcome, Raise};
use crate::machine::{Machine, OnInterrupt, Waited, op_len};
use crate::ruby::buffer::Loan;
use crate::ruby::{fiber, value};
use crate::scheduler;

/// What a move came to.
pub(super) struct Moved {
    /// Bytes, or the errno.
    pub(super) bytes: Result<usize, i32>,
    /// What the fiber was interrupted with meanwhile: the bytes count all the same.
    pub(super) then: Outcome<()>,
}

impl Moved {
    /// One that didn't have to wait.
    pub(super) fn at_once(bytes: Result<usize, i32>) -> Self {
        Self { bytes, then: Ok(()) }
    }
}

/// The bytes of a result as the kernel gives it, or the errno.
pub(super) fn outcome_of(result: i32) -> Result<usize, i32> {
    usize::try_from(result).map_err(|_| -result)
}

/// Waits for an op that moves bytes, to its end.
pub(super) fn await_move(machine: &Machine, key: OpKey) -> Moved {
    match machine.wait_for(key, OnInterrupt::AwaitCancel) {
        Waited::Done(result) => Moved::at_once(outcome_of(result)),
        Waited::TimedOut => Moved::at_once(Err(libc::EINTR)),
        Waited::Interrupted(interruption, late) => {
            let bytes = match late.map(outcome_of) {
                None | Some(Err(libc::ECANCELED)) => Err(libc::EINTR),
                Some(late) => late,
            };
            // A plain value is no reason to stop.
            Moved { bytes, then: interruption.conclude().map(drop) }
        }
    }
}

/// A move by the ring.
pub(super) fn by_ring<O: Op>(machine: &Machine, op: O) -> Outcome<Moved> {
    // SAFETY: ops between descriptors point to nothing.
    let key = unsafe { machine.submit_anyway(op, Loan::NONE) }?;
    Ok(await_move(machine, key))
}

/// What is known of a source's bytes in memory.
pub(super) fn cached(machine: &Machine, from: &End) -> Cached {
    let state = machine.state().borrow();
    let can_ask = state.driver.capabilities().cachestat;
    Cached::new(can_ask, from.file, state.sighting, clock::coarse())
}

/// How much of `len` bytes can be moved from an end without waiting for a disk; `None`: it might
/// have to wait where no poll can tell.
pub(super) fn ready(from: &End, cached: &mut Cached, len: usize) -> Option<usize> {
    match from.kind {
        Kind::File => cached.ready(from.fd, len),
        kind => kind.is_direct().then_some(len),
    }
}

/// Waits until the one of two ends that is not ready is. `false`: both are.
pub(super) fn wait_for_either(machine: &Machine, from: RawFd, to: RawFd) -> Outcome<bool> {
    let wanted = [(from, libc::POLLIN), (to, libc::POLLOUT)];
    let mut fds = wanted.map(|(fd, events)| libc::pollfd { fd, events, revents: 0 });
    poll_now(&mut fds)?;
    let unready = wanted.into_iter().zip(fds).find(|(_, fd)| fd.revents == 0);
    let Some(((fd, events), _)) = unready else { return Ok(false) };
    machine.wait_for_events(fd, events, None)?;
    Ok(true)
}

/// One splice of at most `len` bytes between two ends of which one is a pipe. 0 bytes at EOF;
/// EINVAL where an end can't be spliced.
pub(super) fn splice(
    machine: &Machine,
    from: &End,
    to: &End,
    len: usize,
    cached: &mut Cached,
) -> Outcome<Moved> {
    let mut direct = to.kind.is_direct();
    loop {
        let ready = if direct { ready(from, cached, len) } else { None };
        let moved = match ready {
            Some(len) => {
                machine.count_op();
                Moved::at_once(calls::splice_now(from.fd, to.fd, len, Next::Unknown))
            }
            None => by_ring(machine, Splice { from: from.fd, to: to.fd, len: op_len(len) })?,
        };
        match moved.bytes {
            Ok(bytes) => cached.moved(bytes),
            Err(libc::EAGAIN | libc::EINTR) if moved.then.is_err() => {}
            Err(libc::EINTR) => continue,
            // An end with O_NONBLOCK is not ready, also for the ring.
            Err(libc::EAGAIN) => {
                cached.forget();
                if wait_for_either(machine, from.fd, to.fd)? {
                    continue;
                }
                // Both are, and it still would wait: only the kernel knows for what.
                if !std::mem::take(&mut direct) {
                    let_others_run(machine)?;
                }
                continue;
            }
            Err(_) => {}
        }
        return Ok(moved);
    }
}

/// What a pipe of ours still holds, as a String.
pub(super) fn contents(pipe: &Pipe, len: usize) -> VALUE {
    let mut bytes = vec![0; len];
    let mut held = 0;
    while held < len {
        match calls::read_pipe(pipe.reader(), &mut bytes[held..]) {
            Ok(read @ 1..) => held += read,
            Err(libc::EINTR) => {}
            Ok(0) | Err(_) => break,
        }
    }
    value::string(&bytes[..held])
}

/// After work that needed no wait: lets the others run when it is their turn.
pub(super) fn take_turns(machine: &Machine) -> Outcome<()> {
    take_turns_after(machine, 0)
}

/// The same after `bytes` were moved.
pub(super) fn take_turns_after(machine: &Machine, bytes: u64) -> Outcome<()> {
    if machine.may_go_on_after(bytes) { Ok(()) } else { let_others_run(machine) }
}

/// Gives the other fibers a turn.
pub(super) fn let_others_run(machine: &Machine) -> Outcome<()> {
    if machine.is_guest() {
        return machine.let_scheduler_run();
    }
    machine.snooze().map(drop)
}

/// A length as the pumps take it.
pub(super) fn as_len(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// Makes a transfer with the running fiber's machine; under another scheduler than ours with one
/// that lets the scheduler wait.
pub(super) fn with_machine(transfer: impl FnOnce(&'static Machine) -> Outcome) -> Outcome {
    if Machine::of_fiber(fiber::current()).is_none() && scheduler::is_foreign()? {
        return Machine::with_guest(transfer);
    }
    transfer(Machine::of(super::current_machine()?)?)
}

/// Raises a move's errno, or what it was interrupted with.
pub(super) fn check(moved: Moved) -> Outcome<usize> {
    moved.then?;
    moved.bytes.map_err(Raise::Errno)
}

/// An argument that is a number of bytes above 0.
pub(super) fn positive(argument: VALUE, what: &str) -> Outcome<usize> {
    match value::int64(argument, what)? {
        len @ 1.. => Ok(as_len(len.unsigned_abs())),
        _ => Err(Raise::argument_error(format!("{what} must be positive"))),
    }
}
