//! What is known about a spun fiber: its body, its end, and who waits for that.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

use polyphony_core::op::OpKey;
use rb_sys::VALUE;

use super::Machine;
use super::node::{Mark, Node};
use super::queue::Queue;
use crate::errors::{Outcome, Raise};
use crate::polyphony::tree;
use crate::ruby::method::guard;
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::value::{self, Name, is_exception, kind_of};
use crate::ruby::{NIL, fiber};

static CLASS: AtomicU64 = AtomicU64::new(0);
/// The Proc that every spun fiber runs.
static BODY: AtomicU64 = AtomicU64::new(0);

/// What happens to an exception that ends the fiber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uncaught {
    /// It is the fiber's result, no more.
    Keep,
    /// It is also handed to the scheduler object (`VALUE`), which reports it.
    Report(VALUE),
}

/// Somebody waiting for the end of a fiber.
struct Listener {
    machine: VALUE,
    key: OpKey,
    /// An end by an exception is all that it waits for.
    hasty: bool,
}

/// The record of a spun fiber, kept by the fiber itself.
pub(crate) struct Spun {
    /// The fiber that keeps it.
    fiber: Cell<VALUE>,
    /// The machine that runs it; nil as long as none does.
    machine: Cell<VALUE>,
    body: Cell<VALUE>,
    uncaught: Uncaught,
    result: Cell<VALUE>,
    started: Cell<bool>,
    done: Cell<bool>,
    listeners: RefCell<Vec<Listener>>,
    /// An Array of the `UM::Queue`s that get the fiber at its end; nil where there is none.
    queues: Cell<VALUE>,
    node: Node,
}

static TYPE: DataType<Spun> = DataType::new();

impl Typed for Spun {
    const NAME: &'static std::ffi::CStr = c"UringMachine::Spun";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        typed::mark(self.fiber.get());
        typed::mark(self.machine.get());
        typed::mark(self.body.get());
        typed::mark(self.result.get());
        if let Uncaught::Report(scheduler) = self.uncaught {
            typed::mark(scheduler);
        }
        typed::mark(self.queues.get());
        for listener in self.listeners.borrow().iter() {
            typed::mark(listener.machine);
        }
        self.node.mark();
    }
}

/// No instance variable that Ruby could name: a running fiber relies on its record.
static RECORD: Name = Name::new(c"__um_spun__");

impl Spun {
    /// The record of a fiber, if it was spun.
    pub(crate) fn of(fiber: VALUE) -> Option<&'static Self> {
        Self::with_record(fiber).map(|(_, spun)| spun)
    }

    /// The same with the object that it is in.
    pub(crate) fn with_record(fiber: VALUE) -> Option<(VALUE, &'static Self)> {
        let record = value::ivar(fiber, RECORD.id());
        if record == NIL { None } else { typed::get::<Self>(record).map(|spun| (record, spun)) }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn fiber(&self) -> VALUE {
        self.fiber.get()
    }

    /// What the fiber runs; nil once it has ended, where nobody could start it again.
    pub(crate) fn body(&self) -> VALUE {
        self.body.get()
    }

    /// The fiber's result once it has ended.
    pub(crate) fn outcome(&self) -> Option<VALUE> {
        self.done.get().then(|| self.result.get())
    }

    /// What kept the fiber from starting, if something did.
    pub(super) fn start_error(&self) -> Option<VALUE> {
        self.outcome().filter(|result| !self.started.get() && is_exception(*result))
    }

    pub(crate) fn result(&self) -> VALUE {
        self.result.get()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done.get()
    }

    pub(crate) fn machine(&self) -> VALUE {
        self.machine.get()
    }

    /// A machine of its own for a fiber that none has spun, or whose machine is gone.
    pub(crate) fn set_machine(&self, machine: VALUE) {
        self.machine.set(machine);
    }

    /// Counts the local op `key` of `machine` down when the fiber ends.
    pub(crate) fn listen(&self, machine: VALUE, key: OpKey) {
        self.listeners.borrow_mut().push(Listener { machine, key, hasty: false });
    }

    /// The same; where the fiber fails, the op is over at once.
    pub(crate) fn listen_for_failure(&self, machine: VALUE, key: OpKey) {
        self.listeners.borrow_mut().push(Listener { machine, key, hasty: true });
    }

    /// Takes [`Spun::listen`] back: a waiter that leaves early leaves nothing behind.
    pub(crate) fn forget(&self, machine: VALUE, key: OpKey) {
        let gone = |other: &Listener| other.key == key && other.machine == machine;
        self.listeners.borrow_mut().retain(|listener| !gone(listener));
    }

    fn finish(&self, fiber: VALUE, result: VALUE) {
        if !self.node.is_known() {
            self.body.set(NIL);
        }
        self.result.set(result);
        self.mark_as_done(fiber);
    }

    /// Ends a fiber that has not begun. Its turn on the runqueue is void.
    pub(crate) fn end_unstarted(&self, result: VALUE) -> Outcome<()> {
        let machine = Machine::any(self.machine())?;
        machine.state().borrow_mut().fibers.remove(&self.fiber());
        machine.void_starts.set(machine.void_starts.get() + 1);
        self.finish(self.fiber(), result);
        tree::leave(self);
        Ok(())
    }

    fn fail(&self, fiber: VALUE, exception: VALUE) {
        self.node.set(Mark::Failed);
        self.finish(fiber, exception);
    }

    /// Whoever waits for the end goes on.
    fn mark_as_done(&self, fiber: VALUE) {
        self.done.set(true);
        for listener in self.listeners.take() {
            if let Ok(machine) = Machine::any(listener.machine) {
                if listener.hasty && self.node.has(Mark::Failed) {
                    machine.complete_local(listener.key, 0);
                } else {
                    machine.count_down(listener.key);
                }
            }
        }
        let queues = self.queues.replace(NIL);
        if queues == NIL {
            return;
        }
        for index in 0..value::array_len(queues) {
            if let Ok(queue) = Queue::of(value::at(queues, index)) {
                queue.push(fiber);
            }
        }
        // It keeps the queues, and nothing else needs it any more.
        std::hint::black_box(queues);
    }
}

