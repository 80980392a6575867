//! Noticing that the process was forked: a ring's memory does not exist in the child.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);
static REGISTER: Once = Once::new();

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// A number that differs between a process and its forked children. One memory read.
#[must_use]
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Starts counting; to be called before the first [`generation`] that will be compared.
pub fn watch() {
    REGISTER.call_once(|| {
        // SAFETY: the handler only touches an atomic, which is allowed after fork. A failure
        // (ENOMEM) would leave forked children unnoticed, as if nobody watched.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Has `hook` called in every forked child, after the count and before `fork` returns: no other
/// thread is there, and none of their locks is ever released.
pub fn in_child_call(hook: extern "C" fn()) {
    watch();
    // SAFETY: the hook keeps to what is allowed after fork. As above, a failure goes unnoticed.
    unsafe { libc::pthread_atfork(None, None, Some(hook)) };
}
