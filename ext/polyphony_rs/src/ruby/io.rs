//! IO objects: their descriptors and what Ruby itself has buffered.

use std::ffi::{CStr, c_int};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rb_sys::VALUE;

use super::value::{self, call, kind_of, seconds, truthy};
use super::{NIL, protect, read_buffer};
use crate::errors::{Outcome, Raise};

/// Of an IO's mode: what is written isn't kept back.
const FMODE_SYNC: c_int = 8;

/// `BasicSocket`, once it was seen; nil before.
static SOCKET_CLASS: AtomicU64 = AtomicU64::new(NIL);

pub(crate) fn is_io(value: VALUE) -> bool {
    // SAFETY: the class is a constant of the VM.
    kind_of(value, unsafe { rb_sys::rb_cIO })
}

pub(crate) fn is_socket(value: VALUE) -> bool {
    let class = SOCKET_CLASS.load(Ordering::Relaxed);
    if class != NIL {
        return kind_of(value, class);
    }
    // `socket` may be loaded any time; before that there are no sockets.
    let name = value::intern(c"BasicSocket");
    // SAFETY: the constant is asked for only where it is there.
    unsafe {
        if rb_sys::rb_const_defined(rb_sys::rb_cObject, name) == 0 {
            return false;
        }
        let class = rb_sys::rb_const_get(rb_sys::rb_cObject, name);
        rb_sys::rb_gc_register_mark_object(class);
        SOCKET_CLASS.store(class, Ordering::Relaxed);
    }
    is_socket(value)
}

pub(crate) fn is_file(value: VALUE) -> bool {
    // SAFETY: the class is a constant of the VM.
    kind_of(value, unsafe { rb_sys::rb_cFile })
}

/// Whether core keeps nothing back that is written to an IO.
pub(crate) fn is_sync(io: VALUE) -> bool {
    // SAFETY: it is an initialized IO.
    unsafe { rb_sys::rb_io_mode(io) & FMODE_SYNC != 0 }
}

/// The descriptor of an open IO. Unwinds with an IOError when it is closed.
pub(crate) fn descriptor_or_unwind(io: VALUE) -> RawFd {
    // SAFETY: Ruby's own check raises for what is no open IO; the caller owns nothing.
    unsafe { rb_sys::rb_io_descriptor(io) }
}

/// `io.timeout` in seconds. Unwinds for what is no IO.
pub(crate) fn timeout_or_unwind(io: VALUE) -> Outcome<Option<f64>> {
    // SAFETY: as above.
    seconds(unsafe { rb_sys::rb_io_timeout(io) })
}

/// The descriptor of an open IO; IOError when it is closed.
pub(crate) fn descriptor(io: VALUE) -> Outcome<RawFd> {
    let mut fd = -1;
    protect(|| {
        // SAFETY: under protect; `io` is an IO (or answers `fileno`).
        fd = unsafe { rb_sys::rb_io_descriptor(io) };
        NIL
    })?;
    Ok(fd)
}

/// The IO that carries the write side (`IO.popen("…", "r+")` has two).
pub(crate) fn write_side(io: VALUE) -> VALUE {
    // SAFETY: `io` is an IO.
    unsafe { rb_sys::rb_io_get_write_io(io) }
}

/// What Ruby has already read from the descriptor and not handed out: at most `max` bytes of it.
/// nil where there is nothing.
pub(crate) fn take_buffered(io: VALUE, max: usize) -> Outcome {
    if buffered(io)? == 0 {
        return Ok(NIL);
    }
    let max = value::integer(i64::try_from(max).unwrap_or(i64::MAX));
    // Serves from the buffer alone while there is something in it.
    call(io, c"readpartial", &[max])
}

/// Number of bytes in Ruby's read buffer (0 or more; the exact figure where Ruby tells it).
pub(crate) fn buffered(io: VALUE) -> Outcome<usize> {
    descriptor(io)?;
    // SAFETY: an IO that has a descriptor has a structure, which is only passed on.
    let pending = unsafe { rb_sys::rb_io_read_pending((*(io as *mut rb_sys::RFile)).fptr) };
    Ok(usize::try_from(pending).unwrap_or(0))
}

/// IOError where an IO is closed, not open for reading, or has characters pushed back that can't be
/// had as bytes. What Ruby holds back of earlier writes to it is written: the other side may wait
/// for that before it answers.
pub(crate) fn check_readable(io: VALUE) -> Outcome<()> {
    descriptor(io)?;
    // SAFETY: under protect; an IO that has a descriptor has a structure, which is only passed on.
    let checked = protect(|| unsafe {
        rb_sys::rb_io_check_byte_readable((*(io as *mut rb_sys::RFile)).fptr);
        NIL
    });
    checked.map(drop)
}

/// IOError where an IO is closed or not open for writing. Of a file, what was read ahead is given up,
/// so that writing goes on where reading has stopped. What Ruby holds back of earlier writes is
/// written.
pub(crate) fn check_writable(io: VALUE) -> Outcome<()> {
    descriptor(io)?;
    // SAFETY: under protect; as in `check_readable`.
    let checked = protect(|| unsafe {
        rb_sys::rb_io_check_writable((*(io as *mut rb_sys::RFile)).fptr);
        NIL
    });
    checked?;
    flush(io)
}

