//! Making machines: `UM.new`, and the one that each thread has of its own.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use polyphony_core::driver::Driver;
use polyphony_core::error::Cause;
use polyphony_core::ring::wake::Waker;
use polyphony_core::ring::{Ring, RingConfig};
use rb_sys::VALUE;

use super::acceptors::Acceptors;
use super::runqueue::Queues;
use super::{Machine, State, Waiter, registry, starter};
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{Args, define, define_singleton, method};
use crate::ruby::{NIL, TRUE, fiber, thread, typed, value};
use crate::um_io::Orphans;

/// Machines of up to this size refuse an op when their submission queue is full, as programs that
/// ask for so small a queue expect; larger ones submit it first.
const SMALL: u32 = 64;
/// Default size of the submission queue, in SQEs.
const DEFAULT_ENTRIES: u32 = 4096;

/// Where a thread keeps its machine.
const OF_THREAD: &std::ffi::CStr = c"@__um_machine";

static CLASS: AtomicU64 = AtomicU64::new(0);

impl Machine {
    fn new(config: &RingConfig, size: u32) -> Outcome<Self> {
        let mut driver = open_driver(config)?;
        driver.set_now(crate::clock::coarse());
        let wake_fd = driver.waker().map_or(-1, Waker::as_raw_fd);
        let state = State {
            driver,
            queues: Queues::default(),
            fibers: HashSet::new(),
            yielding: HashMap::new(),
            starters: starter::Starters::default(),
            acceptors: Acceptors::default(),
            total_switches: 0,
            total_waits: 0,
            records: 0,
            sighting: None,
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
            void_starts: Cell::new(0),
            object: Cell::new(NIL),
            idle_watcher: Cell::new(NIL),
            handling: Cell::new(None),
            test_mode: Cell::new(false),
            wake_fd,
            bell: Cell::new(NIL),
            host: Cell::new(NIL),
        })
    }

    /// A machine as a Ruby object.
    pub(crate) fn create() -> Outcome {
        let config = RingConfig { entries: DEFAULT_ENTRIES, ..RingConfig::default() };
        Self::with_config(&config, DEFAULT_ENTRIES)
    }

    pub(super) fn with_config(config: &RingConfig, size: u32) -> Outcome {
        let machine = Self::new(config, size)?;
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
        if let Some(existing) = Self::existing_of_thread()? {
            return Ok(existing);
        }
        let object = Self::create()?;
        thread::set_local(value::intern(OF_THREAD), object)?;
        Ok(object)
    }

    /// The running thread's own machine, if it has been asked for in this process.
    pub(crate) fn existing_of_thread() -> Outcome<Option<VALUE>> {
        let existing = thread::local(value::intern(OF_THREAD));
        let is_here = existing != NIL && Self::any(existing)?.survives_fork();
        Ok(is_here.then_some(existing))
    }
}

/// Opens a ring. Rings of machines that are garbage already are closed when the GC finds them:
/// where descriptors or lockable memory have run out, it is run first.
fn open_driver(config: &RingConfig) -> Outcome<Driver<Waiter>> {
    let config = &RingConfig { single_issuer: thread::stay_on_native_thread()?, ..config.clone() };
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
fn sqpoll_idle(option: VALUE) -> Outcome<Option<Duration>> {
    if !value::truthy(option) {
        return Ok(None);
    }
    let seconds = if option == TRUE { 1.0 } else { value::seconds(option)?.unwrap_or(0.0) };
    if seconds == 0.0 {
        return Ok(None);
    }
    // The kernel counts milliseconds, and takes none for its own default.
    Duration::try_from_secs_f64(seconds)
        .map(|idle| Some(idle.max(Duration::from_millis(1))))
        .map_err(|_| Raise::argument_error("sqpoll must be true or a number of seconds"))
}

fn thread_machine(this: VALUE) -> Outcome {
    if this == thread::current() {
        return Machine::of_thread();
    }
    Ok(value::ivar(this, value::intern(OF_THREAD)))
}

fn supported(_class: VALUE) -> Outcome {
    let config = RingConfig { entries: 2, ..RingConfig::default() };
    Ok(value::boolean(Ring::new(&config).is_ok()))
}

fn capabilities(_class: VALUE) -> Outcome {
    let config = RingConfig { entries: 2, ..RingConfig::default() };
    let hash = value::hash();
    let ring = Ring::new(&config);
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

pub(super) fn init(class: VALUE, thread_class: VALUE) {
    CLASS.store(class, Ordering::Relaxed);
    typed::define_allocator::<Machine>(class);
    define(class, c"initialize", method!(initialize, -1));
    define_singleton(class, c"supported?", method!(supported, 0));
    define_singleton(class, c"capabilities", method!(capabilities, 0));
    define(thread_class, c"machine", method!(thread_machine, 0));
}
