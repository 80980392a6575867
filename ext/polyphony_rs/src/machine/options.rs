//! Options of sockets.

use polyphony_core::net;
use rb_sys::VALUE;

use super::Machine;
use super::files::fd_of;
use super::sockets::direct;
use crate::errors::Outcome;
use crate::ruby::method::{Args, define, method};
use crate::ruby::{FALSE, TRUE, value};

fn getsockopt(this: VALUE, fd: VALUE, level: VALUE, option: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let (fd, level) = (fd_of(fd)?, value::int32(level, "level")?);
    direct(machine, net::getsockopt(fd, level, value::int32(option, "option")?))
}

/// `setsockopt(fd, level, option, value)`; true and false are 1 and 0.
fn setsockopt(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(4, 4)?;
    let machine = Machine::of(this)?;
    let (fd, level) = (fd_of(args.get(0))?, value::int32(args.get(1), "level")?);
    let option = value::int32(args.get(2), "option")?;
    let number = match args.get(3) {
        TRUE => 1,
        FALSE => 0,
        given => value::int32(given, "value")?,
    };
    direct(machine, net::setsockopt(fd, level, option, number))
}

pub(super) fn init(class: VALUE) {
    define(class, c"getsockopt", method!(getsockopt, 3));
    define(class, c"setsockopt", method!(setsockopt, -1));
}
