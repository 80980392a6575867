//! `writev` and `sendv`: several buffers as one, written to the end.

use std::os::fd::RawFd;

use polyphony_core::op::{Op, SendV, WriteV};
use polyphony_core::source::Source;
use rb_sys::VALUE;

use super::files::{CURRENT_POSITION, fd_of, file_offset};
use super::{Machine, OnInterrupt, Waited};
use crate::errors::{Outcome, check, integer_or_errno};
use crate::ruby::buffer::Loan;
use crate::ruby::gather::Sources;
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, value};

impl Machine {
    /// Writes it all, by as many ops as it takes: the number of bytes, with those that were
    /// `written` already. `op` gets the places of the next bytes, and how many were written before.
    pub(crate) fn write_all<O: Op>(
        &self,
        fd: RawFd,
        sources: Sources,
        written: usize,
        op: impl Fn(Box<[libc::iovec]>, u64) -> O,
    ) -> Outcome {
        let known = self.know(fd);
        let mut written = written as u64;
        while !sources.is_empty() {
            // SAFETY: the loan keeps the bytes; the list of their places moves into the op's own
            // memory.
            let key = unsafe { self.submit_anyway(op(sources.next(), written), sources.loan()) }?;
            let count = match self.wait_for(key, OnInterrupt::AwaitCancel) {
                Waited::Done(result) => check(result)?.unsigned_abs(),
                Waited::TimedOut => return Ok(NIL),
                Waited::Interrupted(interruption, _) => return interruption.conclude(),
            };
            written += u64::from(count);
            sources.advance(count as usize);
            if count == 0 {
                break;
            }
            if !sources.is_empty() {
                self.descriptor_of(known)?;
            }
        }
        Ok(value::unsigned(written))
    }
}

impl Machine {
    /// Sends a message without bytes: 0.
    fn send_empty(&self, fd: RawFd) -> Outcome {
        let op = SendV { fd, vectors: Box::default() };
        // SAFETY: the op points to nothing.
        let key = unsafe { self.submit(op, Loan::NONE) }?;
        self.conclude(key, OnInterrupt::AwaitCancel, integer_or_errno)
    }
}

/// `writev(fd, *buffers, file_offset = nil)`: an Integer at the end is the offset.
fn writev(this: VALUE, args: Args) -> Outcome {
    let machine = Machine::of(this)?;
    let (fd, buffers) = fd_and_buffers(args)?;
    let (buffers, offset) = match buffers.split_last() {
        Some((last, rest)) if value::is_integer(*last) => (rest, file_offset(*last)?),
        _ => (buffers, CURRENT_POSITION),
    };
    let sources = Sources::lend(buffers)?;
    let written = machine.write_all(fd, sources, 0, |vectors, written| {
        let own = offset == CURRENT_POSITION;
        let offset = if own { offset } else { offset.saturating_add(written) };
        WriteV { fd, vectors, offset }
    });
    sources.release();
    written
}

/// `sendv(fd, *buffers)`
fn sendv(this: VALUE, args: Args) -> Outcome {
    let machine = Machine::of(this)?;
    let (fd, buffers) = fd_and_buffers(args)?;
    let sources = Sources::lend(buffers)?;
    if sources.is_empty() && !buffers.is_empty() && Source::of_socket(fd) == Ok(Source::Messages) {
        sources.release();
        return machine.send_empty(fd);
    }
    let sent = machine.write_all(fd, sources, 0, |vectors, _| SendV { fd, vectors });
    sources.release();
    sent
}

fn fd_and_buffers(args: Args<'_>) -> Outcome<(RawFd, &[VALUE])> {
    let args = args.expect(1, usize::MAX)?;
    Ok((fd_of(args.get(0))?, &args.all()[1..]))
}

pub(super) fn init(class: VALUE) {
    define(class, c"writev", method!(writev, -1));
    define(class, c"sendv", method!(sendv, -1));
}
