//! `UM::Queue`: values between fibers, also of different threads.
//!
//! A value that is pushed while fibers wait stays in the queue and is promised to the first of
//! them: it alone may take it, so that waiters are served in order. One that is interrupted in
//! between passes the promise on, and nothing is lost.

use std::cell::Cell;

use rb_sys::VALUE;

use super::Machine;
use super::line::{Line, Turned};
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{define, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::value;

pub(super) struct Queue {
    /// A Ruby Array: the GC knows how to go through a long one.
    items: VALUE,
    line: Line,
    /// Items promised to fibers that were called and have not run yet.
    promised: Cell<usize>,
}

static TYPE: DataType<Queue> = DataType::new();
static CLASS: typed::Class = typed::Class::new();

impl Typed for Queue {
    const NAME: &'static std::ffi::CStr = c"UringMachine::Queue";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        typed::mark(self.items);
        self.line.mark();
    }
}

#[derive(Clone, Copy)]
enum End {
    Head,
    Tail,
}

impl Queue {
    fn new() -> Self {
        Self { items: value::array(), line: Line::default(), promised: Cell::new(0) }
    }

    /// A queue as a Ruby object.
    pub(super) fn create() -> VALUE {
        typed::wrap(CLASS.get(), Self::new())
    }

    /// The queue in an object; a TypeError for anything else.
    pub(super) fn of(object: VALUE) -> Outcome<&'static Self> {
        typed::get(object).ok_or_else(|| Raise::um_error("uninitialized queue"))
    }

    fn count(&self) -> usize {
        value::array_len(self.items)
    }

    /// Appends a value, from any thread.
    pub(super) fn push(&self, item: VALUE) {
        value::push(self.items, item);
        self.call_if_unpromised();
    }

    fn unshift(&self, item: VALUE) {
        value::unshift(self.items, item);
        self.call_if_unpromised();
    }

    fn call_if_unpromised(&self) {
        if self.count() > self.promised.get() && self.line.call_next().is_some() {
            self.promised.set(self.promised.get() + 1);
        }
    }

    /// Takes a value, waiting for one. What the wait was interrupted with otherwise.
    fn take(&self, this: VALUE, end: End) -> Outcome {
        if self.count() <= self.promised.get() {
            match self.line.wait(this, "queue")? {
                Turned::Called => self.promised.set(self.promised.get() - 1),
                Turned::Interrupted(interruption, called) => {
                    if called {
                        self.promised.set(self.promised.get() - 1);
                        self.call_if_unpromised();
                    }
                    return interruption.conclude();
                }
            }
        }
        Ok(match end {
            End::Head => value::shift(self.items),
            End::Tail => value::pop(self.items),
        })
    }
}

fn initialize(this: VALUE) -> Outcome {
    typed::put(this, Queue::new());
    Ok(this)
}

fn count(this: VALUE) -> Outcome {
    Ok(value::integer(i64::try_from(Queue::of(this)?.count()).unwrap_or(i64::MAX)))
}

fn push(this: VALUE, queue: VALUE, item: VALUE) -> Outcome {
    Machine::any(this)?;
    Queue::of(queue)?.push(item);
    Ok(queue)
}

fn unshift(this: VALUE, queue: VALUE, item: VALUE) -> Outcome {
    Machine::any(this)?;
    Queue::of(queue)?.unshift(item);
    Ok(queue)
}

fn pop(this: VALUE, queue: VALUE) -> Outcome {
    Machine::of(this)?;
    Queue::of(queue)?.take(this, End::Tail)
}

fn shift(this: VALUE, queue: VALUE) -> Outcome {
    Machine::of(this)?;
    Queue::of(queue)?.take(this, End::Head)
}

/// Defines `UM::Queue` and the machine's methods.
pub(super) fn init(machine_class: VALUE) {
    let class = CLASS.define_under(machine_class, c"Queue");
    typed::define_allocator::<Queue>(class);
    define(class, c"initialize", method!(initialize, 0));
    define(class, c"count", method!(count, 0));
    define(machine_class, c"push", method!(push, 2));
    define(machine_class, c"unshift", method!(unshift, 2));
    define(machine_class, c"pop", method!(pop, 1));
    define(machine_class, c"shift", method!(shift, 1));
}
