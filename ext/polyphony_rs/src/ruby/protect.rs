//! Catching what Ruby code raises before it unwinds Rust frames.

use std::os::raw::c_int;

use rb_sys::VALUE;

use super::NIL;
use crate::errors::{Outcome, Raise};

/// `TAG_RAISE` of the VM: an exception, as opposed to break, throw or a dying thread.
pub(super) const TAG_RAISE: c_int = 6;

/// Runs `f`, which may call anything in Ruby. `f` owns nothing and doesn't panic: an exception
/// leaves it by longjmp.
pub(crate) fn protect<F: FnOnce() -> VALUE>(f: F) -> Outcome {
    const { assert!(!std::mem::needs_drop::<F>()) };
    unsafe extern "C" fn trampoline<F: FnOnce() -> VALUE>(slot: VALUE) -> VALUE {
        // SAFETY: `slot` is the address of the Option below, alive until rb_protect returns.
        match unsafe { &mut *(slot as *mut Option<F>) }.take() {
            Some(f) => f(),
            None => NIL,
        }
    }
    let mut slot = Some(f);
    let mut state = 0;
    // SAFETY: the trampoline gets the address of `slot`, which outlives the call, and its frames
    // hold nothing that needs dropping (asserted above).
    let value = unsafe {
        rb_sys::rb_protect(Some(trampoline::<F>), (&raw mut slot) as VALUE, &raw mut state)
    };
    if state == 0 { Ok(value) } else { Err(pending(state)) }
}

/// What is on its way after a protected call ended with `state`.
fn pending(state: c_int) -> Raise {
    if state != TAG_RAISE {
        return Raise::Jump(state);
    }
    // SAFETY: needs the GVL only; nil is always accepted.
    unsafe {
        let exception = rb_sys::rb_errinfo();
        rb_sys::rb_set_errinfo(NIL);
        Raise::Exception(exception)
    }
}
