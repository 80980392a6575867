//! Responses: whole ones in a single send, and such whose body comes piece by piece.

use std::num::NonZeroUsize;

use polyphony_core::net;
use polyphony_core::proto::http1::{
    Body, LAST_CHUNK, ResponseHead, Version, allows_body, chunk_head,
};
use rb_sys::VALUE;

use super::super::{Mode, UmIo};
use super::{Exchange, Outgoing};
use crate::errors::{Outcome, Raise};
use crate::machine::Machine;
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, protect, value};

/// Bytes that are copied behind what stands before them; more are sent from where they are.
const COPY_UP_TO: usize = 16 * 1024;
/// Bytes that a head has as a rule, at most.
const HEAD_ROOM: usize = 256;

impl UmIo {
    /// Sends bytes: at once where no other fiber is to run and the socket takes them, else through
    /// the ring. With few connections that saves a turn of the ring for each response; with many,
    /// the ring sends those of several fibers together. The number of bytes.
    pub(super) fn put(&self, machine: &Machine, bytes: Vec<u8>) -> Outcome {
        let total = bytes.len();
        let sent = self.put_now(machine, &bytes)?;
        if sent < total {
            let rest = protect(|| value::string(&bytes[sent..]))?;
            drop(bytes);
            let written = self.write_buffers(&[rest])?;
            // The fiber was scheduled with another value.
            if value::fixnum(written) != i64::try_from(total - sent).ok() {
                return Ok(written);
            }
        }
        Ok(value::unsigned(total as u64))
    }

    fn put_now(&self, machine: &Machine, bytes: &[u8]) -> Outcome<usize> {
        if self.mode == Mode::Ssl || machine.has_next_turn() || !machine.may_go_on() {
            return Ok(0);
        }
        self.check_open(machine)?;
        match net::send_now(self.inlet.get().fd(), bytes) {
            Ok(sent) => {
                machine.count_op();
                Ok(sent)
            }
            Err(libc::EAGAIN | libc::EINTR | libc::ENOTSOCK) => Ok(0),
            Err(errno) => Err(Raise::Errno(errno)),
        }
    }

    /// Sends what stands before some bytes, the bytes, and what stands behind them.
    fn put_around(
        &self,
        machine: &Machine,
        mut before: Vec<u8>,
        string: VALUE,
        behind: &[u8],
    ) -> Outcome {
        let len = value::string_len(string);
        let total = before.len() + len + behind.len();
        let put = if len <= COPY_UP_TO {
            // SAFETY: it is a String, and nothing of Ruby runs while it is copied.
            before.extend_from_slice(unsafe { value::bytes(string) });
            before.extend_from_slice(behind);
            self.put(machine, before)
        } else {
            let first = protect(|| value::string(&before))?;
            drop(before);
            let last = protect(|| value::string(behind))?;
            self.write_buffers(&[first, string, last])
        };
        self.end_unless_whole(put, total)
    }

    /// In the middle of a message, nothing else can be said.
    fn end_unless_whole(&self, put: Outcome, total: usize) -> Outcome {
        if !matches!(put, Ok(sent) if value::fixnum(sent) == i64::try_from(total).ok()) {
            self.http.borrow_mut().end();
        }
        put
    }

    /// Sends bytes that nothing but all of them makes sense of.
    fn put_message(&self, machine: &Machine, bytes: Vec<u8>) -> Outcome {
        let total = bytes.len();
        let put = self.put(machine, bytes);
        self.end_unless_whole(put, total)
    }

    /// Refuses a response in the middle of another one.
    fn check_is_between(&self) -> Outcome<()> {
        match self.http.borrow().outgoing {
            Outgoing::None => Ok(()),
            _ => Err(Raise::um_error("the response before is not finished")),
        }
    }
}

impl Exchange {
    /// Whether a response of that status has no body, or none that is sent.
    fn is_bodiless(&self, status: u16) -> bool {
        !allows_body(status) || self.request.is_some_and(|request| request.is_head)
    }
}

/// How a body is sent.
#[derive(Clone, Copy)]
enum Sending {
    Whole(VALUE),
    /// In pieces, so many bytes if that is known.
    Pieces(Option<u64>),
}

/// A head as it is to be sent, and what follows from it.
struct Prepared {
    bytes: Vec<u8>,
    outgoing: Outgoing,
    persists: bool,
}

