//! Making the room in which an IO keeps what it has read ahead larger.
//!
//! `IO#ungetbyte` takes back any number of bytes as long as the IO has read nothing ahead, and else
//! only what its buffer has room for, 8 KB as a rule. A transfer that ends early has up to a
//! megabyte to give back. Ruby has no call for that, so the buffer is exchanged for a larger one.
//!
//! Where it lies in an IO differs from Ruby to Ruby and isn't told by all of their headers. It is
//! looked for in an IO that is made for the purpose, by what is known of its content: what isn't
//! found that way is not touched.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use rb_sys::VALUE;

use super::typed::{self, DataType, Typed};
use super::value::{self, call};
use super::{NIL, protect};

/// Bytes that the IO which is looked into has been given: no other field has that number.
const SAMPLE: usize = 5003;
/// How far to look. The buffer is behind a dozen words at most, and the struct is larger than this.
const FAR: usize = 160;

/// A buffer of an IO, as Ruby has it.
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub(super) struct Buffer {
    pub(super) memory: *mut u8,
    pub(super) offset: c_int,
    pub(super) len: c_int,
    pub(super) capacity: c_int,
}

/// Where it is in an IO's struct, in bytes; `None`: nobody knows.
static PLACE: OnceLock<Option<usize>> = OnceLock::new();

/// A buffer that was exchanged; null before. Another fiber or thread may be in the middle of reading
/// into it: it goes with its IO.
struct Exchanged(Cell<*mut u8>);

static TYPE: DataType<Exchanged> = DataType::new();

impl Typed for Exchanged {
    const NAME: &'static std::ffi::CStr = c"Polyphony::Exchanged";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {}

    fn on_free(&mut self) {
        // SAFETY: Ruby had allocated it, and nobody else knows it. Null is nothing to free.
        unsafe { rb_sys::ruby_xfree(self.0.get().cast()) };
    }
}

/// Looks for the place, while no other thread can ask for it.
pub(crate) fn init() {
    PLACE.get_or_init(find);
}

/// An open IO is about to be closed, and core is about to free its buffer, which the kernel may be
/// reading into for a fiber: the memory stays with the IO.
pub(crate) fn outlive_close(io: VALUE) {
    let Some(place) = PLACE.get().copied().flatten() else { return };
    let at = at(io, place);
    // SAFETY: an open IO has a struct, and the buffer is there.
    let buffer = unsafe { at.read_unaligned() };
    // Nothing is read into one that has something.
    if buffer.memory.is_null() || extent(buffer).is_none_or(|(_, held)| held > 0) {
        return;
    }
    let kept = protect(|| keep(io));
    let Some(kept) = kept.ok().and_then(typed::get::<Exchanged>) else { return };
    let none = Buffer { memory: std::ptr::null_mut(), offset: 0, len: 0, capacity: 0 };
    // SAFETY: as before; where there is none core makes one when it wants to read.
    unsafe { at.write_unaligned(none) };
    kept.0.set(buffer.memory);
}

/// Makes room for `len` bytes before those that an open IO has read ahead. Whether there is now.
pub(super) fn make_room(io: VALUE, len: usize) -> bool {
    let Some(place) = PLACE.get().copied().flatten() else { return false };
    let at = at(io, place);
    // SAFETY: an open IO has a struct, and the buffer is there.
    let buffer = unsafe { at.read_unaligned() };
    let (old, held) = (buffer.memory, extent(buffer));
    let Some((offset, count)) = held.filter(|_| !old.is_null()) else { return false };
    let Ok(capacity) = c_int::try_from(len.saturating_add(count).next_power_of_two()) else {
        return false;
    };
    let size = capacity as usize;
    let mut memory: *mut c_void = std::ptr::null_mut();
    let kept = protect(|| {
        let kept = keep(io);
        // SAFETY: raises when memory runs out, under protect.
        memory = unsafe { rb_sys::ruby_xmalloc(size as _) };
        kept
    });
    let Some(kept) = kept.ok().and_then(typed::get::<Exchanged>) else { return false };
    // SAFETY: a buffer of `size` bytes that nobody else knows, the last `count` of which are filled
    // from the old one. Nothing was read since that was looked at: only allocations came between.
    unsafe {
        let memory = memory.cast::<u8>();
        std::ptr::copy_nonoverlapping(old.add(offset), memory.add(size - count), count);
        let offset = capacity - buffer.len;
        at.write_unaligned(Buffer { memory, offset, len: buffer.len, capacity });
    }
    kept.0.set(old);
    true
}

/// An object that the IO keeps, for its old buffer.
fn keep(io: VALUE) -> VALUE {
    let name = value::intern(c"exchanged buffers");
    let list = match value::ivar(io, name) {
        NIL => {
            let list = value::array();
            let _ = value::set_ivar(io, name, list);
            list
        }
        list => list,
    };
    // SAFETY: the class is a constant of the VM.
    let kept =
        typed::wrap(unsafe { rb_sys::rb_cObject }, Exchanged(Cell::new(std::ptr::null_mut())));
    value::push(list, kept);
    kept
}

pub(super) fn at(io: VALUE, place: usize) -> *mut Buffer {
    // SAFETY: an IO that was initialised has a struct, of which this is a place.
    unsafe { (*(io as *mut rb_sys::RFile)).fptr.cast::<u8>().add(place).cast() }
}

/// Where the bytes of a buffer begin in its memory, and how many there are; `None` for what can't be
/// a buffer.
pub(super) fn extent(buffer: Buffer) -> Option<(usize, usize)> {
    let number = |number: c_int| usize::try_from(number).ok();
    let Buffer { offset, len, capacity, .. } = buffer;
    let (offset, len, capacity) = (number(offset)?, number(len)?, number(capacity)?);
    (len <= capacity && (len == 0 || offset + len <= capacity)).then_some((offset, len))
}

/// Looks for the buffer in an IO that has been given a sample.
fn find() -> Option<usize> {
    // SAFETY: the class is a constant of the VM.
    let pipe = call(unsafe { rb_sys::rb_cIO }, c"pipe", &[]).ok()?;
    let [reader, writer] = [0, 1].map(|index| value::at(pipe, index));
    let sample = [0x5a; SAMPLE];
    let place = call(reader, c"ungetbyte", &[value::string(&sample)])
        .ok()
        .and_then(|_| look_for(reader, &sample, |offset, capacity| offset + SAMPLE == capacity));
    for io in [reader, writer] {
        let _ = call(io, c"close", &[]);
    }
    place
}

/// Where in an IO's struct the buffer is that holds a sample, which begins where `is_there` says.
pub(super) fn look_for(
    io: VALUE,
    sample: &[u8],
    is_there: impl Fn(usize, usize) -> bool,
) -> Option<usize> {
    (0..FAR).step_by(4).find(|place| is_sample(at(io, *place), sample, &is_there))
}

fn is_sample(at: *mut Buffer, sample: &[u8], is_there: impl Fn(usize, usize) -> bool) -> bool {
    // SAFETY: within the struct of an IO.
    let buffer = unsafe { at.read_unaligned() };
    let Some((offset, len)) = extent(buffer) else { return false };
    let capacity = buffer.capacity as usize;
    let memory = buffer.memory;
    if len != sample.len() || !is_there(offset, capacity) || memory.is_null() {
        return false;
    }
    // SAFETY: three fields agree with what Ruby says of a buffer that was filled so, and so does the
    // pointer before them.
    unsafe { std::slice::from_raw_parts(memory.add(offset), len) == sample }
}
