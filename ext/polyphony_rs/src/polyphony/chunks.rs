//! Loops over what comes in, to EOF: `read_loop`, `recv_loop` and `feed_loop`.
//!
//! Each chunk is had by one op that reads no more than that: where the loop is left, nothing that
//! came in is lost, and the next reader goes on behind it. What Ruby has read ahead comes first.
//! The kernel fills a String of ours, which becomes the chunk where it is mostly filled, and else
//! is used again. While a source has more than a chunk at a time, it is read without the ring.

use std::os::fd::RawFd;

use polyphony_core::op::Read;
use polyphony_core::source::{self, Source};
use polyphony_core::{net, sys};
use rb_sys::VALUE;

use super::host::{Host, result_of};
use crate::errors::{Outcome, Raise, check};
use crate::machine::{CURRENT_POSITION, Machine, OnInterrupt, op_len};
use crate::ruby::buffer::lend_target;
use crate::ruby::method::{Args, define_singleton, method};
use crate::ruby::{NIL, io, protect, value};

/// Most bytes of a chunk that `feed_loop` passes on.
const FEED: i32 = 8192;

/// What a loop reads from.
struct Chunks {
    io: VALUE,
    /// Most bytes of a chunk.
    max: usize,
    /// Datagrams: each is a chunk, an empty one as well.
    messages: bool,
    /// Where the kernel writes to: `max` bytes; nil once it became a chunk.
    room: VALUE,
    /// The last chunk was full: there may be more at once.
    ahead: bool,
}

impl Chunks {
    fn new(io: VALUE, max: i32, messages: bool) -> Outcome<Self> {
        let io = io::convert(io)?;
        let max = match usize::try_from(max) {
            Ok(max @ 1..) => max,
            _ => return Err(Raise::argument_error("maxlen must be positive")),
        };
        // Raises when memory runs out, which nothing has to be cleared up for yet.
        Ok(Self { io, max, messages, room: value::string_of(max), ahead: false })
    }

    fn each(mut self, mut sink: impl FnMut(VALUE) -> Outcome) -> Outcome<()> {
        let mut host = Host::current()?;
        while let Some(chunk) = self.next(host)? {
            sink(chunk)?;
            if !host.is_settled() {
                host = Host::current()?;
            }
        }
        std::hint::black_box(self.room);
        Ok(())
    }

    /// The next chunk; `None` at the end.
    fn next(&mut self, host: Host) -> Outcome<Option<VALUE>> {
        io::check_readable(self.io)?;
        let ahead = io::take_buffered(self.io, self.max)?;
        if ahead != NIL {
            return Ok(Some(ahead));
        }
        match host {
            _ if self.messages => self.message(host),
            Host::Machine(machine) => self.by_ring(machine),
            Host::Ruby => self.by_core(host),
        }
    }

    /// Core's own reading knows no timeout in a plain thread: its waiting does. Files have nothing
    /// to wait for, and not every scheduler takes them.
    fn by_core(&self, host: Host) -> Outcome<Option<VALUE>> {
        if Source::of(io::descriptor(self.io)?)? != Source::File {
            host.wait(self.io, libc::POLLIN)?;
        }
        match io::readpartial(self.io, self.max)? {
            None if !source::is_end(io::descriptor(self.io)?) => Ok(Some(value::string(&[]))),
            chunk => Ok(chunk),
        }
    }

    fn by_ring(&mut self, machine: &'static Machine) -> Outcome<Option<VALUE>> {
        if self.ahead {
            Host::Machine(machine).let_others_run()?;
        }
        loop {
            let fd = io::descriptor(self.io)?;
            if let Some(count) = self.at_once(fd)? {
                return self.take(fd, count);
            }
            let target = lend_target(self.room()?, self.max, 0)?;
            let (ptr, len) = (target.ptr, op_len(self.max));
            let op = Read { fd, ptr, len, offset: CURRENT_POSITION };
            // SAFETY: the loan keeps the String, which nobody else knows.
            let key = unsafe { machine.submit_anyway(op, target.loan) }?;
            match result_of(machine, self.io, key, OnInterrupt::AwaitCancel) {
                // Some kernels don't wait on a descriptor that has O_NONBLOCK.
                Ok(result) if result == -libc::EAGAIN => {
                    Host::Machine(machine).wait(self.io, libc::POLLIN)?;
                }
                Ok(result) => return self.take(fd, usize::try_from(check(result)?).unwrap_or(0)),
                Err((raise, late)) => {
                    // It had come in all the same: the next reader finds it.
                    if let Some(count @ 1..) = late.and_then(|late| usize::try_from(late).ok()) {
                        io::give_back(self.io, target.copy(count)?);
                    }
                    return Err(raise);
                }
            }
        }
    }

