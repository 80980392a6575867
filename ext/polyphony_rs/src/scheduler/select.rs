//! The hook of `IO.select`.

use std::os::fd::RawFd;

use rb_sys::VALUE;

use super::machine;
use crate::clock;
use crate::errors::{Outcome, Raise};
use crate::machine::{EXCEPTIONAL, READABLE, Readiness, WRITABLE, ready_now};
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, io, value};

/// The three lists as one: what to poll for, which IO asked, and where each list ends.
#[derive(Default)]
struct Lists {
    interests: Vec<(RawFd, i16)>,
    ends: [usize; 3],
}

/// The IO behind an entry: itself, or what `to_io` gives.
fn io_of(entry: VALUE) -> Outcome {
    io::convert(entry)
}

impl Lists {
    fn collect(lists: [VALUE; 3]) -> Outcome<Self> {
        let mut collected = Self::default();
        for ((list, events), end) in
            lists.into_iter().zip([READABLE, WRITABLE, EXCEPTIONAL]).zip(0..)
        {
            let count = checked_len(list)?;
            for index in 0..count {
                let mut io = io_of(value::at(list, index))?;
                if events == WRITABLE {
                    io = io::write_side(io);
                }
                collected.interests.push((io::descriptor(io)?, events));
            }
            collected.ends[end] = collected.interests.len();
        }
        Ok(collected)
    }

    /// The arrays of entries whose events came.
    fn answer(&self, lists: [VALUE; 3], is_ready: impl Fn(usize) -> bool) -> VALUE {
        let mut position = 0;
        let arrays = [0, 1, 2].map(|which| {
            let array = value::array();
            for index in 0..self.ends[which] - position {
                if is_ready(position + index) {
                    value::push(array, value::at(lists[which], index));
                }
            }
            position = self.ends[which];
            array
        });
        value::array_of(&arrays)
    }
}

fn checked_len(list: VALUE) -> Outcome<usize> {
    if list == NIL {
        return Ok(0);
    }
    if !value::is_array(list) {
        return Err(Raise::type_error("IO.select takes Arrays"));
    }
    Ok(value::array_len(list))
}

/// Which readable entries Ruby has bytes of in its own buffer: those are ready whatever the
/// kernel says.
fn buffered(list: VALUE) -> Outcome<Vec<bool>> {
    (0..checked_len(list)?)
        .map(|index| Ok(io::buffered(io_of(value::at(list, index))?)? > 0))
        .collect()
}

/// `io_select(readables, writables = nil, exceptables = nil, timeout = nil)`
fn io_select(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(1, 4)?;
    let machine = machine(this)?;
    let lists = [args.get(0), args.get(1), args.get(2)];
    let buffered = buffered(lists[0])?;
    let collected = Lists::collect(lists)?;
    if buffered.contains(&true) {
        let ready = ready_now(&collected.interests)?;
        let there = |at| buffered.get(at).is_some_and(|there| *there) || ready[at] != 0;
        return Ok(collected.answer(lists, there));
    }
    let deadline = value::seconds(args.get(3))?.map(clock::after);
    match machine.wait_ready(&collected.interests, deadline)? {
        Readiness::TimedOut => Ok(NIL),
        Readiness::Ready(ready) => Ok(collected.answer(lists, |at| ready[at] != 0)),
        Readiness::Interrupted(interruption) => interruption.conclude(),
    }
}

pub(super) fn init(class: VALUE) {
    define(class, c"io_select", method!(io_select, -1));
}
