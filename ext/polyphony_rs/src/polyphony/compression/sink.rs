//! Where what was compressed or decompressed goes to.

use std::ffi::CStr;

use polyphony_core::splice::calls::Kind;
use rb_sys::VALUE;

use super::super::ends::End;
use super::super::unparked::Unparked;
use super::source::{for_host, is_descriptor};
use crate::errors::{Outcome, Raise};
use crate::ruby::{io, protect, value};

/// `IO#write` would convert newlines, and to the IO's encoding: these are bytes, and have to be
/// read as they were made. It is waited before, as core's own waiting in between knows no timeout;
/// files have nothing to wait for, and not every scheduler takes them.
fn write_some(end: &End, bytes: VALUE) -> Outcome<usize> {
    let Some(io) = end.io() else { return Err(Raise::Errno(libc::EBADF)) };
    loop {
        if !matches!(end.kind, Kind::File | Kind::Memory) {
            io::wait(io, libc::POLLOUT)?;
        }
        // Somebody else may have been faster.
        if let Some(count) = io::write_bytes(io, bytes)? {
            return Ok(count);
        }
    }
}

/// A destination. It is not closed.
pub(super) enum Sink {
    /// A String that is appended to.
    Memory(VALUE),
    Descriptor(End),
    /// An object, and its method that takes a String.
    Method(VALUE, &'static CStr),
}

impl Sink {
    pub(super) fn new(object: VALUE, unparked: Option<&mut Unparked>) -> Outcome<Self> {
        if value::is_string(object) {
            value::refuse_frozen(object)?;
            return Ok(Self::Memory(object));
        }
        if is_descriptor(object, c"splice_destination") {
            let object = for_host(object, c"wb", unparked.is_some())?;
            return End::destination_in(unparked, object).map(Self::Descriptor);
        }
        // A Proc has a `<<` that is about something else.
        let writing = [c"write", c"call", c"<<"];
        let method = writing.into_iter().find(|method| value::responds_to(object, method));
        let method = method.ok_or_else(|| Raise::type_error("the destination can't be written"))?;
        Ok(Self::Method(object, method))
    }

    /// The descriptor to write to, if that is how it is done.
    pub(super) fn end(&self) -> Option<&End> {
        match self {
            Self::Descriptor(end) => Some(end),
            _ => None,
        }
    }

    /// Takes these bytes, by Ruby's means: how many. A descriptor may not take all of them.
    ///
    /// # Safety
    /// The bytes stay where they are meanwhile, whatever Ruby does.
    pub(super) unsafe fn take(&self, bytes: *const [u8]) -> Outcome<usize> {
        // SAFETY: this function's own contract.
        let copy = || protect(|| value::string(unsafe { &*bytes }));
        match self {
            // SAFETY: as above.
            Self::Memory(string) => value::try_append(*string, unsafe { &*bytes })?,
            Self::Descriptor(end) => return write_some(end, copy()?),
            Self::Method(object, method) => drop(value::call(*object, method, &[copy()?])?),
        }
        Ok(bytes.len())
    }
}
