//! Where what was compressed or decompressed goes to.

use std::ffi::CStr;

use rb_sys::VALUE;

use super::super::ends::End;
use super::super::unparked::Unparked;
use super::source::{for_host, is_descriptor};
use crate::errors::{Outcome, Raise};
use crate::ruby::{NIL, io, value};

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

    /// Takes all of these bytes, by Ruby's means.
    ///
    /// # Safety
    /// The bytes stay where they are meanwhile, whatever Ruby does.
    pub(super) unsafe fn take(&self, bytes: *const [u8]) -> Outcome<()> {
        let (object, method) = match self {
            // SAFETY: this function's own contract.
            Self::Memory(string) => return value::try_append(*string, unsafe { &*bytes }),
            Self::Descriptor(end) => (end.io().unwrap_or(NIL), c"write"),
            Self::Method(object, method) => (*object, *method),
        };
        // SAFETY: as above.
        let copy = value::string(unsafe { &*bytes });
        value::call(object, method, &[copy])?;
        if let Self::Descriptor(end) = self {
            end.io().map_or(Ok(()), io::flush)?;
        }
        Ok(())
    }
}
