//! What the kernel may still write to outlives the machine that lent it.
//!
//! A machine that nobody refers to any more may have ops in flight (its fibers are garbage as
//! well), and the GC would free the Strings that the kernel fills together with it. So a
//! registry, itself marked at every GC, marks what the ops of every machine have borrowed. When
//! the machine is freed, its ops are cancelled and reaped where that is possible; what the kernel
//! still holds then stays for ever. It costs nothing per op.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rb_sys::VALUE;

use super::Machine;
use crate::ruby::typed::{self, DataType, Typed};

#[derive(Default)]
struct Machines {
    /// Addresses of all machines that were not freed.
    alive: Vec<usize>,
    /// Values that the kernel may write to for ever.
    leaked: Vec<VALUE>,
}

static MACHINES: Mutex<Machines> = Mutex::new(Machines { alive: Vec::new(), leaked: Vec::new() });

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
            // SAFETY: a machine takes its address out before it is freed.
            let machine = unsafe { &*(*address as *const Machine) };
            machine.borrowed().into_iter().for_each(typed::mark);
        }
        machines.leaked.iter().copied().for_each(typed::mark);
    }
}

impl Machine {
    /// Values that the kernel may read or write for an op in flight.
    fn borrowed(&self) -> Vec<VALUE> {
        let state = self.state.borrow();
        state.driver.ops().iter().map(|waiter| waiter.loan.value).collect()
    }
}

fn machines() -> MutexGuard<'static, Machines> {
    // Held for a few instructions that allocate nothing in Ruby.
    MACHINES.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn add(machine: &Machine) {
    machines().alive.push(std::ptr::from_ref(machine) as usize);
}

/// The machine is being freed.
pub(super) fn remove(machine: &Machine) {
    let address = std::ptr::from_ref(machine) as usize;
    // Cancels and reaps where this is the owner's thread.
    let reaped = machine.state.borrow_mut().driver.let_go();
    let borrowed = if reaped { Vec::new() } else { machine.borrowed() };
    let mut machines = machines();
    machines.alive.retain(|other| *other != address);
    machines.leaked.extend(borrowed.into_iter().filter(|value| *value != crate::ruby::NIL));
}

pub(super) fn init() {
    // SAFETY: the class is a constant of the VM.
    let class = unsafe { rb_sys::rb_cObject };
    typed::keep(typed::wrap(class, Registry));
}
