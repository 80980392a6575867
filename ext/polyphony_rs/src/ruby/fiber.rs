//! Fibers: the switch itself, and making them.

use std::os::raw::c_int;
use std::sync::atomic::{AtomicU64, Ordering};

use rb_sys::{VALUE, rb_block_call_func};

use super::value::{Name, truthy};
use super::{NIL, protect, versions};
use crate::errors::Outcome;

/// `RB_NO_KEYWORDS`
const NO_KEYWORDS: i32 = 0;

static CLASS: AtomicU64 = AtomicU64::new(0);
static ERROR: AtomicU64 = AtomicU64::new(0);

/// `Fiber`. The C API doesn't export it; a constant of the VM never moves once registered.
pub(crate) fn class() -> VALUE {
    CLASS.load(Ordering::Relaxed)
}

/// `FiberError`
pub(crate) fn error_class() -> VALUE {
    ERROR.load(Ordering::Relaxed)
}

/// Whether an exception is a FiberError: what a switch that is not possible raises.
pub(crate) fn is_switch_error(exception: VALUE) -> bool {
    super::value::kind_of(exception, error_class())
}

pub(crate) fn init() {
    for (name, slot) in [(c"Fiber", &CLASS), (c"FiberError", &ERROR)] {
        // SAFETY: during initialisation; both are constants of the VM.
        unsafe {
            let class = rb_sys::rb_const_get(rb_sys::rb_cObject, super::value::intern(name));
            rb_sys::rb_gc_register_mark_object(class);
            slot.store(class, Ordering::Relaxed);
        }
    }
}

/// The running fiber.
pub(crate) fn current() -> VALUE {
    // SAFETY: needs the GVL only.
    unsafe { rb_sys::rb_fiber_current() }
}

/// Resumes a fiber; comes back when it ends or yields.
pub(crate) fn resume(fiber: VALUE, value: VALUE) -> Outcome {
    // SAFETY: under protect; the argument lives in this frame until the switch has copied it.
    protect(|| unsafe { rb_sys::rb_fiber_resume(fiber, 1, &raw const value) })
}

/// Switches to a fiber and comes back when somebody transfers to the caller. An exception raised
/// in the caller by `Fiber#raise`, by an interrupt, or by a switch that is not possible, is
/// handed back.
pub(crate) fn transfer(fiber: VALUE, values: &[VALUE]) -> Outcome {
    let count = c_int::try_from(values.len()).unwrap_or(0);
    // SAFETY: under protect; the arguments live in the caller's frame until the switch has copied
    // them. The `_kw` form is the one that checks whether the fiber can be switched to.
    protect(|| unsafe { rb_sys::rb_fiber_transfer_kw(fiber, count, values.as_ptr(), NO_KEYWORDS) })
}

/// Raises in a fiber, or in the one that it has resumed; comes back as from [`transfer`].
pub(crate) fn raise(fiber: VALUE, exception: VALUE) -> Outcome {
    // SAFETY: under protect, as above.
    protect(|| unsafe { versions::fiber_raise(fiber, &exception) })
}

/// Whether `class` is Fiber or a subclass of it.
pub(crate) fn is_fiber_class(class: VALUE) -> bool {
    // SAFETY: both are classes.
    super::value::is_class(class)
        && truthy(unsafe { rb_sys::rb_class_inherited_p(class, self::class()) })
}

/// False for `Fiber.allocate`.
pub(crate) fn is_initialized(fiber: VALUE) -> bool {
    // SAFETY: under protect; `fiber` is a Fiber.
    protect(|| unsafe { rb_sys::rb_fiber_alive_p(fiber) }).is_ok()
}

/// Whether the fiber has not ended.
pub(crate) fn alive(fiber: VALUE) -> bool {
    // SAFETY: `fiber` is a Fiber.
    truthy(unsafe { rb_sys::rb_fiber_alive_p(fiber) })
}

/// A new non-blocking fiber of a class, which runs a Proc. To make the Proc of a native body takes
/// longer than to call `new`: one for many fibers is best.
pub(crate) fn new_of(class: VALUE, body: VALUE) -> Outcome {
    static NEW: Name = Name::new(c"new");
    // SAFETY: under protect. The Proc becomes the block of `new`.
    protect(|| unsafe { rb_sys::rb_funcall_with_block(class, NEW.id(), 0, std::ptr::null(), body) })
}

/// The Proc of a native body.
pub(crate) fn body(body: rb_block_call_func) -> VALUE {
    // SAFETY: during initialisation; nil is the callback's argument.
    unsafe { rb_sys::rb_proc_new(body, NIL) }
}

/// Calls a Proc with one argument; with none where it is a lambda that takes none.
pub(crate) fn call_proc(proc: VALUE, arg: VALUE) -> Outcome {
    // SAFETY: under protect; `proc` is a Proc.
    protect(|| unsafe {
        let none = rb_sys::rb_proc_arity(proc) == 0 && truthy(rb_sys::rb_proc_lambda_p(proc));
        rb_sys::rb_proc_call_with_block(proc, i32::from(!none), &raw const arg, NIL)
    })
}
