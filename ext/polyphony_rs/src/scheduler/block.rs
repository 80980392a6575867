//! Hooks for waiting on other fibers and on time.

use polyphony_core::op::Progress;
use rb_sys::VALUE;

use super::{Scheduler, machine};
use crate::clock;
use crate::errors::{Outcome, Raise};
use crate::machine::{Interruption, Machine, Resume, Role};
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, TRUE, value};

/// `block(blocker, timeout = nil)`: true when woken, false past the timeout. May wake for no
/// reason, as Ruby checks its own condition again.
fn block(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(1, 2)?;
    let machine = machine(this)?;
    let deadline = value::seconds(args.get(1))?.map(clock::after);
    block_until(machine, deadline).map(value::boolean)
}

/// Parks until unblocked (true) or until the deadline (false). An unblock that came before the
/// fiber got here is still on the runqueue, and counts.
fn block_until(machine: &Machine, deadline: Option<u64>) -> Outcome<bool> {
    let key = machine.start_local("block", deadline, Role::Wake);
    if deadline.is_some() {
        machine.count_op();
    }
    let outcome = loop {
        match machine.park() {
            Ok(Resume::Unblock) => break Ok(true),
            Ok(Resume::Op) => {
                if matches!(machine.take(key), Progress::Result(..)) {
                    break Ok(false);
                }
            }
            Ok(Resume::Return) => {}
            Ok(Resume::Value(scheduled)) => {
                if let Some(interruption) = Interruption::of(scheduled) {
                    break interruption.conclude().map(|_| true);
                }
            }
            Ok(Resume::Expired(timeout)) => {
                if let Some(interruption) = machine.expired(timeout) {
                    break interruption.conclude().map(|_| true);
                }
            }
            Err(raise) => break Err(raise),
        }
    };
    machine.abandon(key);
    outcome
}

/// `unblock(blocker, fiber)`, from any thread.
fn unblock(this: VALUE, _blocker: VALUE, fiber: VALUE) -> Outcome {
    if let Some(machine) = Scheduler::of(this)?.existing_machine()? {
        machine.unblock(fiber);
    }
    Ok(TRUE)
}

/// `fiber_interrupt(fiber, exception)`, from any thread: the IO that the fiber waits for is closed.
/// Where it has heard of that already, it ends with an IOError of its own.
fn fiber_interrupt(this: VALUE, fiber: VALUE, exception: VALUE) -> Outcome {
    if let Some(machine) = Scheduler::of(this)?.existing_machine()? {
        if !machine.ends_by_close(fiber) {
            machine.schedule(fiber, exception);
        }
    }
    Ok(TRUE)
}

/// `kernel_sleep(duration = nil)`: nil sleeps for ever, 0 lets the others run. `unblock` ends it:
/// that is how a ConditionVariable wakes its waiters.
fn kernel_sleep(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(0, 1)?;
    let machine = machine(this)?;
    let deadline = match value::seconds(args.get(0))? {
        None => None,
        Some(seconds) if seconds < 0.0 => {
            return Err(Raise::argument_error("time interval must not be negative"));
        }
        Some(0.0) => {
            machine.snooze()?;
            return Ok(TRUE);
        }
        Some(seconds) => Some(clock::after(seconds)),
    };
    block_until(machine, deadline).map(|_| TRUE)
}

/// `yield`: an interrupt was handled, the others may run. In the middle of a wait they do anyway.
fn yield_turn(this: VALUE) -> Outcome {
    let machine = machine(this)?;
    if machine.is_handling() { Ok(NIL) } else { machine.snooze() }
}

/// `timeout_after(duration, class, message) { }`
fn timeout_after(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(2, 3)?;
    let machine = machine(this)?;
    let seconds = value::seconds(args.get(0))?
        .ok_or_else(|| Raise::type_error("timeout must be a number of seconds"))?;
    let exception = match args.get(2) {
        NIL => value::call(args.get(1), c"exception", &[])?,
        message => value::call(args.get(1), c"exception", &[message])?,
    };
    let duration = args.get(0);
    machine.with_timeout(clock::after(seconds), exception, || value::yield_to_block(duration))
}

pub(super) fn init(class: VALUE) {
    define(class, c"block", method!(block, -1));
    define(class, c"unblock", method!(unblock, 2));
    define(class, c"fiber_interrupt", method!(fiber_interrupt, 2));
    define(class, c"kernel_sleep", method!(kernel_sleep, -1));
    define(class, c"yield", method!(yield_turn, 0));
    define(class, c"timeout_after", method!(timeout_after, -1));
}
