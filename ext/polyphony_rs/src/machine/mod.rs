//! `UM`: a ring, its runqueue and the fibers that wait on it, one per thread.
//!
//! Invariants:
//!
//! * All state is in [`State`] behind a `RefCell`. No borrow is alive across a call into Ruby,
//!   so marking (which borrows) can happen at any such call.
//! * The GVL guards it: other threads schedule fibers by pushing onto the runqueue while they
//!   hold it, and write the eventfd if the owner is waiting without it.
//! * Only the owner's thread, in the process that made the machine, touches the ring.

mod accept;
mod acceptors;
mod async_op;
mod closing;
mod conclude;
mod create;
mod detached;
mod each;
mod fibers;
mod files;
mod guest;
mod handling;
mod hosted;
mod hosts;
mod incoming;
mod inotify;
mod join;
mod known;
pub(crate) mod line;
mod metrics;
mod modes;
pub(crate) mod mutex;
pub(crate) mod node;
mod offload;
mod options;
mod park;
mod passing;
mod pending;
mod poll;
mod process;
mod queue;
mod registry;
mod runqueue;
mod sockets;
pub(crate) mod spun;
pub(crate) mod ssl;
mod starter;
mod stat;
mod submit;
mod system;
mod tcp;
mod time;
mod transfer;
pub(crate) mod vectored;
mod watch;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::os::fd::RawFd;

use polyphony_core::driver::Driver;
use polyphony_core::splice::Sighting;
use rb_sys::VALUE;

use crate::errors::{Outcome, Raise};
use crate::ruby::buffer::Loan;
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::{NIL, fiber, prefetch, thread};
use crate::um_io::Orphans;

pub(crate) use accept::{Accepted, Accepting};
pub(crate) use conclude::{Interruption, OnInterrupt, Waited};
pub(crate) use each::Strays;
pub(crate) use files::{CURRENT_POSITION, length, op_len};
pub(crate) use known::Known;
pub(crate) use offload::value_of;
pub(crate) use park::Resume;
pub(crate) use poll::{EXCEPTIONAL, READABLE, Readiness, WRITABLE, ready_now};
use runqueue::{Entry, Kind, Queues};
use watch::event_mask;
pub(crate) use watch::{Seen, Watch, Watched};

/// What the machine knows about an op in flight.
pub(crate) struct Waiter {
    /// The fiber to wake, nil where nobody waits.
    pub(crate) fiber: VALUE,
    /// Memory that the kernel uses.
    pub(crate) loan: Loan,
    pub(crate) role: Role,
    /// About where its stack ends while it waits.
    pub(crate) place: usize,
}

/// What the end of an op means.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    /// The fiber goes on.
    Wake,
    /// A timeout block ran out: the value (or exception) is scheduled into the fiber.
    Timeout(VALUE),
    /// The fiber goes on when so many others have ended.
    Join(usize),
    /// A timer that nobody waits for yet.
    Timer,
    /// An `AsyncOp`: whoever waits for that goes on.
    Async(VALUE),
    /// The fiber's turn in line has come.
    Line(line::Place),
}

impl Waiter {
    pub(crate) fn new(fiber: VALUE, loan: Loan) -> Self {
        Self { fiber, loan, role: Role::Wake, place: prefetch::here() }
    }

    fn mark(&self) {
        typed::mark(self.fiber);
        typed::mark(self.loan.value);
        match self.role {
            Role::Timeout(value) | Role::Async(value) => typed::mark(value),
            Role::Line(place) => typed::mark(place.object),
            Role::Wake | Role::Join(_) | Role::Timer => {}
        }
    }
}

/// Everything behind the machine's `RefCell`.
pub(crate) struct State {
    pub(crate) driver: Driver<Waiter>,
    pub(crate) queues: Queues,
    /// Spun fibers that have not ended.
    pub(crate) fibers: HashSet<VALUE>,
    /// Fibers in `yield`, and since when.
    pub(crate) yielding: HashMap<VALUE, u64>,
    starters: starter::Starters,
    /// Fibers that wait for connections.
    acceptors: acceptors::Acceptors,
    pub(crate) total_switches: u64,
    pub(crate) total_waits: u64,
    /// Most ops and scheduled turns there ever were at one time.
    records: usize,
    /// What a transfer from a file has seen of it, for the next one.
    pub(crate) sighting: Option<Sighting>,
    /// Sources of streams that nobody reads any more.
    pub(crate) orphans: Orphans,
    /// Where time goes, in profile mode.
    profile: Option<modes::Profile>,
}

