//! The hook of `Process.wait`, `system` and their like.

use polyphony_core::child::Whom;
use rb_sys::VALUE;

use super::machine;
use crate::errors::Outcome;
use crate::machine::Machine;
use crate::ruby::method::{define, method};
use crate::ruby::{NIL, value};

/// `process_wait(pid, flags)`
fn process_wait(this: VALUE, pid: VALUE, flags: VALUE) -> Outcome {
    wait_for_process(machine(this)?, pid, flags)
}

/// The status of a child that has changed.
///
/// The ring waits without reaping; Ruby itself then reaps, without waiting, and makes the status.
/// Another fiber may have been quicker: then the wait begins again.
pub(crate) fn wait_for_process(machine: &Machine, pid: VALUE, flags: VALUE) -> Outcome {
    let target = value::int32(pid, "pid")?;
    let options = value::int32(flags, "flags")?;
    // waitpid(2) always looks for ends, waitid(2) when asked to.
    let changes = libc::WEXITED | (options & (libc::WUNTRACED | libc::WCONTINUED));
    loop {
        let status = reap(pid, options)?;
        if status != NIL || options & libc::WNOHANG != 0 {
            return Ok(status);
        }
        machine.wait_for_child(Whom::of_pid(target), changes)?;
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

pub(super) fn init(class: VALUE) {
    define(class, c"process_wait", method!(process_wait, 2));
}
