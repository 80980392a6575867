//! The hook of `Process.wait`, `system` and their like.

use polyphony_core::op::WaitId;
use rb_sys::VALUE;

use super::machine;
use crate::errors::{Outcome, Raise};
use crate::machine::{Machine, OnInterrupt, Waited};
use crate::ruby::buffer::Loan;
use crate::ruby::method::{define, method};
use crate::ruby::{NIL, value};

/// `process_wait(pid, flags)`: a Process::Status.
///
/// The ring waits without reaping; Ruby itself then reaps, without waiting, and makes the status.
/// Another fiber may have been quicker: then the wait begins again.
fn process_wait(this: VALUE, pid: VALUE, flags: VALUE) -> Outcome {
    let machine = machine(this)?;
    let target = value::int32(pid, "pid")?;
    let options = value::int32(flags, "flags")?;
    loop {
        let status = reap(pid, options)?;
        if status != NIL {
            return Ok(status);
        }
        wait_for_change(machine, target, options)?;
    }
}

/// The status of a child that has changed; nil where none has.
fn reap(pid: VALUE, options: i32) -> Outcome {
    let flags = value::integer(i64::from(options | libc::WNOHANG));
    value::call(status_class()?, c"wait", &[pid, flags])
}

fn status_class() -> Outcome {
    let process = crate::ruby::protect(|| {
        // SAFETY: under protect; the constant exists.
        unsafe { rb_sys::rb_const_get(rb_sys::rb_mProcess, value::intern(c"Status")) }
    })?;
    Ok(process)
}

fn wait_for_change(machine: &Machine, pid: i32, options: i32) -> Outcome<()> {
    let (idtype, id) = match pid {
        -1 => (libc::P_ALL, 0),
        0 => (libc::P_PGID, 0),
        ..-1 => (libc::P_PGID, pid.unsigned_abs()),
        _ => (libc::P_PID, pid.unsigned_abs()),
    };
    let has_waitid = machine.state().borrow().driver.capabilities().waitid;
    if !has_waitid && idtype == libc::P_PID {
        return wait_by_pidfd(machine, pid);
    }
    let stopped = if options & libc::WUNTRACED != 0 { libc::WSTOPPED } else { 0 };
    let options = libc::WEXITED | libc::WNOWAIT | stopped | (options & libc::WCONTINUED);
    if !has_waitid {
        return machine.offload_waitid(idtype, id, options);
    }
    // SAFETY: the result struct is the op's own memory.
    let key = unsafe { machine.submit(WaitId { idtype, id, options }, Loan::NONE) }?;
    conclude(machine, key)
}

/// Linux below 6.7: a pidfd becomes readable when its process ends.
fn wait_by_pidfd(machine: &Machine, pid: i32) -> Outcome<()> {
    let fd = polyphony_core::sys::pidfd_open(pid)?;
    let outcome = machine.wait_for_events(fd, libc::POLLIN, None).map(drop);
    polyphony_core::sys::close(fd)?;
    outcome
}

fn conclude(machine: &Machine, key: polyphony_core::op::OpKey) -> Outcome<()> {
    match machine.wait_for(key, OnInterrupt::Abandon) {
        Waited::Done(result) if result < 0 => Err(Raise::Errno(-result)),
        Waited::Done(_) | Waited::TimedOut => Ok(()),
        Waited::Interrupted(interruption, _) => interruption.conclude().map(drop),
    }
}

pub(super) fn init(class: VALUE) {
    define(class, c"process_wait", method!(process_wait, 2));
}
