//! Hooks for waiting on other fibers and on time.

use polyphony_core::op::Progress;
use rb_sys::VALUE;

use super::{Scheduler, machine};
use crate::clock;
use crate::errors::{Outcome, Raise};
use crate::machine::{Interruption, Machine, Resume, Role};
use crate::ruby::method::{Args, define, method};
use crate::ruby::{FALSE, NIL, TRUE, value};

/// `block(blocker, timeout = nil)`: true when woken, false past the timeout. May wake for no
/// reason, as Ruby checks its own condition again.
fn block(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(1, 2)?;
    let machine = machine(this)?;
    let deadline = value::seconds(args.get(1))?.map(clock::after);
    let key = machine.start_local(deadline, Role::Wake);
    let outcome = loop {
        match machine.park() {
            Ok(Resume::Unblock) => break Ok(TRUE),
            Ok(Resume::Op) => {
                if matches!(machine.take(key), Progress::Result(..)) {
                    break Ok(FALSE);
                }
            }
            Ok(Resume::Return) => {}
            Ok(Resume::Value(scheduled)) => {
                break Interruption::of(scheduled).conclude().map(|_| TRUE);
            }
            Ok(Resume::Expired(timeout)) => {
                if let Some(interruption) = machine.expired(timeout) {
                    break interruption.conclude().map(|_| TRUE);
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
    other_threads(this)?.unblock(fiber);
    Ok(TRUE)
}

/// `fiber_interrupt(fiber, exception)`, from any thread.
fn fiber_interrupt(this: VALUE, fiber: VALUE, exception: VALUE) -> Outcome {
    other_threads(this)?.schedule(fiber, exception);
    Ok(TRUE)
}

/// The machine, for what may be done from another thread.
fn other_threads(this: VALUE) -> Outcome<&'static Machine> {
    Scheduler::of(this)?.machine()
}

/// `kernel_sleep(duration = nil)`: nil sleeps for ever, 0 lets the others run.
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
    match machine.sleep_until(deadline) {
        None => Ok(TRUE),
        Some(interruption) => interruption.conclude().map(|_| TRUE),
    }
}

/// `yield`: an interrupt was handled, the others may run.
fn yield_turn(this: VALUE) -> Outcome {
    machine(this)?.snooze()
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