fn new_record(machine: VALUE, body: VALUE, uncaught: Uncaught) -> VALUE {
    let spun = Spun {
        fiber: Cell::new(NIL),
        machine: Cell::new(machine),
        body: Cell::new(body),
        uncaught,
        result: Cell::new(NIL),
        started: Cell::new(false),
        done: Cell::new(false),
        listeners: RefCell::default(),
        queues: Cell::new(NIL),
        node: Node::new(),
    };
    typed::wrap(CLASS.load(Ordering::Relaxed), spun)
}

/// Gives a fiber that was not spun a record, for `machine.run`.
pub(super) fn adopt(machine: VALUE, fiber: VALUE) -> Outcome<&'static Spun> {
    let spun = record(fiber)?;
    if spun.machine() == NIL {
        Machine::of(machine)?.state().borrow_mut().fibers.insert(fiber);
        spun.machine.set(machine);
    }
    Ok(spun)
}

/// The record of any fiber; one that was not spun says itself when it is done.
fn record(fiber: VALUE) -> Outcome<&'static Spun> {
    existing_or_new(fiber).map(|(_, spun)| spun)
}

/// The same with the object that it is in.
pub(crate) fn existing_or_new(fiber: VALUE) -> Outcome<(VALUE, &'static Spun)> {
    match Spun::with_record(fiber) {
        Some(existing) => Ok(existing),
        None => keep(fiber, new_record(NIL, NIL, Uncaught::Keep)),
    }
}

/// Gives a fiber its record.
fn keep(fiber: VALUE, record: VALUE) -> Outcome<(VALUE, &'static Spun)> {
    value::set_ivar(fiber, RECORD.id(), record)?;
    let spun = typed::get::<Spun>(record).ok_or_else(|| Raise::um_error("no record"))?;
    spun.fiber.set(fiber);
    Ok((record, spun))
}

/// Makes a fiber that will run `body`, with its record. It is in the machine's set of fibers
/// until it ends.
pub(crate) fn create(
    machine_object: VALUE,
    body: VALUE,
    class: VALUE,
    uncaught: Uncaught,
) -> Outcome<(VALUE, &'static Spun)> {
    let machine = Machine::of(machine_object)?;
    let kept = prepare(machine_object, body, class, uncaught)?;
    machine.state().borrow_mut().fibers.insert(kept.1.fiber());
    Ok(kept)
}

/// The same, to be started later. Until then it is in no set.
pub(super) fn prepare(
    machine_object: VALUE,
    body: VALUE,
    class: VALUE,
    uncaught: Uncaught,
) -> Outcome<(VALUE, &'static Spun)> {
    let record = new_record(machine_object, body, uncaught);
    let fiber = fiber::new_of(class, BODY.load(Ordering::Relaxed))?;
    keep(fiber, record)
}

/// The body of every spun fiber.
unsafe extern "C" fn start(
    argument: VALUE,
    _data: VALUE,
    _argc: std::os::raw::c_int,
    _argv: *const VALUE,
    _block: VALUE,
) -> VALUE {
    guard(|| {
        let me = fiber::current();
        let Some(spun) = Spun::of(me) else { return Ok(NIL) };
        spun.started.set(true);
        let body = spun.body.get();
        run(me, spun, || tree::live(spun, body, argument))
    })
}