    /// What there is without waiting; `None`: nothing, or nobody can tell.
    fn at_once(&mut self, fd: RawFd) -> Outcome<Option<usize>> {
        if !std::mem::take(&mut self.ahead) {
            return Ok(None);
        }
        // SAFETY: a String of ours; nothing of Ruby runs meanwhile.
        let room = unsafe { value::bytes_mut(self.room()?) };
        // SAFETY: so many bytes are there.
        match unsafe { sys::read_now(fd, room.as_mut_ptr(), room.len()) } {
            Ok(count) => Ok(Some(count)),
            Err(libc::EAGAIN | libc::EOPNOTSUPP | libc::EINTR) => Ok(None),
            Err(errno) => Err(Raise::Errno(errno)),
        }
    }

    fn room(&mut self) -> Outcome {
        if self.room == NIL {
            self.room = protect(|| value::string_of(self.max))?;
        }
        Ok(self.room)
    }

    /// The first `count` bytes of the room as a chunk; `None` at the end.
    fn take(&mut self, fd: RawFd, count: usize) -> Outcome<Option<VALUE>> {
        self.ahead = count == self.max;
        if count == 0 && source::is_end(fd) {
            return Ok(None);
        }
        if count < self.max / 2 {
            // SAFETY: a String of ours, which is filled that far; nothing of Ruby runs meanwhile.
            let room = unsafe { value::bytes_mut(self.room) };
            return protect(|| value::string(&room[..count])).map(Some);
        }
        let chunk = std::mem::replace(&mut self.room, NIL);
        value::truncate(chunk, count)?;
        Ok(Some(chunk))
    }

    /// Receives a datagram once there is one, so that an interruption takes none away.
    fn message(&self, host: Host) -> Outcome<Option<VALUE>> {
        host.let_others_run()?;
        loop {
            let fd = io::descriptor(self.io)?;
            // SAFETY: a String of ours; nothing of Ruby runs before it is copied.
            let room = unsafe { value::bytes_mut(self.room) };
            match net::recv_now(fd, room) {
                Ok(0) | Err(libc::EAGAIN) if Source::Messages.is_end(fd) => return Ok(None),
                Ok(count) => return protect(|| value::string(&room[..count])).map(Some),
                Err(libc::EAGAIN) => host.wait(self.io, libc::POLLIN)?,
                Err(errno) => return Err(Raise::Errno(errno)),
            }
        }
    }
}

/// `Polyphony.read_chunks(io, max) { |chunk| }`
fn read_chunks(_module: VALUE, io: VALUE, max: VALUE) -> Outcome {
    value::check_block()?;
    Chunks::new(io, value::int32(max, "maxlen")?, false)?.each(value::yield_to_block)?;
    Ok(NIL)
}

/// `Polyphony.recv_chunks(socket, max) { |chunk| }`
fn recv_chunks(_module: VALUE, socket: VALUE, max: VALUE) -> Outcome {
    value::check_block()?;
    let max = value::int32(max, "maxlen")?;
    let source = Source::of_socket(io::descriptor(io::convert(socket)?)?)?;
    Chunks::new(socket, max, source == Source::Messages)?.each(value::yield_to_block)?;
    Ok(NIL)
}

/// `Polyphony.feed_chunks(io, receiver, method, block)`
fn feed_chunks(_module: VALUE, args: Args) -> Outcome {
    let args = args.expect(4, 4)?;
    let (receiver, method, block) = (args.get(1), value::name(args.get(2))?, args.get(3));
    Chunks::new(args.get(0), FEED, false)?
        .each(|chunk| value::call_with_block(receiver, method, &[chunk], block))?;
    Ok(NIL)
}

pub(super) fn init(polyphony: VALUE) {
    define_singleton(polyphony, c"read_chunks", method!(read_chunks, 2));
    define_singleton(polyphony, c"recv_chunks", method!(recv_chunks, 2));
    define_singleton(polyphony, c"feed_chunks", method!(feed_chunks, -1));
}
