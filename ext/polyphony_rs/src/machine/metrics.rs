//! Figures about the machine.

use rb_sys::VALUE;

use super::Machine;
use crate::errors::Outcome;
use crate::ruby::method::{define, method};
use crate::ruby::{typed, value};

/// Records come in batches of this many; `ops_free` counts what is left of them.
const BATCH: usize = 256;

fn metrics(this: VALUE) -> Outcome {
    let machine = Machine::any(this)?;
    let figures = {
        let mut state = machine.state().borrow_mut();
        let queued = state.driver.queued();
        let runnable = state.queues.run.len();
        let live = state.driver.ops().live();
        let taken = live + runnable;
        let allocated = state.driver.ops().high_water().max(taken).div_ceil(BATCH) * BATCH;
        [
            (c"size", u64::from(machine.size)),
            (c"total_ops", state.driver.total_ops()),
            (c"total_switches", state.total_switches),
            (c"total_waits", state.total_waits),
            (c"ops_pending", live as u64),
            (c"ops_unsubmitted", queued as u64),
            (c"ops_runqueue", runnable as u64),
            (c"ops_free", (allocated - taken) as u64),
            (c"ops_transient", 0),
            (c"buffers_allocated", 0),
            (c"buffers_free", 0),
            (c"segments_free", 0),
            (c"buffer_space_allocated", 0),
            (c"buffer_space_commited", 0),
        ]
    };
    let hash = value::hash();
    for (name, figure) in figures {
        let figure = value::integer(i64::try_from(figure).unwrap_or(i64::MAX));
        value::store(hash, value::symbol(name), figure);
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

fn sqpoll_mode(this: VALUE) -> Outcome {
    Ok(value::boolean(Machine::any(this)?.state().borrow().driver.is_sqpoll()))
}

/// The fibers that wait for an op.
fn pending_fibers(this: VALUE) -> Outcome {
    let fibers: Vec<VALUE> = {
        let state = Machine::any(this)?.state().borrow();
        let parked = state.driver.ops().iter().map(|waiter| waiter.fiber);
        parked.chain(state.yielding.iter().copied()).collect()
    };
    let array = value::array();
    for fiber in fibers.into_iter().filter(|fiber| value::is_fiber(*fiber)) {
        value::push(array, fiber);
    }
    value::call(array, c"to_set", &[])
}

fn inspect(this: VALUE) -> Outcome {
    let Some(machine) = typed::get::<Machine>(this) else {
        return Ok(value::utf8("#<UringMachine (uninitialized)>"));
    };
    let state = machine.state().borrow();
    let text = format!(
        "#<UringMachine {} fibers, {} runnable, {} ops pending>",
        state.fibers.len(),
        state.queues.run.len(),
        state.driver.ops().live()
    );
    drop(state);
    Ok(value::utf8(&text))
}

pub(super) fn init(class: VALUE) {
    define(class, c"metrics", method!(metrics, 0));
    define(class, c"size", method!(size, 0));
    define(class, c"submit", method!(submit, 0));
    define(class, c"sqpoll_mode?", method!(sqpoll_mode, 0));
    define(class, c"pending_fibers", method!(pending_fibers, 0));
    define(class, c"inspect", method!(inspect, 0));
}
