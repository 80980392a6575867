//! `IO.http1_splice_chunked`: a transfer in HTTP's chunked coding.

use polyphony_core::op::Splice;
use polyphony_core::splice::calls::{self, Kind, Next};
use polyphony_core::splice::{BUFFER, Cached, Chunked, Pipe, SMALL_PIPE, Step, WINDOW};
use rb_sys::VALUE;

use super::copy;
use super::ends::{End, Supply};
use super::meter::Meter;
use super::moves::{self, Moved};
use super::unparked::{Unparked, with_machine};
use crate::errors::Outcome;
use crate::machine::op_len;
use crate::ruby::method::{Args, define_singleton, method};
use crate::ruby::{NIL, value};

/// Where a chunk's payload is on its way.
enum Body {
    Pipe(Pipe),
    /// In a String, of which so many bytes are written: an end can't be spliced.
    Buffer(VALUE, usize),
}

struct Transfer<'a> {
    unparked: &'a mut Unparked,
    from: End,
    to: End,
    chunked: Chunked,
    body: Body,
    /// Where the payload has come from.
    supply: Supply,
    cached: Cached,
    /// The source may have bytes in Ruby's read buffer.
    ahead: bool,
}

/// `IO.http1_splice_chunked(src, dest, max)`: to EOF, in chunks of at most `max` bytes: bytes of
/// payload. Heads and ends of chunks are counted in none of the figures.
fn http1_splice_chunked(_class: VALUE, args: Args) -> Outcome {
    let args = args.expect(3, 3)?;
    let max = moves::positive(args.get(2), "chunk size")?;
    with_machine(|unparked| {
        let from = End::source(unparked, args.get(0))?;
        let to = End::destination(unparked, args.get(1))?;
        unparked.hear(&[&from, &to]);
        run(unparked, from, to, max)
    })
}

fn run(unparked: &mut Unparked, from: End, to: End, max: usize) -> Outcome {
    let mut transfer = Transfer::new(unparked, from, to, max)?;
    let mut meter = Meter::new();
    let outcome = transfer.run(&mut meter);
    meter.moved = transfer.chunked.moved();
    transfer.close();
    let outcome = outcome.and_then(|()| from.reached_eof(unparked));
    meter.conclude(outcome)
}

impl<'a> Transfer<'a> {
    fn new(unparked: &'a mut Unparked, from: End, to: End, max: usize) -> Outcome<Self> {
        // A pipe would keep a chunk that a file or a device, as the destination, refuses.
        let spliced = from.by_methods().is_none() && (to.is_pipe() || to.kind.is_socket());
        let body = if spliced {
            let mut pipe = Pipe::new()?;
            // As large as it is, it takes what fits.
            pipe.grow(max);
            Body::Pipe(pipe)
        } else {
            Body::Buffer(NIL, 0)
        };
        let (chunked, cached) = (Chunked::new(max), unparked.cached(&from));
        let (supply, ahead) = (Supply::Source, from.io().is_some());
        Ok(Self { unparked, from, to, chunked, body, supply, cached, ahead })
    }

