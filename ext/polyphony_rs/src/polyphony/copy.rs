//! Copying through a buffer of Ruby's, where an end can't be spliced: two files without a pipe
//! between them, one that is only appended to, a device that knows no splice, an SSLSocket.

use std::ops::Range;

use polyphony_core::op::{Read, Write};
use polyphony_core::splice::{Copier, Plan};
use rb_sys::VALUE;

use super::ends::End;
use super::meter::Meter;
use super::moves::{self, Moved};
use crate::errors::{Outcome, Raise};
use crate::machine::{CURRENT_POSITION, Machine, op_len};
use crate::ruby::buffer::{lend_range, lend_target};
use crate::ruby::{NIL, io, value};

/// Where the bytes to copy are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Supply {
    /// In Ruby's read buffer.
    Ahead,
    /// Where the descriptor (or the object) has them.
    Source,
}

/// Moves what Ruby has read ahead from the source: it comes before what the descriptor has.
pub(super) fn read_ahead(
    machine: &Machine,
    (from, to): (&End, &End),
    limit: Option<u64>,
    meter: &mut Meter,
) -> Outcome<()> {
    if from.io == NIL || limit == Some(0) || io::buffered(from.io)? == 0 {
        return Ok(());
    }
    let plan = Plan { chunk: usize::MAX, limit };
    run(machine, (from, to), plan, Supply::Ahead, meter).map(drop)
}

/// Moves everything, or as much as the plan says. Whether the source has ended.
pub(super) fn all(
    machine: &Machine,
    ends: (&End, &End),
    plan: Plan,
    meter: &mut Meter,
) -> Outcome<bool> {
    run(machine, ends, plan, Supply::Source, meter)
}

/// Moves what one read brings. Whether the source has ended.
pub(super) fn once(
    machine: &Machine,
    ends: (&End, &End),
    len: usize,
    meter: &mut Meter,
) -> Outcome<bool> {
    let (from, to) = ends;
    let len = len.min(polyphony_core::splice::BUFFER);
    let bytes = read(machine, from, value::string_with_capacity(len), len)?;
    write_all(machine, (from, to), bytes, meter)?;
    Ok(value::string_len(bytes) == 0)
}

/// Writes all of a String; what can't be written goes back to the source.
pub(super) fn write_all(
    machine: &Machine,
    (from, to): (&End, &End),
    bytes: VALUE,
    meter: &mut Meter,
) -> Outcome<()> {
    let mut copier = Copier::new(Plan::TO_EOF);
    copier.read(value::string_len(bytes));
    let before = meter.moved;
    while let Some(range) = copier.wants_write() {
        write_some(machine, (from, to), bytes, range, &mut copier)
            .inspect_err(|_| meter.moved = before + copier.moved())?;
    }
    meter.tell(before + copier.moved())
}

fn run(
    machine: &Machine,
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
                Supply::Ahead => io::take_buffered(from.io, len)?,
                Supply::Source if buffer == NIL => {
                    read(machine, from, value::string_with_capacity(len), len)?
                }
                Supply::Source => read(machine, from, buffer, len)?,
            };
            copier.read(value::string_len(buffer));
        } else if let Some(range) = copier.wants_write() {
            let bytes = range.len() as u64;
            let written = write_some(machine, (from, to), buffer, range, &mut copier);
            meter.moved = before + copier.moved();
            written?;
            // Neither of them while there are bytes that an exception would lose.
            if copier.wants_write().is_none() {
                meter.tell(before + copier.moved())?;
                moves::take_turns_after(machine, bytes)?;
            }
        } else {
            return Ok(copier.source_ended());
        }
    }
}

/// Reads at most `len` bytes into the buffer: the buffer, empty at EOF.
pub(super) fn read(machine: &Machine, from: &End, buffer: VALUE, len: usize) -> Outcome {
    value::clear(buffer)?;
    if from.has_methods() {
        let len = value::integer(i64::try_from(len).unwrap_or(i64::MAX));
        return match value::call(from.object, c"readpartial", &[len, buffer]) {
            Err(Raise::Exception(exception)) if value::is_eof(exception) => Ok(buffer),
            outcome => outcome,
        };
    }
    loop {
        let target = lend_target(buffer, len, 0)?;
        let op = Read { fd: from.fd, ptr: target.ptr, len: op_len(len), offset: CURRENT_POSITION };
        // SAFETY: the loan keeps the buffer.
        let key = unsafe { machine.submit_anyway(op, target.loan) }?;
        let Moved { bytes, then } = moves::await_move(machine, key);
        if let Ok(bytes) = bytes {
            target.finish(bytes)?;
            if then.is_err() && bytes > 0 && !from.rewind(bytes) {
                from.give_back(buffer);
            }
        }
        then?;
        match bytes {
            Ok(_) => return Ok(buffer),
            Err(libc::EINTR) => {}
            Err(libc::EAGAIN) => {
                machine.wait_for_events(from.fd, libc::POLLIN, None)?;
            }
            Err(errno) => return Err(Raise::Errno(errno)),
        }
    }
}

/// Writes some of a range of the buffer. What is left of it after an error goes back to the
/// source.
fn write_some(
    machine: &Machine,
    (from, to): (&End, &End),
    buffer: VALUE,
    range: Range<usize>,
    copier: &mut Copier,
) -> Outcome<()> {
    let Moved { bytes, mut then } = write(machine, to, buffer, range.clone())?;
    match bytes {
        Ok(bytes) => copier.wrote(bytes),
        Err(libc::EINTR) => {}
        Err(libc::EAGAIN) if then.is_ok() => {
            then = machine.wait_for_events(to.fd, libc::POLLOUT, None).map(drop);
        }
        Err(errno) => then = then.and(Err(Raise::Errno(errno))),
    }
    if then.is_err() {
        if let Some(left) = copier.wants_write() {
            if !from.rewind(left.len()) {
                from.give_back(value::substring(buffer, left));
            }
        }
    }
    then
}

/// One write.
pub(super) fn write(
    machine: &Machine,
    to: &End,
    buffer: VALUE,
    range: Range<usize>,
) -> Outcome<Moved> {
    if to.has_methods() {
        let bytes = value::substring(buffer, range.clone());
        let written = value::call(to.object, c"write", &[bytes]);
        return Ok(match written {
            Ok(_) => Moved::at_once(Ok(range.len())),
            Err(raise) => Moved { bytes: Err(libc::EINTR), then: Err(raise) },
        });
    }
    let (ptr, len) = (range.start, range.len());
    let (start, loan) = lend_range(buffer, ptr);
    let op = Write { fd: to.fd, ptr: start, len: op_len(len), offset: CURRENT_POSITION };
    // SAFETY: the loan keeps the buffer, and the range is within it.
    let key = unsafe { machine.submit_anyway(op, loan) }?;
    Ok(moves::await_move(machine, key))
}