/// A machine.
pub(crate) struct Machine {
    state: RefCell<State>,
    /// Size as given to `new`.
    size: u32,
    /// The thread that it belongs to; nil once that has ended.
    thread: Cell<VALUE>,
    /// The fiber that goes on in a forked child, if it is one of the thread's; else nil.
    forker: Cell<VALUE>,
    /// The fiber that interrupts are delivered to.
    root: Cell<VALUE>,
    /// The root fiber has switched away in the machine, and not by other means.
    root_parked: Cell<bool>,
    /// The owner is waiting without the GVL (or about to).
    waiting: Cell<bool>,
    /// Who was just switched to, and why. Taken by the fiber that it names.
    resumed: Cell<Option<(VALUE, Resume)>>,
    /// The fiber that a starter is to start, and with what.
    assigned: Cell<Option<(VALUE, VALUE)>>,
    /// How many fibers on the runqueue are over before they have begun.
    void_starts: Cell<usize>,
    /// The object that this is in.
    object: Cell<VALUE>,
    /// Who gets a turn when nothing is left to do; nil where nobody waits for that.
    idle_watcher: Cell<VALUE>,
    /// The interrupts that are being handled.
    handling: Cell<Option<handling::Handling>>,
    /// Completions are taken in before every scheduled turn.
    test_mode: Cell<bool>,
    /// Cached, as the sink of other threads' wakes.
    wake_fd: RawFd,
    /// The same as an IO, for a scheduler that waits in the machine's place; nil where it waits
    /// itself.
    bell: Cell<VALUE>,
    /// The fiber of a loop that is none of ours and runs the machine's fibers; nil where there is none.
    host: Cell<VALUE>,
}

static TYPE: DataType<Machine> = DataType::new();

impl Typed for Machine {
    const NAME: &'static std::ffi::CStr = c"UringMachine";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        typed::mark(self.thread.get());
        typed::mark(self.forker.get());
        typed::mark(self.root.get());
        typed::mark(self.idle_watcher.get());
        typed::mark(self.bell.get());
        typed::mark(self.host.get());
        if let Some((fiber, resume)) = self.resumed.get() {
            typed::mark(fiber);
            resume.mark();
        }
        let state = self.state.borrow();
        state.driver.ops().iter().for_each(Waiter::mark);
        state.queues.mark();
        state.fibers.iter().copied().for_each(typed::mark);
        state.yielding.keys().copied().for_each(typed::mark);
        state.starters.mark();
        if let Some((fiber, value)) = self.assigned.get() {
            typed::mark(fiber);
            typed::mark(value);
        }
    }

    fn compact(&mut self) {
        self.object.set(typed::location(self.object.get()));
    }

    fn size(&self) -> usize {
        let state = self.state.borrow();
        size_of::<Self>()
            + state.driver.ops().high_water() * size_of::<Waiter>()
            + state.fibers.capacity() * size_of::<VALUE>()
    }

    fn on_free(&mut self) {
        registry::remove(self);
    }
}

