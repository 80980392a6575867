//! A stream where Ruby lets its fiber wait: one thing after the other, with core's own reading and
//! writing.

use polyphony_core::source;
use polyphony_core::splice::calls::Kind;

use super::super::ends::End;
use super::Transfer;
use super::stream::Held;
use crate::errors::{Outcome, Raise};
use crate::ruby::{NIL, io, nogvl, thread};

/// Runs to the stream's end.
pub(super) fn run(transfer: &mut Transfer, held: Held) -> Outcome<()> {
    let mut fresh = false;
    while !transfer.has_ended(held) {
        compute(held)?;
        transfer.report(held)?;
        if write(transfer, held)? {
            continue;
        }
        read(transfer, held, &mut fresh)?;
    }
    Ok(())
}

fn compute(held: Held) -> Outcome<()> {
    while let Some(work) = held.with(|parts| parts.pump.take_work()).flatten() {
        let worked = nogvl::compute(|| work.run());
        let worked = worked.ok_or_else(|| Raise::bug("compressing has failed"))?;
        held.with(|parts| parts.pump.was_worked(worked));
        thread::check_interrupts()?;
    }
    Ok(())
}

/// Whether there was something to write.
fn write(transfer: &Transfer, held: Held) -> Outcome<bool> {
    let Some(bytes) = held.take_output() else { return Ok(false) };
    // SAFETY: the piece stays in the stream until it is written.
    let count = unsafe { transfer.to.take(bytes) }?;
    held.was_written(count);
    Ok(true)
}

fn read(transfer: &mut Transfer, held: Held, fresh: &mut bool) -> Outcome<()> {
    let Some(max) = held.take_buffer() else { return Ok(()) };
    if !transfer.from.refill(max)? {
        if *fresh && transfer.waits_for_silence() && is_silent(transfer)? {
            held.flush();
            *fresh = false;
            return Ok(());
        }
        read_by_core(transfer, max)?;
    }
    *fresh = held.was_supplied(&mut transfer.from) > 0;
    if transfer.is_synchronous() {
        held.flush();
    }
    Ok(())
}

fn is_silent(transfer: &Transfer) -> Outcome<bool> {
    let Some(io) = transfer.from.end().and_then(End::io) else { return Ok(false) };
    io::wait_for(io, libc::POLLIN, super::SILENCE).map(|ready| !ready)
}

/// Core's own reading knows no timeout in a plain thread: its waiting does. Files have nothing to
/// wait for, and not every scheduler takes them.
fn read_by_core(transfer: &mut Transfer, max: usize) -> Outcome<()> {
    let Some(end) = transfer.from.end().copied() else { return Ok(()) };
    let Some(io) = end.io() else { return Ok(()) };
    if end.kind != Kind::File {
        io::wait(io, libc::POLLIN)?;
    }
    loop {
        let chunk = io::readpartial(io, max)?.unwrap_or(NIL);
        // Core takes an empty datagram for the end.
        if chunk != NIL || source::is_end(io::descriptor(io)?) {
            transfer.from.put(chunk);
            return Ok(());
        }
    }
}
