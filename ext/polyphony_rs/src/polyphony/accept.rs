//! `accept_loop`: connections as IO objects, by one multishot accept.

use polyphony_core::op::AcceptMultishot;
use rb_sys::VALUE;

use crate::errors::Outcome;
use crate::machine::{Machine, Strays};
use crate::ruby::method::{define_singleton, method};
use crate::ruby::{NIL, io, value};

/// `Polyphony.accept_each(server, socket_class) { |socket| }`: until the server is shut down.
/// The sockets are as `accept` makes them: close-on-exec and O_NONBLOCK.
fn accept_each(_module: VALUE, server: VALUE, class: VALUE) -> Outcome {
    let machine = Machine::of(super::current_machine()?)?;
    let op = AcceptMultishot { fd: io::descriptor(server)?, flags: libc::SOCK_NONBLOCK };
    machine.accept_each(op, Strays::GoOn, |fd| {
        let number = value::integer(i64::from(fd));
        match value::call(class, c"for_fd", &[number]) {
            Ok(socket) => value::yield_to_block(socket),
            Err(raise) => {
                // No object owns it: it would stay open for ever.
                let _ = polyphony_core::sys::close(fd);
                Err(raise)
            }
        }
    })?;
    Ok(NIL)
}

pub(super) fn init(polyphony: VALUE) {
    define_singleton(polyphony, c"accept_each", method!(accept_each, 2));
}
