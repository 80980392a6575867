//! Machines that the kernel still writes for must not be collected.
//!
//! A machine that nobody refers to any more may have ops in flight (its fibers are garbage as
//! well). Freeing it would free Strings that the kernel fills. So a registry, itself marked at
//! every GC, marks each machine that has ops in the kernel. It costs nothing per op.

use std::sync::{Mutex, PoisonError};

use rb_sys::VALUE;

use super::Machine;
use crate::ruby::typed::{self, DataType, Typed};

/// All machines, weakly: objects and where they are.
static MACHINES: Mutex<Vec<VALUE>> = Mutex::new(Vec::new());

struct Registry;

static TYPE: DataType<Registry> = DataType::new();

impl Typed for Registry {
    const NAME: &'static std::ffi::CStr = c"UringMachine::Registry";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        for object in machines().iter() {
            if typed::get::<Machine>(*object).is_some_and(Machine::busy) {
                typed::mark(*object);
            }
        }
    }

    fn compact(&mut self) {
        for object in machines().iter_mut() {
            *object = typed::location(*object);
        }
    }
}

impl Machine {
    /// Whether the kernel may still write for this machine.
    fn busy(&self) -> bool {
        let state = self.state.borrow();
        state.driver.is_usable() && state.driver.ops().in_kernel() > 0
    }
}

fn machines() -> std::sync::MutexGuard<'static, Vec<VALUE>> {
    // Held for a few instructions that allocate nothing in Ruby.
    MACHINES.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn add(object: VALUE) {
    machines().push(object);
}

/// The machine is being freed.
pub(super) fn remove(machine: &Machine) {
    machines().retain(|object| {
        typed::get::<Machine>(*object).is_some_and(|other| !std::ptr::eq(other, machine))
    });
}

pub(super) fn init() {
    // SAFETY: during initialisation. The registry object lives for ever.
    unsafe {
        let registry = typed::wrap(rb_sys::rb_cObject, Registry);
        rb_sys::rb_gc_register_mark_object(registry);
    }
}