impl Machine {
    /// The machine in an object: a TypeError for anything else, `UM::Error` for one that was not
    /// initialised, that belongs to another thread, or that was made before a fork.
    pub(crate) fn of(object: VALUE) -> Outcome<&'static Self> {
        let machine = Self::any(object)?;
        machine.check_usable()?;
        Ok(machine)
    }

    /// The machine in an object, also from another thread or process.
    pub(crate) fn any(object: VALUE) -> Outcome<&'static Self> {
        typed::get::<Self>(object).ok_or_else(|| Raise::um_error("uninitialized machine"))
    }

    /// Errors for a machine of another thread, or from before a fork.
    pub(crate) fn check_usable(&self) -> Outcome<()> {
        self.check_process()?;
        // The Ruby thread: a native one serves several, one after the other.
        if !self.is_of_thread() {
            return Err(Raise::um_error("this machine belongs to another thread"));
        }
        Ok(())
    }

    /// An error for a machine that is closed, or from before a fork: a loop may come back to it in
    /// the child.
    fn check_process(&self) -> Outcome<()> {
        let driver = &self.state.borrow().driver;
        if driver.is_usable() {
            Ok(())
        } else if driver.is_of_this_process() {
            Err(Raise::um_error("this machine is closed: its scheduler has ended"))
        } else {
            Err(Raise::um_error(
                "this machine was made before a fork; the child needs a machine of its own",
            ))
        }
    }

    /// Whether the machine exists in this process.
    pub(crate) fn survives_fork(&self) -> bool {
        self.state.borrow().driver.is_of_this_process()
    }

    /// Gives the ring back to the kernel before the GC does, where nothing is in flight.
    pub(crate) fn close_ring(&self) {
        self.state.borrow_mut().driver.close();
    }

    /// The machine that runs a fiber, while it runs. None in a child that the fiber has forked.
    pub(crate) fn of_fiber(fiber: VALUE) -> Option<VALUE> {
        let spun = spun::Spun::of(fiber).filter(|spun| !spun.is_done())?;
        let runs = |machine: &VALUE| match Self::any(*machine) {
            // A root outlives its machine, where the thread's scheduler is replaced.
            Ok(machine) if spun.node().kind() == node::Kind::Root => machine.check_usable().is_ok(),
            Ok(machine) => machine.survives_fork(),
            Err(_) => false,
        };
        // One that is known before it has a machine has none.
        Some(spun.machine()).filter(|machine| *machine != NIL).filter(runs)
    }

    /// Appends an entry to the runqueue, from whichever thread.
    fn enqueue(&self, entry: Entry) {
        {
            let state = &mut *self.state.borrow_mut();
            state.queues.schedule(entry);
            state.records = state.records.max(state.taken_records());
        }
        self.wake_if_waiting();
    }

    /// Makes a fiber runnable with a value. From any thread that holds the GVL.
    pub(crate) fn schedule(&self, fiber: VALUE, value: VALUE) {
        self.enqueue(Entry { fiber, value, kind: Kind::Schedule });
    }

    /// Makes a fiber the next to run.
    pub(crate) fn schedule_first(&self, fiber: VALUE, value: VALUE) {
        let entry = Entry { fiber, value, kind: Kind::Schedule };
        self.state.borrow_mut().queues.schedule_first(entry);
    }

    /// Gives a fiber its first turn.
    pub(crate) fn schedule_start(&self, fiber: VALUE, value: VALUE) {
        self.enqueue(Entry { fiber, value, kind: Kind::Start });
    }

    /// Makes a fiber runnable if it is blocked in the scheduler's `block`. From any thread.
    pub(crate) fn unblock(&self, fiber: VALUE) {
        self.enqueue(Entry { fiber, value: NIL, kind: Kind::Unblock });
    }

    pub(crate) fn wake_if_waiting(&self) {
        if self.waiting.get() {
            polyphony_core::ring::wake::wake_fd(self.wake_fd);
        }
    }

    pub(crate) fn state(&self) -> &RefCell<State> {
        &self.state
    }

    /// Whether there is a thread that runs the machine's fibers, in this process.
    fn has_thread(&self) -> bool {
        self.survives_fork() && self.thread.get() != NIL
    }

    /// Whether it belongs to the running thread.
    pub(crate) fn is_of_thread(&self) -> bool {
        self.thread.get() == thread::current()
    }

    /// The thread that runs its fibers; nil once that has ended.
    pub(crate) fn thread(&self) -> VALUE {
        self.thread.get()
    }

    /// Its thread ends.
    fn lose_thread(&self) {
        self.thread.set(NIL);
    }

    /// The running fiber goes on in a forked child, where the machine doesn't exist. Allocates
    /// nothing: a thread that has made a machine has a fiber.
    fn stay_behind(&self) {
        self.forker.set(if self.is_of_thread() { fiber::current() } else { NIL });
    }

    /// The fiber that goes on in a forked child; nil where it is none of the machine's thread.
    fn forker(&self) -> VALUE {
        self.forker.get()
    }

    /// Counts as an op what the ring doesn't see: a plain syscall, a wait for time or for another
    /// fiber.
    pub(crate) fn count_op(&self) {
        self.state.borrow_mut().driver.count_op();
    }

    /// The fiber that interrupts, `exit` and signals are delivered to.
    pub(crate) fn root(&self) -> VALUE {
        self.root.get()
    }
}

impl State {
    /// Entries of the runqueue that are not stale.
    fn runnable(&self) -> usize {
        let stands = |entry: &&Entry| match entry.kind {
            Kind::Op(key) => self.driver.ops().data(key).is_some(),
            _ => true,
        };
        self.queues.run.iter().filter(stands).count()
    }

    /// Ops that are pending and turns that are scheduled: each has a record.
    fn taken_records(&self) -> usize {
        self.driver.pending_ops() + self.queues.scheduled()
    }
}

/// Defines the class's methods.
pub(crate) fn init(class: VALUE, thread_class: VALUE) {
    typed::keep(class);
    registry::init();
    create::init(class, thread_class);
    accept::init(class);
    closing::init(class);
    async_op::init(class);
    detached::init(class);
    fibers::init(class);
    files::init(class);
    hosts::init(class);
    inotify::init(class);
    incoming::init(class);
    join::init(class);
    line::init();
    metrics::init(class);
    modes::init(class);
    mutex::init(class);
    options::init(class);
    passing::init(class);
    pending::init(class);
    poll::init(class);
    process::init(class);
    queue::init(class);
    sockets::init(class);
    spun::init();
    starter::init();
    ssl::init(class);
    stat::init(class);
    system::init(class);
    tcp::init(class);
    time::init(class);
    transfer::init(class);
    vectored::init(class);
}
