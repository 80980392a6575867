//! What is wrong with a stream, as the exceptions of Ruby's zlib.

use std::ffi::CStr;

use polyphony_core::codec::{CodecError, Fault, Format, Part};

use crate::errors::Raise;
use crate::ruby::value;

/// The exception. `zlib` is loaded for it, if the program hasn't done so.
pub(super) fn raise(error: CodecError, format: Format) -> Raise {
    let made = value::class_of_library(c"zlib", class_of(error.fault, format)).and_then(|class| {
        let message = value::utf8(&error.to_string());
        value::instance(class, &[message])
    });
    match made {
        Ok(exception) => Raise::Exception(exception),
        Err(raise) => raise,
    }
}

/// What Zlib raises where it finds the same.
fn class_of(fault: Fault, format: Format) -> &'static CStr {
    match (format, fault) {
        (_, Fault::Data | Fault::TooLarge(_)) => c"Zlib::DataError",
        (_, Fault::Library) => c"Zlib::StreamError",
        (Format::Gzip, Fault::Checksum) => c"Zlib::GzipFile::CRCError",
        (Format::Gzip, Fault::Length) => c"Zlib::GzipFile::LengthError",
        (Format::Gzip, Fault::Truncated(Part::Trailer)) => c"Zlib::GzipFile::NoFooter",
        (Format::Gzip, _) => c"Zlib::GzipFile::Error",
        (Format::Zlib, Fault::Truncated(_)) => c"Zlib::BufError",
        (Format::Zlib, Fault::Dictionary) => c"Zlib::NeedDict",
        (Format::Zlib, _) => c"Zlib::DataError",
    }
}
