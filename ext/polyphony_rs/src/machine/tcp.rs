//! `tcp_connect` and `tcp_listen`: from a host and a port to a descriptor in one call.

use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

use polyphony_core::net::{self, SockAddr};
use polyphony_core::op::Connect;
use rb_sys::VALUE;

use super::hosts::port_of;
use super::sockets::counted;
use super::{Machine, OnInterrupt};
use crate::errors::{Outcome, Raise, check};
use crate::ruby::buffer::Loan;
use crate::ruby::method::{define, method};
use crate::ruby::value;

/// The result of the first of a host's addresses with which `attempt` doesn't fail, or the last
/// error.
fn with_address(
    machine: &Machine,
    host: VALUE,
    port: VALUE,
    attempt: impl Fn(&Machine, SockAddr) -> Outcome,
) -> Outcome {
    let host = value::text(host, "host")?;
    let addresses = match machine.addresses(&host, port_of(port)?)? {
        ControlFlow::Continue(addresses) => addresses,
        ControlFlow::Break(value) => return Ok(value),
    };
    let mut failure = Raise::um_error(format!("no address was found for {host:?}"));
    for addr in addresses {
        match attempt(machine, addr) {
            Err(errno @ Raise::Errno(_)) => failure = errno,
            outcome => return outcome,
        }
    }
    Err(failure)
}

/// A TCP socket for an address, closed unless it is handed over.
fn tcp_socket(machine: &Machine, addr: &SockAddr) -> Outcome<OwnedFd> {
    let fd = counted(machine, net::socket(addr.family(), libc::SOCK_STREAM, 0))?;
    // SAFETY: the descriptor is new, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn handed_over(socket: OwnedFd) -> VALUE {
    value::integer(i64::from(socket.into_raw_fd()))
}

fn connect(machine: &Machine, addr: SockAddr) -> Outcome {
    let socket = tcp_socket(machine, &addr)?;
    let op = Connect { fd: socket.as_raw_fd(), addr };
    // SAFETY: the address moves into the op's own memory.
    let key = unsafe { machine.submit_anyway(op, Loan::NONE) }?;
    machine.conclude(key, OnInterrupt::AwaitCancel, |result| {
        check(result)?;
        Ok(handed_over(socket))
    })
}

fn listen(machine: &Machine, addr: SockAddr) -> Outcome {
    let socket = tcp_socket(machine, &addr)?;
    let fd = socket.as_raw_fd();
    counted(machine, net::setsockopt(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1))?;
    counted(machine, net::bind(fd, &addr))?;
    counted(machine, net::listen(fd, libc::SOMAXCONN))?;
    Ok(handed_over(socket))
}

fn tcp_connect(this: VALUE, host: VALUE, port: VALUE) -> Outcome {
    with_address(Machine::of(this)?, host, port, connect)
}

fn tcp_listen(this: VALUE, host: VALUE, port: VALUE) -> Outcome {
    with_address(Machine::of(this)?, host, port, listen)
}

pub(super) fn init(class: VALUE) {
    define(class, c"tcp_connect", method!(tcp_connect, 2));
    define(class, c"tcp_listen", method!(tcp_listen, 2));
}
