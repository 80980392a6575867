//! Sockets: making, connecting, sending, receiving.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::os::fd::RawFd;

use polyphony_core::net::{self, SockAddr};
use polyphony_core::op::{Connect, Recv, Send};
use rb_sys::VALUE;

use super::files::{MAX_LEN, fd_of, length, op_len, optional_length};
use super::hosts::port_of;
use super::{Machine, OnInterrupt};
use crate::errors::{Outcome, integer_or_errno};
use crate::ruby::buffer::{self, Loan};
use crate::ruby::method::{Args, define, define_singleton, method};
use crate::ruby::{NIL, value};

/// The first address of a host. One that doesn't exist becomes the broadcast address, so that
/// connecting to it says ENETUNREACH.
fn address(machine: &Machine, host: VALUE, port: VALUE) -> Outcome<ControlFlow<VALUE, SockAddr>> {
    let host = value::text(host, "host")?;
    let port = port_of(port)?;
    let nowhere = SocketAddr::from((Ipv4Addr::BROADCAST, port));
    let found = machine.addresses(&host, port)?;
    Ok(found.map_continue(|all| all.first().copied().unwrap_or_else(|| nowhere.into())))
}

/// A syscall that can't wait, counted as an op.
pub(super) fn counted(machine: &Machine, result: Result<i32, i32>) -> Outcome<i32> {
    machine.count_op();
    Ok(result?)
}

/// The same as a method's result.
pub(super) fn direct(machine: &Machine, result: Result<i32, i32>) -> Outcome {
    counted(machine, result).map(|number| value::integer(i64::from(number)))
}

/// `socket(domain, type, protocol, flags)`
fn socket(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(4, 4)?;
    let machine = Machine::of(this)?;
    let number = |index, what| value::int32(args.get(index), what);
    let (domain, kind) = (number(0, "domain")?, number(1, "type")?);
    let (protocol, flags) = (number(2, "protocol")?, number(3, "flags")?);
    direct(machine, net::socket(domain, kind | flags, protocol))
}

fn bind(this: VALUE, fd: VALUE, host: VALUE, port: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let fd = fd_of(fd)?;
    match address(machine, host, port)? {
        ControlFlow::Continue(addr) => direct(machine, net::bind(fd, &addr)),
        ControlFlow::Break(value) => Ok(value),
    }
}

fn listen(this: VALUE, fd: VALUE, backlog: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    direct(machine, net::listen(fd_of(fd)?, value::int32(backlog, "backlog")?))
}

fn shutdown(this: VALUE, fd: VALUE, how: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let shut = machine.shut_down(fd_of(fd)?, value::int32(how, "how")?);
    direct(machine, shut)
}

impl Machine {
    /// Shuts a socket down. Who waits on it is told at once: where it is closed right behind, that
    /// is not what they end by.
    pub(super) fn shut_down(&self, socket: RawFd, how: i32) -> Result<i32, i32> {
        let shut = net::shutdown(socket, how);
        let in_use = !self.state().borrow().driver.ops().on_fd(socket).is_empty();
        if in_use {
            // An error would come up at the next wait again.
            let _ = self.poll();
        }
        shut
    }
}

fn connect(this: VALUE, fd: VALUE, host: VALUE, port: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let fd = fd_of(fd)?;
    let addr = match address(machine, host, port)? {
        ControlFlow::Continue(addr) => addr,
        ControlFlow::Break(value) => return Ok(value),
    };
    // SAFETY: the address moves into the op's own memory.
    let key = unsafe { machine.submit(Connect { fd, addr }, Loan::NONE) }?;
    machine.conclude(key, OnInterrupt::AwaitCancel, integer_or_errno)
}

/// `recv(fd, buffer, maxlen, flags)`
fn recv(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(3, 4)?;
    let machine = Machine::of(this)?;
    let fd = fd_of(args.get(0))?;
    let maxlen = length(args.get(2), "maxlen")?.min(MAX_LEN);
    let flags = flags(args.get(3))?;
    let target = buffer::lend_target(args.get(1), maxlen, 0)?;
    if flags & libc::MSG_TRUNC != 0 {
        // The count may be that of bytes which were not copied.
        target.clear();
    }
    let op = Recv { fd, ptr: target.ptr, len: op_len(maxlen), flags };
    // SAFETY: the loan keeps the buffer.
    let key = unsafe { machine.submit(op, target.loan) }?;
    machine.conclude_target(key, target)
}

/// `send(fd, buffer, len, flags)`
fn send(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(2, 4)?;
    let machine = Machine::of(this)?;
    let fd = fd_of(args.get(0))?;
    let len = optional_length(args.get(2))?;
    let flags = flags(args.get(3))?;
    let source = buffer::lend_source(args.get(1), len)?;
    let key = machine.submit_source(source, |ptr, len| Send { fd, ptr, len, flags })?;
    machine.conclude(key, OnInterrupt::AwaitCancel, integer_or_errno)
}

pub(super) fn flags(argument: VALUE) -> Outcome<i32> {
    if argument == NIL { Ok(0) } else { value::int32(argument, "flags") }
}

/// `UM.pipe`
fn pipe(_class: VALUE) -> Outcome {
    Ok(pair(net::pipe(0)?))
}

/// `UM.socketpair(domain, type, protocol)`
fn socketpair(_class: VALUE, domain: VALUE, kind: VALUE, protocol: VALUE) -> Outcome {
    let number = value::int32;
    let fds = net::socketpair(
        number(domain, "domain")?,
        number(kind, "type")?,
        number(protocol, "protocol")?,
    )?;
    Ok(pair(fds))
}

fn pair(fds: [i32; 2]) -> VALUE {
    value::array_of(&fds.map(|fd| value::integer(i64::from(fd))))
}

pub(super) fn init(class: VALUE) {
    define(class, c"socket", method!(socket, -1));
    define(class, c"bind", method!(bind, 3));
    define(class, c"listen", method!(listen, 2));
    define(class, c"shutdown", method!(shutdown, 2));
    define(class, c"connect", method!(connect, 3));
    define(class, c"recv", method!(recv, -1));
    define(class, c"send", method!(send, -1));
    define_singleton(class, c"pipe", method!(pipe, 0));
    define_singleton(class, c"socketpair", method!(socketpair, 3));
}
