//! `IO.http1_splice_chunked`: a transfer in HTTP's chunked coding.

use polyphony_core::op::Splice;
use polyphony_core::splice::calls::{self, Next};
use polyphony_core::splice::{BUFFER, Cached, Chunked, Pipe, SMALL_PIPE, Step, WINDOW};
use rb_sys::VALUE;

use super::copy;
use super::ends::End;
use super::meter::Meter;
use super::moves::{self, Moved};
use crate::errors::{Outcome, Raise};
use crate::machine::{Machine, op_len};
use crate::ruby::method::{Args, define_singleton, method};
use crate::ruby::{NIL, io, value};

/// Where a chunk's payload is on its way.
enum Body {
    Pipe(Pipe),
    /// In a String, of which so many bytes are written: an end can't be spliced.
    Buffer(VALUE, usize),
}

struct Transfer<'a> {
    machine: &'a Machine,
    from: End,
    to: End,
    chunked: Chunked,
    body: Body,
    cached: Cached,
    /// The source may have bytes in Ruby's read buffer.
    ahead: bool,
}

/// `IO.http1_splice_chunked(src, dest, max)`: to EOF, in chunks of at most `max` bytes: bytes of
/// payload. Heads and ends of chunks are counted in none of the figures.
fn http1_splice_chunked(_class: VALUE, args: Args) -> Outcome {
    let args = args.expect(3, 3)?;
    let max = moves::positive(args.get(2), "chunk size")?;
    let (from, to) = (End::source(args.get(0))?, End::destination(args.get(1))?);
    moves::with_machine(|machine| run(machine, from, to, max))
}

fn run(machine: &Machine, from: End, to: End, max: usize) -> Outcome {
    let mut transfer = Transfer::new(machine, from, to, max)?;
    let mut meter = Meter::new();
    let outcome = transfer.run(&mut meter);
    let (ended, moved) = (outcome.is_ok(), transfer.chunked.moved());
    transfer.close();
    meter.moved = moved;
    meter.conclude(if ended { from.reached_eof() } else { outcome })
}

impl<'a> Transfer<'a> {
    fn new(machine: &'a Machine, from: End, to: End, max: usize) -> Outcome<Self> {
        // A pipe would keep a chunk that a file or a device, as the destination, refuses.
        let spliced = !from.has_methods() && (to.is_pipe() || to.kind.is_socket());
        let body = if spliced {
            let mut pipe = Pipe::new()?;
            // As large as it is, it takes what fits.
            pipe.grow(max);
            Body::Pipe(pipe)
        } else {
            Body::Buffer(NIL, 0)
        };
        let (chunked, cached) = (Chunked::new(max), moves::cached(machine, &from));
        Ok(Self { machine, from, to, chunked, body, cached, ahead: from.io != NIL })
    }

    fn run(&mut self, meter: &mut Meter) -> Outcome<()> {
        loop {
            match self.chunked.step() {
                Step::Fill(max) => self.fill(max)?,
                Step::Send { more } => self.send(more)?,
                Step::Drain(len) => {
                    self.drain(len)?;
                    if self.chunked.buffered() == 0 {
                        meter.tell(self.chunked.moved())?;
                        moves::take_turns_after(self.machine, len as u64)?;
                    }
                }
                Step::Done => return Ok(()),
            }
        }
    }

    /// The next chunk's payload.
    fn fill(&mut self, max: usize) -> Outcome<()> {
        if self.ahead && self.fill_from_ruby(max)? {
            return Ok(());
        }
        let Body::Pipe(pipe) = &self.body else { return self.fill_buffer(max) };
        let writer = pipe.writer();
        let Moved { bytes, then } =
            match moves::ready(&self.from, &mut self.cached, max.min(WINDOW)) {
                Some(len) => {
                    self.machine.count_op();
                    Moved::at_once(calls::splice_now(self.from.fd, writer, len, Next::Unknown))
                }
                None => {
                    let op = Splice { from: self.from.fd, to: writer, len: op_len(max) };
                    moves::by_ring(self.machine, op)?
                }
            };
        match bytes {
            Ok(bytes) => {
                self.cached.moved(bytes);
                self.chunked.filled(bytes);
            }
            Err(libc::EAGAIN) if then.is_ok() => return self.wait_for_source(),
            // The pipe is empty, and is used no more.
            Err(libc::EINVAL) => self.body = Body::Buffer(NIL, 0),
            Err(libc::EINTR) => {}
            Err(errno) => return then.and(Err(Raise::Errno(errno))),
        }
        then
    }

