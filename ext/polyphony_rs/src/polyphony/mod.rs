//! The native parts of Polyphony: transfers between IO objects, queues and the like.

mod accept;
mod chunked;
mod chunks;
mod compression;
mod copy;
mod ends;
mod event;
mod flight;
mod host;
pub(crate) mod limit;
mod lines;
mod meter;
mod moves;
mod mutex;
mod proxy;
mod pump;
mod queue;
mod splice;
mod tee;
mod transfer;
pub(crate) mod tree;
mod unparked;

use rb_sys::VALUE;

use crate::errors::Outcome;
use crate::machine::Machine;
use crate::ruby::fiber;

/// The machine that the running fiber belongs to: the one that spun it, else the one of the
/// thread's scheduler, else the thread's own.
pub(crate) fn current_machine() -> Outcome {
    if let Some(machine) = Machine::of_fiber(fiber::current()) {
        return Ok(machine);
    }
    if let Some(machine) = crate::scheduler::current_machine()? {
        return Ok(machine);
    }
    Machine::of_thread()
}

/// `Polyphony.machine`
fn machine(_module: VALUE) -> Outcome {
    current_machine()
}

/// Defines the methods on `IO` and `Polyphony`.
pub(crate) fn init(io: VALUE, polyphony: VALUE) {
    use crate::ruby::method::{define_singleton, method};
    define_singleton(polyphony, c"machine", method!(machine, 0));
    meter::init();
    splice::init(io);
    tee::init(io);
    chunked::init(io);
    proxy::init(polyphony);
    accept::init(polyphony);
    chunks::init(polyphony);
    lines::init(polyphony);
    compression::init(io);
    event::init(polyphony);
    limit::init(polyphony);
    mutex::init(polyphony);
    queue::init(polyphony);
    tree::init(polyphony);
}
