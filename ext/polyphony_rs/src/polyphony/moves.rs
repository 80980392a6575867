//! Single moves that wait: what transfers of all kinds are made of.

use polyphony_core::op::Splice;
use polyphony_core::splice::calls::{self, Kind, Next};
use polyphony_core::splice::{Cached, Pipe};
use rb_sys::VALUE;

use super::ends::End;
use super::unparked::{Fd, Unparked};
use crate::errors::{Outcome, Raise};
use crate::machine::op_len;
use crate::ruby::value;

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

/// How much of `len` bytes can be moved from an end without waiting for a disk; `None`: it might
/// have to wait where no poll can tell.
pub(super) fn ready(from: (&End, Fd<'_>), cached: &mut Cached, len: usize) -> Option<usize> {
    match from.0.kind {
        Kind::File => cached.ready(from.1.number(), len),
        _ => from.0.is_direct().then_some(len),
    }
}

/// One splice of at most `len` bytes between two ends of which one is a pipe. 0 bytes at EOF;
/// EINVAL where an end can't be spliced.
pub(super) fn splice(
    unparked: &mut Unparked,
    (from, to): (&End, &End),
    len: usize,
    cached: &mut Cached,
) -> Outcome<Moved> {
    let mut direct = to.is_direct();
    loop {
        let (source, destination) = (from.fd(unparked)?, to.fd(unparked)?);
        let ready = if direct { ready((from, source), cached, len) } else { None };
        let (source, destination) = (source.number(), destination.number());
        let moved = match ready {
            Some(len) => {
                unparked.count_op();
                Moved::at_once(calls::splice_now(source, destination, len, Next::Unknown))
            }
            None => {
                let deadline = from.deadline()?.into_iter().chain(to.deadline()?).min();
                let op = Splice { from: source, to: destination, len: op_len(len) };
                unparked.by_ring(op, deadline)?
            }
        };
        match moved.bytes {
            // An empty datagram is no end.
            Ok(0) if moved.then.is_ok() && !from.has_ended(unparked)? => continue,
            Ok(bytes) => cached.moved(bytes),
            Err(libc::EAGAIN | libc::EINTR) if moved.then.is_err() => {}
            Err(libc::EINTR) => continue,
            // An end with O_NONBLOCK is not ready, also for the ring.
            Err(libc::EAGAIN) => {
                cached.forget();
                if unparked.wait_for_either(from, to)? {
                    continue;
                }
                // Both are, and it still would wait: only the kernel knows for what.
                if !std::mem::take(&mut direct) {
                    unparked.let_others_run()?;
                }
                continue;
            }
            Err(_) => {}
        }
        return Ok(moved);
    }
}

/// What a pipe of ours still holds, the first `len` bytes of it, as a String.
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

/// A length as the pumps take it.
pub(super) fn as_len(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// The bytes of a move between two ends; raises its errno, or what it was interrupted with.
pub(super) fn check(moved: Moved, (from, to): (&End, &End)) -> Outcome<usize> {
    moved.then?;
    moved.bytes.map_err(|errno| failure(errno, (from, to)))
}

/// What a move between two ends has failed with: whichever was closed says so.
pub(super) fn failure(errno: i32, (from, to): (&End, &End)) -> Raise {
    match from.failure(errno) {
        Raise::Errno(errno) => to.failure(errno),
        closed => closed,
    }
}

/// An argument that is a number of bytes above 0.
pub(super) fn positive(argument: VALUE, what: &str) -> Outcome<usize> {
    match value::int64(argument, what)? {
        len @ 1.. => Ok(as_len(len.unsigned_abs())),
        _ => Err(Raise::argument_error(format!("{what} must be positive"))),
    }
}