    /// What Ruby has read ahead comes first, and only once.
    fn fill_from_ruby(&mut self, max: usize) -> Outcome<bool> {
        let bytes = io::take_buffered(self.from.io, max.min(SMALL_PIPE))?;
        let len = value::string_len(bytes);
        if len == 0 {
            self.ahead = false;
            return Ok(false);
        }
        // An empty pipe has room for them.
        let piped = match &self.body {
            Body::Buffer(..) => false,
            Body::Pipe(pipe) => {
                calls::write_pipe(pipe.writer(), &value::bytes_of(bytes)) == Ok(len)
            }
        };
        if !piped {
            self.body = Body::Buffer(bytes, 0);
        }
        self.chunked.filled(len);
        Ok(true)
    }

    fn fill_buffer(&mut self, max: usize) -> Outcome<()> {
        let len = max.min(BUFFER);
        let buffer = match self.body {
            Body::Buffer(buffer, _) if buffer != NIL => buffer,
            _ => value::string_with_capacity(len),
        };
        self.body = Body::Buffer(buffer, 0);
        let bytes = copy::read(self.machine, &self.from, buffer, len)?;
        self.chunked.filled(value::string_len(bytes));
        Ok(())
    }

    /// The source has nothing at present. What was sent is made whole first.
    fn wait_for_source(&mut self) -> Outcome<()> {
        self.cached.forget();
        self.chunked.would_wait();
        if let Step::Send { .. } = self.chunked.step() {
            return Ok(());
        }
        self.machine.wait_for_events(self.from.fd, libc::POLLIN, None).map(drop)
    }

    /// The frame of a chunk.
    fn send(&mut self, more: bool) -> Outcome<()> {
        if self.to.kind.is_direct() && self.to.kind.is_socket() {
            let next = if more { Next::More } else { Next::Unknown };
            self.machine.count_op();
            match calls::send_now(self.to.fd, self.chunked.frame(), next) {
                Ok(bytes) => self.chunked.sent(bytes),
                Err(libc::EAGAIN) => self.wait_for_destination()?,
                Err(libc::EINTR) => {}
                Err(errno) => return Err(Raise::Errno(errno)),
            }
            return Ok(());
        }
        let frame = value::string(self.chunked.frame());
        let moved = copy::write(self.machine, &self.to, frame, 0..value::string_len(frame))?;
        if let Some(bytes) = self.came_of(moved)? {
            self.chunked.sent(bytes);
        }
        Ok(())
    }

    /// Payload to the destination.
    fn drain(&mut self, len: usize) -> Outcome<()> {
        let moved = match &self.body {
            &Body::Buffer(buffer, at) => copy::write(self.machine, &self.to, buffer, at..at + len)?,
            Body::Pipe(pipe) if self.to.kind.is_direct() => {
                self.machine.count_op();
                Moved::at_once(calls::splice_now(pipe.reader(), self.to.fd, len, Next::More))
            }
            Body::Pipe(pipe) => {
                let op = Splice { from: pipe.reader(), to: self.to.fd, len: op_len(len) };
                moves::by_ring(self.machine, op)?
            }
        };
        if let Ok(bytes) = moved.bytes {
            self.chunked.drained(bytes);
            if let Body::Buffer(_, at) = &mut self.body {
                *at += bytes;
            }
        }
        self.came_of(moved).map(drop)
    }

    /// The bytes of a move to the destination; none where it is to be tried again.
    fn came_of(&self, moved: Moved) -> Outcome<Option<usize>> {
        moved.then?;
        match moved.bytes {
            Ok(bytes) => Ok(Some(bytes)),
            Err(libc::EAGAIN) => self.wait_for_destination().map(|()| None),
            Err(libc::EINTR) => Ok(None),
            Err(errno) => Err(Raise::Errno(errno)),
        }
    }

    fn wait_for_destination(&self) -> Outcome<()> {
        self.machine.wait_for_events(self.to.fd, libc::POLLOUT, None).map(drop)
    }

    /// Closes the pipe; payload that has not been sent goes back to the source.
    fn close(self) {
        let left = self.chunked.buffered();
        let rewound = left == 0 || self.from.rewind(left);
        match self.body {
            _ if rewound => {}
            Body::Pipe(pipe) => self.from.give_back(moves::contents(&pipe, left)),
            Body::Buffer(buffer, at) => {
                self.from.give_back(value::substring(buffer, at..at + left));
            }
        }
    }
}

pub(super) fn init(io: VALUE) {
    define_singleton(io, c"http1_splice_chunked", method!(http1_splice_chunked, -1));
}
