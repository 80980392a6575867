//! `Polyphony::Queue`: values between fibers, also of different threads, with or without a limit.
//!
//! Whoever takes stands in line, also where there is something to take: then it goes on once those
//! have run who are runnable already. So does whoever gives to a queue with a limit. That is how
//! the original does it, and its programs rely on the order that comes of it.
//!
//! Whoever gets its turn looks again, as another thread may have been there first. One that is
//! interrupted in line, or whose thread ends, lets another one go on in its place, so that nobody
//! sleeps beside what there is.

use std::cell::Cell;

use rb_sys::VALUE;

use super::current_machine;
use crate::errors::{Outcome, Raise};
use crate::machine::Interruption;
use crate::machine::line::{Line, Place, Standing, Turned};
use crate::ruby::method::{Args, define, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::{NIL, value};

/// What those are called with who are to look what there is for them.
const NOTHING: VALUE = NIL;

struct Queue {
    /// A Ruby Array: the GC knows how to go through a long one.
    items: VALUE,
    /// Most values that it takes; 0: any number.
    limit: Cell<usize>,
    closed: Cell<bool>,
    takers: Line,
    givers: Line,
}

static TYPE: DataType<Queue> = DataType::new();

impl Typed for Queue {
    const NAME: &'static std::ffi::CStr = c"Polyphony::Queue";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        typed::mark(self.items);
        self.takers.mark();
        self.givers.mark();
    }
}

#[derive(Clone, Copy)]
enum End {
    Head,
    Tail,
}

impl Queue {
    fn of(object: VALUE) -> Outcome<&'static Self> {
        typed::get(object).ok_or_else(|| Raise::um_error("uninitialized queue"))
    }

    /// The same for callers that change it: a FrozenError for a frozen one.
    fn to_change(object: VALUE) -> Outcome<&'static Self> {
        let queue = Self::of(object)?;
        value::check_frozen(object);
        Ok(queue)
    }

    fn len(&self) -> usize {
        value::array_len(self.items)
    }

    fn room(&self) -> usize {
        match self.limit.get() {
            0 => usize::MAX,
            limit => limit.saturating_sub(self.len()),
        }
    }

    /// Where there is more than those take who will go on, others go on as well.
    fn settle(&self) {
        let more_than =
            |there: usize, line: &Line| there > 0 && line.standing() > 0 && there > line.going_on();
        while more_than(self.len(), &self.takers) && self.takers.call_idle().is_some() {}
        while more_than(self.room(), &self.givers) && self.givers.call_idle().is_some() {}
    }

    fn place(object: VALUE) -> Place {
        Place { object, pass_on: |object| Self::of(object).map_or((), Self::settle) }
    }

    fn check_open(&self) -> Outcome<()> {
        if self.closed.get() { Err(Raise::closed_queue()) } else { Ok(()) }
    }

    fn push(&self, object: VALUE, item: VALUE, end: End) -> Outcome<()> {
        self.check_open()?;
        if self.limit.get() > 0 {
            self.wait_for_room(object)?;
        }
        match end {
            End::Head => value::unshift(self.items, item),
            End::Tail => value::push(self.items, item),
        }
        self.takers.call_next_with(NOTHING);
        Ok(())
    }

    fn wait_for_room(&self, object: VALUE) -> Outcome<()> {
        loop {
            let standing =
                self.givers.join(current_machine()?, "queue", None, Self::place(object))?;
            if self.room() > 0 {
                self.givers.be_ready(standing);
            }
            self.stay(&self.givers, standing)?;
            self.check_open()?;
            if self.room() > 0 {
                return Ok(());
            }
        }
    }

    /// Takes the first item, waiting for it; nil where the queue is closed meanwhile.
    fn shift(&self, object: VALUE) -> Outcome {
        if self.len() == 0 {
            self.check_open()?;
        }
        loop {
            let standing =
                self.takers.join(current_machine()?, "queue", None, Self::place(object))?;
            if self.len() > 0 {
                self.takers.be_ready(standing);
            }
            if let Some(flushed) = self.stay(&self.takers, standing)? {
                return Interruption::of(flushed).map_or(Ok(NIL), Interruption::conclude);
            }
            if self.len() > 0 {
                return Ok(self.take());
            }
            if self.closed.get() {
                return Ok(NIL);
            }
        }
    }

    /// Parks in line. What the fiber was called with, if it was flushed out. A plain value that is
    /// scheduled into it is no reason to go on: it only loses its place.
    fn stay(&self, line: &Line, standing: Standing) -> Outcome<Option<VALUE>> {
        match line.stay(standing) {
            Turned::Called(gift) => Ok(Flush::of(gift)),
            Turned::TimedOut => Ok(None),
            Turned::Interrupted(interruption, _) => {
                self.settle();
                match interruption {
                    Interruption::Value(_) => Ok(None),
                    Interruption::Raise(raise) => Err(raise),
                }
            }
        }
    }

    /// Takes the first item, which is there.
    fn take(&self) -> VALUE {
        let item = value::shift(self.items);
        self.made_room();
        item
    }

    fn made_room(&self) {
        if self.limit.get() > 0 && self.room() > 0 {
            self.givers.call_next_with(NOTHING);
        }
    }
}

/// What waiters are flushed out with, apart from what else they are called with.
struct Flush;

impl Flush {
    fn of(gift: VALUE) -> Option<VALUE> {
        (gift != NOTHING).then(|| value::at(gift, 0))
    }

