//! `write`: all of it.

use polyphony_core::op::{OpMemory, Send, SendV, Write, WriteV};
use rb_sys::VALUE;

use super::{Mode, UmIo};
use crate::errors::{Outcome, Raise, check};
use crate::machine::ssl::Connection;
use crate::machine::{CURRENT_POSITION, Machine, OnInterrupt, Waited};
use crate::ruby::buffer;
use crate::ruby::gather::Sources;
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, protect, value};

impl UmIo {
    /// Writes all of them.
    pub(super) fn write_buffers(&self, buffers: &[VALUE]) -> Outcome {
        let machine = self.machine()?;
        match *buffers {
            [] => Ok(value::integer(0)),
            _ if self.mode == Mode::Ssl => self.write_tls(buffers),
            _ => {
                self.check_open(machine)?;
                match *buffers {
                    [buffer] => self.write_one(machine, buffer),
                    _ => self.write_several(machine, buffers, 0),
                }
            }
        }
    }

    /// Writes one buffer with a single op as a rule.
    fn write_one(&self, machine: &Machine, buffer: VALUE) -> Outcome {
        let fd = self.inlet.get().fd();
        let source = buffer::lend_source(buffer, None)?;
        if source.is_empty() {
            source.release();
            return Ok(value::integer(0));
        }
        let len = source.len();
        let key = match self.mode {
            Mode::Socket => machine.submit_source(source, |ptr, len| Send {
                fd,
                ptr,
                len,
                flags: libc::MSG_WAITALL,
            }),
            Mode::Fd | Mode::Ssl => machine.submit_source(source, |ptr, len| Write {
                fd,
                ptr,
                len,
                offset: CURRENT_POSITION,
            }),
        }?;
        let (waited, left) = machine.wait_for_remains(key, OnInterrupt::AwaitCancel);
        let written = match waited {
            Waited::Done(result) => check(result)?.unsigned_abs() as usize,
            Waited::TimedOut => return Ok(NIL),
            Waited::Interrupted(interruption, _) => return interruption.conclude(),
        };
        match left {
            // As it was when it was lent: the caller may have changed it.
            Some(left) if written < len => {
                let lent = match left.memory {
                    OpMemory::Bytes(bytes) => protect(|| value::string(&bytes))?,
                    _ => left.data.loan.value,
                };
                self.check_open(machine)?;
                self.write_several(machine, &[lent], written)
            }
            _ => Ok(value::unsigned(written as u64)),
        }
    }

    /// EBADF once the descriptor was closed: the number may be another file's.
    pub(super) fn check_open(&self, machine: &Machine) -> Outcome<()> {
        let checked = self.inlet.get().check_open(&machine.state().borrow().driver);
        checked.map_err(Raise::Errno)
    }

    /// Writes several buffers, but for the first `written` bytes.
    fn write_several(&self, machine: &Machine, buffers: &[VALUE], written: usize) -> Outcome {
        let fd = self.inlet.get().fd();
        let sources = Sources::lend(buffers)?;
        sources.advance(written);
        let total =
            match self.mode {
                Mode::Socket => {
                    machine.write_all(fd, sources, written, |vectors, _| SendV { fd, vectors })
                }
                Mode::Fd | Mode::Ssl => machine.write_all(fd, sources, written, |vectors, _| {
                    WriteV { fd, vectors, offset: CURRENT_POSITION }
                }),
            };
        sources.release();
        total
    }

    fn write_tls(&self, buffers: &[VALUE]) -> Outcome {
        let connection = Connection::open(self.machine, self.socket)?;
        let whole = match *buffers {
            [buffer] => buffer,
            _ => joined(buffers)?,
        };
        let source = buffer::lend_source(whole, None)?;
        let written = connection.write_source(&source);
        source.release();
        match written {
            Ok(count) => Ok(value::unsigned(count as u64)),
            Err(interruption) => interruption.conclude(),
        }
    }
}

/// The bytes of several buffers as one String.
fn joined(buffers: &[VALUE]) -> Outcome {
    let whole = protect(|| value::string(&[]))?;
    for buffer in buffers {
        let source = buffer::lend_source(*buffer, None)?;
        let (ptr, len) = source.memory();
        // SAFETY: the bytes are lent until the source is released.
        let appended =
            protect(|| value::append(whole, unsafe { std::slice::from_raw_parts(ptr, len) }));
        source.release();
        appended?;
    }
    Ok(whole)
}

/// `write(*buffers)`: the number of bytes.
fn write(this: VALUE, args: Args) -> Outcome {
    let io = UmIo::of(this)?;
    io.machine()?;
    let buffers = args.all();
    buffers.iter().try_for_each(|buffer| buffer::check(*buffer))?;
    io.write_buffers(buffers)
}

pub(super) fn init(class: VALUE) {
    define(class, c"write", method!(write, -1));
}
