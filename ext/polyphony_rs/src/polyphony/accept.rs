//! `accept_loop`: connections as IO objects, each accepted when the loop waits for it.

use std::os::fd::RawFd;

use polyphony_core::{net, sys};
use rb_sys::VALUE;

use super::host::Host;
use crate::errors::{Kind, Outcome, Raise};
use crate::machine::{Accepted, Accepting, Machine, Strays};
use crate::ruby::method::{define_singleton, method};
use crate::ruby::{NIL, io, value};

/// `Polyphony.accept_each(server, socket_class) { |socket| }`: until the server is shut down or
/// closed. The sockets are as `accept` makes them: close-on-exec and O_NONBLOCK.
fn accept_each(_module: VALUE, server: VALUE, class: VALUE) -> Outcome {
    value::check_block()?;
    let listens = net::is_listening(io::descriptor(server)?);
    let mut host = Host::current()?;
    loop {
        let accepted = match host {
            Host::Machine(machine) => accept_by_machine(machine, server),
            Host::Ruby => accept_by_ruby(server),
        };
        match accepted {
            Ok(Some(fd)) => value::yield_to_block(socket(class, fd)?)?,
            Ok(None) => return Ok(NIL),
            Err(raise) if listens && is_end(server, &raise) => return Ok(NIL),
            Err(raise) => return Err(raise),
        };
        // Fibers that the block starts give the thread a machine.
        if !host.is_settled() {
            host = Host::current()?;
        }
    }
}

/// The object for a connection.
fn socket(class: VALUE, fd: RawFd) -> Outcome {
    value::call(class, c"for_fd", &[value::integer(i64::from(fd))]).inspect_err(|_| {
        // No object owns it: it would stay open for ever.
        let _ = sys::close(fd);
    })
}

/// The next connection; `None` where a timeout's value ends the loop.
fn accept_by_machine(machine: &Machine, server: VALUE) -> Outcome<Option<RawFd>> {
    let accepting = Accepting {
        flags: libc::SOCK_NONBLOCK,
        strays: Strays::GoOn,
        seconds: io::timeout(server)?,
    };
    let fd =
        || if io::is_closed(server) { Err(Raise::io_closed()) } else { io::descriptor(server) };
    match machine.next_connection(accepting, &fd)? {
        Accepted::Connection(fd) => Ok(Some(fd)),
        Accepted::Interrupted(_) => Ok(None),
    }
}

/// The next connection, where Ruby lets the fiber wait.
fn accept_by_ruby(server: VALUE) -> Outcome<Option<RawFd>> {
    loop {
        let fd = io::descriptor(server)?;
        if sys::is_nonblocking(fd) {
            match net::accept_now(fd, libc::SOCK_NONBLOCK) {
                Ok(connection) => return Ok(Some(connection)),
                // A Unix socket that was shut down is ready for ever, and has nothing.
                Err(libc::EAGAIN) if !net::is_listening(fd) => {
                    return Err(Raise::Errno(libc::EINVAL));
                }
                Err(libc::EAGAIN | libc::EINTR | libc::ECONNABORTED) => {}
                Err(errno) => return Err(Raise::Errno(errno)),
            }
        }
        io::wait(server, libc::POLLIN)?;
        if !sys::is_nonblocking(fd) {
            return sysaccept(server).map(Some);
        }
    }
}

/// A connection as core accepts it: it waits without the VM lock.
fn sysaccept(server: VALUE) -> Outcome<RawFd> {
    let accepted = value::call(server, c"sysaccept", &[])?;
    // `Socket#sysaccept` gives the address as well.
    let fd = if value::is_array(accepted) { value::at(accepted, 0) } else { accepted };
    value::int32(fd, "descriptor")
}

/// Whether an error means that the server was closed, or shut down.
fn is_end(server: VALUE, raise: &Raise) -> bool {
    let may_be = match raise {
        Raise::Errno(errno) => matches!(*errno, libc::EINVAL | libc::EBADF),
        Raise::Error(..) => raise.is_a(Kind::Io),
        Raise::Exception(error) => {
            // SAFETY: the classes are constants of the VM.
            let classes = unsafe { [rb_sys::rb_eIOError, rb_sys::rb_eSystemCallError] };
            classes.into_iter().any(|class| value::kind_of(*error, class))
        }
        Raise::Jump(_) => false,
    };
    may_be && !io::descriptor(server).is_ok_and(net::is_listening)
}

pub(super) fn init(polyphony: VALUE) {
    define_singleton(polyphony, c"accept_each", method!(accept_each, 2));
}
