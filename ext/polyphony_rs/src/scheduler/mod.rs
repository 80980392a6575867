//! `UM::FiberScheduler`: Ruby's hooks on a machine.
//!
//! Ruby calls them in non-blocking fibers only. A hook parks the fiber in the machine like any
//! of the machine's own methods; `unblock` and `fiber_interrupt` may come from any thread.

mod block;
mod close;
mod io;
mod operations;
mod process;
mod select;

pub(crate) use io::{Order, Request, events, pread, pwrite, read, ready_events, write};
pub(crate) use operations::init as init_workers;
pub(crate) use process::wait_for_process;

use std::cell::Cell;

use polyphony_core::resolve::Family;
use rb_sys::VALUE;

use crate::errors::{Outcome, Raise};
use crate::machine::Machine;
use crate::ruby::method::{Args, define, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::{NIL, value};

/// A scheduler.
pub(crate) struct Scheduler {
    machine: Cell<VALUE>,
    /// The struct inside `machine`, as good as that object is alive: it is marked.
    native: Cell<Option<&'static Machine>>,
    /// Nobody else knows the machine: it ends with the scheduler.
    private: Cell<bool>,
    /// The first exception that ended a fiber, raised by `close`.
    first_error: Cell<VALUE>,
}

static TYPE: DataType<Scheduler> = DataType::new();

impl Typed for Scheduler {
    const NAME: &'static std::ffi::CStr = c"UringMachine::FiberScheduler";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        typed::mark(self.machine.get());
        typed::mark(self.first_error.get());
    }
}

impl Scheduler {
    fn of(object: VALUE) -> Outcome<&'static Self> {
        typed::get(object).ok_or_else(|| Raise::um_error("uninitialized scheduler"))
    }

    /// The scheduler's machine, made by the thread that first needs it. A forked child gets a
    /// fresh one, as it must not touch the parent's ring.
    fn machine(&self) -> Outcome<&'static Machine> {
        if let Some(machine) = self.existing_machine()? {
            return Ok(machine);
        }
        self.private.set(true);
        self.adopt(Machine::create()?)
    }

    /// The scheduler has come to its end. Its ring is given back at once, not when the GC comes by:
    /// a server may have many short-lived threads. Should it be used again, it gets another one.
    fn let_go_of_machine(&self) {
        if self.private.get() {
            if let Some(machine) = self.native.take() {
                machine.close_ring();
            }
            self.machine.set(NIL);
        }
    }

    /// The machine, if there is one in this process. From any thread.
    fn existing_machine(&self) -> Outcome<Option<&'static Machine>> {
        match self.native.get() {
            Some(machine) if !machine.survives_fork() => self.adopt(Machine::create()?).map(Some),
            machine => Ok(machine),
        }
    }

    /// Whether its machine is another thread's than the running one's.
    fn is_of_other_thread(&self) -> Outcome<bool> {
        Ok(self.existing_machine()?.is_some_and(|machine| !machine.is_of_thread()))
    }

    fn adopt(&self, object: VALUE) -> Outcome<&'static Machine> {
        let machine = Machine::any(object)?;
        self.machine.set(object);
        self.native.set(Some(machine));
        Ok(machine)
    }

    /// The machine as the object that it is in.
    fn machine_object(&self) -> Outcome {
        self.machine()?;
        Ok(self.machine.get())
    }
}

/// The machine behind a scheduler object, on the scheduler's own thread.
fn machine(this: VALUE) -> Outcome<&'static Machine> {
    let machine = Scheduler::of(this)?.machine()?;
    machine.check_usable()?;
    Ok(machine)
}

/// The machine of the running thread's scheduler, where that is one of ours.
pub(crate) fn current_machine() -> Outcome<Option<VALUE>> {
    let scheduler = current()?;
    if !typed::is::<Scheduler>(scheduler) {
        return Ok(None);
    }
    Scheduler::of(scheduler)?.machine_object().map(Some)
}

/// Whether the running thread's scheduler is another than ours.
pub(crate) fn is_foreign() -> Outcome<bool> {
    let scheduler = current()?;
    Ok(scheduler != NIL && !typed::is::<Scheduler>(scheduler))
}

/// Whether Ruby asks no scheduler for the running fiber, although its thread has one of ours: it
/// is blocking, as a thread's root fiber is.
pub(crate) fn is_overlooked() -> Outcome<bool> {
    // SAFETY: needs the GVL only.
    if unsafe { rb_sys::rb_fiber_scheduler_current() } != NIL {
        return Ok(false);
    }
    Ok(typed::is::<Scheduler>(current()?))
}

/// The running thread's scheduler, nil where it has none.
fn current() -> Outcome {
    // SAFETY: under protect.
    crate::ruby::protect(|| unsafe { rb_sys::rb_fiber_scheduler_get() })
}

/// `new(machine = nil, thread_pool = nil)`
fn initialize(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(0, 2)?;
    let scheduler = Scheduler {
        machine: Cell::new(NIL),
        native: Cell::new(None),
        private: Cell::new(false),
        first_error: Cell::new(NIL),
    };
    if args.get(0) != NIL {
        Machine::of(args.get(0))?;
        scheduler.adopt(args.get(0))?;
    }
    typed::put(this, scheduler);
    Ok(this)
}

fn machine_reader(this: VALUE) -> Outcome {
    let scheduler = Scheduler::of(this)?;
    let machine = scheduler.machine_object();
    scheduler.private.set(false);
    machine
}

/// Hook of `Fiber.schedule`: the fiber runs at once up to its first wait, and nobody else does
/// before the caller goes on.
fn fiber(this: VALUE, _args: Args) -> Outcome {
    let machine = Scheduler::of(this)?.machine_object()?;
    let body = value::block()?;
    Machine::spin_now(machine, body, this)
}

/// An exception that nobody rescued ended a scheduled fiber: shown as Ruby shows a thread's, and
/// raised when the scheduler closes. The other fibers go on.
pub(crate) fn report(scheduler: VALUE, fiber: VALUE, exception: VALUE) {
    match Scheduler::of(scheduler) {
        Ok(scheduler) if scheduler.first_error.get() == NIL => {
            scheduler.first_error.set(exception);
        }
        _ => {}
    }
    // A failure to report has nobody to be reported to.
    let _ = value::call(scheduler, c"report_exception", &[fiber, exception]);
}

/// Hook of name lookups.
fn address_resolve(this: VALUE, host: VALUE) -> Outcome {
    let host = value::text(host, "host")?;
    // A scope is not the resolver's business; Ruby puts it back.
    let name = host.split('%').next().unwrap_or_default();
    let found = machine(this)?.resolve(name, Family::Any)?;
    // A stray wake leaves the name without addresses.
    Ok(value::texts(&found.continue_value().unwrap_or_default()))
}

/// Defines the class's methods.
pub(crate) fn init(class: VALUE) {
    typed::define_allocator::<Scheduler>(class);
    define(class, c"initialize", method!(initialize, -1));
    define(class, c"machine", method!(machine_reader, 0));
    define(class, c"fiber", method!(fiber, -1));
    define(class, c"address_resolve", method!(address_resolve, 1));
    block::init(class);
    close::init(class);
    io::init(class);
    process::init(class);
    select::init(class);
}
