//! `read_each` and `recv_each`: what comes in, as it comes.
//!
//! Pipes and stream sockets are read by a multishot op into the pool's buffers, from which each
//! chunk is copied into a String before the block gets it. Everything else, and whatever there is
//! no buffer for, is read with one op per chunk: regular files have no multishot, and a datagram
//! (or the record of an eventfd) needs a buffer of its own, as the rest of one that is filled bit
//! by bit may be too small for it.
//!
//! Where a loop is left early (`break`, an exception), what had come in and was not yielded yet
//! is lost. An interruption that comes together with data comes behind it.

use std::ops::ControlFlow;
use std::os::fd::RawFd;

use polyphony_core::buf::Segment;
use polyphony_core::op::{Completion, Poll, Read, ReadMultishot, Recv, RecvMultishot};
use polyphony_core::source::Source;
use rb_sys::VALUE;

use super::each::{Ended, Flow, go_on_after_yield};
use super::files::{CURRENT_POSITION, fd_of, op_len};
use super::{Machine, sockets};
use crate::errors::{Outcome, Raise, check};
use crate::ruby::buffer::{self, Loan};
use crate::ruby::method::{Args, define, method};
use crate::ruby::{protect, value};

/// Bytes that a single op reads at most: any datagram fits.
const CHUNK: usize = 65_536;

/// Flags that make no sense where everything is received, and once.
const NOT_FOR_EACH: i32 = libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_WAITALL;

/// How chunks are had.
#[derive(Clone, Copy)]
enum Way {
    Read,
    /// With `MSG_*`.
    Recv(i32),
}

#[derive(Clone, Copy)]
struct Incoming {
    fd: RawFd,
    source: Source,
    way: Way,
}

impl Incoming {
    /// The next op, to its end: a multishot where there is one, and buffers for it.
    fn turn(self, machine: &Machine) -> Outcome<Ended> {
        let Self { fd, source, way } = self;
        let read_multishot = machine.state().borrow().driver.capabilities().read_multishot;
        let mut each = |completion| machine.each_chunk(completion);
        let flags = match way {
            Way::Read => 0,
            Way::Recv(flags) => flags,
        };
        match source {
            Source::Stream if machine.provide_buffers() => {
                let op = RecvMultishot { fd, flags };
                // SAFETY: the op points to nothing but the pool.
                unsafe { machine.each_result(op, Loan::NONE, &mut each) }
            }
            Source::Pipe if read_multishot && machine.provide_buffers() => {
                // SAFETY: as above.
                unsafe { machine.each_result(ReadMultishot { fd }, Loan::NONE, &mut each) }
            }
            Source::File => self.single(machine),
            Source::Pipe | Source::Stream | Source::Messages | Source::Device => {
                self.poll_and_read(machine)
            }
        }
    }

    /// Waits for one chunk without holding memory for it, and reads it.
    fn poll_and_read(self, machine: &Machine) -> Outcome<Ended> {
        let known = machine.know(self.fd);
        let events = (libc::POLLIN | libc::POLLRDHUP) as u32;
        let mut came = 0;
        let mut each = |completion: Completion| {
            came = check(completion.result)?;
            Ok(ControlFlow::Continue(()))
        };
        let op = Poll { fd: self.fd, events };
        // SAFETY: the op points to nothing.
        match unsafe { machine.each_result(op, Loan::NONE, &mut each) }? {
            Ended::ByKernel if came == 0 => Ok(Ended::ByKernel),
            Ended::ByKernel => {
                machine.descriptor_of(known)?;
                self.single(machine)
            }
            ended => Ok(ended),
        }
    }

    /// Reads one chunk.
    fn single(self, machine: &Machine) -> Outcome<Ended> {
        let fd = self.fd;
        let target = buffer::lend_target(value::string(&[]), CHUNK, 0)?;
        let mut each = |Completion { result, .. }| match result {
            0 if self.source.is_end(fd) => Ok(ControlFlow::Break(())),
            // Somebody else was faster.
            result if result == -libc::EAGAIN => Ok(ControlFlow::Continue(())),
            result => {
                let count = usize::try_from(check(result)?).unwrap_or(0);
                go_on_after_yield(target.copy(count)?)
            }
        };
        let (ptr, len) = (target.ptr, op_len(CHUNK));
        // SAFETY: the loan keeps the String, which nobody else knows.
        unsafe {
            match self.way {
                Way::Read => {
                    let op = Read { fd, ptr, len, offset: CURRENT_POSITION };
                    machine.each_result(op, target.loan, &mut each)
                }
                Way::Recv(flags) => {
                    let op = Recv { fd, ptr, len, flags };
                    machine.each_result(op, target.loan, &mut each)
                }
            }
        }
    }
}

impl Machine {
    fn provide_buffers(&self) -> bool {
        self.state().borrow_mut().driver.provide_buffers()
    }

    /// Yields what one completion of a multishot has brought.
    fn each_chunk(&self, completion: Completion) -> Flow {
        match (completion.segment, completion.result) {
            (Some(segment), _) => go_on_after_yield(self.take_segment(segment)?),
            (None, 0) => Ok(ControlFlow::Break(())),
            // More buffers are there by now, or none can be had, which the next turn finds out.
            (None, result) if result == -libc::ENOBUFS => Ok(ControlFlow::Continue(())),
            (None, result) => check(result).map(|_| ControlFlow::Continue(())),
        }
    }

    /// A segment as a String; its buffer goes back.
    fn take_segment(&self, segment: Segment) -> Outcome {
        // No borrow across the allocation. The bytes stay in place until they are released.
        let bytes: *const [u8] = self.state().borrow().driver.segment(segment);
        // SAFETY: see above.
        let chunk = protect(|| value::string(unsafe { &*bytes }));
        self.state().borrow_mut().driver.release(segment);
        chunk
    }

    fn each_incoming(&self, incoming: Incoming) -> Outcome {
        self.until_done(incoming.fd, || incoming.turn(self))
    }
}

/// Yields each chunk that comes in, until EOF.
fn read_each(this: VALUE, fd: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let fd = fd_of(fd)?;
    value::check_block()?;
    machine.each_incoming(Incoming { fd, source: Source::of(fd)?, way: Way::Read })
}

/// `recv_each(fd, flags = 0)`: yields each chunk or datagram that comes in, until the peer or
/// this side has shut down.
fn recv_each(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(1, 2)?;
    let machine = Machine::of(this)?;
    let fd = fd_of(args.get(0))?;
    let flags = sockets::flags(args.get(1))?;
    if flags & NOT_FOR_EACH != 0 {
        return Err(Raise::argument_error(
            "MSG_PEEK, MSG_TRUNC and MSG_WAITALL can't be used here",
        ));
    }
    value::check_block()?;
    machine.each_incoming(Incoming { fd, source: Source::of_socket(fd)?, way: Way::Recv(flags) })
}

pub(super) fn init(class: VALUE) {
    define(class, c"read_each", method!(read_each, 1));
    define(class, c"recv_each", method!(recv_each, -1));
}
