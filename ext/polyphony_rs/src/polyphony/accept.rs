//! `accept_loop`: connections as IO objects, by one multishot accept.

use std::os::fd::RawFd;

use polyphony_core::net;
use polyphony_core::op::AcceptMultishot;
use rb_sys::VALUE;

use super::host::Host;
use crate::errors::{Outcome, Raise};
use crate::machine::Strays;
use crate::ruby::method::{define_singleton, method};
use crate::ruby::{NIL, io, value};

/// `Polyphony.accept_each(server, socket_class) { |socket| }`: until the server is shut down.
/// The sockets are as `accept` makes them: close-on-exec and O_NONBLOCK.
fn accept_each(_module: VALUE, server: VALUE, class: VALUE) -> Outcome {
    let fd = io::descriptor(server)?;
    let each = |fd| {
        let number = value::integer(i64::from(fd));
        match value::call(class, c"for_fd", &[number]) {
            Ok(socket) => value::yield_to_block(socket),
            Err(raise) => {
                // No object owns it: it would stay open for ever.
                let _ = polyphony_core::sys::close(fd);
                Err(raise)
            }
        }
    };
    let listens = net::is_listening(fd);
    loop {
        // Fibers that the block starts give the thread a machine.
        if let Host::Machine(machine) = Host::current()? {
            let op = AcceptMultishot { fd, flags: libc::SOCK_NONBLOCK };
            machine.accept_each(op, Strays::GoOn, each)?;
            return Ok(NIL);
        }
        match accept_by_ruby(server, listens)? {
            Some(fd) => each(fd)?,
            None => return Ok(NIL),
        };
    }
}

/// The next connection as core accepts it; `None` once a server that did listen was shut down or
/// closed.
fn accept_by_ruby(server: VALUE, listens: bool) -> Outcome<Option<RawFd>> {
    let accepted = match value::call(server, c"sysaccept", &[]) {
        Err(Raise::Exception(error)) if listens && is_end(server, error) => return Ok(None),
        accepted => accepted?,
    };
    // `Socket#sysaccept` gives the address as well.
    let fd = if value::is_array(accepted) { value::at(accepted, 0) } else { accepted };
    value::int32(fd, "descriptor").map(Some)
}

/// Whether an error means that the server was closed, or shut down.
fn is_end(server: VALUE, error: VALUE) -> bool {
    // SAFETY: the classes are constants of the VM.
    let classes = unsafe { [rb_sys::rb_eIOError, rb_sys::rb_eSystemCallError] };
    classes.into_iter().any(|class| value::kind_of(error, class))
        && !io::descriptor(server).is_ok_and(net::is_listening)
}

pub(super) fn init(polyphony: VALUE) {
    define_singleton(polyphony, c"accept_each", method!(accept_each, 2));
}
