//! `IO.tee`: what a pipe holds goes to another pipe, and stays.

use polyphony_core::splice::calls;
use rb_sys::VALUE;

use super::ends::{End, Supply};
use super::meter::{Meter, count};
use super::unparked::{Unparked, with_machine};
use super::{copy, moves};
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{define_singleton, method};
use crate::ruby::value;

/// `IO.tee(src, dest, len)`: bytes copied, at most `len`; 0 at EOF.
fn tee(_class: VALUE, src: VALUE, dest: VALUE, len: VALUE) -> Outcome {
    let len = moves::positive(len, "length")?;
    with_machine(|unparked| {
        let (from, to) = (End::source(unparked, src)?, End::destination(unparked, dest)?);
        if !from.is_pipe() || !to.is_pipe() {
            return Err(Raise::Errno(libc::EINVAL));
        }
        copied(unparked, &from, &to, len)
    })
}

fn copied(unparked: &mut Unparked, from: &End, to: &End, len: usize) -> Outcome {
    unparked.hear(&[from, to]);
    if let Some(copied) = read_ahead(unparked, from, to, len)? {
        return Ok(count(copied));
    }
    loop {
        unparked.count_op();
        match calls::tee_now(from.fd(unparked)?.number(), to.fd(unparked)?.number(), len) {
            Ok(copied) => return Ok(count(copied as u64)),
            Err(libc::EAGAIN) => {
                if !unparked.wait_for_either(from, to)? {
                    // Out of slots though not of bytes: its reader has to run.
                    unparked.let_others_run()?;
                }
            }
            Err(libc::EINTR) => {}
            Err(errno) => return Err(moves::failure(errno, (from, to))),
        }
    }
}

/// What Ruby has read ahead is copied instead, and stays there.
fn read_ahead(unparked: &mut Unparked, from: &End, to: &End, len: usize) -> Outcome<Option<u64>> {
    if from.read_ahead()? == 0 {
        return Ok(None);
    }
    let bytes = from.take_ahead(len)?;
    let mut meter = Meter::silent();
    // What can't be written is given back there; the rest here, before it.
    let outcome = copy::write_all(unparked, (from, to), bytes, Supply::Ahead, &mut meter);
    let written = moves::as_len(meter.moved);
    from.take_back(unparked, Supply::Ahead, written, || value::substring(bytes, 0..written));
    outcome.map(|()| Some(meter.moved))
}

pub(super) fn init(io: VALUE) {
    define_singleton(io, c"tee", method!(tee, 3));
}
