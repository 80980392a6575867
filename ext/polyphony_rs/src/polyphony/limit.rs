//! `Polyphony.pause`, and `Polyphony::TimeLimit`: a timeout that can be started anew while its block
//! runs.
//!
//! A subclass of that says by its method `exception` what is raised when time is up. It is made only then.

use std::cell::Cell;

use polyphony_core::op::OpKey;
use rb_sys::VALUE;

use super::current_machine;
use crate::clock;
use crate::errors::{Outcome, Raise};
use crate::machine::{Interruption, Machine, Role};
use crate::ruby::method::{define, define_singleton, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::{NIL, value};

struct TimeLimit {
    seconds: f64,
    /// While the block runs: the machine that keeps the time, and the op that stands for it.
    running: Cell<Option<(VALUE, OpKey)>>,
}

static TYPE: DataType<TimeLimit> = DataType::new();

impl Typed for TimeLimit {
    const NAME: &'static std::ffi::CStr = c"Polyphony::TimeLimit";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        if let Some((machine, _)) = self.running.get() {
            typed::mark(machine);
        }
    }
}

impl TimeLimit {
    fn of(object: VALUE) -> Outcome<&'static Self> {
        typed::get(object).ok_or_else(|| Raise::um_error("uninitialized time limit"))
    }

    fn deadline(&self) -> u64 {
        clock::after(self.seconds)
    }
}

/// Whether an object is a time limit.
pub(crate) fn is(object: VALUE) -> bool {
    typed::is::<TimeLimit>(object)
}

/// `new(seconds)`
fn initialize(this: VALUE, seconds: VALUE) -> Outcome {
    let seconds = value::seconds(seconds)?
        .ok_or_else(|| Raise::type_error("a number of seconds is needed"))?;
    if seconds.is_nan() {
        return Err(Raise::argument_error("seconds must be a number"));
    }
    typed::put(this, TimeLimit { seconds, running: Cell::new(None) });
    Ok(this)
}

/// `run { }`: the value of the block. Once that has ended nothing comes late.
fn run(this: VALUE) -> Outcome {
    let limit = TimeLimit::of(this)?;
    value::check_block()?;
    let object = current_machine()?;
    let machine = Machine::of(object)?;
    let key = machine.start_local("timeout", Some(limit.deadline()), Role::Timeout(this));
    machine.count_op();
    limit.running.set(Some((object, key)));
    let result = value::yield_nothing();
    limit.running.set(None);
    machine.abandon(key);
    result
}

/// `reset`: the time begins anew, unless it is up.
fn reset(this: VALUE) -> Outcome {
    let limit = TimeLimit::of(this)?;
    if let Some((machine, key)) = limit.running.get() {
        let machine = Machine::any(machine)?;
        machine.state().borrow_mut().driver.set_deadline(key, limit.deadline());
    }
    Ok(this)
}

/// `stop`: there is no limit any more.
fn stop(this: VALUE) -> Outcome {
    if let Some((machine, key)) = TimeLimit::of(this)?.running.take() {
        Machine::any(machine)?.abandon(key);
    }
    Ok(NIL)
}

/// `pause(seconds)`: what the fiber is scheduled with meanwhile, nil when time is up. With nil it
/// parks until it is scheduled, with 0 it lets the others run.
fn pause(_module: VALUE, seconds: VALUE) -> Outcome {
    let machine = Machine::of(current_machine()?)?;
    let deadline = match value::seconds(seconds)? {
        Some(0.0) => return machine.snooze(),
        Some(seconds) if seconds > 0.0 => Some(clock::after(seconds)),
        Some(_) => return Err(Raise::argument_error("time interval must not be negative")),
        None => None,
    };
    machine.sleep_until(deadline).map_or(Ok(NIL), Interruption::conclude)
}

/// Defines both; the classes that are used are in `lib/polyphony/time_limit.rb`.
pub(super) fn init(polyphony: VALUE) {
    define_singleton(polyphony, c"pause", method!(pause, 1));
    let class = typed::define_class_under(polyphony, c"TimeLimit");
    typed::define_allocator::<TimeLimit>(class);
    define(class, c"initialize", method!(initialize, 1));
    define(class, c"run", method!(run, 0));
    define(class, c"reset", method!(reset, 0));
    define(class, c"stop", method!(stop, 0));
}
