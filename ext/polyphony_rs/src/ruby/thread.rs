//! The running thread.

use rb_sys::{ID, VALUE};

use super::protect::TAG_RAISE;
use super::value::{call, ivar, set_ivar};
use super::{NIL, protect, versions};
use crate::errors::{Outcome, Raise};

pub(crate) fn current() -> VALUE {
    // SAFETY: needs the GVL only.
    unsafe { rb_sys::rb_thread_current() }
}

unsafe extern "C" {
    // Exported by every Ruby since 2.x, declared in no public header.
    fn ruby_thread_has_gvl_p() -> std::os::raw::c_int;
}

/// Whether the running thread holds the GVL. Core of 3.3 and 3.4 calls one hook without it.
pub(crate) fn has_gvl() -> bool {
    // SAFETY: may be asked any time.
    unsafe { ruby_thread_has_gvl_p() != 0 }
}

/// Keeps the running thread on its native thread, for ever. Ruby moves threads from one to another
/// where `RUBY_MN_THREADS` is set, and in every Ractor but the main one.
///
/// False where it may still be moved: Ruby 3.3 offers nothing against it.
pub(crate) fn stay_on_native_thread() -> Outcome<bool> {
    if versions::lock_native_thread() {
        return Ok(true);
    }
    Ok(std::env::var_os("RUBY_MN_THREADS").is_none() && in_main_ractor()?)
}

fn in_main_ractor() -> Outcome<bool> {
    // SAFETY: the class is a constant of the VM.
    let class = unsafe { rb_sys::rb_cRactor };
    Ok(call(class, c"current", &[])? == call(class, c"main", &[])?)
}

/// Whether the running thread was killed, and does its last things.
pub(crate) fn is_dying() -> bool {
    let status = call(current(), c"status", &[]);
    status.is_ok_and(|status| super::value::text(status, "status").is_ok_and(|s| s == "aborting"))
}

/// Whether the main thread has come to its end: it waits for the others then, and ends them.
pub(crate) fn is_main_ending() -> bool {
    // SAFETY: needs the GVL only.
    let main = unsafe { rb_sys::rb_thread_main() };
    !call(main, c"alive?", &[]).is_ok_and(super::value::truthy)
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

/// A function as Ruby calls it for an event.
pub(crate) type EventHook = unsafe extern "C" fn(u32, VALUE, VALUE, ID, VALUE);

/// Has `hook` called at the end of every thread but the main one, by that thread, with the GVL: no
/// code of the program's runs in it any more. During initialisation.
pub(crate) fn at_each_end(hook: EventHook) {
    // SAFETY: during initialisation. Ruby calls it with five words, and marks the nil.
    unsafe { rb_sys::rb_add_event_hook(Some(hook), rb_sys::RUBY_EVENT_THREAD_END, NIL) };
}

/// Ends a forked child whose only fiber has ended: as a program ends that has come to its end, or
/// to an exception that nobody rescued.
pub(crate) fn end_process(outcome: Outcome) -> ! {
    let state = match outcome {
        Ok(_) => 0,
        Err(Raise::Jump(state)) => state,
        Err(raise) => {
            let exception = raise.into_exception().unwrap_or(NIL);
            // SAFETY: it is an exception, or nil.
            unsafe { rb_sys::rb_set_errinfo(exception) };
            TAG_RAISE
        }
    };
    // SAFETY: as at the end of `fork { }`: runs the handlers of at_exit and doesn't return.
    unsafe { rb_sys::ruby_stop(state) };
}

/// A value kept for the running thread, whichever fiber asks.
pub(crate) fn local(name: ID) -> VALUE {
    ivar(current(), name)
}

pub(crate) fn set_local(name: ID, value: VALUE) -> Outcome {
    set_ivar(current(), name, value)
}
