//! `UM::Selector`: what Async asks of an event loop's backend (`IO::Event::Selector`), on a
//! machine.
//!
//! The loop is Async's, and so are the fibers, the timers and the scheduler. The selector knows
//! who is ready, and has a machine in which fibers wait for the kernel.

mod io;
mod ready;

use std::cell::Cell;

use rb_sys::VALUE;

use crate::clock;
use crate::errors::{Outcome, Raise};
use crate::machine::Machine;
use crate::ruby::method::{Args, define, has_keywords, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::{NIL, fiber, value};
use ready::Ready;

/// A selector.
pub(crate) struct Selector {
    machine: VALUE,
    /// The struct inside `machine`, which is marked.
    native: &'static Machine,
    /// The fiber that calls `select`; nil once the selector is closed.
    loop_fiber: Cell<VALUE>,
    ready: Ready,
    /// Another thread wanted to end a wait that had not begun.
    woken: Cell<bool>,
    /// Nanoseconds that the last `select` has waited.
    idle: Cell<u64>,
}

static TYPE: DataType<Selector> = DataType::new();

impl Typed for Selector {
    const NAME: &'static std::ffi::CStr = c"UringMachine::Selector";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        typed::mark(self.machine);
        typed::mark(self.loop_fiber.get());
        self.ready.mark();
    }
}

impl Selector {
    fn of(object: VALUE) -> Outcome<&'static Self> {
        typed::get(object).ok_or_else(|| Raise::um_error("uninitialized selector"))
    }

    /// The fiber of the loop.
    fn loop_fiber(&self) -> Outcome {
        match self.loop_fiber.get() {
            NIL => Err(Raise::um_error("this selector is closed")),
            fiber => Ok(fiber),
        }
    }

    /// Its machine, on the loop's own thread.
    fn machine(&self) -> Outcome<&'static Machine> {
        self.loop_fiber()?;
        self.native.check_usable()?;
        Ok(self.native)
    }

    /// Runs `switch` with the running fiber in line for its next turn.
    fn in_line(&self, switch: impl FnOnce() -> Outcome) -> Outcome {
        let ticket = self.ready.push(fiber::current());
        let came_back = switch();
        self.ready.void(ticket);
        came_back
    }

    /// Transfers to all that are ready, but for those who become so meanwhile. Whether there were
    /// any.
    fn run_ready(&self) -> Outcome<bool> {
        let end = self.ready.end();
        let were_any = !self.ready.is_empty();
        while let Some(object) = self.ready.pop(end) {
            run(object)?;
        }
        Ok(were_any)
    }

    /// Waits until there is something to do.
    fn wait(&self, machine: &Machine, limit: Option<u64>) -> Outcome<()> {
        // Both are set by other threads, which can't run between here and the wait.
        if self.woken.get() || !self.ready.is_empty() {
            return Ok(());
        }
        let begun = clock::now();
        let outcome = machine.wait_in_host(limit);
        self.idle.set(clock::now() - begun);
        outcome
    }
}

/// Transfers to a fiber, or to what can be transferred to like one, if it is alive.
fn run(object: VALUE) -> Outcome<()> {
    if object == NIL {
        return Ok(());
    }
    if value::is_fiber(object) {
        if fiber::alive(object) {
            fiber::transfer(object, &[])?;
        }
    } else if value::truthy(value::call(object, c"alive?", &[])?) {
        value::call(object, c"transfer", &[])?;
    }
    Ok(())
}

/// `new(loop)`
fn initialize(this: VALUE, loop_fiber: VALUE) -> Outcome {
    if !value::is_fiber(loop_fiber) {
        return Err(Raise::type_error("the loop must be a Fiber"));
    }
    let machine = Machine::create_hosted(loop_fiber)?;
    let selector = Selector {
        machine,
        native: Machine::of(machine)?,
        loop_fiber: Cell::new(loop_fiber),
        ready: Ready::default(),
        woken: Cell::new(false),
        idle: Cell::new(0),
    };
    typed::put(this, selector);
    Ok(this)
}

fn loop_reader(this: VALUE) -> Outcome {
    Ok(Selector::of(this)?.loop_fiber.get())
}

