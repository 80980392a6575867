//! `UM::Mutex`: one fiber at a time, also of different threads.
//!
//! Whoever leaves hands over to the first in line, so that nobody overtakes those who wait. What a
//! fiber has whose thread has ended goes on to the next when somebody asks for it.

use std::cell::Cell;

use rb_sys::VALUE;

use super::Machine;
use super::line::{Holder, Line, Turned};
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{define, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::value;

struct Mutex {
    holder: Cell<Option<Holder>>,
    line: Line,
}

static TYPE: DataType<Mutex> = DataType::new();

impl Typed for Mutex {
    const NAME: &'static std::ffi::CStr = c"UringMachine::Mutex";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        if let Some(holder) = self.holder.get() {
            holder.mark();
        }
        self.line.mark();
    }
}

impl Mutex {
    fn of(object: VALUE) -> Outcome<&'static Self> {
        typed::get(object).ok_or_else(|| Raise::um_error("uninitialized mutex"))
    }

    /// Locks; a plain value that the wait for that was interrupted with.
    fn lock(&self, this: VALUE) -> Outcome<Option<VALUE>> {
        let me = Holder::current(this);
        match self.holder.get() {
            Some(holder) if holder.fiber == me.fiber => {
                return Err(Raise::um_error("deadlock: this fiber has the mutex already"));
            }
            Some(holder) if holder.is_gone() => self.unlock(),
            _ => {}
        }
        if self.holder.get().is_none() {
            self.holder.set(Some(me));
            return Ok(None);
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
        self.holder.set(self.line.call_next());
    }
}

fn initialize(this: VALUE) -> Outcome {
    typed::put(this, Mutex { holder: Cell::new(None), line: Line::default() });
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
    let result = value::yield_nothing();
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
