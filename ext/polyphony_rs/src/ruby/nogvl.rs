//! Without the GVL: waiting on a ring, waking up from it, and computing.

use std::os::fd::RawFd;
use std::os::raw::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

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

struct Computation<F, T> {
    job: Option<F>,
    value: Option<T>,
}

unsafe extern "C" fn run_job<F: FnOnce() -> T, T>(computation: *mut c_void) -> *mut c_void {
    // SAFETY: the pointer is `compute`'s local, alive until rb_nogvl returns. No Ruby call in here.
    let computation = unsafe { &mut *computation.cast::<Computation<F, T>>() };
    let job = computation.job.take();
    computation.value = job.and_then(|job| catch_unwind(AssertUnwindSafe(job)).ok());
    std::ptr::null_mut()
}

/// Computes something that is soon over while other Ruby threads run. An interrupt that is pending
/// is left for the caller to check. `None`: the job has panicked.
pub(crate) fn compute<F: FnOnce() -> T, T>(job: F) -> Option<T> {
    let mut computation = Computation { job: Some(job), value: None };
    #[allow(clippy::cast_possible_wrap)] // one bit
    let flags = rb_sys::RB_NOGVL_INTR_FAIL as i32;
    // SAFETY: `computation` outlives the call, and nothing unwinds out of it. Without an unblock
    // function the job is waited for.
    unsafe {
        let computation = (&raw mut computation).cast();
        rb_sys::rb_nogvl(Some(run_job::<F, T>), computation, None, std::ptr::null_mut(), flags);
    }
    // It was not begun: then it is done here, before the interrupt.
    let Computation { job, value } = computation;
    match job {
        Some(job) => Some(job()),
        None => value,
    }
}