/// Seconds that the last `select` has waited.
fn idle_duration(this: VALUE) -> Outcome {
    #[allow(clippy::cast_precision_loss)] // months fit
    let nanoseconds = Selector::of(this)?.idle.get() as f64;
    Ok(value::float(nanoseconds / 1e9))
}

/// Switches to the loop; what the fiber is transferred to with.
fn transfer(this: VALUE) -> Outcome {
    fiber::transfer(Selector::of(this)?.loop_fiber()?, &[])
}

/// Lets the loop and all who are ready run.
fn yield_turn(this: VALUE) -> Outcome {
    let selector = Selector::of(this)?;
    let loop_fiber = selector.loop_fiber()?;
    selector.in_line(|| fiber::transfer(loop_fiber, &[]))
}

/// `resume(fiber, *arguments)`: switches to a fiber at once; the running one goes on at its next
/// turn.
fn resume(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(1, usize::MAX)?;
    let (target, arguments) = (args.get(0), args.after(1));
    Selector::of(this)?.in_line(|| {
        if value::is_fiber(target) {
            fiber::transfer(target, arguments.all())
        } else {
            value::call(target, c"transfer", arguments.all())
        }
    })
}

/// `raise(fiber, *arguments, **options)`: as `resume`, by `Fiber#raise`.
fn raise(this: VALUE, args: Args) -> Outcome {
    let keywords = has_keywords();
    let args = args.expect(1, usize::MAX)?;
    Selector::of(this)?
        .in_line(|| value::call_passing(args.get(0), c"raise", args.after(1).all(), keywords))
}

/// `push(fiber)`, from any thread: it runs at the loop's next turn.
fn push(this: VALUE, object: VALUE) -> Outcome {
    Selector::of(this)?.ready.push(object);
    Ok(this)
}

fn is_ready(this: VALUE) -> Outcome {
    Ok(value::boolean(!Selector::of(this)?.ready.is_empty()))
}

/// Ends the loop's wait, from any thread; whether it was waiting.
fn wakeup(this: VALUE) -> Outcome {
    let selector = Selector::of(this)?;
    selector.woken.set(true);
    Ok(value::boolean(selector.native.wake_host()))
}

/// `select(duration = nil)`: runs all who are ready, then those for whom the kernel has something;
/// where there is nobody, waits for that long at most. How many the kernel had something for.
fn select(this: VALUE, args: Args) -> Outcome {
    let selector = Selector::of(this)?;
    let limit = value::seconds(args.expect(0, 1)?.get(0))?.map(clock::nanoseconds);
    let machine = selector.machine()?;
    selector.woken.set(false);
    selector.idle.set(0);
    // Who has just run may have set a timer, which the loop has to look at before it waits.
    let may_wait = !selector.run_ready()? && limit != Some(0);
    machine.poll()?;
    if may_wait {
        selector.wait(machine, limit)?;
    }
    let given = machine.give_turns()?;
    Ok(value::unsigned(given as u64))
}

/// Gives the ring back. Fibers that wait in it never go on.
fn close(this: VALUE) -> Outcome {
    let selector = Selector::of(this)?;
    selector.loop_fiber.set(NIL);
    if selector.native.survives_fork() {
        selector.native.close_ring();
    }
    Ok(NIL)
}

/// Also in a forked child: the ring is the parent's.
fn is_closed(this: VALUE) -> Outcome {
    let selector = Selector::of(this)?;
    Ok(value::boolean(selector.loop_fiber.get() == NIL || !selector.native.survives_fork()))
}

/// Defines the class's methods.
pub(crate) fn init(class: VALUE) {
    typed::define_allocator::<Selector>(class);
    define(class, c"initialize", method!(initialize, 1));
    define(class, c"loop", method!(loop_reader, 0));
    define(class, c"idle_duration", method!(idle_duration, 0));
    define(class, c"transfer", method!(transfer, 0));
    define(class, c"yield", method!(yield_turn, 0));
    define(class, c"resume", method!(resume, -1));
    define(class, c"raise", method!(raise, -1));
    define(class, c"push", method!(push, 1));
    define(class, c"ready?", method!(is_ready, 0));
    define(class, c"wakeup", method!(wakeup, 0));
    define(class, c"select", method!(select, -1));
    define(class, c"close", method!(close, 0));
    define(class, c"closed?", method!(is_closed, 0));
    io::init(class);
}
