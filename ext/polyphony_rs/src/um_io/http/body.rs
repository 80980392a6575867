//! `http_read_body`, and passing over what was not read of a body.

use polyphony_core::proto::http1::{Chunked, Refusal, Step};
use polyphony_core::stream::Ask;
use rb_sys::VALUE;

use super::super::UmIo;
use super::super::fill::{Read, Reader, read_in_turn};
use super::super::read::LONG;
use super::{Incoming, MOST_SKIPPED, keywords};
use crate::errors::{Outcome, Raise};
use crate::machine::Machine;
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, protect, value};

/// Bytes of a body, unless the caller says otherwise.
const MAX_BODY: u64 = 1024 * 1024;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What comes next of a chunked body.
enum Next {
    /// Payload; it stays in place until so many bytes are consumed.
    Payload(*const [u8], usize),
    NeedMore,
    End,
}

/// What is left of a body.
enum Left {
    Bytes(u64),
    Chunks,
}

impl UmIo {
    fn body_left(&self, machine: &Machine) -> Outcome<Option<Left>> {
        let position = self.with_stream(machine, |stream, _| stream.consumed())?;
        let exchange = &mut *self.http.borrow_mut();
        exchange.notice(position);
        Ok(match exchange.incoming {
            Incoming::None => None,
            Incoming::Until(end) => Some(Left::Bytes(end - position)),
            Incoming::Chunked(_) => Some(Left::Chunks),
        })
    }

    /// Whether there is a body to be read. One that is known to be too large is refused; the
    /// client is told to go on if it waits for that.
    fn begin_body(&self, machine: &Machine, max: u64) -> Outcome<bool> {
        match self.body_left(machine)? {
            None => return Ok(false),
            Some(Left::Bytes(left)) if left > max => {
                return Err(self.refuse(Refusal::BodyTooLarge));
            }
            Some(_) => {}
        }
        self.begin_chunks(max);
        if self.take_waits() && self.with_stream(machine, |stream, _| stream.pending())? == 0 {
            self.put(machine, CONTINUE.to_vec())?;
        }
        Ok(true)
    }

    fn begin_chunks(&self, max: u64) {
        if let Incoming::Chunked(chunks) = &mut self.http.borrow_mut().incoming {
            chunks.decoder.get_or_insert_with(|| Box::new(Chunked::new(max)));
        }
    }

    fn take_waits(&self) -> bool {
        let request = &mut self.http.borrow_mut().request;
        request.as_mut().is_some_and(|request| std::mem::take(&mut request.waits))
    }

    /// The body was read to its end.
    fn end_body(&self) {
        self.http.borrow_mut().incoming = Incoming::None;
    }

    /// The payload of a chunked body that an interrupted read has left.
    fn take_payload(&self) -> VALUE {
        match &mut self.http.borrow_mut().incoming {
            Incoming::Chunked(chunks) => std::mem::replace(&mut chunks.payload, NIL),
            _ => NIL,
        }
    }

    fn keep_payload(&self, payload: VALUE) {
        if let Incoming::Chunked(chunks) = &mut self.http.borrow_mut().incoming {
            chunks.payload = payload;
        }
    }

    /// Looks at what has come of a chunked body.
    fn next_chunk(&self, machine: &Machine) -> Outcome<Next> {
        let exchange = &mut *self.http.borrow_mut();
        let Incoming::Chunked(chunks) = &mut exchange.incoming else { return Ok(Next::End) };
        let Some(decoder) = &mut chunks.decoder else { return Ok(Next::End) };
        let next = self.with_stream(machine, |stream, buffers| {
            loop {
                let front = stream.front(buffers);
                let consumed = match decoder.next(front)? {
                    Step::Data { skip, len } => {
                        let payload: *const [u8] = &front[skip..skip + len];
                        chunks.position = stream.consumed() + (skip + len) as u64;
                        return Ok(Next::Payload(payload, skip + len));
                    }
                    Step::End { consumed } => {
                        stream.consume(consumed, buffers);
                        return Ok(Next::End);
                    }
                    Step::More => front.len(),
                };
                stream.consume(consumed, buffers);
                chunks.position = stream.consumed();
                if stream.pending() == 0 {
                    let more = if stream.has_ended() { Err(Refusal::CutOff) } else { Ok(()) };
                    return more.map(|()| Next::NeedMore);
                }
            }
        })?;
        match next {
            Ok(Next::End) => exchange.incoming = Incoming::None,
            Ok(_) => {}
            Err(_) => exchange.end(),
        }
        Ok(next?)
    }
}

impl Reader {
    /// Appends the next payload of a chunked body to a String, or drops it where that is nil: how
    /// many bytes; `None` at the end.
    fn append_payload(&self, into: VALUE) -> Read<Option<usize>> {
        loop {
            match self.io.next_chunk(self.machine)? {
                Next::End => return Ok(None),
                Next::NeedMore => self.fill(1)?,
                Next::Payload(payload, len) => {
                    let appended = if into == NIL {
                        Ok(NIL)
                    } else {
                        // SAFETY: the bytes stay where they are until they are consumed, below.
                        protect(|| value::append(into, unsafe { &*payload }))
                    };
                    self.io.with_stream(self.machine, |stream, buffers| {
                        stream.consume(len, buffers);
                    })?;
                    appended?;
                    return Ok(Some(payload.len()));
                }
            }
        }
    }

