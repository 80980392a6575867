//! A transfer to its end, by the best way that its two ends allow.

use polyphony_core::splice::Plan;

use super::ends::{End, Supply};
use super::meter::Meter;
use super::pump::{self, Transfer};
use super::unparked::Unparked;
use super::{copy, moves};
use crate::errors::{Outcome, Raise};
use crate::ruby::NIL;

/// Moves to EOF, or as much as the plan says: the number of bytes. What Ruby has read ahead comes
/// first. With `half_close` the EOF of a connection is passed on to another one.
pub(super) fn run(
    unparked: &mut Unparked,
    (from, to): (End, End),
    plan: Plan,
    half_close: bool,
) -> Outcome {
    unparked.hear(&[&from, &to]);
    let mut meter = Meter::new();
    let outcome = all(unparked, (&from, &to), plan, &mut meter).and_then(|ended| {
        if ended && half_close {
            to.pass_end_on(unparked, &from)?;
        }
        if ended { from.reached_eof(unparked) } else { Ok(()) }
    });
    meter.conclude(outcome)
}

/// Whether the source has ended.
fn all(
    unparked: &mut Unparked,
    (from, to): (&End, &End),
    plan: Plan,
    meter: &mut Meter,
) -> Outcome<bool> {
    if from.by_methods().is_some() || to.by_methods().is_some() {
        return by_copying(unparked, (from, to), plan, meter);
    }
    let outcome = if from.is_pipe() || to.is_pipe() {
        by_its_own_pipe(unparked, (from, to), plan, meter)
    } else {
        through_a_pipe(unparked, (from, to), plan, meter)
    };
    match outcome {
        // An end that can't be spliced, seen at the first try.
        Err(Raise::Errno(libc::EINVAL)) => by_copying(unparked, (from, to), plan, meter),
        outcome => outcome,
    }
}

/// What is left of a plan.
fn rest_of(plan: Plan, meter: &Meter) -> Plan {
    Plan { limit: plan.limit.map(|limit| limit.saturating_sub(meter.moved)), ..plan }
}

fn by_copying(
    unparked: &mut Unparked,
    ends: (&End, &End),
    plan: Plan,
    meter: &mut Meter,
) -> Outcome<bool> {
    copy::read_ahead(unparked, ends, rest_of(plan, meter).limit, meter)?;
    copy::all(unparked, ends, rest_of(plan, meter), meter)
}

/// One end is a pipe: bytes go straight from one to the other.
fn by_its_own_pipe(
    unparked: &mut Unparked,
    (from, to): (&End, &End),
    plan: Plan,
    meter: &mut Meter,
) -> Outcome<bool> {
    copy::read_ahead(unparked, (from, to), plan.limit, meter)?;
    let mut cached = unparked.cached(from);
    loop {
        let left = plan.limit.map_or(u64::MAX, |limit| limit.saturating_sub(meter.moved));
        if left == 0 {
            return Ok(false);
        }
        let len = plan.chunk.min(moves::as_len(left));
        let moved = moves::splice(unparked, (from, to), len, &mut cached)?;
        let bytes = moved.bytes.unwrap_or(0) as u64;
        meter.moved += bytes;
        if moves::check(moved, (from, to))? == 0 {
            return Ok(true);
        }
        meter.tell(unparked, meter.moved)?;
        unparked.take_turns_after(bytes)?;
    }
}

/// Neither is one.
fn through_a_pipe(
    unparked: &mut Unparked,
    (from, to): (&End, &End),
    plan: Plan,
    meter: &mut Meter,
) -> Outcome<bool> {
    let before = meter.moved;
    // The end is passed on by who has called: copying may come behind this.
    let transfer = Transfer::new(unparked, *from, *to, rest_of(plan, meter), false);
    let mut transfers = [transfer];
    let outcome = pump::run(unparked, &mut transfers, |unparked, transfers| {
        meter.tell(unparked, before + transfers[0].moved())
    });
    let [mut transfer] = transfers;
    let left = transfer.close(unparked);
    meter.moved = before + transfer.moved();
    match outcome {
        Ok(()) => Ok(transfer.source_ended()),
        // The destination takes no splice, and the source takes nothing back: what is in the pipe
        // goes first.
        Err(Raise::Errno(libc::EINVAL)) if left != NIL => {
            copy::write_all(unparked, (from, to), left, Supply::Source, meter)?;
            Err(Raise::Errno(libc::EINVAL))
        }
        Err(raise) => Err(raise),
    }
}