    fn run(&mut self, meter: &mut Meter) -> Outcome<()> {
        loop {
            match self.chunked.step() {
                Step::Fill(max) => self.fill(max)?,
                Step::Send { more } => self.send(more)?,
                Step::Drain(len) => {
                    self.drain(len)?;
                    if self.chunked.buffered() == 0 {
                        meter.tell(self.unparked, self.chunked.moved())?;
                        self.unparked.take_turns_after(len as u64)?;
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
        self.supply = Supply::Source;
        if self.has_to_end_chunk()? {
            return Ok(());
        }
        let Body::Pipe(pipe) = &self.body else { return self.fill_buffer(max) };
        let (writer, fd) = (pipe.writer(), self.from.fd(self.unparked)?);
        let Moved { bytes, then } =
            match moves::ready((&self.from, fd), &mut self.cached, max.min(WINDOW)) {
                Some(len) => {
                    self.unparked.count_op();
                    Moved::at_once(calls::splice_now(fd.number(), writer, len, Next::Unknown))
                }
                None => {
                    let op = Splice { from: fd.number(), to: writer, len: op_len(max) };
                    let deadline = self.from.deadline()?;
                    self.unparked.by_ring(op, deadline)?
                }
            };
        match bytes {
            // An empty datagram is no end.
            Ok(0) if then.is_ok() && !self.from.has_ended(self.unparked)? => {}
            Ok(bytes) => {
                self.cached.moved(bytes);
                self.chunked.filled(bytes);
            }
            Err(libc::EAGAIN) if then.is_ok() => return self.wait_for_source(),
            // The pipe is empty, and is used no more.
            Err(libc::EINVAL) => self.body = Body::Buffer(NIL, 0),
            Err(libc::EINTR) => {}
            Err(errno) => return then.and(Err(self.from.failure(errno))),
        }
        then
    }

    /// What comes next might have to be waited for where only the wait would tell. Then what was
    /// sent is made whole first; whether there is something to send for it.
    fn has_to_end_chunk(&mut self) -> Outcome<bool> {
        // It would say so (a pipe or a socket that is spliced), or never waits for anybody.
        let tells = matches!(self.body, Body::Pipe(_)) && self.from.is_direct();
        if tells || matches!(self.from.kind, Kind::File | Kind::Memory) {
            return Ok(false);
        }
        let is_sure =
            self.from.by_methods().is_none() && self.unparked.is_ready(&self.from, libc::POLLIN)?;
        if !is_sure {
            self.chunked.would_wait();
        }
        Ok(matches!(self.chunked.step(), Step::Send { .. }))
    }

    /// What Ruby has read ahead comes first, and only once.
    fn fill_from_ruby(&mut self, max: usize) -> Outcome<bool> {
        if self.from.read_ahead()? == 0 {
            self.ahead = false;
            return Ok(false);
        }
        let bytes = self.from.take_ahead(max.min(SMALL_PIPE))?;
        let len = value::string_len(bytes);
        self.supply = Supply::Ahead;
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
        let bytes = copy::read(self.unparked, &self.from, buffer, len)?;
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
        self.unparked.wait(&self.from, libc::POLLIN)
    }

    /// The frame of a chunk.
    fn send(&mut self, more: bool) -> Outcome<()> {
        if self.to.is_direct() && self.to.kind.is_socket() {
            let next = if more { Next::More } else { Next::Unknown };
            self.unparked.count_op();
            let fd = self.to.fd(self.unparked)?.number();
            match calls::send_now(fd, self.chunked.frame(), next) {
                Ok(bytes) => self.chunked.sent(bytes),
                Err(libc::EAGAIN) => self.wait_for_destination()?,
                Err(libc::EINTR) => {}
                Err(errno) => return Err(self.to.failure(errno)),
            }
            return Ok(());
        }
        let frame = value::string(self.chunked.frame());
        let moved = copy::write(self.unparked, &self.to, frame, 0..value::string_len(frame))?;
        if let Some(bytes) = self.came_of(moved)? {
            self.chunked.sent(bytes);
        }
        Ok(())
    }

    /// Payload to the destination.
    fn drain(&mut self, len: usize) -> Outcome<()> {
        let moved = match &self.body {
            &Body::Buffer(buffer, at) => {
                copy::write(self.unparked, &self.to, buffer, at..at + len)?
            }
            Body::Pipe(pipe) => {
                let (from, to) = (pipe.reader(), self.to.fd(self.unparked)?.number());
                if self.to.is_direct() {
                    self.unparked.count_op();
                    Moved::at_once(calls::splice_now(from, to, len, Next::More))
                } else {
                    let deadline = self.to.deadline()?;
                    self.unparked.by_ring(Splice { from, to, len: op_len(len) }, deadline)?
                }
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
    fn came_of(&mut self, moved: Moved) -> Outcome<Option<usize>> {
        moved.then?;
        match moved.bytes {
            Ok(bytes) => Ok(Some(bytes)),
            Err(libc::EAGAIN) => self.wait_for_destination().map(|()| None),
            Err(libc::EINTR) => Ok(None),
            Err(errno) => Err(self.to.failure(errno)),
        }
    }

    fn wait_for_destination(&mut self) -> Outcome<()> {
        self.unparked.wait(&self.to, libc::POLLOUT)
    }

    /// Closes the pipe; payload that has not been sent goes back to the source.
    fn close(self) {
        let left = self.chunked.buffered();
        let bytes = || match &self.body {
            Body::Pipe(pipe) => moves::contents(pipe, left),
            &Body::Buffer(buffer, at) => value::substring(buffer, at..at + left),
        };
        self.from.take_back(self.unparked, self.supply, left, bytes);
    }
}

pub(super) fn init(io: VALUE) {
    define_singleton(io, c"http1_splice_chunked", method!(http1_splice_chunked, -1));
}
