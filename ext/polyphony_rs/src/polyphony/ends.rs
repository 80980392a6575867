//! The two ends of a transfer: descriptors behind IO objects, and what Ruby holds back of them.

use std::ffi::CStr;
use std::os::fd::RawFd;

use polyphony_core::splice::FileStat;
use polyphony_core::splice::calls::{self, Kind};
use rb_sys::VALUE;

use crate::errors::{Outcome, Raise};
use crate::ruby::libssl::is_ssl_socket;
use crate::ruby::{NIL, io, value};

/// One end of a transfer.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// The object as given.
    pub(super) object: VALUE,
    /// The IO that does the work; nil for a bare descriptor.
    pub(super) io: VALUE,
    /// The object is no IO and has lent one (`Polyphony::Pipe`).
    lent: bool,
    /// -1 where bytes go through the object's methods.
    pub(super) fd: RawFd,
    pub(super) kind: Kind,
    /// Which file it is, as it was when the call began.
    pub(super) file: Option<FileStat>,
}

impl End {
    /// Where bytes come from: an IO, a descriptor, or an object with a `splice_source`.
    pub(super) fn source(object: VALUE) -> Outcome<Self> {
        Self::new(object, c"splice_source", |io| io)
    }

    /// Where bytes go to: an IO, a descriptor, or an object with a `splice_destination`. What
    /// Ruby holds back of earlier writes is written first.
    pub(super) fn destination(object: VALUE) -> Outcome<Self> {
        let end = Self::new(object, c"splice_destination", io::write_side)?;
        if end.io != NIL {
            io::flush(end.io)?;
        }
        Ok(end)
    }

    fn new(object: VALUE, conversion: &CStr, side: impl FnOnce(VALUE) -> VALUE) -> Outcome<Self> {
        if let Some(fd) = value::fixnum(object) {
            let fd = RawFd::try_from(fd).map_err(|_| Raise::Errno(libc::EBADF))?;
            return Ok(Self::of_descriptor(object, NIL, false, fd));
        }
        // Its descriptor has what it encrypts, and would take anything in the clear.
        if is_ssl_socket(object) {
            return Ok(Self {
                object,
                io: NIL,
                lent: false,
                fd: -1,
                kind: Kind::Other,
                file: None,
            });
        }
        let lent = !io::is_io(object) && value::responds_to(object, conversion);
        let io = if lent { value::call(object, conversion, &[])? } else { io::convert(object)? };
        let io = side(io);
        let fd = io::descriptor(io)?;
        Ok(Self::of_descriptor(object, io, lent, fd))
    }

    fn of_descriptor(object: VALUE, io: VALUE, lent: bool, fd: RawFd) -> Self {
        let (kind, file) = Kind::of(fd);
        Self { object, io, lent, fd, kind, file }
    }

    /// Whether bytes go through the object's methods, as it has no descriptor of its own.
    pub(super) fn has_methods(self) -> bool {
        self.fd < 0 && self.io == NIL
    }

    pub(super) fn is_pipe(self) -> bool {
        self.kind == Kind::Pipe
    }

    /// Takes bytes back that didn't reach the destination: they are the next to be read. A bare
    /// descriptor and an SSLSocket can't; a file's position is set back by [`End::rewind`].
    pub(super) fn give_back(self, bytes: VALUE) {
        if bytes != NIL && self.io != NIL {
            // It may be closed by now.
            let _ = value::call(self.io, c"ungetbyte", &[bytes]);
        }
    }

    /// Sets a file back by so many bytes; whether it is one.
    pub(super) fn rewind(self, bytes: usize) -> bool {
        self.kind == Kind::File && calls::step_back(self.fd, bytes)
    }

    /// The source is at its end: an object that has lent its IO for this may close it.
    pub(super) fn reached_eof(self) -> Outcome<()> {
        if self.lent {
            value::call(self.object, c"close_read", &[])?;
        }
        Ok(())
    }
}
