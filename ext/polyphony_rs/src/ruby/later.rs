//! Code that runs later: at a point where Ruby may be called, or when everything ends.

use std::os::raw::{c_int, c_uint, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

use rb_sys::VALUE;

use super::NIL;

/// Something to be done as soon as Ruby may be called.
pub(crate) struct Job(AtomicU32);

/// `POSTPONED_JOB_HANDLE_INVALID`
const NONE: c_uint = c_uint::MAX;

impl Job {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(NONE))
    }

    /// Says what it is; during initialisation. `body` doesn't raise.
    pub(crate) fn register(&self, body: unsafe extern "C" fn(*mut c_void)) {
        // SAFETY: during initialisation; the job ignores its argument.
        let handle =
            unsafe { rb_sys::rb_postponed_job_preregister(0, Some(body), std::ptr::null_mut()) };
        self.0.store(handle, Ordering::Relaxed);
    }

    /// Has it done at Ruby's next look at interrupts. To be called at any time: during a
    /// collection, or in a child that was just forked.
    pub(crate) fn trigger(&self) {
        let handle = self.0.load(Ordering::Relaxed);
        if handle != NONE {
            // SAFETY: the handle is Ruby's; this is safe even in a signal handler.
            unsafe { rb_sys::rb_postponed_job_trigger(handle) };
        }
    }
}

/// A function as Ruby calls blocks.
pub(crate) type Body = unsafe extern "C" fn(VALUE, VALUE, c_int, *const VALUE, VALUE) -> VALUE;

/// Has `body` called at the end of the process, behind all `at_exit` handlers and before Ruby
/// frees what is left. `object` is kept for ever, or it would be called when that is collected.
pub(crate) fn at_end(object: VALUE, body: Body) {
    // SAFETY: during initialisation; the object is no special constant and not frozen.
    unsafe { rb_sys::rb_define_finalizer(object, rb_sys::rb_proc_new(Some(body), NIL)) };
}
