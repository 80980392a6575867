//! `send_fd` and `recv_fd`: descriptors that go to another process, or come from one.

use polyphony_core::net;
use polyphony_core::op::{SendFd, receive_fd_now};
use rb_sys::VALUE;

use super::files::fd_of;
use super::{Machine, OnInterrupt, Watched};
use crate::errors::{Outcome, check};
use crate::ruby::buffer::Loan;
use crate::ruby::method::{define, method};
use crate::ruby::{NIL, value};

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
///
/// It is taken when there is one, and not asked for ahead: an interruption would lose what came.
fn recv_fd(this: VALUE, socket: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let known = machine.know(fd_of(socket)?);
    let mut may_wait = !machine.may_go_on() && net::is_socket(machine.descriptor_of(known)?);
    machine.count_op();
    loop {
        let socket = machine.descriptor_of(known)?;
        if std::mem::replace(&mut may_wait, true) {
            match machine.wait_for_watch(machine.watch(socket, libc::POLLIN, None)?)? {
                Watched::Result(result) => check(result).map(drop)?,
                Watched::TimedOut => return Ok(NIL),
                Watched::Interrupted(interruption) => return interruption.conclude(),
            }
            machine.descriptor_of(known)?;
        }
        match receive_fd_now(socket) {
            // Somebody else was faster.
            Err(libc::EAGAIN | libc::EINTR) => {}
            received => return Ok(value::integer(i64::from(received?))),
        }
    }
}

pub(super) fn init(class: VALUE) {
    define(class, c"send_fd", method!(send_fd, 2));
    define(class, c"recv_fd", method!(recv_fd, 1));
}
