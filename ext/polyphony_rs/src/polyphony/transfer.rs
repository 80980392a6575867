//! A transfer to its end, by the best way that its two ends allow.

use polyphony_core::splice::Plan;

use super::ends::End;
use super::meter::Meter;
use super::pump::{self, Transfer};
use super::{copy, moves};
use crate::errors::{Outcome, Raise};
use crate::machine::Machine;

/// Moves to EOF, or as much as the plan says: the number of bytes. What Ruby has read ahead comes
/// first.
pub(super) fn run(
    machine: &Machine,
    (from, to): (End, End),
    plan: Plan,
    half_close: bool,
) -> Outcome {
    let mut meter = Meter::new();
    let outcome = all(machine, (from, to), plan, half_close, &mut meter)
        .and_then(|ended| if ended { from.reached_eof() } else { Ok(()) });
    meter.conclude(outcome)
}

/// Whether the source has ended.
fn all(
    machine: &Machine,
    (from, to): (End, End),
    plan: Plan,
    half_close: bool,
    meter: &mut Meter,
) -> Outcome<bool> {
    copy::read_ahead(machine, (&from, &to), plan.limit, meter)?;
    if from.has_methods() || to.has_methods() {
        return copy::all(machine, (&from, &to), rest_of(plan, meter), meter);
    }
    let outcome = if from.is_pipe() || to.is_pipe() {
        by_its_own_pipe(machine, (&from, &to), plan, meter)
    } else {
        through_a_pipe(machine, (from, to), plan, half_close, meter)
    };
    match outcome {
        // An end that can't be spliced, seen at the first try.
        Err(Raise::Errno(libc::EINVAL)) => {
            copy::all(machine, (&from, &to), rest_of(plan, meter), meter)
        }
        outcome => outcome,
    }
}

/// What is left of a plan.
fn rest_of(plan: Plan, meter: &Meter) -> Plan {
    Plan { limit: plan.limit.map(|limit| limit.saturating_sub(meter.moved)), ..plan }
}

/// One end is a pipe: bytes go straight from one to the other.
fn by_its_own_pipe(
    machine: &Machine,
    (from, to): (&End, &End),
    plan: Plan,
    meter: &mut Meter,
) -> Outcome<bool> {
    let mut cached = moves::cached(machine, from);
    loop {
        let left = plan.limit.map_or(u64::MAX, |limit| limit.saturating_sub(meter.moved));
        if left == 0 {
            return Ok(false);
        }
        let len = plan.chunk.min(moves::as_len(left));
        let moved = moves::splice(machine, from, to, len, &mut cached)?;
        let bytes = moved.bytes.unwrap_or(0) as u64;
        meter.moved += bytes;
        if moves::check(moved)? == 0 {
            return Ok(true);
        }
        meter.tell(meter.moved)?;
        moves::take_turns_after(machine, bytes)?;
    }
}

/// Neither is one.
fn through_a_pipe(
    machine: &Machine,
    (from, to): (End, End),
    plan: Plan,
    half_close: bool,
    meter: &mut Meter,
) -> Outcome<bool> {
    let before = meter.moved;
    let transfer = Transfer::new(machine, from, to, rest_of(plan, meter), half_close);
    let mut transfers = [transfer];
    let outcome =
        pump::run(machine, &mut transfers, |transfers| meter.tell(before + transfers[0].moved()));
    let [mut transfer] = transfers;
    let left = transfer.close(machine);
    meter.moved = before + transfer.moved();
    match outcome {
        Ok(()) => Ok(transfer.source_ended()),
        // The destination takes no splice: what is in the pipe goes first.
        Err(Raise::Errno(libc::EINVAL)) => {
            copy::write_all(machine, (&from, &to), left, meter)?;
            Err(Raise::Errno(libc::EINVAL))
        }
        Err(raise) => {
            from.give_back(left);
            Err(raise)
        }
    }
}
