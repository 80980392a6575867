//! The tree of fibers: who has started whom, how fibers end, and who is told.
//!
//! What happens to every fiber is here; what happens to few of them is Ruby (`lib/polyphony/`).

mod exceptions;
mod known;
mod life;
mod methods;
mod spin;
mod wait;

use rb_sys::VALUE;

pub(crate) use exceptions::interjected;
pub(crate) use life::{leave, live};

/// Defines what the tree adds to `Kernel`, `Fiber` and `Polyphony`.
pub(crate) fn init(polyphony: VALUE) {
    exceptions::init(polyphony);
    life::init(polyphony);
    known::init(polyphony);
    spin::init();
    wait::init();
    methods::init();
}
