//! The end of a scheduler: all work is run to its end.

use rb_sys::VALUE;

use super::Scheduler;
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{define, method};
use crate::ruby::{NIL, TRUE, value};

/// Runs until nothing is runnable and no operation is pending. It waits for operations, not for
/// fibers: one that was left suspended by `Fiber#raise` has nothing to wait for.
fn run(this: VALUE) -> Outcome {
    if let Some(machine) = Scheduler::of(this)?.existing_machine()? {
        machine.check_usable()?;
        machine.run_until_idle()?;
    }
    Ok(NIL)
}

/// Hook of `Fiber.set_scheduler(nil)` and of the thread's end. Raises the first exception that
/// ended a fiber.
fn scheduler_close(this: VALUE) -> Outcome {
    run(this)?;
    let scheduler = Scheduler::of(this)?;
    scheduler.let_go_of_machine();
    match scheduler.first_error.replace(NIL) {
        NIL => Ok(TRUE),
        exception => Err(Raise::Exception(exception)),
    }
}

/// Closes the scheduler; where it is the thread's, the thread has none afterwards.
fn close(this: VALUE) -> Outcome {
    if super::current()? == this {
        return value::call(crate::ruby::fiber::class(), c"set_scheduler", &[NIL]);
    }
    scheduler_close(this)
}

pub(super) fn init(class: VALUE) {
    define(class, c"run", method!(run, 0));
    define(class, c"scheduler_close", method!(scheduler_close, 0));
    define(class, c"close", method!(close, 0));
}
