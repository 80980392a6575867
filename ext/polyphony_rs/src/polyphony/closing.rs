//! `IO#close` tells those who wait for the IO.

use rb_sys::VALUE;

use crate::errors::Outcome;
use crate::machine::Machine;
use crate::ruby::method::{define_singleton, method};
use crate::ruby::{NIL, io};

/// `Polyphony.closing(io)`: an open IO is about to be closed, with the IO that carries its write side.
/// Whoever waits for something on them waits no more.
fn closing(_module: VALUE, io: VALUE) -> Outcome {
    let fd = io::descriptor(io)?;
    io::note_closing(io);
    Machine::announce_close(fd)?;
    let other = io::write_side(io);
    if other != io && !io::is_closed(other) {
        Machine::announce_close(io::descriptor(other)?)?;
    }
    Ok(NIL)
}

pub(super) fn init(polyphony: VALUE) {
    define_singleton(polyphony, c"closing", method!(closing, 1));
}
