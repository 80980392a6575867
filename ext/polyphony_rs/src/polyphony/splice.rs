//! `IO.splice`, `IO.double_splice` and `Polyphony.proxy`.

use std::os::fd::RawFd;

use polyphony_core::net::poll_now;
use polyphony_core::op::Splice;
use polyphony_core::splice::Plan;
use polyphony_core::sys;
use rb_sys::VALUE;

use super::ends::End;
use super::pump::{self, Transfer};
use crate::errors::{Outcome, Raise};
use crate::machine::{Machine, OnInterrupt, Waited, op_len};
use crate::ruby::buffer::Loan;
use crate::ruby::method::{Args, define_singleton, method};
use crate::ruby::{FALSE, NIL, value};

/// Most bytes of one splice where the caller named no size.
const DEFAULT_CHUNK: usize = 1024 * 1024;

fn machine() -> Outcome<&'static Machine> {
    Machine::of(super::current_machine()?)
}

fn count(bytes: u64) -> VALUE {
    value::integer(i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// `IO.splice(src, dest, len = nil)`
///
/// Positive: one move of at most `len` bytes, 0 at EOF. Negative: to EOF in moves of at most
/// `-len` bytes; without it, to EOF.
fn splice(_class: VALUE, args: Args) -> Outcome {
    let args = args.expect(2, 3)?;
    let machine = machine()?;
    let len = match args.get(2) {
        NIL => -i64::try_from(DEFAULT_CHUNK).unwrap_or(i64::MAX),
        given => value::int64(given, "length")?,
    };
    let from = End::source(args.get(0))?;
    let to = End::destination(args.get(1))?;
    if len == 0 {
        return Ok(value::integer(0));
    }
    if len > 0 {
        let moved = splice_once(machine, &from, &to, len.unsigned_abs())?;
        if moved == 0 {
            from.reached_eof()?;
        }
        return Ok(count(moved));
    }
    let mut total = 0;
    loop {
        let moved = splice_once(machine, &from, &to, len.unsigned_abs())?;
        if moved == 0 {
            from.reached_eof()?;
            return Ok(count(total));
        }
        total += moved;
        if !machine.may_go_on() {
            machine.snooze()?;
        }
    }
}

/// One move; what Ruby has read ahead comes first.
fn splice_once(machine: &Machine, from: &End, to: &End, len: u64) -> Outcome<u64> {
    let buffered = from.drain_buffered(machine, to, len)?;
    if buffered > 0 {
        return Ok(buffered);
    }
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let mut direct = from.direct && to.direct;
    loop {
        let moved = if direct {
            machine.count_op();
            sys::splice_now(from.fd, to.fd, len)
        } else {
            splice_by_ring(machine, from.fd, to.fd, len)?
        };
        match moved {
            Ok(moved) => return Ok(moved as u64),
            // An end with O_NONBLOCK is not ready, also for the ring.
            Err(libc::EAGAIN) => match unready(from.fd, to.fd)? {
                Some((fd, events)) => machine.wait_for_events(fd, events, None).map(drop)?,
                // Both are, and it still would wait: only the kernel knows for what.
                None if direct => direct = false,
                None => machine.snooze().map(drop)?,
            },
            Err(libc::EINTR) => {}
            Err(errno) => return Err(Raise::Errno(errno)),
        }
    }
}

/// One move by the ring: bytes, or the errno.
fn splice_by_ring(
    machine: &Machine,
    from: RawFd,
    to: RawFd,
    len: usize,
) -> Outcome<Result<usize, i32>> {
    let op = Splice { from, to, len: op_len(len) };
    // SAFETY: the op points to nothing.
    let key = unsafe { machine.submit_anyway(op, Loan::NONE) }?;
    let result = match machine.wait_for(key, OnInterrupt::AwaitCancel) {
        Waited::Done(result) => result,
        Waited::TimedOut => 0,
        Waited::Interrupted(interruption, late) => {
            interruption.conclude()?;
            // A plain value is no reason to stop.
            late.filter(|late| *late != -libc::ECANCELED).unwrap_or(-libc::EINTR)
        }
    };
    Ok(usize::try_from(result).map_err(|_| -result))
}

/// Which of the two is not ready.
fn unready(from: RawFd, to: RawFd) -> Outcome<Option<(RawFd, i16)>> {
    let wanted = [(from, libc::POLLIN), (to, libc::POLLOUT)];
    let mut fds = wanted.map(|(fd, events)| libc::pollfd { fd, events, revents: 0 });
    poll_now(&mut fds)?;
    Ok(wanted.into_iter().zip(fds).find(|(_, fd)| fd.revents == 0).map(|(wanted, _)| wanted))
}

/// `IO.double_splice(src, dest, len = nil, half_close: true)`
///
/// Through a pipe of its own, to EOF: the total. Negative `len`: size of a move; positive: most
/// bytes in total. From a socket to another socket the EOF is passed on.
fn double_splice(_class: VALUE, args: Args) -> Outcome {
    let (args, keywords) = args.keywords();
    let args = args.expect(2, 3)?;
    let half_close =
        keywords.is_none_or(|keywords| value::lookup(keywords, c"half_close") != FALSE);
    let machine = machine()?;
    let len = match args.get(2) {
        NIL => None,
        given => Some(value::int64(given, "length")?),
    };
    let from = End::source(args.get(0))?;
    let to = End::destination(args.get(1))?;
    let limit = len.and_then(|len| u64::try_from(len).ok());
    let chunk = match len {
        Some(len @ ..0) => usize::try_from(len.unsigned_abs()).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let buffered = from.drain_buffered(machine, &to, limit.unwrap_or(u64::MAX))?;
    let plan = Plan { chunk, limit: limit.map(|limit| limit - buffered) };
    let mut transfers = [Transfer::new(from, to, plan, half_close)?];
    let outcome = pump::run(machine, &mut transfers);
    let [transfer] = transfers;
    let (moved, ended) = (buffered + transfer.moved(), transfer.source_ended());
    transfer.close(machine);
    outcome?;
    if ended {
        from.reached_eof()?;
    }
    Ok(count(moved))
}

/// `Polyphony.proxy(a, b)`: both ways at once until both have ended, each EOF passed on:
/// `[bytes_there, bytes_back]`.
fn proxy(_module: VALUE, a: VALUE, b: VALUE) -> Outcome {
    let machine = machine()?;
    let there = (End::source(a)?, End::destination(b)?);
    let back = (End::source(b)?, End::destination(a)?);
    let ahead = [
        there.0.drain_buffered(machine, &there.1, u64::MAX)?,
        back.0.drain_buffered(machine, &back.1, u64::MAX)?,
    ];
    let first = Transfer::new(there.0, there.1, Plan::TO_EOF, true)?;
    let second = match Transfer::new(back.0, back.1, Plan::TO_EOF, true) {
        Ok(transfer) => transfer,
        Err(raise) => {
            first.close(machine);
            return Err(raise);
        }
    };
    let mut transfers = [first, second];
    let outcome = pump::run(machine, &mut transfers);
    let totals = [ahead[0] + transfers[0].moved(), ahead[1] + transfers[1].moved()];
    transfers.into_iter().for_each(|transfer| transfer.close(machine));
    outcome?;
    Ok(value::array_of(&totals.map(count)))
}

pub(super) fn init(io: VALUE, polyphony: VALUE) {
    define_singleton(io, c"splice", method!(splice, -1));
    define_singleton(io, c"double_splice", method!(double_splice, -1));
    define_singleton(polyphony, c"proxy", method!(proxy, 2));
}