    fn with(value: VALUE) -> VALUE {
        value::array_of(&[value])
    }
}

/// `new(limit = nil)`
fn initialize(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(0, 1)?;
    let queue = Queue {
        items: value::array(),
        limit: Cell::new(limit(args.get(0))?),
        closed: Cell::new(false),
        takers: Line::default(),
        givers: Line::default(),
    };
    typed::put(this, queue);
    Ok(this)
}

fn limit(given: VALUE) -> Outcome<usize> {
    if given == NIL {
        return Ok(0);
    }
    let limit = value::int64(given, "limit")?;
    usize::try_from(limit).map_err(|_| Raise::argument_error("limit must not be negative"))
}

fn push(this: VALUE, item: VALUE) -> Outcome {
    Queue::to_change(this)?.push(this, item, End::Tail)?;
    Ok(this)
}

fn unshift(this: VALUE, item: VALUE) -> Outcome {
    Queue::to_change(this)?.push(this, item, End::Head)?;
    Ok(this)
}

/// `shift(nonblock = false)`
fn shift(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(0, 1)?;
    let queue = Queue::to_change(this)?;
    if !value::truthy(args.get(0)) {
        return queue.shift(this);
    }
    if queue.len() == 0 {
        return Err(Raise::thread_error("queue empty"));
    }
    Ok(queue.take())
}

/// `delete(item)`: takes out the first that is this very object.
fn delete(this: VALUE, item: VALUE) -> Outcome {
    let queue = Queue::to_change(this)?;
    if value::delete_first(queue.items, item) {
        queue.made_room();
    }
    Ok(this)
}

fn clear(this: VALUE) -> Outcome {
    let queue = Queue::to_change(this)?;
    value::clear_array(queue.items);
    queue.givers.call_all_with(NOTHING);
    Ok(this)
}

/// `shift_each { |item| }`: takes what is there.
fn shift_each(this: VALUE) -> Outcome {
    let queue = Queue::to_change(this)?;
    value::check_block()?;
    while queue.len() > 0 {
        value::yield_to_block(queue.take())?;
    }
    Ok(this)
}

fn shift_all(this: VALUE) -> Outcome {
    let queue = Queue::to_change(this)?;
    let items = value::copy_of(queue.items);
    value::clear_array(queue.items);
    queue.givers.call_all_with(NOTHING);
    Ok(items)
}

/// `flush_waiters(value)`: those who wait to take get this instead, or it is raised in them.
fn flush_waiters(this: VALUE, with: VALUE) -> Outcome {
    let queue = Queue::to_change(this)?;
    queue.takers.call_all_with(Flush::with(with));
    Ok(this)
}

fn close(this: VALUE) -> Outcome {
    let queue = Queue::to_change(this)?;
    queue.closed.set(true);
    queue.takers.call_all_with(NOTHING);
    queue.givers.call_all_with(NOTHING);
    Ok(this)
}

fn is_closed(this: VALUE) -> Outcome {
    Ok(value::boolean(Queue::of(this)?.closed.get()))
}

/// `cap(limit)`
fn cap(this: VALUE, given: VALUE) -> Outcome {
    let queue = Queue::to_change(this)?;
    queue.limit.set(limit(given)?);
    queue.givers.call_all_with(NOTHING);
    Ok(this)
}

/// `capped?`: the limit, nil where there is none.
fn capped(this: VALUE) -> Outcome {
    Ok(match Queue::of(this)?.limit.get() {
        0 => NIL,
        limit => value::count(limit),
    })
}

fn size(this: VALUE) -> Outcome {
    Ok(value::count(Queue::of(this)?.len()))
}

/// `empty?`: nothing is in it, and nobody is about to put something in.
fn is_empty(this: VALUE) -> Outcome {
    let queue = Queue::of(this)?;
    Ok(value::boolean(queue.len() == 0 && queue.givers.standing() == 0))
}

fn num_waiting(this: VALUE) -> Outcome {
    Ok(value::count(Queue::of(this)?.takers.standing()))
}

fn is_pending(this: VALUE) -> Outcome {
    Ok(value::boolean(Queue::of(this)?.takers.standing() > 0))
}

/// Defines the class.
pub(super) fn init(polyphony: VALUE) {
    let class = typed::define_class_under(polyphony, c"Queue");
    typed::define_allocator::<Queue>(class);
    define(class, c"initialize", method!(initialize, -1));
    for name in [c"push", c"<<", c"enq"] {
        define(class, name, method!(push, 1));
    }
    for name in [c"shift", c"pop", c"deq"] {
        define(class, name, method!(shift, -1));
    }
    define(class, c"unshift", method!(unshift, 1));
    define(class, c"delete", method!(delete, 1));
    define(class, c"clear", method!(clear, 0));
    define(class, c"shift_each", method!(shift_each, 0));
    define(class, c"shift_all", method!(shift_all, 0));
    define(class, c"flush_waiters", method!(flush_waiters, 1));
    define(class, c"close", method!(close, 0));
    define(class, c"closed?", method!(is_closed, 0));
    define(class, c"cap", method!(cap, 1));
    define(class, c"capped?", method!(capped, 0));
    define(class, c"size", method!(size, 0));
    define(class, c"length", method!(size, 0));
    define(class, c"empty?", method!(is_empty, 0));
    define(class, c"pending?", method!(is_pending, 0));
    define(class, c"num_waiting", method!(num_waiting, 0));
}