impl Prepared {
    /// Nothing of the exchange is changed yet: the headers may be bad.
    fn new(
        exchange: &Exchange,
        position: u64,
        status: u16,
        headers: VALUE,
        sending: Sending,
    ) -> Outcome<Self> {
        let asked = exchange.request;
        let version = asked.map_or(Version::Http11, |request| request.version);
        let is_bodiless = exchange.is_bodiless(status);
        let (body, outgoing) = match sending {
            // Without a body there is nothing to be told of its length.
            Sending::Whole(NIL) if is_bodiless => (Body::None, Outgoing::None),
            Sending::Whole(NIL) => (Body::Length(0), Outgoing::None),
            Sending::Whole(string) => {
                (Body::Length(value::string_len(string) as u64), Outgoing::None)
            }
            Sending::Pieces(_) if status < 200 => (Body::None, Outgoing::None),
            Sending::Pieces(_) if !allows_body(status) => (Body::None, Outgoing::Bodiless),
            Sending::Pieces(len) => match (len, version) {
                (Some(len), _) if is_bodiless => (Body::Length(len), Outgoing::Bodiless),
                (None, Version::Http11) if is_bodiless => (Body::Chunked, Outgoing::Bodiless),
                (None, Version::Http10) if is_bodiless => (Body::None, Outgoing::Bodiless),
                (Some(len), _) => (Body::Length(len), Outgoing::Counted(len)),
                (None, Version::Http11) => (Body::Chunked, Outgoing::Chunked),
                (None, Version::Http10) => (Body::None, Outgoing::Plain),
            },
        };
        let room = match sending {
            Sending::Whole(string) if string != NIL && !is_bodiless => {
                Some(value::string_len(string)).filter(|len| *len <= COPY_UP_TO).unwrap_or(0)
            }
            _ => 0,
        };
        let mut bytes = Vec::with_capacity(HEAD_ROOM + room);
        let mut head = ResponseHead::start(&mut bytes, status)?;
        let mut persists = !exchange.over
            && asked.is_none_or(|request| request.persists)
            && !exchange.is_stuck(position)
            && outgoing != Outgoing::Plain;
        let mut has_connection = status < 200;
        if headers != NIL {
            value::each_pair(headers, |name, value| {
                let name = name_of(name)?;
                let is_connection = name.eq_ignore_ascii_case(b"connection");
                has_connection |= is_connection;
                each_value(value, |text| {
                    persists &= !(is_connection && has_close(text));
                    head.header(name, text).map_err(Raise::from)
                })
            })?;
        }
        match (persists, version) {
            _ if has_connection => {}
            (false, _) => head.header(b"Connection", b"close")?,
            (true, Version::Http10) => head.header(b"Connection", b"keep-alive")?,
            (true, Version::Http11) => {}
        }
        head.end(body);
        Ok(Self { bytes, outgoing, persists })
    }
}

/// The bytes of a header's name.
fn name_of<'a>(name: VALUE) -> Outcome<&'a [u8]> {
    let string = if value::is_symbol(name) { value::symbol_name(name) } else { name };
    if !value::is_string(string) {
        return Err(Raise::type_error("the name of a header must be a String or a Symbol"));
    }
    // SAFETY: it is a String, and nothing of Ruby runs as long as its bytes are looked at.
    Ok(unsafe { value::bytes(string) })
}

/// Calls `each` with a header's value, or its values; nothing for nil.
fn each_value(given: VALUE, mut each: impl FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
    let mut one = |given| {
        if value::is_string(given) {
            // SAFETY: it is a String, and nothing of Ruby runs as long as its bytes are looked at.
            each(unsafe { value::bytes(given) })
        } else if let Some(number) = value::fixnum(given) {
            each(number.to_string().as_bytes())
        } else {
            Err(Raise::type_error("the value of a header must be a String or an Integer"))
        }
    };
    if value::is_array(given) {
        return (0..value::array_len(given)).try_for_each(|index| one(value::at(given, index)));
    }
    if given == NIL { Ok(()) } else { one(given) }
}

fn has_close(value: &[u8]) -> bool {
    let mut tokens = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    tokens.any(|token| token.eq_ignore_ascii_case(b"close"))
}

fn status_of(argument: VALUE) -> Outcome<u16> {
    // What doesn't fit is no status either.
    Ok(u16::try_from(value::int64(argument, "status")?).unwrap_or(0))
}

fn headers_of(argument: VALUE) -> Outcome {
    if argument == NIL || value::is_hash(argument) {
        return Ok(argument);
    }
    Err(Raise::type_error("headers must be a Hash"))
}

fn body_of(argument: VALUE) -> Outcome {
    if argument == NIL || value::is_string(argument) {
        return Ok(argument);
    }
    Err(Raise::type_error("a body must be a String"))
}

fn length_of(argument: VALUE) -> Outcome<Option<u64>> {
    if argument == NIL {
        return Ok(None);
    }
    let len = value::int64(argument, "length")?;
    u64::try_from(len)
        .map(Some)
        .map_err(|_| Raise::argument_error(format!("length must not be negative: {len}")))
}

