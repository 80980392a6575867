//! The two ends of a transfer: the files behind IO objects and descriptors, and what Ruby holds of
//! them.

use std::ffi::CStr;
use std::os::fd::RawFd;

use polyphony_core::splice::FileStat;
use polyphony_core::splice::calls::{self, Kind};
use polyphony_core::{net, source};
use rb_sys::VALUE;

use super::unparked::{Fd, Unparked};
use crate::clock;
use crate::errors::{Outcome, Raise};
use crate::machine::Known;
use crate::ruby::libssl::{self, is_ssl_socket};
use crate::ruby::{NIL, io, value};

/// How an end's bytes move.
#[derive(Clone, Copy)]
enum Way {
    /// By the descriptor of an IO, which is asked for it each time: it may be closed meanwhile.
    Io(VALUE),
    /// By a bare descriptor. Closes of its number are counted.
    Number(Known),
    /// By methods of the object: its descriptor has something else.
    Methods,
}

/// One end of a transfer.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// The object as given.
    object: VALUE,
    way: Way,
    /// The object is no IO and has lent one (`Polyphony::Pipe`).
    lent: bool,
    pub(super) kind: Kind,
    /// Which file it is, as it was when the call began.
    pub(super) file: Option<FileStat>,
}

/// Where bytes that a source takes back have come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Supply {
    /// Ruby had read them ahead.
    Ahead,
    /// The descriptor (or the object) had them.
    Source,
}

impl End {
    /// Where bytes come from: an IO that is open for reading, a descriptor, or an object with a
    /// `splice_source`. What Ruby holds back of earlier writes to it is written first.
    pub(super) fn source(unparked: &mut Unparked, object: VALUE) -> Outcome<Self> {
        Self::source_in(Some(unparked), object)
    }

    /// Where bytes go to: an IO that is open for writing, a descriptor, or an object with a
    /// `splice_destination`. What Ruby holds back of earlier writes is written first.
    pub(super) fn destination(unparked: &mut Unparked, object: VALUE) -> Outcome<Self> {
        Self::destination_in(Some(unparked), object)
    }

    /// The same, also where no machine lets the fiber wait. Then bare descriptors are refused.
    pub(super) fn source_in(unparked: Option<&mut Unparked>, object: VALUE) -> Outcome<Self> {
        let open = |io| io::check_readable(io).map(|()| io);
        Self::new(unparked, object, c"splice_source", open)
    }

    /// As [`End::source_in`].
    pub(super) fn destination_in(unparked: Option<&mut Unparked>, object: VALUE) -> Outcome<Self> {
        Self::new(unparked, object, c"splice_destination", |io| {
            let io = io::write_side(io);
            io::check_writable(io).map(|()| io)
        })
    }

    /// May park, before anything of the end is known.
    fn new(
        unparked: Option<&mut Unparked>,
        object: VALUE,
        conversion: &CStr,
        open: impl FnOnce(VALUE) -> Outcome,
    ) -> Outcome<Self> {
        if value::is_integer(object) {
            let number = value::fixnum(object).and_then(|number| RawFd::try_from(number).ok());
            let (Some(number), Some(unparked)) = (number, unparked) else {
                return Err(Raise::Errno(libc::EBADF));
            };
            if number < 0 {
                return Err(Raise::argument_error("negative file descriptor"));
            }
            let known = unparked.know(number);
            return Ok(Self::on(object, Way::Number(known), false, number));
        }
        // Its descriptor has what it encrypts, and would take anything in the clear.
        if is_ssl_socket(object) {
            let (way, kind) = (Way::Methods, Kind::Other);
            return Ok(Self { object, way, lent: false, kind, file: None });
        }
        let lent = !io::is_io(object) && value::responds_to(object, conversion);
        let io = if lent { value::call(object, conversion, &[])? } else { io::convert(object)? };
        let io = open(io)?;
        let number = io::descriptor(io)?;
        Ok(Self::on(object, Way::Io(io), lent, number))
    }

    fn on(object: VALUE, way: Way, lent: bool, number: RawFd) -> Self {
        let (kind, file) = Kind::of(number);
        Self { object, way, lent, kind, file }
    }

