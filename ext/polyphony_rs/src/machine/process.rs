//! Waiting for child processes.
//!
//! The ring waits without reaping, and a syscall that doesn't wait then asks what has changed (and
//! reaps): a wait that is interrupted loses no status. Another fiber may have been quicker; then
//! the wait begins again.

use polyphony_core::child::{self, Change, Whom};
use polyphony_core::op::{Poll, WaitId};
use polyphony_core::sys;
use rb_sys::VALUE;

use super::{Machine, event_mask};
use crate::errors::Outcome;
use crate::ruby::buffer::Loan;
use crate::ruby::method::{define, method};
use crate::ruby::{NIL, protect, value};

/// How a wait for a child ended.
enum Found {
    /// With a change; with none (pid 0) under `WNOHANG`.
    Change(Change),
    /// The fiber was scheduled with that value.
    Value(VALUE),
}

impl Machine {
    /// Waits until one of these children has changed; it is not reaped. `Some`: the fiber was
    /// scheduled with that value before.
    pub(crate) fn wait_for_child(&self, whom: Whom, options: i32) -> Outcome<Option<VALUE>> {
        if self.state().borrow().driver.capabilities().waitid {
            // SAFETY: the op points to nothing.
            let key = unsafe { self.submit_anyway(WaitId { whom, options }, Loan::NONE) }?;
            return self.wait_until_over(key);
        }
        // Linux below 6.7. A pidfd tells of its process' end and of nothing else.
        let end_only = options & (libc::WSTOPPED | libc::WCONTINUED) == 0;
        match (whom.idtype, i32::try_from(whom.id)) {
            (libc::P_PID, Ok(pid)) if end_only => self.wait_by_pidfd(pid),
            (libc::P_PIDFD, Ok(fd)) if end_only => self.wait_readable(fd),
            _ => self.offload_waitid(whom, options),
        }
    }

    fn wait_by_pidfd(&self, pid: i32) -> Outcome<Option<VALUE>> {
        let fd = match sys::pidfd_open(pid) {
            // Reaped in the meantime: whoever waits will find that out.
            Err(libc::ESRCH) => return Ok(None),
            opened => opened?,
        };
        let outcome = self.wait_readable(fd);
        sys::close(fd)?;
        outcome
    }

    fn wait_readable(&self, fd: i32) -> Outcome<Option<VALUE>> {
        let op = Poll { fd, events: event_mask(libc::POLLIN) };
        // SAFETY: the op points to nothing.
        let key = unsafe { self.submit_anyway(op, Loan::NONE) }?;
        self.wait_until_over(key)
    }

    /// Waits for a change of a child and takes it (not with `WNOWAIT`).
    fn child_change(&self, whom: Whom, options: i32) -> Outcome<Found> {
        let mut change = child::look(whom, options)?;
        if change.pid != 0 || options & libc::WNOHANG != 0 {
            self.count_op();
            return Ok(Found::Change(change));
        }
        while change.pid == 0 {
            if let Some(value) = self.wait_for_child(whom, options)? {
                return Ok(Found::Value(value));
            }
            change = child::look(whom, options)?;
        }
        Ok(Found::Change(change))
    }
}

fn whom_of(idtype: VALUE, id: VALUE) -> Outcome<Whom> {
    let (idtype, id) = (value::int32(idtype, "idtype")?, value::int32(id, "id")?);
    // Negative ones are the kernel's to refuse.
    Ok(Whom { idtype: idtype as u32, id: id as u32 })
}

/// `waitid(idtype, id, options)`: `[pid, status, code]`, zeroes where nothing has changed under
/// `WNOHANG`.
fn waitid(this: VALUE, idtype: VALUE, id: VALUE, options: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let options = value::int32(options, "options")?;
    match machine.child_change(whom_of(idtype, id)?, options)? {
        Found::Value(value) => Ok(value),
        Found::Change(change) => {
            let numbers = [change.pid, change.status, change.code];
            Ok(value::array_of(&numbers.map(|number| value::integer(i64::from(number)))))
        }
    }
}

/// `waitid_status(idtype, id, options)`: the `Process::Status`, which `$?` is as well; nil where
/// nothing has changed under `WNOHANG`. The child is left to be reaped.
fn waitid_status(this: VALUE, idtype: VALUE, id: VALUE, options: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let options = value::int32(options, "options")? | libc::WNOWAIT;
    match machine.child_change(whom_of(idtype, id)?, options)? {
        Found::Value(value) => Ok(value),
        Found::Change(Change { pid: 0, .. }) => Ok(NIL),
        Found::Change(change) => status_of(change),
    }
}

/// Ruby exports no constructor of Process::Status, but the means to set `$?`.
fn status_of(change: Change) -> Outcome {
    let (status, pid) = (change.wait_status(), change.pid);
    protect(|| {
        // SAFETY: under protect; plain numbers.
        unsafe {
            rb_sys::rb_last_status_set(status, pid);
            rb_sys::rb_last_status_get()
        }
    })
}

pub(super) fn init(class: VALUE) {
    define(class, c"waitid", method!(waitid, 3));
    define(class, c"waitid_status", method!(waitid_status, 3));
}
