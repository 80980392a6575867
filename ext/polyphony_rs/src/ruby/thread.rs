//! The running thread.

use rb_sys::{ID, VALUE};

use super::value::{ivar, set_ivar};
use super::{NIL, protect};
use crate::errors::Outcome;

pub(crate) fn current() -> VALUE {
    // SAFETY: needs the GVL only.
    unsafe { rb_sys::rb_thread_current() }
}

/// Runs what interrupts ask for (signal handlers, `Thread#raise`, time slices); what is raised
/// is handed back.
pub(crate) fn check_interrupts() -> Outcome {
    protect(|| {
        // SAFETY: under protect.
        unsafe { rb_sys::rb_thread_check_ints() };
        NIL
    })
}

/// A value kept for the running thread, whichever fiber asks.
pub(crate) fn local(name: ID) -> VALUE {
    ivar(current(), name)
}

pub(crate) fn set_local(name: ID, value: VALUE) -> Outcome {
    set_ivar(current(), name, value)
}
