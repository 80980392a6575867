//! Waiting on a ring without the GVL, and waking up from it.

use std::os::fd::RawFd;
use std::os::raw::c_void;

use polyphony_core::ring::wait::{Outcome, Wait};
use polyphony_core::ring::wake::wake_fd;

struct Call {
    wait: Wait,
    timeout_ns: Option<u64>,
    outcome: Option<Outcome>,
}

unsafe extern "C" fn run(call: *mut c_void) -> *mut c_void {
    // SAFETY: the pointer is `wait`'s local, alive until rb_nogvl returns. No Ruby call in here.
    let call = unsafe { &mut *call.cast::<Call>() };
    call.outcome = Some(call.wait.run(call.timeout_ns));
    std::ptr::null_mut()
}

/// Called by any thread, or by a signal handler, to end the wait: one write(2).
unsafe extern "C" fn unblock(fd: *mut c_void) {
    if let Ok(fd) = RawFd::try_from(fd as isize) {
        wake_fd(fd);
    }
}

/// Waits for a completion while other Ruby threads run. `None`: an interrupt was pending, the
/// wait was not begun. Interrupts are left for the caller to check.
pub(crate) fn wait(wait: Wait, timeout_ns: Option<u64>, wake: RawFd) -> Option<Outcome> {
    let mut call = Call { wait, timeout_ns, outcome: None };
    let flags = rb_sys::RB_NOGVL_INTR_FAIL | rb_sys::RB_NOGVL_UBF_ASYNC_SAFE;
    #[allow(clippy::cast_possible_wrap)] // two bits
    let flags = flags as i32;
    // SAFETY: `call` outlives the call. The eventfd stays open while a machine waits, so the
    // unblock function writes to the right file.
    unsafe {
        rb_sys::rb_nogvl(
            Some(run),
            (&raw mut call).cast(),
            Some(unblock),
            wake as isize as *mut c_void,
            flags,
        );
    }
    call.outcome
}
