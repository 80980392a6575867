//! `close_async`, `shutdown_async` and `write_async`, which nobody waits for. Ops are queued only,
//! and begin when the machine next submits; errors are lost.

use polyphony_core::op::{Close, WriteAsync};
use rb_sys::VALUE;

use super::files::fd_of;
use super::{Machine, State};
use crate::errors::Outcome;
use crate::ruby::buffer::Loan;
use crate::ruby::method::{Args, define, method};
use crate::ruby::value;

/// `close_async(fd)`: the descriptor. What is in flight on it ends as with `close`.
fn close_async(this: VALUE, fd: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let op = Close { fd: fd_of(fd)? };
    {
        let State { driver, queues, .. } = &mut *machine.state().borrow_mut();
        driver.queue_cancel_fd(op.fd, queues);
    }
    // SAFETY: the op points to nothing.
    unsafe { machine.submit_detached(op, Loan::NONE) }?;
    Ok(fd)
}

/// `shutdown_async(fd, how)`: the descriptor. Done at once, as it never waits: the ring's operation
/// runs on a worker of the kernel, and may find another file behind a number that was closed since.
fn shutdown_async(this: VALUE, fd: VALUE, how: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let (socket, how) = (fd_of(fd)?, value::int32(how, "how")?);
    machine.count_op();
    // Errors are lost, as those of all that nobody waits for.
    let _ = machine.shut_down(socket, how);
    Ok(fd)
}

/// `write_async(fd, buffer, len = nil, file_offset = nil)`: the buffer.
fn write_async(this: VALUE, args: Args) -> Outcome {
    let machine = Machine::of(this)?;
    if let Some(key) = machine.submit_write(args, WriteAsync)? {
        machine.detach(key);
    }
    Ok(args.get(1))
}

pub(super) fn init(class: VALUE) {
    define(class, c"close_async", method!(close_async, 1));
    define(class, c"shutdown_async", method!(shutdown_async, 2));
    define(class, c"write_async", method!(write_async, -1));
}
