//! `UM::AsyncOp`: an op that runs while its fiber does something else.

use std::cell::Cell;

use polyphony_core::op::{OpKey, Progress};
use rb_sys::VALUE;

use super::{Machine, Role};
use crate::clock;
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{define, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::{FALSE, NIL, TRUE, fiber, value};

/// An op of the machine's, and who waits for it.
pub(super) struct AsyncOp {
    machine: VALUE,
    kind: &'static std::ffi::CStr,
    key: OpKey,
    result: Cell<Option<i32>>,
    /// The fiber in `await`; nil: nobody.
    waiter: Cell<VALUE>,
}

static TYPE: DataType<AsyncOp> = DataType::new();
static CLASS: typed::Class = typed::Class::new();

impl Typed for AsyncOp {
    const NAME: &'static std::ffi::CStr = c"UringMachine::AsyncOp";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        typed::mark(self.machine);
        typed::mark(self.waiter.get());
    }
}

impl AsyncOp {
    fn of(object: VALUE) -> Outcome<&'static Self> {
        typed::get(object).ok_or_else(|| Raise::um_error("uninitialized operation"))
    }

    /// Its end was taken off the runqueue: the fiber to wake, if one waits.
    pub(super) fn finish(object: VALUE, result: i32) -> Option<VALUE> {
        let op = typed::get::<Self>(object)?;
        op.result.set(Some(result));
        let waiter = op.waiter.get();
        (waiter != NIL).then_some(waiter)
    }

    /// Waits for the end: the kernel's result. Interrupted, it is cancelled first.
    fn wait(&self, this: VALUE) -> Outcome {
        let machine = Machine::of(self.machine)?;
        if self.waiter.get() != NIL {
            return Err(Raise::um_error("another fiber waits for this operation"));
        }
        loop {
            match self.result.get() {
                None => {}
                Some(result) if result == -libc::ECANCELED => return Err(Raise::Errno(-result)),
                Some(result) => return Ok(value::integer(i64::from(result))),
            }
            self.waiter.set(fiber::current());
            let interruption = machine.park_interruptible();
            self.waiter.set(NIL);
            if let Some(interruption) = interruption {
                self.stop(machine, this);
                return interruption.conclude();
            }
        }
    }

    /// Cancels, and takes in that it is over.
    fn stop(&self, machine: &Machine, this: VALUE) {
        machine.cancel(self.key);
        if let Progress::Result(completion, true) = machine.take(self.key) {
            Self::finish(this, completion.result);
        }
    }
}

/// `prep_timeout(seconds)`: a timer that runs at once.
fn prep_timeout(this: VALUE, duration: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let seconds = value::seconds(duration)?
        .ok_or_else(|| Raise::type_error("timeout must be a number of seconds"))?;
    let deadline = Some(clock::after(seconds));
    let key = machine.start_local("timeout", deadline, Role::Timer);
    machine.count_op();
    let op = AsyncOp {
        machine: this,
        kind: c"timeout",
        key,
        result: Cell::new(None),
        waiter: Cell::new(NIL),
    };
    let object = typed::wrap(CLASS.get(), op);
    machine.set_role(key, Role::Async(object));
    Ok(object)
}

fn kind(this: VALUE) -> Outcome {
    Ok(value::symbol(AsyncOp::of(this)?.kind))
}

fn is_done(this: VALUE) -> Outcome {
    Ok(value::boolean(AsyncOp::of(this)?.result.get().is_some()))
}

fn result(this: VALUE) -> Outcome {
    let result = AsyncOp::of(this)?.result.get();
    Ok(result.map_or(NIL, |result| value::integer(i64::from(result))))
}

/// nil while it runs.
fn is_cancelled(this: VALUE) -> Outcome {
    Ok(match AsyncOp::of(this)?.result.get() {
        None => NIL,
        Some(result) if result == -libc::ECANCELED => TRUE,
        Some(_) => FALSE,
    })
}

fn await_end(this: VALUE) -> Outcome {
    AsyncOp::of(this)?.wait(this)
}

/// It is over once the machine has looked: see `done?`.
fn cancel(this: VALUE) -> Outcome {
    let op = AsyncOp::of(this)?;
    Machine::of(op.machine)?.cancel(op.key);
    Ok(this)
}

/// Defines `UM::AsyncOp` and the machine's method.
pub(super) fn init(machine_class: VALUE) {
    let class = CLASS.define_under(machine_class, c"AsyncOp");
    typed::undefine_allocator(class);
    define(class, c"kind", method!(kind, 0));
    define(class, c"done?", method!(is_done, 0));
    define(class, c"result", method!(result, 0));
    define(class, c"cancelled?", method!(is_cancelled, 0));
    define(class, c"await", method!(await_end, 0));
    define(class, c"join", method!(await_end, 0));
    define(class, c"cancel", method!(cancel, 0));
    define(machine_class, c"prep_timeout", method!(prep_timeout, 1));
}
