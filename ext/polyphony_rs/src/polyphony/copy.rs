//! Copying through a buffer of Ruby's, where an end can't be spliced: two files without a pipe
//! between them, one that is only appended to, a device that knows no splice, an SSLSocket.

use std::ops::Range;

use polyphony_core::op::{Read, Write};
use polyphony_core::splice::{Copier, Plan};
use rb_sys::VALUE;

use super::ends::{End, Supply};
use super::meter::Meter;
use super::moves::Moved;
use super::unparked::Unparked;
use crate::errors::{Outcome, Raise};
use crate::machine::{CURRENT_POSITION, op_len};
use crate::ruby::buffer::{lend_range, lend_target};
use crate::ruby::{NIL, value};

/// Moves what Ruby has read ahead from the source: it comes before what the descriptor has.
pub(super) fn read_ahead(
    unparked: &mut Unparked,
    (from, to): (&End, &End),
    limit: Option<u64>,
    meter: &mut Meter,
) -> Outcome<()> {
    if limit == Some(0) || from.read_ahead()? == 0 {
        return Ok(());
    }
    let plan = Plan { chunk: usize::MAX, limit };
    run(unparked, (from, to), plan, Supply::Ahead, meter).map(drop)
}

/// Moves everything, or as much as the plan says. Whether the source has ended.
pub(super) fn all(
    unparked: &mut Unparked,
    ends: (&End, &End),
    plan: Plan,
    meter: &mut Meter,
) -> Outcome<bool> {
    run(unparked, ends, plan, Supply::Source, meter)
}

/// Moves what one read brings. Whether the source has ended.
pub(super) fn once(
    unparked: &mut Unparked,
    (from, to): (&End, &End),
    len: usize,
    meter: &mut Meter,
) -> Outcome<bool> {
    let len = len.min(polyphony_core::splice::BUFFER);
    let bytes = read(unparked, from, value::string_with_capacity(len), len)?;
    write_all(unparked, (from, to), bytes, Supply::Source, meter)?;
    Ok(value::string_len(bytes) == 0)
}

/// Writes all of a String; what can't be written goes back to the source.
pub(super) fn write_all(
    unparked: &mut Unparked,
    (from, to): (&End, &End),
    bytes: VALUE,
    supply: Supply,
    meter: &mut Meter,
) -> Outcome<()> {
    let mut copier = Copier::new(Plan::TO_EOF);
    copier.read(value::string_len(bytes));
    let before = meter.moved;
    while let Some(range) = copier.wants_write() {
        let written = write_some(unparked, (from, to), (bytes, supply), range, &mut copier);
        meter.moved = before + copier.moved();
        written?;
    }
    meter.tell(unparked, before + copier.moved())
}

fn run(
    unparked: &mut Unparked,
    (from, to): (&End, &End),
    plan: Plan,
    supply: Supply,
    meter: &mut Meter,
) -> Outcome<bool> {
    let mut copier = Copier::new(plan);
    let before = meter.moved;
    let mut buffer = NIL;
    loop {
        if let Some(len) = copier.wants_read() {
            buffer = match supply {
                Supply::Ahead => from.take_ahead(len)?,
                Supply::Source if buffer == NIL => {
                    read(unparked, from, value::string_with_capacity(len), len)?
                }
                Supply::Source => read(unparked, from, buffer, len)?,
            };
            copier.read(value::string_len(buffer));
        } else if let Some(range) = copier.wants_write() {
            let bytes = range.len() as u64;
            let written = write_some(unparked, (from, to), (buffer, supply), range, &mut copier);
            meter.moved = before + copier.moved();
            written?;
            // Neither of them while there are bytes that an exception would lose.
            if copier.wants_write().is_none() {
                meter.tell(unparked, before + copier.moved())?;
                unparked.take_turns_after(bytes)?;
            }
        } else {
            return Ok(copier.source_ended());
        }
    }
}

/// Reads at most `len` bytes into the buffer: the buffer, empty at EOF.
pub(super) fn read(unparked: &mut Unparked, from: &End, buffer: VALUE, len: usize) -> Outcome {
    value::clear(buffer)?;
    if let Some(object) = from.by_methods() {
        let len = value::integer(i64::try_from(len).unwrap_or(i64::MAX));
        return match unparked.call(object, c"readpartial", &[len, buffer]) {
            Err(Raise::Exception(exception)) if value::is_eof(exception) => Ok(buffer),
            outcome => outcome,
        };
    }
    loop {
        let target = lend_target(buffer, len, 0)?;
        let (fd, ptr) = (from.fd(unparked)?.number(), target.ptr);
        let op = Read { fd, ptr, len: op_len(len), offset: CURRENT_POSITION };
        let deadline = from.deadline()?;
        // SAFETY: the loan keeps the buffer.
        let key = unsafe { unparked.submit(op, target.loan) }?;
        let Moved { bytes, then } = unparked.await_move(key, deadline);
        if let Ok(bytes) = bytes {
            target.finish(bytes)?;
            if then.is_err() {
                from.take_back(unparked, Supply::Source, bytes, || buffer);
            }
        }
        then?;
        match bytes {
            // An empty datagram is no end.
            Ok(0) if !from.has_ended(unparked)? => {}
            Ok(_) => return Ok(buffer),
            Err(libc::EINTR) => {}
            Err(libc::EAGAIN) => unparked.wait(from, libc::POLLIN)?,
            Err(errno) => return Err(from.failure(errno)),
        }
    }
}

/// Writes some of a range of the buffer. What is left of it after an error goes back to the
/// source.
fn write_some(
    unparked: &mut Unparked,
    (from, to): (&End, &End),
    (buffer, supply): (VALUE, Supply),
    range: Range<usize>,
    copier: &mut Copier,
) -> Outcome<()> {
    let then = match write(unparked, to, buffer, range) {
        Ok(Moved { bytes, then }) => match bytes {
            Ok(bytes) => {
                copier.wrote(bytes);
                then
            }
            Err(libc::EINTR) => then,
            Err(libc::EAGAIN) => then.and_then(|()| unparked.wait(to, libc::POLLOUT)),
            Err(errno) => then.and(Err(to.failure(errno))),
        },
        Err(raise) => Err(raise),
    };
    if then.is_err() {
        if let Some(left) = copier.wants_write() {
            let bytes = || value::substring(buffer, left.clone());
            from.take_back(unparked, supply, left.len(), bytes);
        }
    }
    then
}

/// One write.
pub(super) fn write(
    unparked: &mut Unparked,
    to: &End,
    buffer: VALUE,
    range: Range<usize>,
) -> Outcome<Moved> {
    if let Some(object) = to.by_methods() {
        let bytes = value::substring(buffer, range.clone());
        let written = unparked.call(object, c"write", &[bytes]);
        return Ok(match written {
            Ok(_) => Moved::at_once(Ok(range.len())),
            Err(raise) => Moved { bytes: Err(libc::EINTR), then: Err(raise) },
        });
    }
    let (fd, deadline) = (to.fd(unparked)?.number(), to.deadline()?);
    let (ptr, len) = (range.start, range.len());
    let (start, loan) = lend_range(buffer, ptr);
    let op = Write { fd, ptr: start, len: op_len(len), offset: CURRENT_POSITION };
    // SAFETY: the loan keeps the buffer, and the range is within it.
    let key = unsafe { unparked.submit(op, loan) }?;
    Ok(unparked.await_move(key, deadline))
}
