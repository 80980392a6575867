//! `UM::Queue`: values between fibers, also of different threads.
//!
//! A value that is pushed while fibers wait stays in the queue and is promised to the first of
//! them: it alone may take it, so that waiters are served in order. One that is interrupted in
//! between passes the promise on, and nothing is lost. So does a thread that ends for its fibers.

use rb_sys::VALUE;

use super::Machine;
use super::line::{Line, Place, Turned};
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{define, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::value;

pub(super) struct Queue {
    /// A Ruby Array: the GC knows how to go through a long one.
    items: VALUE,
    /// An item is promised to each of those who were called.
    line: Line,
}

static TYPE: DataType<Queue> = DataType::new();

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
        Self { items: value::array(), line: Line::default() }
    }

    /// The queue in an object; a TypeError for anything else.
    pub(super) fn of(object: VALUE) -> Outcome<&'static Self> {
        typed::get(object).ok_or_else(|| Raise::um_error("uninitialized queue"))
    }

    /// The same for callers that change it: a FrozenError for a frozen one.
    pub(super) fn to_change(object: VALUE) -> Outcome<&'static Self> {
        let queue = Self::of(object)?;
        value::check_frozen(object);
        Ok(queue)
    }

    fn count(&self) -> usize {
        value::array_len(self.items)
    }

    /// Appends a value, from any thread.
    pub(super) fn push(&self, item: VALUE) {
        value::push(self.items, item);
        self.promise();
    }

    fn unshift(&self, item: VALUE) {
        value::unshift(self.items, item);
        self.promise();
    }

    /// Promises what is there to the first in line.
    fn promise(&self) {
        while self.has_spare() && self.line.call_next().is_some() {}
    }

    /// Whether there is an item that is promised to nobody.
    fn has_spare(&self) -> bool {
        self.count() > self.line.called()
    }

    /// Takes a value, waiting for one. What the wait was interrupted with otherwise.
    fn take(&self, this: VALUE, object: VALUE, end: End) -> Outcome {
        // Where a promise turns out to be void, those in line come first.
        self.promise();
        if !self.has_spare() {
            let pass_on = |object| Self::of(object).map_or((), Self::promise);
            let place = Place { object, pass_on };
            if let Turned::Interrupted(interruption, _) = self.line.wait(this, "queue", place)? {
                self.promise();
                return interruption.conclude();
            }
        }
        let item = match end {
            End::Head => value::shift(self.items),
            End::Tail => value::pop(self.items),
        };
        self.promise();
        Ok(item)
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
    Queue::to_change(queue)?.push(item);
    Ok(queue)
}

fn unshift(this: VALUE, queue: VALUE, item: VALUE) -> Outcome {
    Machine::any(this)?;
    Queue::to_change(queue)?.unshift(item);
    Ok(queue)
}

fn pop(this: VALUE, queue: VALUE) -> Outcome {
    Machine::of(this)?;
    Queue::to_change(queue)?.take(this, queue, End::Tail)
}

fn shift(this: VALUE, queue: VALUE) -> Outcome {
    Machine::of(this)?;
    Queue::to_change(queue)?.take(this, queue, End::Head)
}

/// Defines `UM::Queue` and the machine's methods.
pub(super) fn init(machine_class: VALUE) {
    let class = typed::define_class_under(machine_class, c"Queue");
    typed::define_allocator::<Queue>(class);
    define(class, c"initialize", method!(initialize, 0));
    define(class, c"count", method!(count, 0));
    define(machine_class, c"push", method!(push, 2));
    define(machine_class, c"unshift", method!(unshift, 2));
    define(machine_class, c"pop", method!(pop, 1));
    define(machine_class, c"shift", method!(shift, 1));
}
