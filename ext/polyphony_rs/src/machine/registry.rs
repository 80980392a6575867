//! What the kernel may still write to outlives the machine that lent it.
//!
//! A machine that nobody refers to any more may have ops in flight (its fibers are garbage as
//! well), and the GC would free the Strings that the kernel fills together with it. So a
//! registry, itself marked at every GC, marks what the ops of every machine have borrowed. When
//! the machine is freed, its ops are cancelled and reaped where that is possible, and what they
//! had borrowed is given back as soon as Ruby may be called; what the kernel still holds then
//! stays for ever. It costs nothing per op.
//!
//! When the process ends, Ruby frees objects in any order, whatever marks what. Before that, all
//! machines let go. A forked child has its copies of the parent's machines given up at once.

use std::os::raw::{c_int, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rb_sys::VALUE;

use super::{Machine, State};
use crate::ruby::buffer::Loan;
use crate::ruby::later::{self, Job};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::{NIL, thread};

#[derive(Default)]
struct Machines {
    /// Addresses of all machines that were not freed.
    alive: Vec<usize>,
    /// To be given back at the next safe point.
    retired: Vec<Loan>,
    /// Values that the kernel may write to for ever.
    leaked: Vec<VALUE>,
}

static MACHINES: Mutex<Machines> =
    Mutex::new(Machines { alive: Vec::new(), retired: Vec::new(), leaked: Vec::new() });

/// Gives back what can be given back.
static SETTLE: Job = Job::new();

struct Registry;

static TYPE: DataType<Registry> = DataType::new();

impl Typed for Registry {
    const NAME: &'static std::ffi::CStr = c"UringMachine::Registry";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        let machines = machines();
        for address in &machines.alive {
            at(*address).borrowed().into_iter().for_each(typed::mark);
        }
        machines.retired.iter().for_each(|loan| typed::mark(loan.value));
        machines.leaked.iter().copied().for_each(typed::mark);
    }
}

impl Machine {
    /// Values that the kernel may read or write for an op in flight, or that are to be given back.
    fn borrowed(&self) -> Vec<VALUE> {
        let State { driver, queues, .. } = &*self.state.borrow();
        let in_flight = driver.ops().iter().map(|waiter| &waiter.loan);
        in_flight.chain(&queues.retired).map(|loan| loan.value).collect()
    }
}

fn machines() -> MutexGuard<'static, Machines> {
    // Held for a few instructions that allocate nothing in Ruby.
    MACHINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A machine by its address in `alive`.
fn at(address: usize) -> &'static Machine {
    // SAFETY: a machine takes its address out before it is freed, and nobody keeps the reference
    // across a call into Ruby.
    unsafe { &*(address as *const Machine) }
}

pub(super) fn add(machine: &Machine) {
    machines().alive.push(std::ptr::from_ref(machine) as usize);
}

/// The machine is being freed.
pub(super) fn remove(machine: &Machine) {
    let address = std::ptr::from_ref(machine) as usize;
    let_go(machine);
    let mut machines = machines();
    machines.alive.retain(|other| *other != address);
    if !machines.retired.is_empty() {
        SETTLE.trigger();
    }
}

/// Ends a machine's ops. Whether the kernel uses nothing of theirs any more: then it is to be
/// given back, or else kept for ever. Calls nothing of Ruby.
fn let_go(machine: &Machine) -> bool {
    let State { driver, queues, .. } = &mut *machine.state.borrow_mut();
    let is_free = driver.let_go(queues);
    let mut machines = machines();
    machines.retired.append(&mut queues.retired);
    if !is_free {
        let values = driver.ops().iter().map(|waiter| waiter.loan.value);
        machines.leaked.extend(values.filter(|value| *value != NIL));
    }
    is_free
}

/// The job.
unsafe extern "C" fn settle_later(_: *mut c_void) {
    settle();
}

/// Gives up what a fork has copied, and gives back what nobody uses any more.
fn settle() {
    for address in addresses() {
        if !at(address).survives_fork() {
            let_go(at(address));
        }
    }
    while let Some(loan) = pop_retired() {
        loan.release();
    }
}

fn addresses() -> Vec<usize> {
    machines().alive.clone()
}

/// The machines of this process, for a caller who calls nothing of Ruby that could free them.
pub(super) fn machines_here() -> impl Iterator<Item = &'static Machine> {
    addresses().into_iter().map(at).filter(|machine| machine.survives_fork())
}

fn pop_retired() -> Option<Loan> {
    machines().retired.pop()
}

/// The process ends: all machines let go while what they have borrowed is still there. What was
/// written without waiting for it is written.
unsafe extern "C" fn end(_: VALUE, _: VALUE, _: c_int, _: *const VALUE, _: VALUE) -> VALUE {
    for address in addresses() {
        let State { driver, queues, .. } = &mut *at(address).state.borrow_mut();
        driver.finish_detached(queues);
    }
    let busy = addresses().into_iter().filter(|address| !let_go(at(*address))).count();
    if busy > 0 {
        // The kernel may go on with ops of other threads' machines.
        typed::keep_all_structs();
    }
    NIL
}

/// The process was just forked. To unlock is to change a few words in objects, which needs nothing
/// that is not ready yet in a child; a thread that Ruby doesn't know leaves even that to Ruby.
extern "C" fn in_child() {
    if thread::has_gvl() {
        addresses().into_iter().for_each(|address| at(address).stay_behind());
        settle();
    } else {
        SETTLE.trigger();
    }
}

pub(super) fn init() {
    SETTLE.register(settle_later);
    polyphony_core::fork::in_child_call(in_child);
    // SAFETY: the class is a constant of the VM.
    let class = unsafe { rb_sys::rb_cObject };
    let registry = typed::wrap(class, Registry);
    typed::keep(registry);
    later::at_end(registry, end);
}
