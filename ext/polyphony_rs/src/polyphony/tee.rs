//! `IO.tee`: what a pipe holds goes to another pipe, and stays.

use polyphony_core::splice::calls;
use rb_sys::VALUE;

use super::ends::End;
use super::meter::{Meter, count};
use super::{copy, moves};
use crate::errors::{Outcome, Raise};
use crate::machine::Machine;
use crate::ruby::method::{define_singleton, method};
use crate::ruby::{NIL, io, value};

/// `IO.tee(src, dest, len)`: bytes copied, at most `len`; 0 at EOF.
fn tee(_class: VALUE, src: VALUE, dest: VALUE, len: VALUE) -> Outcome {
    let len = moves::positive(len, "length")?;
    let (from, to) = (End::source(src)?, End::destination(dest)?);
    if !from.is_pipe() || !to.is_pipe() {
        return Err(Raise::Errno(libc::EINVAL));
    }
    moves::with_machine(|machine| copied(machine, &from, &to, len))
}

fn copied(machine: &Machine, from: &End, to: &End, len: usize) -> Outcome {
    if let Some(copied) = read_ahead(machine, from, to, len)? {
        return Ok(count(copied));
    }
    loop {
        machine.count_op();
        match calls::tee_now(from.fd, to.fd, len) {
            Ok(copied) => return Ok(count(copied as u64)),
            Err(libc::EAGAIN) => {
                if !moves::wait_for_either(machine, from.fd, to.fd)? {
                    // Out of slots though not of bytes: its reader has to run.
                    moves::let_others_run(machine)?;
                }
            }
            Err(libc::EINTR) => {}
            Err(errno) => return Err(Raise::Errno(errno)),
        }
    }
}

/// What Ruby has read ahead is copied instead, and stays there.
fn read_ahead(machine: &Machine, from: &End, to: &End, len: usize) -> Outcome<Option<u64>> {
    if from.io == NIL || io::buffered(from.io)? == 0 {
        return Ok(None);
    }
    let bytes = io::take_buffered(from.io, len)?;
    let mut meter = Meter::silent();
    // What can't be written is given back there; the rest here, before it.
    let outcome = copy::write_all(machine, (from, to), bytes, &mut meter);
    let written = usize::try_from(meter.moved).unwrap_or(usize::MAX);
    from.give_back(value::substring(bytes, 0..written));
    outcome.map(|()| Some(meter.moved))
}

pub(super) fn init(io: VALUE) {
    define_singleton(io, c"tee", method!(tee, 3));
}
