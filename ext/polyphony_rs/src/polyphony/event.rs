//! `Polyphony::Event`, which one fiber waits for, and `Polyphony::Waiters`: fibers in line for
//! something that Ruby code decides on.

use std::cell::Cell;

use rb_sys::VALUE;

use super::current_machine;
use crate::clock;
use crate::errors::{Outcome, Raise};
use crate::machine::line::{Line, Place, Turned};
use crate::ruby::method::{Args, define, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::{NIL, TRUE, value};

struct Waiters {
    line: Line,
    /// Whether a call waits for somebody to come where nobody is in line: events are like that.
    keeps: bool,
    kept: Cell<Option<VALUE>>,
}

static TYPE: DataType<Waiters> = DataType::new();

impl Typed for Waiters {
    const NAME: &'static std::ffi::CStr = c"Polyphony::Waiters";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        self.line.mark();
        if let Some(value) = self.kept.get() {
            typed::mark(value);
        }
    }
}

impl Waiters {
    fn of(object: VALUE) -> Outcome<&'static Self> {
        typed::get(object).ok_or_else(|| Raise::um_error("uninitialized object"))
    }

    fn place(object: VALUE) -> Place {
        Place { object, pass_on: |object| Self::of(object).map_or((), Self::pass_on) }
    }

    fn new(keeps: bool) -> Self {
        Self { line: Line::default(), keeps, kept: Cell::new(None) }
    }

    /// Calls the first in line; whether there was one.
    fn call(&self, value: VALUE) -> bool {
        let called = self.line.call_next_with(value).is_some();
        if !called && self.keeps {
            self.kept.set(Some(value));
        }
        called
    }

    /// The calls of those who won't run any more are for the next.
    fn pass_on(&self) {
        while let Some(value) = self.line.take_lost_call() {
            self.call(value);
        }
    }

    /// Parks in line, after `before`. What the fiber was called with; nil past the deadline.
    fn wait(
        &self,
        object: VALUE,
        deadline: Option<u64>,
        before: impl FnOnce() -> Outcome<()>,
    ) -> Outcome {
        let standing =
            self.line.join(current_machine()?, "event", deadline, Self::place(object))?;
        if let Err(raise) = before() {
            self.hand_on(self.line.leave(standing));
            return Err(raise);
        }
        match self.line.stay(standing) {
            Turned::Called(value) => Ok(value),
            Turned::TimedOut => Ok(NIL),
            Turned::Interrupted(interruption, called) => {
                self.hand_on(called);
                interruption.conclude()
            }
        }
    }

    /// What a fiber was called with that was interrupted before it could run.
    fn hand_on(&self, called: Option<VALUE>) {
        if let Some(value) = called {
            self.call(value);
        }
    }
}

fn initialize(this: VALUE) -> Outcome {
    typed::put(this, Waiters::new(false));
    Ok(this)
}

fn initialize_event(this: VALUE) -> Outcome {
    typed::put(this, Waiters::new(true));
    Ok(this)
}

/// `wait(timeout = nil) { }`: what the fiber is called with, nil past the timeout. The block runs
/// when the fiber stands in line already.
fn wait(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(0, 1)?;
    let waiters = Waiters::of(this)?;
    value::check_block()?;
    let deadline = value::seconds(args.get(0))?.map(clock::after);
    waiters.wait(this, deadline, || value::yield_nothing().map(drop))
}

/// `call`: lets the first go on; whether there was one.
fn call(this: VALUE) -> Outcome {
    Ok(value::boolean(Waiters::of(this)?.call(TRUE)))
}

/// `call_all`: lets all go on that stand in line now.
fn call_all(this: VALUE) -> Outcome {
    let waiters = Waiters::of(this)?;
    while waiters.call(TRUE) {}
    Ok(this)
}

/// `await`: what the event is signalled with, or was while nobody waited.
fn await_signal(this: VALUE) -> Outcome {
    let event = Waiters::of(this)?;
    event.pass_on();
    if let Some(value) = event.kept.take() {
        return Ok(value);
    }
    if event.line.standing() > 0 {
        return Err(Raise::runtime_error("another fiber waits for this event"));
    }
    event.wait(this, None, || Ok(()))
}

/// `signal(value = nil)`: a second one, before the first has reached somebody, is no other event.
fn signal(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(0, 1)?;
    let event = Waiters::of(this)?;
    value::check_frozen(this);
    event.pass_on();
    if event.line.called() == 0 || event.line.standing() > 0 {
        event.call(args.get(0));
    }
    Ok(this)
}

/// Defines the classes.
pub(super) fn init(polyphony: VALUE) {
    let waiters = typed::define_class_under(polyphony, c"Waiters");
    let event = typed::define_class_under(polyphony, c"Event");
    typed::define_allocator::<Waiters>(waiters);
    typed::define_allocator::<Waiters>(event);
    define(waiters, c"initialize", method!(initialize, 0));
    define(event, c"initialize", method!(initialize_event, 0));
    define(waiters, c"wait", method!(wait, -1));
    define(waiters, c"call", method!(call, 0));
    define(waiters, c"call_all", method!(call_all, 0));
    define(event, c"await", method!(await_signal, 0));
    define(event, c"signal", method!(signal, -1));
}
