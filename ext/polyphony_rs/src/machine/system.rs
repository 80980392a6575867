//! What `UM` offers beside machines: pidfds, and a few facts and settings of the process.

use std::io::Write;

use polyphony_core::sys;
use rb_sys::VALUE;

use super::files::fd_of;
use crate::errors::{Outcome, Raise, integer_or_errno};
use crate::ruby::method::{define_singleton, method};
use crate::ruby::{NIL, value};

fn pidfd_open(_class: VALUE, pid: VALUE) -> Outcome {
    integer_or_errno(sys::pidfd_open(value::int32(pid, "pid")?)?)
}

/// `UM.pidfd_send_signal(fd, signal)`: the descriptor. Signal 0 only asks.
fn pidfd_send_signal(_class: VALUE, fd: VALUE, signal: VALUE) -> Outcome {
    sys::pidfd_send_signal(fd_of(fd)?, value::int32(signal, "signal")?)?;
    Ok(fd)
}

/// `UM.kernel_version`: 618 for Linux 6.18.
fn kernel_version(_class: VALUE) -> Outcome {
    let (major, minor) = sys::kernel_version()
        .ok_or_else(|| Raise::um_error("the kernel's release names no version"))?;
    Ok(value::integer(i64::from(major) * 100 + i64::from(minor)))
}

/// `UM.debug(text)`: a line on stderr, by one plain write that no hook sees. A stderr that can't
/// be written to is no reason to fail.
fn debug(_class: VALUE, text: VALUE) -> Outcome {
    if !value::is_string(text) {
        return Err(Raise::type_error("text must be a String"));
    }
    let mut line = value::bytes_of(text);
    line.push(b'\n');
    let _ = std::io::stderr().write_all(&line);
    Ok(NIL)
}

/// `UM.pr_set_child_subreaper(on)`: whether orphaned descendants become our children.
fn pr_set_child_subreaper(_class: VALUE, on: VALUE) -> Outcome {
    sys::set_child_subreaper(value::truthy(on))?;
    Ok(on)
}

pub(super) fn init(class: VALUE) {
    define_singleton(class, c"pidfd_open", method!(pidfd_open, 1));
    define_singleton(class, c"pidfd_send_signal", method!(pidfd_send_signal, 2));
    define_singleton(class, c"kernel_version", method!(kernel_version, 0));
    define_singleton(class, c"debug", method!(debug, 1));
    define_singleton(class, c"pr_set_child_subreaper", method!(pr_set_child_subreaper, 1));
}