/// Runs a spun fiber's body in the running fiber, and records how it ended.
pub(super) fn run(of: VALUE, spun: &Spun, body: impl FnOnce() -> Outcome) -> Outcome {
    let machine = Machine::any(spun.machine())?;
    // Started by a switch: nobody else may take this turn for theirs.
    let _ = machine.take_turn(of);
    let ended = body();
    if !machine.survives_fork() {
        // The body has forked, and this is the child: its only fiber has ended, and so it does.
        crate::ruby::thread::end_process(ended);
    }
    machine.state().borrow_mut().fibers.remove(&of);
    let raise = match ended {
        Ok(result) => {
            spun.finish(of, result);
            tree::leave(spun);
            return Ok(NIL);
        }
        Err(Raise::Jump(state)) => {
            // The thread is dying, or the fiber was killed: on it goes.
            spun.finish(of, NIL);
            tree::leave(spun);
            return Err(Raise::Jump(state));
        }
        Err(raise) => raise,
    };
    let exception = raise.into_exception().unwrap_or(NIL);
    let ends_all = ends_program(exception);
    if ends_all && !fiber::alive(machine.root()) {
        // Ruby hands it on to the thread's root fiber.
        spun.fail(of, exception);
        tree::leave(spun);
        return Err(Raise::Exception(exception));
    }
    if ends_all {
        // Before everybody else, also those who wait for the fiber: one of them may be the root.
        machine.schedule_first(machine.root(), exception);
        spun.node.set(Mark::Told);
    } else if let Uncaught::Report(scheduler) = spun.uncaught {
        if !crate::errors::is_terminate(exception) {
            crate::scheduler::report(scheduler, of, exception);
        }
    }
    spun.fail(of, exception);
    tree::leave(spun);
    Ok(NIL)
}

impl Machine {
    /// A switch to a fiber that had not run yet was not possible: there is no memory, or no mapping
    /// left, for its stack. The error is how it ends.
    pub(super) fn fail_to_start(&self, fiber: VALUE, error: VALUE) {
        let spun = Spun::of(fiber).filter(|spun| !spun.started.get() && !spun.is_done());
        if let Some(spun) = spun.filter(|_| fiber::alive(fiber)) {
            self.state().borrow_mut().fibers.remove(&fiber);
            spun.fail(fiber, error);
            tree::leave(spun);
        }
    }
}

/// `exit`, ctrl-C and other signals end the program from whichever fiber they come up in.
fn ends_program(exception: VALUE) -> bool {
    // SAFETY: the classes are constants of the VM. Interrupt is a SignalException.
    let classes = unsafe { [rb_sys::rb_eSystemExit, rb_sys::rb_eSignal] };
    is_exception(exception) && classes.iter().any(|class| kind_of(exception, *class))
}

/// `Fiber#result`, nil before the end.
fn result(this: VALUE) -> Outcome {
    Ok(Spun::of(this).map_or(NIL, |spun| spun.result.get()))
}

/// `Fiber#done?`: true, or nil before the end.
fn done(this: VALUE) -> Outcome {
    Ok(match Spun::of(this) {
        Some(spun) if spun.is_done() => crate::ruby::TRUE,
        _ => NIL,
    })
}

/// `Fiber#mark_as_done`: for a fiber that was not spun, before it switches away for good.
fn mark_as_done(this: VALUE) -> Outcome {
    record(this)?.mark_as_done(this);
    Ok(this)
}

/// `Fiber#set_result(value)`
fn set_result(this: VALUE, result: VALUE) -> Outcome {
    record(this)?.result.set(result);
    Ok(this)
}

/// `Fiber#add_done_listener(queue)`: the queue gets the fiber at its end, or now.
fn add_done_listener(this: VALUE, queue: VALUE) -> Outcome {
    let listener = Queue::of(queue)?;
    let spun = record(this)?;
    if spun.is_done() {
        listener.push(this);
        return Ok(this);
    }
    if spun.queues.get() == NIL {
        spun.queues.set(value::array());
    }
    value::push(spun.queues.get(), queue);
    Ok(this)
}

/// `Fiber#done_listeners`: the queues that are still to get it.
fn done_listeners(this: VALUE) -> Outcome {
    match Spun::of(this) {
        Some(spun) if spun.queues.get() != NIL => Ok(value::copy_of(spun.queues.get())),
        _ => Ok(value::array()),
    }
}

pub(super) fn init() {
    use crate::ruby::method::{define, method};
    // SAFETY: during initialisation.
    unsafe {
        let class = rb_sys::rb_class_new(rb_sys::rb_cObject);
        rb_sys::rb_undef_alloc_func(class);
        rb_sys::rb_gc_register_mark_object(class);
        CLASS.store(class, Ordering::Relaxed);
    }
    let body = fiber::body(Some(start));
    typed::keep(body);
    BODY.store(body, Ordering::Relaxed);
    define(fiber::class(), c"result", method!(result, 0));
    define(fiber::class(), c"done?", method!(done, 0));
    define(fiber::class(), c"done", method!(done, 0));
    define(fiber::class(), c"mark_as_done", method!(mark_as_done, 0));
    define(fiber::class(), c"set_result", method!(set_result, 1));
    define(fiber::class(), c"add_done_listener", method!(add_done_listener, 1));
    define(fiber::class(), c"done_listeners", method!(done_listeners, 0));
}
