//! `http_read_request_headers`.

use polyphony_core::driver::Buffers;
use polyphony_core::proto::http1::{self, HeadEnd, Header, Refusal, Request};
use polyphony_core::stream::Stream;
use rb_sys::VALUE;

use super::super::UmIo;
use super::super::fill::{Read, Reader, read_in_turn};
use super::{keywords, names};
use crate::errors::{Outcome, Raise};
use crate::machine::Machine;
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, protect, value};

/// Bytes of a head, unless the caller says otherwise.
const MAX_SIZE: usize = 64 * 1024;
/// Headers that a caller may allow.
const MOST_HEADERS: usize = 10_000;

/// What a head may have.
#[derive(Clone, Copy)]
struct Limits {
    size: usize,
    headers: usize,
}

impl Limits {
    fn of(args: Args) -> Outcome<Self> {
        let mut limits = Self { size: MAX_SIZE, headers: http1::MAX_HEADERS };
        let (args, keywords) = keywords(args, &[c"max_size", c"max_headers"])?;
        args.expect(0, 0)?;
        let Some(keywords) = keywords else { return Ok(limits) };
        let options = [
            (c"max_size", &mut limits.size, usize::MAX),
            (c"max_headers", &mut limits.headers, MOST_HEADERS),
        ];
        for (name, limit, most) in options {
            let given = value::lookup(keywords, name);
            if given != NIL {
                let given = value::int64(given, "limit")?;
                *limit = usize::try_from(given)
                    .ok()
                    .filter(|limit| (1..=most).contains(limit))
                    .ok_or_else(|| Raise::argument_error(format!("bad limit: {given}")))?;
            }
        }
        Ok(limits)
    }
}

/// How far the end of a head was looked for, so that no byte is looked at twice.
pub(super) struct Search {
    end: HeadEnd,
    /// Where in the stream the head begins.
    start: u64,
    searched: usize,
    limit: usize,
}

impl Search {
    fn new(start: u64, limit: usize) -> Self {
        Self { end: HeadEnd::new(limit), start, searched: 0, limit }
    }

    fn go_on(&mut self, stream: &Stream, buffers: &Buffers) -> Result<Option<usize>, Refusal> {
        for (start, bytes) in stream.chunks(buffers) {
            let ahead = &bytes[self.searched.saturating_sub(start).min(bytes.len())..];
            if let Some(len) = self.end.find(ahead)? {
                return Ok(Some(len));
            }
            self.searched += ahead.len();
        }
        Ok(None)
    }
}

/// What there is of a head.
enum Look {
    /// All of its bytes.
    Whole(usize),
    /// So many bytes have to be there to know more.
    NeedMore(usize),
    /// Nothing, and nothing comes.
    Ended,
}

impl UmIo {
    fn look_for_head(&self, machine: &Machine, limit: usize) -> Outcome<Look> {
        let look = self.with_stream(machine, |stream, buffers| {
            let exchange = &mut *self.http.borrow_mut();
            let start = stream.consumed();
            let search = match &mut exchange.search {
                Some(search) if (search.start, search.limit) == (start, limit) => search,
                search => {
                    exchange.request = None;
                    search.insert(Search::new(start, limit))
                }
            };
            match search.go_on(stream, buffers)? {
                Some(len) => Ok(Look::Whole(len)),
                None if !stream.has_ended() => Ok(Look::NeedMore(stream.pending() + 1)),
                None if search.end.has_begun() => Err(Refusal::CutOff),
                None => Ok(Look::Ended),
            }
        })?;
        look.map_err(|refusal| self.refuse(refusal))
    }

    /// Whether the stream is where a head begins.
    fn is_before_head(&self, machine: &Machine) -> Outcome<bool> {
        let exchange = &mut *self.http.borrow_mut();
        exchange.notice(self.with_stream(machine, |stream, _| stream.consumed())?);
        Ok(exchange.persists() && matches!(exchange.incoming, super::Incoming::None))
    }

    /// Takes a head of `len` bytes out of the stream, as a Hash.
    fn take_head(&self, machine: &Machine, len: usize, limits: Limits) -> Outcome {
        self.http.borrow_mut().search = None;
        let (head, end) = self.with_stream(machine, |stream, buffers| {
            let head: *const [u8] = stream.contiguous(len, buffers);
            (head, stream.consumed() + len as u64)
        })?;
        let mut slots = http1::slots();
        let mut more = Vec::new();
        let slots = match slots.get_mut(..limits.headers) {
            Some(slots) => slots,
            None => {
                more.resize_with(limits.headers, std::mem::MaybeUninit::uninit);
                &mut more[..]
            }
        };
        // SAFETY: the bytes stay where they are until they are consumed: no fiber runs meanwhile.
        let parsed = Request::parse(unsafe { &*head }, slots);
        let request = parsed.map_err(|refusal| self.refuse(refusal))?;
        let hash = protect(|| hash_of(&request))?;
        self.http.borrow_mut().begin(&request, end);
        self.with_stream(machine, |stream, buffers| stream.consume(len, buffers))?;
        Ok(hash)
    }
}

/// A request as a Hash. Unwinds when memory runs out.
fn hash_of(request: &Request<'_, '_>) -> VALUE {
    let hash = value::hash_with_capacity(request.headers.len() + 3);
    let [method, path, protocol] = names::of_request_line();
    value::store(hash, method, names::method(request.method));
    value::store(hash, path, value::utf8(request.target));
    value::store(hash, protocol, names::version(request.version));
    for (index, header) in request.headers.iter().enumerate() {
        let before = value::hash_len(hash);
        let name = names::header(header.name);
        value::store(hash, name, value::text_of(header.value));
        if value::hash_len(hash) == before {
            value::store(hash, name, joined(&request.headers[..=index]));
        }
    }
    hash
}

/// The values of all headers that have the last one's name, as one.
fn joined(headers: &[Header<'_>]) -> VALUE {
    let name = headers.last().map_or("", |header| header.name);
    let separator: &[u8] = if name.eq_ignore_ascii_case("cookie") { b"; " } else { b", " };
    let all = value::string(&[]);
    for (index, header) in
        headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).enumerate()
    {
        if index > 0 {
            value::append(all, separator);
        }
        value::append(all, header.value);
    }
    value::in_text(all)
}

impl Reader {
    fn head(&self, limits: Limits) -> Read<VALUE> {
        if !self.pass_over_body()? {
            return Ok(NIL);
        }
        loop {
            match self.io.look_for_head(self.machine, limits.size)? {
                Look::Whole(len) => return Ok(self.io.take_head(self.machine, len, limits)?),
                Look::NeedMore(count) => self.fill(count)?,
                Look::Ended => return Ok(NIL),
            }
        }
    }
}

/// `http_read_request_headers(max_size: 65536, max_headers: 100)`
fn read_request_headers(this: VALUE, args: Args) -> Outcome {
    let io = UmIo::of(this)?;
    let machine = io.machine()?;
    let limits = Limits::of(args)?;
    // The usual case of pipelining clients.
    if io.reader.get() == NIL && io.is_before_head(machine)? {
        if let Look::Whole(len) = io.look_for_head(machine, limits.size)? {
            return io.take_head(machine, len, limits);
        }
    }
    read_in_turn(this, |reader| reader.head(limits))
}

pub(super) fn init(class: VALUE) {
    define(class, c"http_read_request_headers", method!(read_request_headers, -1));
}
