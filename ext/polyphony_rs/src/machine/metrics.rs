//! Figures about the machine.

use polyphony_core::buf::BUFFER_SIZE;
use rb_sys::VALUE;

use super::Machine;
use crate::errors::Outcome;
use crate::ruby::method::{define, method};
use crate::ruby::value;

/// Records come in batches of this many; `ops_free` counts what is left of them.
const BATCH: usize = 256;

fn metrics(this: VALUE) -> Outcome {
    let machine = Machine::any(this)?;
    let (figures, times) = {
        let state = &mut *machine.state().borrow_mut();
        let queued = state.driver.queued_ops();
        let taken = state.taken_records();
        let driver = &state.driver;
        // An op that was done at once had a record, too.
        let used = taken.max(state.records).max(driver.ops().high_water());
        let used = used.max(usize::from(driver.total_ops() > 0));
        let buffers = driver.buffers();
        let segments = buffers.most_segments.next_multiple_of(BATCH);
        let figures = [
            (c"size", u64::from(machine.size)),
            (c"total_ops", driver.total_ops()),
            (c"total_switches", state.total_switches),
            (c"total_waits", state.total_waits),
            (c"ops_pending", driver.pending_ops() as u64),
            (c"ops_unsubmitted", queued as u64),
            (c"ops_runqueue", state.runnable() as u64),
            (c"ops_free", (used.next_multiple_of(BATCH) - taken) as u64),
            (c"ops_transient", driver.ops().detached() as u64),
            (c"buffers_allocated", buffers.allocated as u64),
            (c"buffers_free", buffers.free as u64),
            (c"segments_free", (segments - buffers.segments) as u64),
            (c"buffer_space_allocated", (buffers.allocated * BUFFER_SIZE) as u64),
            (c"buffer_space_commited", buffers.available as u64),
        ];
        (figures, state.profile.as_ref().map(super::modes::Profile::times))
    };
    let hash = value::hash();
    for (name, figure) in figures {
        let figure = value::integer(i64::try_from(figure).unwrap_or(i64::MAX));
        value::store(hash, value::symbol(name), figure);
    }
    if let Some((cpu, waited)) = times {
        // Centuries would have to pass before a nanosecond is lost.
        #[allow(clippy::cast_precision_loss)]
        let seconds = |ns: u64| value::float(ns as f64 / 1e9);
        value::store(hash, value::symbol(c"time_total_cpu"), seconds(cpu));
        value::store(hash, value::symbol(c"time_total_wait"), seconds(waited));
    }
    Ok(hash)
}

fn size(this: VALUE) -> Outcome {
    Ok(value::integer(i64::from(Machine::any(this)?.size)))
}

/// Hands what is queued to the kernel: the number of SQEs.
fn submit(this: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let count = machine.state().borrow_mut().driver.submit_queued()?;
    Ok(value::integer(i64::try_from(count).unwrap_or(i64::MAX)))
}

pub(super) fn init(class: VALUE) {
    define(class, c"metrics", method!(metrics, 0));
    define(class, c"size", method!(size, 0));
    define(class, c"submit", method!(submit, 0));
}
