//! `open`, `close`, `read`, `write`, `fsync`.

use std::os::fd::RawFd;

use polyphony_core::op::{Fsync, Op, OpKey, Open, Read, Write};
use rb_sys::VALUE;

use super::{Machine, OnInterrupt, Waited};
use crate::errors::{Outcome, Raise, check, integer_or_errno};
use crate::ruby::buffer::{self, Source, Target};
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, value};

/// The descriptor's own position.
pub(crate) const CURRENT_POSITION: u64 = u64::MAX;
/// Most bytes of one op: what the kernel moves at once (`MAX_RW_COUNT`).
pub(crate) const MAX_LEN: usize = 0x7fff_f000;

pub(crate) fn fd_of(argument: VALUE) -> Outcome<RawFd> {
    value::int32(argument, "fd")
}

/// A byte count that must not be negative.
pub(crate) fn length(argument: VALUE, what: &str) -> Outcome<usize> {
    let number = value::int64(argument, what)?;
    usize::try_from(number)
        .map_err(|_| Raise::argument_error(format!("{what} must not be negative: {number}")))
}

/// How many bytes to send: nil and -1 mean all.
pub(crate) fn optional_length(argument: VALUE) -> Outcome<Option<usize>> {
    match argument {
        NIL => Ok(None),
        _ if value::fixnum(argument) == Some(-1) => Ok(None),
        _ => length(argument, "length").map(Some),
    }
}

/// A position in a file: nil and -1 mean the descriptor's own.
pub(super) fn file_offset(argument: VALUE) -> Outcome<u64> {
    match argument {
        NIL => Ok(CURRENT_POSITION),
        _ if value::fixnum(argument) == Some(-1) => Ok(CURRENT_POSITION),
        _ => length(argument, "file offset").map(|offset| offset as u64),
    }
}

/// The length of an op's memory as the kernel takes it; longer requests are cut short.
pub(crate) fn op_len(len: usize) -> u32 {
    // At most MAX_LEN, which fits.
    u32::try_from(len.min(MAX_LEN)).unwrap_or(0)
}

impl Machine {
    /// Waits for an op that fills `target`: the number of bytes. What had come in when the wait
    /// was interrupted is in the buffer all the same.
    pub(crate) fn conclude_target(&self, key: OpKey, target: Target) -> Outcome {
        match self.wait_for(key, OnInterrupt::AwaitCancel) {
            Waited::Done(result) => {
                let count = check(result)?;
                target.finish(usize::try_from(count).unwrap_or(0))?;
                Ok(value::integer(i64::from(count)))
            }
            Waited::TimedOut => Ok(NIL),
            Waited::Interrupted(interruption, late) => {
                if let Some(count) = late.and_then(|late| usize::try_from(late).ok()) {
                    target.finish(count)?;
                }
                interruption.conclude()
            }
        }
    }

    /// Closes a descriptor: what is in flight on it ends first, and the other side sees it
    /// before the next operation.
    pub(crate) fn close(&self, fd: RawFd) -> Outcome<()> {
        Self::announce_close(fd)?;
        self.count_op();
        polyphony_core::sys::close(fd).map_err(Raise::Errno)
    }
}

fn open(this: VALUE, path: VALUE, flags: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let path = buffer::c_string(path, "path")?;
    let on_worker = polyphony_core::sys::is_fifo(&path);
    let op = Open { path, flags: value::int32(flags, "flags")?, mode: 0o666, on_worker };
    // SAFETY: the path moves into the op's own memory.
    let key = unsafe { machine.submit(op, buffer::Loan::NONE) }?;
    let fd = match machine.wait_for(key, OnInterrupt::AwaitCancel) {
        Waited::Done(result) => check(result)?,
        Waited::TimedOut => return Ok(NIL),
        Waited::Interrupted(interruption, late) => {
            // It was opened all the same: nobody will know the descriptor.
            if let Some(fd @ 0..) = late {
                let _ = polyphony_core::sys::close(fd);
            }
            return interruption.conclude();
        }
    };
    let opened = value::integer(i64::from(fd));
    if !value::block_given() {
        return Ok(opened);
    }
    let result = value::yield_to_block(opened);
    let closed = machine.close(fd);
    let result = result?;
    closed?;
    Ok(result)
}

fn close(this: VALUE, fd: VALUE) -> Outcome {
    Machine::of(this)?.close(fd_of(fd)?)?;
    Ok(fd)
}

/// `read(fd, buffer, maxlen, buffer_offset = 0, file_offset = -1)`
fn read(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(3, 5)?;
    let machine = Machine::of(this)?;
    let fd = fd_of(args.get(0))?;
    let maxlen = length(args.get(2), "maxlen")?.min(MAX_LEN);
    let offset = match args.get(3) {
        NIL => 0,
        given => i64::from(value::int32(given, "buffer offset")?),
    };
    let position = file_offset(args.get(4))?;
    let target = buffer::lend_target(args.get(1), maxlen, offset)?;
    let op = Read { fd, ptr: target.ptr, len: op_len(maxlen), offset: position };
    // SAFETY: the loan keeps the buffer.
    let key = unsafe { machine.submit(op, target.loan) }?;
    machine.conclude_target(key, target)
}

impl Machine {
    /// Queues what `(fd, buffer, len = nil, file_offset = nil)` asks to be written, as the op that
    /// `wrap` makes of it. Nothing where there are no bytes.
    pub(super) fn submit_write<O: Op>(
        &self,
        args: Args,
        wrap: impl FnOnce(Write) -> O,
    ) -> Outcome<Option<OpKey>> {
        let args = args.expect(2, 4)?;
        let fd = fd_of(args.get(0))?;
        let len = optional_length(args.get(2))?;
        let offset = file_offset(args.get(3))?;
        let source = buffer::lend_source(args.get(1), len)?;
        if source.is_empty() {
            source.release();
            return Ok(None);
        }
        let op = |ptr, len| wrap(Write { fd, ptr, len, offset });
        self.submit_source(source, op).map(Some)
    }
}

/// `write(fd, buffer, len = nil, file_offset = nil)`
fn write(this: VALUE, args: Args) -> Outcome {
    let machine = Machine::of(this)?;
    match machine.submit_write(args, |write| write)? {
        Some(key) => machine.conclude(key, OnInterrupt::AwaitCancel, integer_or_errno),
        None => Ok(value::integer(0)),
    }
}

/// `fsync(fd)`: 0.
fn fsync(this: VALUE, fd: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    // SAFETY: the op points to nothing.
    let key = unsafe { machine.submit(Fsync { fd: fd_of(fd)? }, buffer::Loan::NONE) }?;
    machine.conclude(key, OnInterrupt::Abandon, integer_or_errno)
}

impl Source {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the bytes are, and how many.
    pub(crate) fn memory(&self) -> (*const u8, usize) {
        match self {
            Self::Lent { ptr, len, .. } => (*ptr, *len),
            Self::Owned(bytes) => (bytes.as_ptr(), bytes.len()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.memory().1
    }

    pub(crate) fn release(self) {
        if let Self::Lent { loan, .. } = self {
            loan.release();
        }
    }
}

pub(super) fn init(class: VALUE) {
    define(class, c"open", method!(open, 2));
    define(class, c"close", method!(close, 1));
    define(class, c"read", method!(read, -1));
    define(class, c"write", method!(write, -1));
    define(class, c"fsync", method!(fsync, 1));
}
