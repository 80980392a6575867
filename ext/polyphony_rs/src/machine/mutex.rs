//! `UM::Mutex`: one fiber at a time, also of different threads.
//!
//! Whoever leaves hands over to the first in line, so that nobody overtakes those who wait.

use std::cell::Cell;

use rb_sys::VALUE;

use super::Machine;
use super::line::{Line, Turned};
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{define, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::{NIL, fiber, value};

struct Mutex {
    /// The fiber that has it; nil: nobody.
    owner: Cell<VALUE>,
    line: Line,
}

static TYPE: DataType<Mutex> = DataType::new();

impl Typed for Mutex {
    const NAME: &'static std::ffi::CStr = c"UringMachine::Mutex";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        typed::mark(self.owner.get());
        self.line.mark();
    }
}

impl Mutex {
    fn of(object: VALUE) -> Outcome<&'static Self> {
        typed::get(object).ok_or_else(|| Raise::um_error("uninitialized mutex"))
    }

    /// Locks; a plain value that the wait for that was interrupted with.
    fn lock(&self, this: VALUE) -> Outcome<Option<VALUE>> {
        let me = fiber::current();
        if self.owner.get() == NIL {
            self.owner.set(me);
            return Ok(None);
        }
        if self.owner.get() == me {
            return Err(Raise::um_error("deadlock: this fiber has the mutex already"));
        }
        match self.line.wait(this, "mutex")? {
            Turned::Called => Ok(None),
            Turned::Interrupted(interruption, called) => {
                if called {
                    self.unlock();
                }
                interruption.conclude().map(Some)
            }
        }
    }

    fn unlock(&self) {
        let next = self.line.call_next();
        self.owner.set(next.unwrap_or(NIL));
    }
}

fn initialize(this: VALUE) -> Outcome {
    typed::put(this, Mutex { owner: Cell::new(NIL), line: Line::default() });
    Ok(this)
}

/// `synchronize(mutex) { }`: the value of the block.
fn synchronize(this: VALUE, mutex: VALUE) -> Outcome {
    Machine::of(this)?;
    let mutex = Mutex::of(mutex)?;
    if !value::block_given() {
        return Err(Raise::local_jump_error("no block given"));
    }
    if let Some(interruption) = mutex.lock(this)? {
        return Ok(interruption);
    }
    let result = value::yield_to_block(NIL);
    mutex.unlock();
    result
}

/// Defines `UM::Mutex` and the machine's method.
pub(super) fn init(machine_class: VALUE) {
    let class = typed::define_class_under(machine_class, c"Mutex");
    typed::define_allocator::<Mutex>(class);
    define(class, c"initialize", method!(initialize, 0));
    define(machine_class, c"synchronize", method!(synchronize, 1));
}
