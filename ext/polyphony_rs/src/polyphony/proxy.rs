//! `Polyphony.proxy`: both ways at once.

use polyphony_core::splice::Plan;
use rb_sys::VALUE;

use super::ends::End;
use super::meter::{self, count};
use super::pump::{self, Transfer};
use super::unparked::{Unparked, with_machine};
use crate::errors::Outcome;
use crate::ruby::method::{define_singleton, method};
use crate::ruby::value;

/// `Polyphony.proxy(a, b)`: until both have ended, each EOF passed on: `[bytes_there,
/// bytes_back]`.
fn proxy(module: VALUE, a: VALUE, b: VALUE) -> Outcome {
    with_machine(|unparked| {
        let there = (End::source(unparked, a)?, End::destination(unparked, b)?);
        let back = (End::source(unparked, b)?, End::destination(unparked, a)?);
        if there.0.by_methods().is_some() || there.1.by_methods().is_some() {
            return by_fibers(unparked, module, a, b);
        }
        unparked.hear(&[&there.0, &there.1, &back.0, &back.1]);
        let ways =
            [there, back].map(|(from, to)| Transfer::new(unparked, from, to, Plan::TO_EOF, true));
        both(unparked, ways)
    })
}

fn both(unparked: &mut Unparked, mut ways: [Transfer; 2]) -> Outcome {
    let outcome = pump::run(unparked, &mut ways, |_, _| Ok(()));
    for way in &mut ways {
        way.close(unparked);
    }
    conclude(outcome, value::array_of(&ways.map(|way| count(way.moved()))))
}

/// An SSLSocket's bytes go through its methods: each way has a fiber.
fn by_fibers(unparked: &mut Unparked, module: VALUE, a: VALUE, b: VALUE) -> Outcome {
    let totals = value::array_of(&[count(0), count(0)]);
    let outcome = unparked.call(module, c"proxy_by_fibers", &[a, b, totals]);
    conclude(outcome.map(drop), totals)
}

fn conclude(outcome: Outcome<()>, totals: VALUE) -> Outcome {
    match outcome {
        Ok(()) => Ok(totals),
        Err(raise) => Err(meter::with_count(raise, totals)),
    }
}

pub(super) fn init(polyphony: VALUE) {
    define_singleton(polyphony, c"proxy", method!(proxy, 2));
}