    /// Its descriptor, until the fiber parks. An IOError where the IO was closed, EBADF where the
    /// descriptor was.
    pub(super) fn fd<'a>(&self, unparked: &'a Unparked) -> Outcome<Fd<'a>> {
        match self.way {
            Way::Io(io) => unparked.number_of(io),
            Way::Number(known) => unparked.number(known),
            Way::Methods => Err(Raise::Errno(libc::EBADF)),
        }
    }

    /// The IO that does the work.
    pub(super) fn io(&self) -> Option<VALUE> {
        match self.way {
            Way::Io(io) => Some(io),
            Way::Number(_) | Way::Methods => None,
        }
    }

    /// The object whose methods move the bytes, as it has no descriptor of its own for them.
    pub(super) fn by_methods(&self) -> Option<VALUE> {
        matches!(self.way, Way::Methods).then_some(self.object)
    }

    pub(super) fn is_pipe(&self) -> bool {
        self.kind == Kind::Pipe
    }

    /// Whether splicing never waits on it. The methods of an object may.
    pub(super) fn is_direct(&self) -> bool {
        self.kind.is_direct()
    }

    /// When a wait that begins now is over, by the IO's own timeout.
    pub(super) fn deadline(&self) -> Outcome<Option<u64>> {
        let seconds = self.io().map_or(Ok(None), io::timeout)?;
        Ok(seconds.map(clock::after))
    }

    /// What an op on it has failed with.
    pub(super) fn failure(&self, errno: i32) -> Raise {
        self.io().map_or(Raise::Errno(errno), |io| io::failure(io, errno))
    }

    /// Whether it is at its end, a read of it having given nothing: else that was an empty datagram.
    pub(super) fn has_ended(&self, unparked: &Unparked) -> Outcome<bool> {
        Ok(!self.kind.is_socket() || source::is_end(self.fd(unparked)?.number()))
    }

    /// How many bytes Ruby has read ahead.
    pub(super) fn read_ahead(&self) -> Outcome<usize> {
        self.io().map_or(Ok(0), io::buffered)
    }

    /// Takes bytes that Ruby has read ahead, at most `max`; nil where there are none.
    pub(super) fn take_ahead(&self, max: usize) -> Outcome {
        self.io().map_or(Ok(NIL), |io| io::take_buffered(io, max))
    }

    /// Takes bytes back that didn't reach the destination: they are the next to be read. Those of a
    /// file's descriptor stay in the file: only its position is set back. A bare descriptor of
    /// another kind can't take anything back.
    pub(super) fn take_back(
        &self,
        unparked: &Unparked,
        supply: Supply,
        len: usize,
        bytes: impl FnOnce() -> VALUE,
    ) {
        if len == 0 || (supply == Supply::Source && self.rewind(unparked, len)) {
            return;
        }
        match self.way {
            Way::Io(io) => io::give_back(io, bytes()),
            Way::Methods => libssl::give_back(self.object, bytes()),
            Way::Number(_) => {}
        }
    }

    /// Whether it can take back whatever there is.
    pub(super) fn takes_back(&self) -> bool {
        self.kind == Kind::File || !matches!(self.way, Way::Number(_))
    }

    /// Sets a file back by so many bytes; whether it is one.
    fn rewind(&self, unparked: &Unparked, bytes: usize) -> bool {
        if self.kind != Kind::File {
            return false;
        }
        // Where it was closed there is nothing to set back, and nobody who would read it.
        self.fd(unparked).map_or(true, |fd| calls::step_back(fd.number(), bytes))
    }

    /// The source is at its end: an object that has lent its IO for this may close it.
    pub(super) fn reached_eof(&self, unparked: &mut Unparked) -> Outcome<()> {
        unparked.run(|| self.let_close())
    }

    /// The same where no machine lets the fiber wait.
    pub(super) fn let_close(&self) -> Outcome<()> {
        if self.lent {
            value::call(self.object, c"close_read", &[])?;
        }
        Ok(())
    }

    /// Tells the peer of this end that there will be no more, as the peer of `from` has: both are
    /// connections, and not the same one.
    pub(super) fn pass_end_on(&self, unparked: &mut Unparked, from: &Self) -> Outcome<()> {
        if !self.is_connection() || !from.is_connection() || self.is_same(unparked, from) {
            return Ok(());
        }
        unparked.count_op();
        if let Way::Methods = self.way {
            // Without `sync` Ruby holds back what was written.
            unparked.call(self.object, c"flush", &[])?;
            // It gives up where there is no room for it at the moment.
            let io = unparked.call(self.object, c"to_io", &[])?;
            unparked.call(io, c"wait_writable", &[])?;
            return libssl::close_notify(self.object);
        }
        match net::shutdown(self.fd(unparked)?.number(), libc::SHUT_WR) {
            // The other side is gone already, or it is no connection.
            Ok(_) | Err(libc::ENOTCONN | libc::EOPNOTSUPP) => Ok(()),
            Err(errno) => Err(self.failure(errno)),
        }
    }

    fn is_connection(&self) -> bool {
        self.kind.is_socket() || matches!(self.way, Way::Methods)
    }

    fn is_same(&self, unparked: &Unparked, other: &Self) -> bool {
        let number = |end: &Self| end.fd(unparked).map(Fd::number).ok();
        self.object == other.object || number(self).is_some_and(|fd| number(other) == Some(fd))
    }
}
