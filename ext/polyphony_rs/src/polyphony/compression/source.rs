//! Where the bytes to compress or decompress come from.

use std::ffi::CStr;

use polyphony_core::splice::calls::Kind;
use rb_sys::VALUE;

use super::super::ends::End;
use super::super::unparked::Unparked;
use crate::errors::{Outcome, Raise};
use crate::ruby::libssl::is_ssl_socket;
use crate::ruby::{NIL, io, value};

/// A source, and a chunk of it that is a String.
pub(super) struct Source {
    origin: Origin,
    /// nil: there is none.
    chunk: VALUE,
    /// Bytes of the chunk that were taken.
    taken: usize,
}

enum Origin {
    /// The chunk is all there is.
    Memory,
    Descriptor(End),
    /// An object, and its method that takes a number of bytes.
    Method(VALUE, &'static CStr),
    /// An object that is called for each chunk.
    Callable(VALUE),
}

impl Source {
    pub(super) fn new(object: VALUE, unparked: Option<&mut Unparked>) -> Outcome<Self> {
        let (origin, chunk) = if value::is_string(object) {
            (Origin::Memory, value::frozen(object)?)
        } else if is_descriptor(object, c"splice_source") {
            let object = for_host(object, c"rb", unparked.is_some())?;
            (Origin::Descriptor(End::source_in(unparked, object)?), NIL)
        } else {
            let reading = [c"readpartial", c"read"];
            let origin = match reading.into_iter().find(|name| value::responds_to(object, name)) {
                Some(method) => Origin::Method(object, method),
                None if value::responds_to(object, c"call") => Origin::Callable(object),
                None => return Err(Raise::type_error("the source can't be read")),
            };
            (origin, NIL)
        };
        Ok(Self { origin, chunk, taken: 0 })
    }

    /// How many bytes there are, where that is known.
    pub(super) fn size(&self) -> Option<usize> {
        matches!(self.origin, Origin::Memory).then(|| value::string_len(self.chunk))
    }

    /// The descriptor to read from, if that is how it is done.
    pub(super) fn end(&self) -> Option<&End> {
        match &self.origin {
            Origin::Descriptor(end) => Some(end),
            _ => None,
        }
    }

    /// Whether it may be silent for a while and then go on, and is waited for in a way that tells.
    pub(super) fn may_be_silent(&self) -> bool {
        self.end().is_some_and(|end| !matches!(end.kind, Kind::File | Kind::Memory))
    }

    /// Makes sure that there is a chunk, if it can be had without the descriptor. `false`: only
    /// that has more. Nothing is in the chunk at the end.
    pub(super) fn refill(&mut self, max: usize) -> Outcome<bool> {
        if self.taken < value::string_len(self.chunk) {
            return Ok(true);
        }
        match self.origin {
            Origin::Memory => Ok(true),
            Origin::Descriptor(end) => {
                let ahead = end.take_ahead(max)?;
                self.put(ahead);
                Ok(ahead != NIL)
            }
            Origin::Method(object, method) => {
                let max = value::integer(i64::try_from(max).unwrap_or(i64::MAX));
                self.put(chunk_by(object, method, &[max])?);
                Ok(true)
            }
            Origin::Callable(object) => loop {
                self.put(chunk_by(object, c"call", &[])?);
                // Only nil is the end.
                if self.chunk == NIL || value::string_len(self.chunk) > 0 {
                    return Ok(true);
                }
            },
        }
    }

    /// The next chunk.
    pub(super) fn put(&mut self, chunk: VALUE) {
        (self.chunk, self.taken) = (chunk, 0);
    }

    /// Moves bytes of the chunk: how many.
    pub(super) fn take(&mut self, room: &mut [u8]) -> usize {
        if self.chunk == NIL {
            return 0;
        }
        // SAFETY: a frozen String, which the caller's frame keeps; nothing of Ruby runs here.
        let rest = unsafe { &value::bytes(self.chunk)[self.taken..] };
        let count = rest.len().min(room.len());
        room[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        count
    }
}

/// Whether bytes go through a descriptor: of an IO, of what lends one, or a bare one. A GzipReader
/// has a `to_io` and an SSLSocket as well, but what comes out of those is something else.
pub(super) fn is_descriptor(object: VALUE, conversion: &CStr) -> bool {
    let has = |method| value::responds_to(object, method);
    value::is_integer(object)
        || io::is_io(object)
        || has(conversion)
        || (!is_ssl_socket(object) && has(c"to_io") && has(c"fileno"))
}

/// Ruby's own methods, which are used where there is no machine, need an IO around a bare
/// descriptor.
pub(super) fn for_host(object: VALUE, mode: &CStr, has_machine: bool) -> Outcome {
    if !has_machine && value::is_integer(object) { io::around(object, mode) } else { Ok(object) }
}

/// What a method gives that reads; nil at the end.
fn chunk_by(object: VALUE, method: &CStr, args: &[VALUE]) -> Outcome {
    let chunk = match value::call(object, method, args) {
        Err(Raise::Exception(exception)) if value::is_eof(exception) => NIL,
        outcome => outcome?,
    };
    if chunk == NIL {
        return Ok(NIL);
    }
    if !value::is_string(chunk) {
        return Err(Raise::type_error("the source gave something else than a String"));
    }
    // The object may go on using its own.
    value::frozen(chunk)
}
