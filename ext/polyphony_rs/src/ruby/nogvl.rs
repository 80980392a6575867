//! Without the GVL: waiting on a ring, waking up from it, computing, and serving others.

use std::os::fd::RawFd;
use std::os::raw::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use polyphony_core::ring::wait::{Outcome, Wait};
use polyphony_core::ring::wake::wake_fd;
use polyphony_core::sys::errno;

use super::{NIL, protect};
use crate::errors::Outcome as Raised;

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

/// Blocks until something is over while other Ruby threads run. What interrupts raise before and
/// afterwards is handed back; `wait` may not have been called then.
pub(crate) fn block<F: FnOnce() -> T, T>(wait: F) -> Raised<()> {
    let mut computation: Computation<F, T> = Computation { job: Some(wait), value: None };
    let computation: *mut c_void = (&raw mut computation).cast();
    // SAFETY: under protect, whose frames own nothing; what it points to outlives the call. Without
    // an unblock function the wait comes to its own end.
    protect(|| unsafe {
        rb_sys::rb_nogvl(Some(run_job::<F, T>), computation, None, std::ptr::null_mut(), 0);
        NIL
    })
    .map(|_| ())
}

/// Work that others can have ended.
struct Stretch<W, L> {
    work: Option<W>,
    leave: L,
}

unsafe extern "C" fn run_stretch<W: FnOnce(), L: Fn()>(stretch: *mut c_void) -> *mut c_void {
    // SAFETY: the pointer is `serve`'s local, alive until rb_nogvl returns; this thread alone uses
    // that field. No Ruby call in here but those that need no GVL.
    let work = unsafe { (*stretch.cast::<Stretch<W, L>>()).work.take() };
    if let Some(work) = work {
        let _ = catch_unwind(AssertUnwindSafe(work));
    }
    std::ptr::null_mut()
}

unsafe extern "C" fn leave_stretch<W: FnOnce(), L: Fn()>(stretch: *mut c_void) {
    // SAFETY: Ruby calls it between the beginning and the end of rb_nogvl only, while the struct is
    // alive; the field is only read.
    let leave = unsafe { &(*stretch.cast::<Stretch<W, L>>()).leave };
    let _ = catch_unwind(AssertUnwindSafe(leave));
}

/// Works while other Ruby threads run. Who interrupts the thread calls `leave`, from any thread.
/// Interrupts are left for the caller to check; where one is pending, `work` is not called.
///
/// `work` may call what takes the GVL and jumps: its frames own nothing then. That is handed back.
pub(crate) fn serve<W: FnOnce(), L: Fn() + Sync>(work: W, leave: L) -> Raised<()> {
    const { assert!(!std::mem::needs_drop::<W>() && !std::mem::needs_drop::<L>()) }
    let mut stretch = Stretch { work: Some(work), leave };
    let stretch: *mut c_void = (&raw mut stretch).cast();
    #[allow(clippy::cast_possible_wrap)] // one bit
    let flags = rb_sys::RB_NOGVL_INTR_FAIL as i32;
    // SAFETY: under protect, which is entered with the GVL; a jump comes from where the thread has
    // the GVL again. What it points to outlives the call, and nothing unwinds out of it.
    protect(|| unsafe {
        let leave = Some(leave_stretch::<W, L> as unsafe extern "C" fn(*mut c_void));
        rb_sys::rb_nogvl(Some(run_stretch::<W, L>), stretch, leave, stretch, flags);
        NIL
    })
    .map(|_| ())
}

struct Poll {
    descriptor: libc::pollfd,
    timeout_ms: i32,
    result: Result<i16, i32>,
}

unsafe extern "C" fn run_poll(poll: *mut c_void) -> *mut c_void {
    // SAFETY: the pointer is `poll`'s local, alive until rb_nogvl returns. No Ruby call in here.
    let poll = unsafe { &mut *poll.cast::<Poll>() };
    // SAFETY: one descriptor is there.
    let ready = unsafe { libc::poll(&raw mut poll.descriptor, 1, poll.timeout_ms) };
    poll.result = if ready < 0 { Err(errno()) } else { Ok(poll.descriptor.revents) };
    std::ptr::null_mut()
}

/// poll(2) of one descriptor while other Ruby threads run: its events, 0 past the time, or an errno
/// (EINTR: somebody wants something of the thread). What interrupts raise is handed back.
pub(crate) fn poll(fd: RawFd, events: i16, timeout_ms: i32) -> Raised<Result<i16, i32>> {
    let descriptor = libc::pollfd { fd, events, revents: 0 };
    let mut poll = Poll { descriptor, timeout_ms, result: Ok(0) };
    let pointer: *mut c_void = (&raw mut poll).cast();
    // SAFETY: RUBY_UBF_IO, which Ruby's headers define as this value: no pointer that is called.
    let signals = unsafe { std::mem::transmute::<isize, unsafe extern "C" fn(*mut c_void)>(-1) };
    // SAFETY: under protect, whose frames own nothing; what it points to outlives the call.
    protect(|| unsafe {
        rb_sys::rb_nogvl(Some(run_poll), pointer, Some(signals), std::ptr::null_mut(), 0);
        NIL
    })?;
    Ok(poll.result)
}