/// The head of a response; from here on the exchange knows about it.
fn prepare(
    io: &UmIo,
    machine: &Machine,
    status: u16,
    headers: VALUE,
    sending: Sending,
) -> Outcome<Vec<u8>> {
    io.check_is_between()?;
    let position = io.with_stream(machine, |stream, _| stream.consumed())?;
    io.http.borrow_mut().notice(position);
    let prepared = Prepared::new(&io.http.borrow(), position, status, headers, sending)?;
    let exchange = &mut *io.http.borrow_mut();
    match (status, &mut exchange.request) {
        (100, Some(request)) => request.waits = false,
        // Another protocol from here on.
        (101, _) => exchange.over = true,
        // The response is still to come.
        (..200, _) => {}
        _ => {
            exchange.outgoing = prepared.outgoing;
            exchange.over |= !prepared.persists;
        }
    }
    Ok(prepared.bytes)
}

/// `http_write_response(status, headers = nil, body = nil)`: the number of bytes.
fn write_response(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(1, 3)?;
    let io = UmIo::of(this)?;
    let machine = io.machine()?;
    let (status, headers) = (status_of(args.get(0))?, headers_of(args.get(1))?);
    let body = body_of(args.get(2))?;
    let head = prepare(io, machine, status, headers, Sending::Whole(body))?;
    if body == NIL || io.http.borrow().is_bodiless(status) {
        return io.put_message(machine, head);
    }
    io.put_around(machine, head, body, b"")
}

/// `http_write_head(status, headers = nil, length = nil)`: the body follows in pieces, which are
/// chunks unless its length is known.
fn write_head(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(1, 3)?;
    let io = UmIo::of(this)?;
    let machine = io.machine()?;
    let (status, headers) = (status_of(args.get(0))?, headers_of(args.get(1))?);
    let len = length_of(args.get(2))?;
    let head = prepare(io, machine, status, headers, Sending::Pieces(len))?;
    io.put_message(machine, head)
}

fn outgoing(io: &UmIo) -> Outcome<Outgoing> {
    match io.http.borrow().outgoing {
        Outgoing::None => Err(Raise::um_error("http_write_head comes first")),
        outgoing => Ok(outgoing),
    }
}

/// `http_write_chunk(string)`: the number of bytes sent.
fn write_chunk(this: VALUE, string: VALUE) -> Outcome {
    let io = UmIo::of(this)?;
    let machine = io.machine()?;
    if !value::is_string(string) {
        return Err(Raise::type_error("a chunk must be a String"));
    }
    match (outgoing(io)?, NonZeroUsize::new(value::string_len(string))) {
        // An empty chunk would end the body.
        (Outgoing::None | Outgoing::Bodiless, _) | (_, None) => Ok(value::integer(0)),
        (Outgoing::Plain, Some(_)) => io.put_around(machine, Vec::new(), string, b""),
        (Outgoing::Counted(left), Some(len)) => {
            let left = left
                .checked_sub(len.get() as u64)
                .ok_or_else(|| Raise::um_error("the body is longer than its length"))?;
            io.http.borrow_mut().outgoing = Outgoing::Counted(left);
            io.put_around(machine, Vec::new(), string, b"")
        }
        (Outgoing::Chunked, Some(len)) => {
            let mut before = Vec::with_capacity(HEAD_ROOM);
            chunk_head(&mut before, len);
            io.put_around(machine, before, string, b"\r\n")
        }
    }
}

/// Whether a body is being written in chunks.
fn is_writing(this: VALUE) -> Outcome {
    let writing = UmIo::of(this)?.http.borrow().outgoing != Outgoing::None;
    Ok(value::boolean(writing))
}

/// `http_finish`: ends a body that was written in pieces.
fn finish(this: VALUE) -> Outcome {
    let io = UmIo::of(this)?;
    let machine = io.machine()?;
    let outgoing = outgoing(io)?;
    io.http.borrow_mut().outgoing = Outgoing::None;
    match outgoing {
        Outgoing::Chunked => io.put_message(machine, LAST_CHUNK.to_vec()),
        Outgoing::Counted(1..) => {
            io.http.borrow_mut().end();
            Err(Raise::um_error("the body is shorter than its length"))
        }
        _ => Ok(value::integer(0)),
    }
}

pub(super) fn init(class: VALUE) {
    define(class, c"http_write_response", method!(write_response, -1));
    define(class, c"http_write_head", method!(write_head, -1));
    define(class, c"http_write_chunk", method!(write_chunk, 1));
    define(class, c"http_writing?", method!(is_writing, 0));
    define(class, c"http_finish", method!(finish, 0));
}