/// `io.timeout` in seconds.
pub(crate) fn timeout(io: VALUE) -> Outcome<Option<f64>> {
    // SAFETY: under protect.
    seconds(protect(|| unsafe { rb_sys::rb_io_timeout(io) })?)
}

/// Whether an IO is closed.
pub(crate) fn is_closed(io: VALUE) -> bool {
    // SAFETY: under protect.
    protect(|| unsafe { rb_sys::rb_io_closed_p(io) }).is_ok_and(truthy)
}

/// Waits for one of the events of poll(2), as core does: the scheduler is asked in a non-blocking
/// fiber, else other threads run. `io.timeout` is honoured.
pub(crate) fn wait(io: VALUE, events: i16) -> Outcome<()> {
    let events = value::integer(i64::from(events));
    // SAFETY: under protect. Ruby's event bits are those of poll(2).
    let ready = protect(|| unsafe { rb_sys::rb_io_wait(io, events, rb_sys::rb_io_timeout(io)) })?;
    if truthy(ready) { Ok(()) } else { Err(Raise::io_timeout()) }
}

/// Writes what Ruby holds back of earlier writes.
pub(crate) fn flush(io: VALUE) -> Outcome<()> {
    // SAFETY: under protect; `io` is an IO.
    protect(|| unsafe { rb_sys::rb_io_flush(io) }).map(drop)
}

/// Writes some of these bytes as they are, whatever the IO's mode and encoding, behind what Ruby
/// holds back: how many. `None`: it takes none now.
pub(crate) fn write_bytes(io: VALUE, bytes: VALUE) -> Outcome<Option<usize>> {
    flush(io)?;
    match call(io, c"syswrite", &[bytes]) {
        Err(Raise::Exception(error)) if value::is_errno(error, libc::EAGAIN) => Ok(None),
        outcome => outcome.map(|count| value::fixnum(count).and_then(|n| usize::try_from(n).ok())),
    }
}

/// The same for so many seconds at most; whether one of the events was there.
pub(crate) fn wait_for(io: VALUE, events: i16, seconds: f64) -> Outcome<bool> {
    let events = value::integer(i64::from(events));
    let seconds = value::float(seconds);
    // SAFETY: under protect.
    protect(|| unsafe { rb_sys::rb_io_wait(io, events, seconds) }).map(truthy)
}

/// An IO around a descriptor that it doesn't own.
pub(crate) fn around(fd: VALUE, mode: &CStr) -> Outcome {
    let mode = value::string(mode.to_bytes());
    // SAFETY: the class is a constant of the VM.
    let io = call(unsafe { rb_sys::rb_cIO }, c"for_fd", &[fd, mode])?;
    call(io, c"autoclose=", &[value::FALSE])?;
    Ok(io)
}

/// `io.readpartial(max)`; `None` at EOF.
pub(crate) fn readpartial(io: VALUE, max: usize) -> Outcome<Option<VALUE>> {
    let max = value::integer(i64::try_from(max).unwrap_or(i64::MAX));
    match call(io, c"readpartial", &[max]) {
        // SAFETY: the class is a constant of the VM.
        Err(Raise::Exception(error)) if kind_of(error, unsafe { rb_sys::rb_eEOFError }) => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// Puts bytes before those that Ruby has read ahead: they are the next to be read. An IO that is
/// closed has no use for them.
pub(crate) fn give_back(io: VALUE, bytes: VALUE) {
    if bytes == NIL || value::string_len(bytes) == 0 || is_closed(io) {
        return;
    }
    let refused = call(io, c"ungetbyte", &[bytes]).is_err();
    if refused && read_buffer::make_room(io, value::string_len(bytes)) {
        let _ = call(io, c"ungetbyte", &[bytes]);
    }
}

/// What an op on an IO has failed with: EBADF is what waits get when it is closed.
pub(crate) fn failure(io: VALUE, errno: i32) -> Raise {
    let closed = is_closed(io) || (errno == libc::EBADF && value::ivar(io, closing()) != NIL);
    if closed { Raise::io_closed() } else { Raise::Errno(errno) }
}

/// Notes that an IO is about to be closed, where others may run before it is.
pub(crate) fn note_closing(io: VALUE) {
    let _ = value::set_ivar(io, closing(), value::TRUE);
}

fn closing() -> rb_sys::ID {
    static NAME: value::Name = value::Name::new(c"closing");
    NAME.id()
}

/// `IO.try_convert`, or TypeError.
pub(crate) fn convert(target: VALUE) -> Outcome {
    if is_io(target) {
        return Ok(target);
    }
    // SAFETY: under protect.
    let io = protect(|| unsafe { rb_sys::rb_io_check_io(target) })?;
    if truthy(io) {
        return Ok(io);
    }
    Err(Raise::type_error("an IO is needed"))
}