    /// All that is left of the body.
    fn body(&self) -> Read<VALUE> {
        match self.io.body_left(self.machine)? {
            None => Ok(NIL),
            Some(Left::Bytes(left)) => {
                let body = self.exactly(usize::try_from(left).unwrap_or(usize::MAX))?;
                self.io.end_body();
                Ok(body)
            }
            Some(Left::Chunks) => self.all_payload(),
        }
    }

    fn exactly(&self, count: usize) -> Read<VALUE> {
        let body = match count {
            ..=LONG => match self.find(Ask::Exactly(count))? {
                Some(found) => self.take(found)?,
                None => NIL,
            },
            _ => self.read_long(count)?,
        };
        if body == NIL { Err(self.io.refuse(Refusal::CutOff).into()) } else { Ok(body) }
    }

    fn all_payload(&self) -> Read<VALUE> {
        let mut all = self.io.take_payload();
        if all == NIL {
            all = protect(|| value::string(&[]))?;
        }
        let is_empty = |all| {
            // SAFETY: it is a String, and nothing runs meanwhile.
            unsafe { value::bytes(all) }.is_empty()
        };
        loop {
            match self.append_payload(all) {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(if is_empty(all) { NIL } else { all }),
                Err(interruption) => {
                    self.io.keep_payload(all);
                    return Err(interruption);
                }
            }
        }
    }

    /// The next part of the body, as it comes; nil at the end.
    fn part(&self) -> Read<VALUE> {
        match self.io.body_left(self.machine)? {
            None => Ok(NIL),
            Some(Left::Bytes(left)) => {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(LONG);
                match self.find(Ask::UpTo(most))? {
                    Some(found) => Ok(self.take(found)?),
                    None => Err(self.io.refuse(Refusal::CutOff).into()),
                }
            }
            Some(Left::Chunks) => {
                let kept = self.io.take_payload();
                if kept != NIL {
                    return Ok(kept);
                }
                let part = protect(|| value::string(&[]))?;
                Ok(self.append_payload(part)?.map_or(NIL, |_| part))
            }
        }
    }

    /// Passes over what was not read of a body. Whether a request may come behind it.
    pub(super) fn pass_over_body(&self) -> Read<bool> {
        let left = self.io.body_left(self.machine)?;
        let position = self.io.with_stream(self.machine, |stream, _| stream.consumed())?;
        {
            let exchange = &mut *self.io.http.borrow_mut();
            if !exchange.persists() || exchange.is_stuck(position) {
                exchange.end();
                return Ok(false);
            }
        }
        match left {
            None => {}
            Some(Left::Bytes(left)) => {
                self.skip(usize::try_from(left).unwrap_or(usize::MAX))?;
                self.io.end_body();
            }
            Some(Left::Chunks) => return self.pass_over_chunks(),
        }
        Ok(true)
    }

    fn pass_over_chunks(&self) -> Read<bool> {
        self.io.begin_chunks(MOST_SKIPPED);
        let mut skipped = 0;
        loop {
            match self.append_payload(NIL) {
                Ok(Some(len)) => skipped += len as u64,
                Ok(None) => return Ok(true),
                // The request was answered: there is nobody to be told about its body.
                Err(_) if self.io.http.borrow().over => return Ok(false),
                Err(interruption) => return Err(interruption),
            }
            if skipped > MOST_SKIPPED {
                self.io.http.borrow_mut().end();
                return Ok(false);
            }
        }
    }
}

/// `http_read_body(headers = nil, max: 1048576) { |part| … }`: nil where there is no body.
fn read_body(this: VALUE, args: Args) -> Outcome {
    let io = UmIo::of(this)?;
    let machine = io.machine()?;
    let max = limit(args)?;
    if io.http.borrow().request.is_none() && !io.http.borrow().over {
        return Err(Raise::um_error("no request was read"));
    }
    if !io.begin_body(machine, max)? {
        return Ok(NIL);
    }
    if value::block_given() { each_part(this) } else { read_in_turn(this, Reader::body) }
}

/// The keyword `max`. The headers may be passed, as the IO itself knows how the body is delimited.
fn limit(args: Args) -> Outcome<u64> {
    let (args, keywords) = keywords(args, &[c"max"])?;
    let headers = args.expect(0, 1)?.get(0);
    if headers != NIL && !value::is_hash(headers) {
        return Err(Raise::type_error("headers must be a Hash"));
    }
    let Some(keywords) = keywords else { return Ok(MAX_BODY) };
    match value::lookup(keywords, c"max") {
        NIL => Ok(u64::MAX),
        given => match value::int64(given, "max")? {
            max @ 0.. => Ok(max.unsigned_abs()),
            max => Err(Raise::argument_error(format!("max must not be negative: {max}"))),
        },
    }
}

/// Yields the parts of a body. The turn to read is taken for each: the block may read as well.
fn each_part(this: VALUE) -> Outcome {
    loop {
        let mut part = None;
        let read = read_in_turn(this, |reader| {
            part = Some(reader.part()?);
            Ok(NIL)
        })?;
        match part {
            Some(NIL) => return Ok(NIL),
            Some(part) => value::yield_to_block(part)?,
            // Scheduled with a value.
            None => return Ok(read),
        };
    }
}

pub(super) fn init(class: VALUE) {
    define(class, c"http_read_body", method!(read_body, -1));
}
