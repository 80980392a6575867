//! What an IO keeps back of writes to it, when a flush of it is broken off.
//!
//! Core asks the scheduler to write the buffer, and takes out of it what the answer says. A write
//! that is interrupted has no answer but the exception: what the kernel has got all the same would
//! be written once more by the next flush. So it is taken out here.

use std::ffi::c_int;
use std::sync::OnceLock;

use rb_sys::VALUE;

use super::read_buffer::{Buffer, at, extent, look_for};
use super::value::{self, call};

/// Bytes that the IO which is looked into has been given: no other field has that number.
const SAMPLE: usize = 5011;

/// Where it is in an IO's struct, in bytes; `None`: nobody knows.
static PLACE: OnceLock<Option<usize>> = OnceLock::new();

/// Looks for the place, while no scheduler has a say in writing.
pub(crate) fn init() {
    PLACE.get_or_init(find);
}

/// The kernel has got the first `len` bytes of the memory that core wanted to have written: where
/// that is the IO's own buffer, they are taken out of it.
pub(crate) fn take_out(io: VALUE, memory: *const u8, len: usize) {
    let Some(place) = PLACE.get().copied().flatten() else { return };
    let at = at(io, place);
    // SAFETY: an open IO has a struct, and the buffer is there.
    let buffer = unsafe { at.read_unaligned() };
    let Some((offset, held)) = extent(buffer) else { return };
    let is_it = std::ptr::eq(buffer.memory.wrapping_add(offset), memory);
    let (true, Ok(len)) = (is_it && len <= held, c_int::try_from(len)) else { return };
    let offset = if buffer.len == len { 0 } else { buffer.offset + len };
    // SAFETY: as above; what is left lies within it.
    unsafe { at.write_unaligned(Buffer { offset, len: buffer.len - len, ..buffer }) };
}

fn find() -> Option<usize> {
    let path = value::string(b"/dev/null");
    // SAFETY: the class is a constant of the VM.
    let file = call(unsafe { rb_sys::rb_cFile }, c"new", &[path, value::string(b"w")]).ok()?;
    let sample = [0x5a; SAMPLE];
    let place = call(file, c"write", &[value::string(&sample)])
        .ok()
        .and_then(|_| look_for(file, &sample, |offset, _| offset == 0));
    let _ = call(file, c"close", &[]);
    place
}
