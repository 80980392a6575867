//! `Polyphony.proxy`: both ways at once.

use polyphony_core::splice::Plan;
use rb_sys::VALUE;

use super::ends::End;
use super::meter::{self, Meter, count};
use super::pump::{self, Transfer};
use super::{copy, moves};
use crate::errors::{Outcome, Raise};
use crate::machine::Machine;
use crate::ruby::method::{define_singleton, method};
use crate::ruby::value;

/// `Polyphony.proxy(a, b)`: until both have ended, each EOF passed on: `[bytes_there,
/// bytes_back]`.
fn proxy(_module: VALUE, a: VALUE, b: VALUE) -> Outcome {
    let there = (End::source(a)?, End::destination(b)?);
    let back = (End::source(b)?, End::destination(a)?);
    if there.0.has_methods() || there.1.has_methods() {
        return Err(Raise::type_error(
            "an SSLSocket can't be spliced: copy each way by IO.double_splice, in two fibers",
        ));
    }
    moves::with_machine(|machine| counted(machine, [there, back]))
}

fn counted(machine: &Machine, ways: [(End, End); 2]) -> Outcome {
    let mut meters = [Meter::silent(), Meter::silent()];
    let outcome = both(machine, ways, &mut meters);
    let totals = value::array_of(&meters.map(|meter| count(meter.moved)));
    match outcome {
        Ok(()) => Ok(totals),
        Err(raise) => Err(meter::with_count(raise, totals)),
    }
}

fn both(machine: &Machine, ways: [(End, End); 2], meters: &mut [Meter; 2]) -> Outcome<()> {
    for ((from, to), meter) in ways.iter().zip(meters.iter_mut()) {
        copy::read_ahead(machine, (from, to), None, meter)?;
    }
    let mut transfers = ways.map(|(from, to)| Transfer::new(machine, from, to, Plan::TO_EOF, true));
    let outcome = pump::run(machine, &mut transfers, |_| Ok(()));
    for ((transfer, meter), (from, _)) in transfers.iter_mut().zip(meters).zip(ways) {
        from.give_back(transfer.close(machine));
        meter.moved += transfer.moved();
    }
    outcome
}

pub(super) fn init(polyphony: VALUE) {
    define_singleton(polyphony, c"proxy", method!(proxy, 2));
}
