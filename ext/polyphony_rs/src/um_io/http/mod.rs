//! HTTP/1.1 on a `UM::IO`, as a server speaks it: heads, bodies, responses.
//!
//! The IO remembers how the request that it gave out last goes on, so that the next one is found
//! behind it whatever the program has read of it, by these methods or by others. What can't be
//! told apart any more is not read: after a refusal, a request that wanted the connection closed,
//! or a response that was not finished, there is no next request.

mod body;
mod head;
mod names;
mod response;

use polyphony_core::proto::http1::{Body, Chunked, Refusal, Request, Version};
use rb_sys::VALUE;

use super::UmIo;
use crate::errors::{self, Outcome, Raise};
use crate::ruby::method::{define, has_keywords, method};
use crate::ruby::{NIL, typed, value};

/// Bytes of a body that are passed over, unread, to get to the next request.
const MOST_SKIPPED: u64 = 1024 * 1024;

/// The request that is being read and answered.
#[derive(Default)]
pub(super) struct Exchange {
    search: Option<head::Search>,
    request: Option<Asked>,
    incoming: Incoming,
    outgoing: Outgoing,
    /// Nothing that comes can be read as a request.
    over: bool,
}

/// What matters of a request for its body and its response.
#[derive(Clone, Copy)]
struct Asked {
    version: Version,
    is_head: bool,
    persists: bool,
    /// The client waits for `100 Continue`, and has not got it.
    waits: bool,
}

/// The part of a body that was not read.
#[derive(Default)]
enum Incoming {
    #[default]
    None,
    /// Up to this position of the stream.
    Until(u64),
    Chunked(Chunks),
}

struct Chunks {
    /// From the first look at the body on, which sets the limit.
    decoder: Option<Box<Chunked>>,
    /// Of the stream, behind what was decoded.
    position: u64,
    /// The payload so far of a read that was interrupted.
    payload: VALUE,
}

/// The response that is being written piece by piece.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Outgoing {
    #[default]
    None,
    Chunked,
    /// So many bytes are still to come.
    Counted(u64),
    /// Its body ends with the connection.
    Plain,
    /// Its body is not sent.
    Bodiless,
}

impl Exchange {
    pub(super) fn mark(&self) {
        if let Incoming::Chunked(chunks) = &self.incoming {
            typed::mark(chunks.payload);
        }
    }

    /// A head was read, up to that position of the stream.
    fn begin(&mut self, request: &Request<'_, '_>, position: u64) {
        self.request = Some(Asked {
            version: request.version,
            is_head: request.method == "HEAD",
            persists: request.persists,
            waits: request.expects_continue,
        });
        self.incoming = match request.body {
            Body::None | Body::Length(0) => Incoming::None,
            Body::Length(len) => Incoming::Until(position.saturating_add(len)),
            Body::Chunked => Incoming::Chunked(Chunks { decoder: None, position, payload: NIL }),
        };
    }

    /// Notices what other methods have read of a body. One of a given length may be done with. Where
    /// in a chunked one they are, nobody knows: no request can be found behind it.
    fn notice(&mut self, position: u64) {
        match &self.incoming {
            Incoming::Until(end) if position >= *end => self.incoming = Incoming::None,
            Incoming::Chunked(chunks) if position != chunks.position => self.end(),
            _ => {}
        }
    }

    /// Whether another request may come behind this one.
    fn persists(&self) -> bool {
        !self.over
            && self.outgoing == Outgoing::None
            && self.request.is_none_or(|request| request.persists)
    }

    /// There will be no other request.
    fn end(&mut self) {
        self.over = true;
        self.incoming = Incoming::None;
    }

    /// Whether the rest of the body, unread, is in the way of the next request: there is too much
    /// of it, or the client may never send it.
    fn is_stuck(&self, position: u64) -> bool {
        match &self.incoming {
            Incoming::None => false,
            Incoming::Until(end) if end.saturating_sub(position) > MOST_SKIPPED => true,
            _ => self.request.is_some_and(|request| request.waits),
        }
    }
}

impl UmIo {
    /// Refuses what comes: nobody knows where the next request would begin.
    fn refuse(&self, refusal: Refusal) -> Raise {
        self.http.borrow_mut().end();
        refusal.into()
    }
}

/// Splits off keywords that are passed as such: a Hash may be an argument.
fn keywords<'a>(
    args: crate::ruby::method::Args<'a>,
    known: &[&std::ffi::CStr],
) -> Outcome<(crate::ruby::method::Args<'a>, Option<VALUE>)> {
    if !has_keywords() {
        return Ok((args, None));
    }
    let (args, keywords) = args.keywords();
    if let Some(keywords) = keywords {
        value::check_keywords(keywords, known)?;
    }
    Ok((args, keywords))
}

/// Whether another request may come on this connection.
fn is_kept_alive(this: VALUE) -> Outcome {
    let io = UmIo::of(this)?;
    let persists = io.http.borrow().persists();
    Ok(value::boolean(persists))
}

pub(super) fn init(class: VALUE) {
    errors::define_http_error(class);
    names::init();
    define(class, c"http_keep_alive?", method!(is_kept_alive, 0));
    body::init(class);
    head::init(class);
    response::init(class);
}
