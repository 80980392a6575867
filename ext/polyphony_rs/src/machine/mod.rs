//! `UM`: a ring, its runqueue and the fibers that wait on it, one per thread.
//!
//! Invariants:
//!
//! * All state is in [`State`] behind a `RefCell`. No borrow is alive across a call into Ruby,
//!   so marking (which borrows) can happen at any such call.
//! * The GVL guards it: other threads schedule fibers by pushing onto the runqueue while they
//!   hold it, and write the eventfd if the owner is waiting without it.
//! * Only the owner's thread, in the process that made the machine, touches the ring.

mod async_op;
mod conclude;
mod detached;
mod each;
mod fibers;
mod files;
mod hosts;
mod incoming;
mod inotify;
mod join;
mod known;
pub(crate) mod line;
mod metrics;
mod modes;
mod mutex;
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
mod spun;
pub(crate) mod ssl;
mod starter;
mod stat;
mod system;
mod tcp;
mod time;
mod transfer;
pub(crate) mod vectored;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use polyphony_core::driver::Driver;
use polyphony_core::error::Cause;
use polyphony_core::op::{Op, OpKey, Progress, Remains};
use polyphony_core::ring::RingConfig;
use polyphony_core::ring::wake::Waker;
use rb_sys::VALUE;

use crate::errors::{Outcome, Raise};
use crate::ruby::buffer::{Loan, Source};
use crate::ruby::method::{Args, define, define_singleton, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::{NIL, fiber, thread, value};
use crate::um_io::Orphans;

pub(crate) use conclude::{Interruption, OnInterrupt, Waited};
pub(crate) use each::Strays;
pub(crate) use files::{CURRENT_POSITION, length, op_len};
pub(crate) use park::Resume;
pub(crate) use poll::{EXCEPTIONAL, READABLE, Readiness, WRITABLE, event_mask, ready_now};
use runqueue::{Entry, Kind, Queues};

/// Machines of up to this size refuse an op when their submission queue is full, as programs that
/// ask for so small a queue expect; larger ones submit it first.
const SMALL: u32 = 64;
/// Default size of the submission queue, in SQEs.
const DEFAULT_ENTRIES: u32 = 4096;

static CLASS: AtomicU64 = AtomicU64::new(0);

/// What the machine knows about an op in flight.
pub(crate) struct Waiter {
    /// The fiber to wake, nil where nobody waits.
    pub(crate) fiber: VALUE,
    /// Memory that the kernel uses.
    pub(crate) loan: Loan,
    pub(crate) role: Role,
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
        Self { fiber, loan, role: Role::Wake }
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

/// Whether interrupts are being handled in a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Handling {
    No,
    Yes,
    /// And a handler has parked: entries may have been taken that were not for it.
    Parked,
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
    pub(crate) total_switches: u64,
    pub(crate) total_waits: u64,
    /// Most ops and scheduled turns there ever were at one time.
    records: usize,
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
    /// The object that this is in.
    object: Cell<VALUE>,
    /// Who gets a turn when nothing is left to do; nil where nobody waits for that.
    idle_watcher: Cell<VALUE>,
    /// Interrupts are being handled, and whether a fiber has parked meanwhile.
    handling: Cell<Handling>,
    /// Completions are taken in before every scheduled turn.
    test_mode: Cell<bool>,
    /// Cached, as the sink of other threads' wakes.
    wake_fd: RawFd,
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

    pub(crate) fn new(config: &RingConfig, size: u32) -> Outcome<Self> {
        let mut driver = open_driver(config)?;
        driver.set_now(crate::clock::coarse());
        let wake_fd = driver.waker().map_or(-1, Waker::as_raw_fd);
        let state = State {
            driver,
            queues: Queues::default(),
            fibers: HashSet::new(),
            yielding: HashMap::new(),
            starters: starter::Starters::default(),
            total_switches: 0,
            total_waits: 0,
            records: 0,
            orphans: Orphans::default(),
            profile: None,
        };
        Ok(Self {
            state: RefCell::new(state),
            size,
            thread: Cell::new(thread::current()),
            forker: Cell::new(NIL),
            root: Cell::new(fiber::current()),
            root_parked: Cell::new(false),
            waiting: Cell::new(false),
            resumed: Cell::new(None),
            assigned: Cell::new(None),
            object: Cell::new(NIL),
            idle_watcher: Cell::new(NIL),
            handling: Cell::new(Handling::No),
            test_mode: Cell::new(false),
            wake_fd,
        })
    }

    /// A machine as a Ruby object.
    pub(crate) fn create() -> Outcome {
        let config = RingConfig { entries: DEFAULT_ENTRIES, ..RingConfig::default() };
        let machine = Self::new(&config, DEFAULT_ENTRIES)?;
        let object = typed::wrap(CLASS.load(Ordering::Relaxed), machine);
        Self::register(object)
    }

    /// A machine has got its object.
    fn register(object: VALUE) -> Outcome {
        let machine = Self::any(object)?;
        machine.object.set(object);
        registry::add(machine);
        Ok(object)
    }

    /// The running thread's own machine, made when first asked for (and anew after a fork).
    pub(crate) fn of_thread() -> Outcome {
        let name = value::intern(c"@__um_machine");
        let existing = thread::local(name);
        if existing != NIL && Self::any(existing)?.survives_fork() {
            return Ok(existing);
        }
        let object = Self::create()?;
        thread::set_local(name, object)?;
        Ok(object)
    }

    /// The machine that spun a fiber, while it runs.
    pub(crate) fn of_fiber(fiber: VALUE) -> Option<VALUE> {
        let spun = spun::Spun::of(fiber).filter(|spun| !spun.is_done())?;
        Some(spun.machine()).filter(|machine| *machine != NIL)
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
    fn schedule_start(&self, fiber: VALUE, value: VALUE) {
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

    /// Queues the one op of a call, for the running fiber. A small machine refuses it when full.
    ///
    /// # Safety
    /// What the op points to is kept by `loan` (or needs no keeping).
    pub(crate) unsafe fn submit<O: Op>(&self, op: O, loan: Loan) -> Outcome<OpKey> {
        let waiter = Waiter::new(fiber::current(), loan);
        // SAFETY: the loan's value is marked by the op table and stays in place until the op's
        // last CQE, when it is released.
        let submitted = unsafe { self.state.borrow_mut().driver.submit(op, waiter) };
        submitted.map_err(|error| {
            loan.release();
            Raise::from(error)
        })
    }

    /// As [`Machine::submit`], for a call that may take several ops, at once or one after the
    /// other, and for Ruby's own calls: they are not broken off because the queue is full.
    ///
    /// # Safety
    /// As [`Machine::submit`].
    pub(crate) unsafe fn submit_anyway<O: Op>(&self, op: O, loan: Loan) -> Outcome<OpKey> {
        let waiter = Waiter::new(fiber::current(), loan);
        // SAFETY: as in `submit`.
        let submitted = unsafe { self.state.borrow_mut().driver.submit_anyway(op, waiter) };
        submitted.map_err(|error| {
            loan.release();
            Raise::from(error)
        })
    }

    /// Queues an op that nobody waits for; its errors are lost.
    ///
    /// # Safety
    /// As [`Machine::submit`].
    pub(crate) unsafe fn submit_detached<O: Op>(&self, op: O, loan: Loan) -> Outcome<()> {
        let waiter = Waiter::new(NIL, loan);
        // SAFETY: as in `submit`.
        let submitted = unsafe { self.state.borrow_mut().driver.submit_detached(op, waiter) };
        submitted.map_err(|error| {
            loan.release();
            Raise::from(error)
        })
    }

    /// Gives up interest in an op that was just queued, without stopping it; its errors are lost.
    pub(crate) fn detach(&self, key: OpKey) {
        let state = &mut *self.state.borrow_mut();
        if let Some(waiter) = state.driver.ops_mut().data_mut(key) {
            waiter.fiber = NIL;
        }
        state.driver.detach(key);
    }

    /// Queues an op of the running fiber that sends bytes.
    pub(crate) fn submit_source<O: Op>(
        &self,
        source: Source,
        op: impl FnOnce(*const u8, u32) -> O,
    ) -> Outcome<OpKey> {
        match source {
            Source::Lent { ptr, len, loan } => {
                let len = u32::try_from(len).unwrap_or(i32::MAX as u32);
                // SAFETY: the loan keeps what `ptr` points to.
                unsafe { self.submit(op(ptr, len), loan) }
            }
            Source::Owned(bytes) => {
                let waiter = Waiter::new(fiber::current(), Loan::NONE);
                let mut state = self.state.borrow_mut();
                state.driver.submit_owned(bytes, waiter, op).map_err(Raise::from)
            }
        }
    }

    /// Starts a wait that the kernel knows nothing of.
    pub(crate) fn start_local(
        &self,
        name: &'static str,
        deadline: Option<u64>,
        role: Role,
    ) -> OpKey {
        let waiter = Waiter { fiber: fiber::current(), loan: Loan::NONE, role };
        self.state.borrow_mut().driver.start_local(name, deadline, waiter)
    }

    /// Gives a local op another meaning.
    fn set_role(&self, key: OpKey, role: Role) {
        if let Some(waiter) = self.state.borrow_mut().driver.ops_mut().data_mut(key) {
            waiter.role = role;
        }
    }

    /// Ends a local wait, from whichever thread.
    pub(crate) fn complete_local(&self, key: OpKey, result: i32) {
        {
            let State { driver, queues, .. } = &mut *self.state.borrow_mut();
            driver.complete_local(key, result, queues);
        }
        self.wake_if_waiting();
    }

    /// A fiber that the op waits for has ended, on whichever thread.
    fn count_down(&self, key: OpKey) {
        if let Some(waiter) = self.state.borrow_mut().driver.ops_mut().data_mut(key) {
            if let Role::Join(count @ 2..) = waiter.role {
                waiter.role = Role::Join(count - 1);
                return;
            }
        }
        self.complete_local(key, 0);
    }

    /// The next result of an op; what it had borrowed is given back with its last one.
    pub(crate) fn take(&self, key: OpKey) -> Progress {
        self.take_with_remains(key).0
    }

    /// As [`Machine::take`]; with the last result comes what is left of the op.
    fn take_with_remains(&self, key: OpKey) -> (Progress, Option<Remains<Waiter>>) {
        let mut left = None;
        let progress = self.state.borrow_mut().driver.take(key, |remains| left = Some(remains));
        if let Some(remains) = &left {
            remains.data.loan.release();
        }
        (progress, left)
    }

    /// Gives up interest in an op.
    pub(crate) fn abandon(&self, key: OpKey) {
        let State { driver, queues, .. } = &mut *self.state.borrow_mut();
        driver.abandon(key, queues);
    }

    /// Asks for an op to be stopped; its last completion is still to be awaited.
    pub(crate) fn cancel(&self, key: OpKey) {
        let State { driver, queues, .. } = &mut *self.state.borrow_mut();
        driver.cancel(key, queues);
    }

    pub(crate) fn state(&self) -> &RefCell<State> {
        &self.state
    }

    /// Whether there is a thread that runs the machine's fibers, in this process.
    fn has_thread(&self) -> bool {
        self.survives_fork() && self.thread.get() != NIL
    }

    /// Whether it belongs to the running thread.
    fn is_of_thread(&self) -> bool {
        self.thread.get() == thread::current()
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

/// Opens a ring. Rings of machines that are garbage already are closed when the GC finds them:
/// where descriptors or lockable memory have run out, it is run first.
fn open_driver(config: &RingConfig) -> Outcome<Driver<Waiter>> {
    match Driver::new(config) {
        Err(error) if matches!(error.cause, Cause::Descriptors | Cause::Memlock(_)) => {
            // SAFETY: needs the GVL only.
            unsafe { rb_sys::rb_gc() };
            Ok(Driver::new(config)?)
        }
        opened => Ok(opened?),
    }
}

fn initialize(this: VALUE, args: Args) -> Outcome {
    let (positional, keywords) = args.keywords();
    positional.expect(0, 0)?;
    if let Some(keywords) = keywords {
        value::check_keywords(keywords, &[c"size", c"sqpoll", c"sidecar"])?;
    }
    let option = |name| keywords.map_or(NIL, |keywords| value::lookup(keywords, name));
    let size = match option(c"size") {
        NIL => DEFAULT_ENTRIES,
        given => match value::int32(given, "size")? {
            size @ 1.. => size as u32,
            size => return Err(Raise::argument_error(format!("size must be positive: {size}"))),
        },
    };
    let config = RingConfig {
        entries: size,
        sqpoll_idle: sqpoll_idle(option(c"sqpoll"))?,
        refuse_when_full: size <= SMALL,
        ..RingConfig::default()
    };
    typed::put(this, Machine::new(&config, size)?);
    Machine::register(this)?;
    if value::truthy(option(c"sidecar")) {
        Machine::of(this)?.state().borrow_mut().driver.start_sidecar()?;
    }
    Ok(this)
}

/// `sqpoll:`: true means a second; a number is the seconds that the kernel's thread stays awake.
fn sqpoll_idle(option: VALUE) -> Outcome<Option<std::time::Duration>> {
    if !value::truthy(option) {
        return Ok(None);
    }
    let seconds =
        if option == crate::ruby::TRUE { 1.0 } else { value::seconds(option)?.unwrap_or(0.0) };
    if seconds == 0.0 {
        return Ok(None);
    }
    // The kernel counts milliseconds, and takes none for its own default.
    std::time::Duration::try_from_secs_f64(seconds)
        .map(|idle| Some(idle.max(std::time::Duration::from_millis(1))))
        .map_err(|_| Raise::argument_error("sqpoll must be true or a number of seconds"))
}

fn thread_machine(this: VALUE) -> Outcome {
    if this == thread::current() {
        return Machine::of_thread();
    }
    Ok(value::ivar(this, value::intern(c"@__um_machine")))
}

fn supported(_class: VALUE) -> Outcome {
    let config = RingConfig { entries: 2, ..RingConfig::default() };
    Ok(value::boolean(polyphony_core::ring::Ring::new(&config).is_ok()))
}

fn capabilities(_class: VALUE) -> Outcome {
    let config = RingConfig { entries: 2, ..RingConfig::default() };
    let hash = value::hash();
    let ring = polyphony_core::ring::Ring::new(&config);
    value::store(hash, value::symbol(c"io_uring"), value::boolean(ring.is_ok()));
    match ring {
        Ok(ring) => {
            for (name, there) in ring.capabilities().entries() {
                let name = value::call(value::utf8(name), c"to_sym", &[])?;
                value::store(hash, name, value::boolean(there));
            }
        }
        Err(error) => {
            value::store(hash, value::symbol(c"reason"), value::utf8(&error.to_string()));
        }
    }
    Ok(hash)
}

/// Defines the class's methods.
pub(crate) fn init(class: VALUE, thread_class: VALUE) {
    typed::keep(class);
    CLASS.store(class, Ordering::Relaxed);
    registry::init();
    typed::define_allocator::<Machine>(class);
    define(class, c"initialize", method!(initialize, -1));
    define_singleton(class, c"supported?", method!(supported, 0));
    define_singleton(class, c"capabilities", method!(capabilities, 0));
    define(thread_class, c"machine", method!(thread_machine, 0));
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
    ssl::init(class);
    stat::init(class);
    system::init(class);
    tcp::init(class);
    time::init(class);
    transfer::init(class);
    vectored::init(class);
}
