//! `send_fd` and `recv_fd`: descriptors that go to another process, or come from one.

use polyphony_core::op::{ReceiveFd, SendFd};
use rb_sys::VALUE;

use super::files::fd_of;
use super::{Machine, OnInterrupt};
use crate::errors::{Outcome, check};
use crate::ruby::buffer::Loan;
use crate::ruby::method::{define, method};
use crate::ruby::value;

/// `send_fd(socket, fd)`: the descriptor, which stays open here.
fn send_fd(this: VALUE, socket: VALUE, fd: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let op = SendFd { socket: fd_of(socket)?, fd: fd_of(fd)? };
    // SAFETY: the message is the op's own memory.
    let key = unsafe { machine.submit(op, Loan::NONE) }?;
    machine.conclude(key, OnInterrupt::AwaitCancel, |result| check(result).map(|_| fd))
}

/// `recv_fd(socket)`: a new descriptor. A message that brings none, and the end of the
/// connection, are EINVAL; a descriptor that there was no number for is lost, with EMFILE.
fn recv_fd(this: VALUE, socket: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    // SAFETY: the message is the op's own memory.
    let key = unsafe { machine.submit(ReceiveFd { socket: fd_of(socket)? }, Loan::NONE) }?;
    machine.conclude_with_remains(key, OnInterrupt::AwaitCancel, |result, left| {
        check(result)?;
        let fd = left.map_or(Err(libc::EINVAL), |mut left| left.memory.claim_fd())?;
        Ok(value::integer(i64::from(fd)))
    })
}

pub(super) fn init(class: VALUE) {
    define(class, c"send_fd", method!(send_fd, 2));
    define(class, c"recv_fd", method!(recv_fd, 1));
}
