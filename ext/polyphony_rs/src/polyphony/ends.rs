//! The two ends of a transfer: descriptors behind IO objects, and what Ruby holds back of them.

use std::os::fd::RawFd;

use polyphony_core::sys;
use rb_sys::VALUE;

use crate::errors::{Outcome, Raise};
use crate::machine::{CURRENT_POSITION, Machine, OnInterrupt, op_len};
use crate::ruby::buffer::lend_source;
use crate::ruby::{NIL, io, value};

/// Most bytes taken from Ruby's read buffer at once.
const BUFFERED_CHUNK: usize = 64 * 1024;

/// One end of a transfer.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// The object as given.
    pub(super) object: VALUE,
    /// The IO that does the work; nil for a bare descriptor.
    io: VALUE,
    /// The object is no IO and has lent one (`Polyphony::Pipe`).
    lent: bool,
    pub(super) fd: RawFd,
    /// `splice(2)` on it never waits.
    pub(super) direct: bool,
}

impl End {
    /// Where bytes come from: an IO, a descriptor, or an object with a `splice_source`.
    pub(super) fn source(object: VALUE) -> Outcome<Self> {
        Self::new(object, c"splice_source", |io| io)
    }

    /// Where bytes go to: an IO, a descriptor, or an object with a `splice_destination`. What
    /// Ruby holds back of earlier writes is written first.
    pub(super) fn destination(object: VALUE) -> Outcome<Self> {
        let end = Self::new(object, c"splice_destination", io::write_side)?;
        if end.io != NIL {
            value::call(end.io, c"flush", &[])?;
        }
        Ok(end)
    }

    fn new(
        object: VALUE,
        conversion: &std::ffi::CStr,
        side: impl FnOnce(VALUE) -> VALUE,
    ) -> Outcome<Self> {
        if let Some(fd) = value::fixnum(object) {
            let fd = RawFd::try_from(fd).map_err(|_| Raise::Errno(libc::EBADF))?;
            let direct = sys::can_splice_now(fd);
            return Ok(Self { object, io: NIL, lent: false, fd, direct });
        }
        let lent = !io::is_io(object) && value::responds_to(object, conversion);
        let io = if lent { value::call(object, conversion, &[])? } else { io::convert(object)? };
        let io = side(io);
        let fd = io::descriptor(io)?;
        Ok(Self { object, io, lent, fd, direct: sys::can_splice_now(fd) })
    }

    /// Moves what Ruby has read ahead from this source, `limit` bytes at most, to the
    /// destination: it comes before whatever the descriptor still has.
    pub(super) fn drain_buffered(self, machine: &Machine, to: &Self, limit: u64) -> Outcome<u64> {
        let mut moved = 0;
        while self.io != NIL && moved < limit {
            let most = usize::try_from(limit - moved).unwrap_or(BUFFERED_CHUNK);
            let bytes = io::take_buffered(self.io, most.min(BUFFERED_CHUNK))?;
            if bytes == NIL {
                break;
            }
            moved += write_all(machine, to.fd, bytes)?;
        }
        Ok(moved)
    }

    /// The source is at its end: an object that has lent its IO for this may close it.
    pub(super) fn reached_eof(self) -> Outcome<()> {
        if self.lent {
            value::call(self.object, c"close_read", &[])?;
        }
        Ok(())
    }
}

fn write_all(machine: &Machine, fd: RawFd, bytes: VALUE) -> Outcome<u64> {
    let total = value::bytes_of(bytes).len();
    let mut written = 0;
    while written < total {
        let rest = value::string(&value::bytes_of(bytes)[written..]);
        let op = |ptr, len: u32| polyphony_core::op::Write {
            fd,
            ptr,
            len: op_len(len as usize),
            offset: CURRENT_POSITION,
        };
        let key = machine.submit_source(lend_source(rest, None)?, op)?;
        let result =
            machine.conclude(key, OnInterrupt::AwaitCancel, crate::errors::integer_or_errno)?;
        written += usize::try_from(value::fixnum(result).unwrap_or(0)).unwrap_or(0);
    }
    Ok(total as u64)
}
