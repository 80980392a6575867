//! `UM::Mutex`: one fiber at a time, also of different threads.
//!
//! Whoever leaves hands over to the first in line, so that nobody overtakes those who wait. So does
//! a thread that ends for the fibers that it leaves inside. In a forked child the mutex stays with
//! the fiber that has forked, and is free if another one had it: that goes on in the parent only.

use std::cell::Cell;

use rb_sys::VALUE;

use super::Machine;
use super::line::{Holder, Line, Place, Turned};
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{define, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::{NIL, fiber, value};

pub(crate) struct Mutex {
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
    pub(crate) fn of(object: VALUE) -> Outcome<&'static Self> {
        typed::get(object).ok_or_else(|| Raise::um_error("uninitialized mutex"))
    }

    /// The fiber that has it, nil where it is free.
    pub(crate) fn holder(&self) -> VALUE {
        self.pass_on();
        self.holder.get().map_or(NIL, |holder| holder.fiber)
    }

    /// Locks for the running fiber, unless somebody has it.
    pub(crate) fn try_lock(&self, me: Holder) -> bool {
        self.pass_on();
        let free = self.holder.get().is_none();
        if free {
            self.holder.set(Some(me));
        }
        free
    }

    /// Locks for the running fiber; a plain value that the wait for that was interrupted with.
    pub(crate) fn lock(&self, me: Holder, this: VALUE, object: VALUE) -> Outcome<Option<VALUE>> {
        if self.holder.get().is_some_and(|holder| holder.fiber == me.fiber) {
            return Err(Raise::um_error("deadlock: this fiber has the mutex already"));
        }
        if self.try_lock(me) {
            return Ok(None);
        }
        let pass_on = |object| Self::of(object).map_or((), Self::pass_on);
        match self.line.wait(this, "mutex", Place { object, pass_on })? {
            Turned::Called(_) | Turned::TimedOut => Ok(None),
            Turned::Interrupted(interruption, _) => {
                self.unlock(me);
                interruption.conclude().map(Some)
            }
        }
    }

    /// Hands over to the next, if it is still the fiber's.
    pub(crate) fn unlock(&self, me: Holder) {
        if self.holder.get() == Some(me) {
            self.hand_over();
        }
    }

    /// The same by the running fiber, in which process and by which machine it ever got it.
    pub(crate) fn unlock_mine(&self) {
        if self.holder() == fiber::current() {
            self.hand_over();
        }
    }

    /// Hands over to the next where the holder won't do that any more.
    fn pass_on(&self) {
        if self.holder.get().is_some_and(Holder::has_left) {
            self.hand_over();
        }
    }

    fn hand_over(&self) {
        self.holder.set(self.line.call_next());
    }
}

fn initialize(this: VALUE) -> Outcome {
    typed::put(this, Mutex { holder: Cell::new(None), line: Line::default() });
    Ok(this)
}

/// Defines a class of mutexes, without methods.
pub(crate) fn define_class(outer: VALUE) -> VALUE {
    let class = typed::define_class_under(outer, c"Mutex");
    typed::define_allocator::<Mutex>(class);
    define(class, c"initialize", method!(initialize, 0));
    class
}

/// `synchronize(mutex) { }`: the value of the block.
fn synchronize(this: VALUE, object: VALUE) -> Outcome {
    Machine::of(this)?;
    let mutex = Mutex::of(object)?;
    if !value::block_given() {
        return Err(Raise::local_jump_error("no block given"));
    }
    let me = Holder::current(this);
    if let Some(interruption) = mutex.lock(me, this, object)? {
        return Ok(interruption);
    }
    let result = value::yield_nothing();
    mutex.unlock(me);
    result
}

/// Defines `UM::Mutex` and the machine's method.
pub(super) fn init(machine_class: VALUE) {
    define_class(machine_class);
    define(machine_class, c"synchronize", method!(synchronize, 1));
}
