//! Memory of Strings and IO::Buffers, lent to the kernel.

use std::os::raw::{c_long, c_void};

use rb_sys::VALUE;

use super::value::{class_name, is_string, kind_of, string_len};
use super::{NIL, protect};
use crate::errors::{Outcome, Raise};

/// Strings up to this size are copied into the op instead of being shared: an embedded string
/// has no buffer to share.
pub(super) const COPY_UP_TO: usize = 640;

/// Bytes as the C API counts them: `size_t`, which is a `usize` wherever io_uring is.
type Size = rb_sys::size_t;

fn bytes(size: Size) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

// Their flags are sets, which the bindings' enum can't hold.
unsafe extern "C" {
    fn rb_io_buffer_new(base: *mut c_void, size: Size, flags: u32) -> VALUE;
    fn rb_io_buffer_get_bytes(buffer: VALUE, base: *mut *mut c_void, size: *mut Size) -> u32;
}

/// `RB_IO_BUFFER_LOCKED`.
const BUFFER_LOCKED: u32 = 32;
/// `RB_IO_BUFFER_EXTERNAL`, `_INTERNAL` and `_MAPPED`: whose the memory is. A slice has none.
const BUFFER_OWNS: u32 = 1 | BUFFER_INTERNAL | 4;
const BUFFER_INTERNAL: u32 = 2;

/// How a value is kept in place while the kernel uses its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// It needs nothing but to stay alive.
    Held,
    /// A String under `rb_str_locktmp`.
    String,
    /// An IO::Buffer locked by us.
    Buffer,
    /// A [`Gathered`](super::gather::Gathered), which has loans of its own.
    Several,
}

/// A value whose memory the kernel may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loan {
    pub(crate) value: VALUE,
    pub(crate) lock: Lock,
}

impl Loan {
    pub(crate) const NONE: Self = Self { value: NIL, lock: Lock::Held };

    /// Gives the memory back to Ruby.
    pub(crate) fn release(self) {
        match self.lock {
            Lock::Held => {}
            Lock::String => {
                // SAFETY: raises for a String that is not locked only; we locked it, and no
                // Ruby program can unlock it.
                unsafe { rb_sys::rb_str_unlocktmp(self.value) };
            }
            Lock::Buffer if locks::release(self.value) => {
                // SAFETY: under protect; an IO::Buffer locked by us. Should somebody have unlocked
                // it, there is nothing to mend.
                let _ = protect(|| unsafe { rb_sys::rb_io_buffer_unlock(self.value) });
            }
            Lock::Buffer => {}
            Lock::Several => super::gather::release(self.value),
        }
    }
}

/// Memory lent for reading into.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) ptr: *mut u8,
    pub(crate) loan: Loan,
    /// The value to be filled: another one than is lent where that is a slice.
    into: VALUE,
    /// Where in it the bytes begin.
    offset: usize,
    /// How many there is room for.
    room: usize,
}

/// Bytes lent for writing.
pub(crate) enum Source {
    /// In a value that stays in place.
    Lent { ptr: *const u8, len: usize, loan: Loan },
    /// Copied.
    Owned(Box<[u8]>),
}

pub(crate) fn is_buffer(value: VALUE) -> bool {
    // SAFETY: the class is a constant of the VM.
    kind_of(value, unsafe { rb_sys::rb_cIOBuffer })
}

/// Refuses what has no memory to lend: with `UM::Error`, as uringmachine does (docs/design/errors.md).
pub(crate) fn check(value: VALUE) -> Outcome<()> {
    if is_string(value) || is_buffer(value) {
        return Ok(());
    }
    let given = class_name(value);
    Err(Raise::um_error(format!("buffer must be a String or an IO::Buffer, not {given}")))
}

/// Makes room for `maxlen` bytes at `offset` (negative: from the end, -1 appends) and locks the
/// value. Unwinds for a String that is frozen or locked, or when memory runs out.
pub(crate) fn lend_target(value: VALUE, maxlen: usize, offset: i64) -> Outcome<Target> {
    check(value)?;
    if is_string(value) {
        lend_string(value, maxlen, offset)
    } else {
        lend_buffer(value, maxlen, offset)
    }
}

/// Where in something of `len` bytes an offset is: negative ones count from the end, -1 being
/// the end itself.
fn position(len: usize, offset: i64) -> Outcome<usize> {
    let position =
        if offset < 0 { i64::try_from(len).unwrap_or(i64::MAX) + offset + 1 } else { offset };
    usize::try_from(position)
        .map_err(|_| Raise::argument_error("buffer offset is before its start"))
}

fn lend_string(string: VALUE, maxlen: usize, offset: i64) -> Outcome<Target> {
    let before = string_len(string);
    let offset = position(before, offset)?;
    let end = offset.checked_add(maxlen).filter(|end| c_long::try_from(*end).is_ok());
    let Some(end) = end else {
        return Err(Raise::argument_error("buffer would become too large"));
    };
    // SAFETY: raises when frozen, locked, or out of memory, and the callers own nothing then. The
    // capacity is enough for `end` bytes; a gap between the old end and `offset` is zeroed.
    let ptr = unsafe {
        rb_sys::rb_str_modify(string);
        // Asking for more room reallocates, also where there is enough.
        if bytes(rb_sys::rb_str_capacity(string)) < end {
            rb_sys::rb_str_modify_expand(string, end.saturating_sub(before) as c_long);
        }
        rb_sys::rb_str_locktmp(string);
        let start = rb_sys::RSTRING_PTR(string).cast_mut().cast::<u8>();
        if offset > before {
            std::ptr::write_bytes(start.add(before), 0, offset - before);
        }
        start.add(offset)
    };
    let loan = Loan { value: string, lock: Lock::String };
    Ok(Target { ptr, loan, into: string, offset, room: maxlen })
}

fn lend_buffer(buffer: VALUE, maxlen: usize, offset: i64) -> Outcome<Target> {
    let mut base: *mut c_void = std::ptr::null_mut();
    let mut size = 0;
    // SAFETY: it is an IO::Buffer; this never raises.
    unsafe { rb_io_buffer_get_bytes(buffer, &raw mut base, &raw mut size) };
    let offset = position(bytes(size), offset)?;
    let Some(end) = offset.checked_add(maxlen) else {
        return Err(Raise::argument_error("buffer would become too large"));
    };
    protect(|| {
        // SAFETY: under protect: raises when the buffer is locked, read-only or can't grow.
        unsafe {
            if end > bytes(size) {
                // What is new is zeroed.
                rb_sys::rb_io_buffer_resize(buffer, end as Size);
            }
            rb_sys::rb_io_buffer_get_bytes_for_writing(buffer, &raw mut base, &raw mut size);
        }
        NIL
    })?;
    if is_slice(buffer) {
        return lend_for_slice(buffer, maxlen, offset);
    }
    // SAFETY: under protect. Two reads into one buffer are a mistake: the second one raises here.
    protect(|| unsafe { rb_sys::rb_io_buffer_lock(buffer) })?;
    locks::add(buffer);
    let loan = Loan { value: buffer, lock: Lock::Buffer };
    // SAFETY: the buffer has at least `offset + maxlen` bytes.
    let ptr = unsafe { base.cast::<u8>().add(offset) };
    Ok(Target { ptr, loan, into: buffer, offset, room: maxlen })
}

/// Whether an IO::Buffer is part of another one, which can be freed at any time: locking the slice
/// doesn't lock that.
fn is_slice(buffer: VALUE) -> bool {
    flags(buffer) & BUFFER_OWNS == 0 && !peek(buffer).0.is_null()
}

fn is_locked(buffer: VALUE) -> bool {
    flags(buffer) & BUFFER_LOCKED != 0
}

fn flags(buffer: VALUE) -> u32 {
    let (mut base, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: it is an IO::Buffer; this only reads its structure.
    unsafe { rb_io_buffer_get_bytes(buffer, &raw mut base, &raw mut size) }
}

/// Memory to read into in place of a slice's: a String that no program can find.
/// [`Target::finish`] copies what came.
fn lend_for_slice(slice: VALUE, maxlen: usize, offset: usize) -> Outcome<Target> {
    // SAFETY: unwinds when memory runs out only; the callers own nothing then.
    let target = lend_string(unsafe { rb_sys::rb_str_tmp_new(0) }, maxlen, 0)?;
    Ok(Target { into: slice, offset, ..target })
}

impl Target {
    /// Zeroes the room, for an op that may not fill all that it counts.
    pub(crate) fn clear(&self) {
        // SAFETY: there are so many bytes, and they are lent.
        unsafe { std::ptr::write_bytes(self.ptr, 0, self.room) };
    }

    /// The first `count` bytes as a String of their own.
    pub(crate) fn copy(self, count: usize) -> Outcome {
        protect(|| {
            // SAFETY: there is room for as many, and the value keeps them.
            let copy = super::value::string(unsafe { std::slice::from_raw_parts(self.ptr, count) });
            std::hint::black_box(self.loan.value);
            copy
        })
    }

    /// Sets a String's length after `count` bytes came in (the lock is off by now), and fills a
    /// slice. Nothing came: it is left as it was.
    pub(crate) fn finish(self, count: usize) -> Outcome<()> {
        let count = count.min(self.room);
        if count == 0 {
            return Ok(());
        }
        if self.into != self.loan.value {
            return self.fill_slice(count);
        }
        if !is_string(self.into) {
            return Ok(());
        }
        let len = self.offset + count;
        let string = self.loan.value;
        let set = protect(|| {
            // SAFETY: under protect; the capacity was made by `lend_string`. `rb_str_modify`
            // forgets what was known about the old bytes.
            unsafe {
                rb_sys::rb_str_set_len(string, len as c_long);
                rb_sys::rb_str_modify(string);
            }
            NIL
        });
        if set.is_ok() {
            return Ok(());
        }
        self.finish_shared(count)
    }

    /// Copies what came into the slice, which is valid no more where its memory was freed: that
    /// raises.
    fn fill_slice(self, count: usize) -> Outcome<()> {
        let (mut base, mut size): (*mut c_void, _) = (std::ptr::null_mut(), 0);
        protect(|| {
            // SAFETY: under protect; it is an IO::Buffer.
            unsafe {
                rb_sys::rb_io_buffer_get_bytes_for_writing(self.into, &raw mut base, &raw mut size);
            }
            NIL
        })?;
        // It may have become smaller.
        let count = count.min(bytes(size).saturating_sub(self.offset));
        if count > 0 {
            // SAFETY: the slice has `offset + count` bytes, and as many came.
            unsafe { std::ptr::copy(self.ptr, base.cast::<u8>().add(self.offset), count) };
        }
        std::hint::black_box(self.loan.value);
        Ok(())
    }

    /// The String was copied while the read was in flight, and shares its bytes now: it gets
    /// bytes of its own. The gap was zeroed where the bytes were, and has to be once more.
    fn finish_shared(self, count: usize) -> Outcome<()> {
        let string = self.loan.value;
        // SAFETY: the shared bytes are kept by the String until it is modified below.
        let bytes = unsafe { std::slice::from_raw_parts(self.ptr, count) }.to_vec();
        let (from, offset, len) = (bytes.as_ptr(), self.offset, self.offset + count);
        let before = string_len(string);
        let outcome = protect(|| {
            // SAFETY: under protect: raises for a String that was frozen meanwhile. There is room
            // for `len` bytes, and `from` lives in the caller's frame.
            unsafe {
                rb_sys::rb_str_modify_expand(string, len.saturating_sub(before) as c_long);
                let ptr = rb_sys::RSTRING_PTR(string).cast_mut().cast::<u8>();
                std::ptr::write_bytes(
                    ptr.add(before.min(offset)),
                    0,
                    offset.saturating_sub(before),
                );
                std::ptr::copy_nonoverlapping(from, ptr.add(offset), count);
                rb_sys::rb_str_set_len(string, len as c_long);
            }
            NIL
        });
        outcome.map(drop)
    }
}

/// The first `max` bytes of a String or IO::Buffer, kept as they are now. Unwinds when memory
/// runs out.
pub(crate) fn lend_source(value: VALUE, max: Option<usize>) -> Outcome<Source> {
    if is_string(value) {
        let len = string_len(value);
        let take = max.unwrap_or(len).min(len);
        if take <= COPY_UP_TO {
            // SAFETY: the bytes are copied before anything else runs.
            let bytes = unsafe {
                std::slice::from_raw_parts(rb_sys::RSTRING_PTR(value).cast::<u8>(), take)
            };
            return Ok(Source::Owned(bytes.into()));
        }
        // A frozen String sharing the bytes: the caller may go on changing its own.
        // SAFETY: unwinds when memory runs out only; the callers own nothing then.
        let frozen = unsafe { rb_sys::rb_str_new_frozen(value) };
        // SAFETY: a frozen String's bytes stay; one above COPY_UP_TO is not embedded.
        let ptr = unsafe { rb_sys::RSTRING_PTR(frozen) }.cast::<u8>();
        return Ok(Source::Lent { ptr, len: take, loan: Loan { value: frozen, lock: Lock::Held } });
    }
    check(value)?;
    let (mut base, mut size): (*const c_void, _) = (std::ptr::null(), 0);
    protect(|| {
        // SAFETY: under protect: raises when the buffer was freed.
        unsafe { rb_sys::rb_io_buffer_get_bytes_for_reading(value, &raw mut base, &raw mut size) };
        NIL
    })?;
    let len = max.unwrap_or(bytes(size)).min(bytes(size));
    if is_slice(value) {
        // SAFETY: a slice that is valid has so many bytes.
        let copy = super::value::string(unsafe { std::slice::from_raw_parts(base.cast(), len) });
        return lend_source(copy, None);
    }
    let loan = lock_buffer(value)?;
    Ok(Source::Lent { ptr: base.cast(), len, loan })
}

/// The bytes of a String of ours from `start` on, for writing them: nobody else changes it.
/// Unwinds for a String that is locked; the callers own nothing.
pub(crate) fn lend_range(string: VALUE, start: usize) -> (*const u8, Loan) {
    // SAFETY: it is a String, and `start` is within it.
    let ptr = unsafe {
        rb_sys::rb_str_locktmp(string);
        rb_sys::RSTRING_PTR(string).cast::<u8>().add(start)
    };
    (ptr, Loan { value: string, lock: Lock::String })
}

/// Locks an IO::Buffer; one that is locked already is somebody's who holds it for us (core locks
/// the buffers that it passes to hooks).
fn lock_buffer(buffer: VALUE) -> Outcome<Loan> {
    if !is_locked(buffer) {
        // SAFETY: under protect.
        protect(|| unsafe { rb_sys::rb_io_buffer_lock(buffer) })?;
    } else if !locks::is_ours(buffer) {
        return Ok(Loan { value: buffer, lock: Lock::Held });
    }
    locks::add(buffer);
    Ok(Loan { value: buffer, lock: Lock::Buffer })
}

/// How many loans each IO::Buffer that we have locked is out on: the last one unlocks it.
mod locks {
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

    use rb_sys::VALUE;

    // A buffer on loan is marked, and so stays where it is.
    static LOANS: LazyLock<Mutex<HashMap<VALUE, usize>>> = LazyLock::new(Mutex::default);

    fn loans() -> MutexGuard<'static, HashMap<VALUE, usize>> {
        LOANS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_ours(buffer: VALUE) -> bool {
        loans().contains_key(&buffer)
    }

    pub(super) fn add(buffer: VALUE) {
        *loans().entry(buffer).or_default() += 1;
    }

    /// Whether that was the last loan.
    pub(super) fn release(buffer: VALUE) -> bool {
        let mut loans = loans();
        let Some(count) = loans.get_mut(&buffer) else { return false };
        *count -= 1;
        let last = *count == 0;
        if last {
            loans.remove(&buffer);
        }
        last
    }
}

/// The memory of an IO::Buffer that a hook was given, from `offset` on.
pub(crate) struct HookBuffer {
    pub(crate) ptr: *mut u8,
    pub(crate) len: usize,
    pub(crate) loan: Loan,
    /// Other memory is used in place of a slice's.
    target: Option<Target>,
}

impl HookBuffer {
    /// `count` bytes came in; a slice gets them now.
    pub(crate) fn finish(&self, count: usize) -> Outcome<()> {
        self.target.map_or(Ok(()), |target| target.finish(count))
    }
}

/// Where an IO::Buffer's bytes are, and how many; nothing of Ruby is changed or allocated.
pub(crate) fn peek(buffer: VALUE) -> (*const u8, usize) {
    let mut base: *mut c_void = std::ptr::null_mut();
    let mut size = 0;
    // SAFETY: it is an IO::Buffer; this only reads its structure.
    unsafe { rb_io_buffer_get_bytes(buffer, &raw mut base, &raw mut size) };
    (base.cast_const().cast(), bytes(size))
}

/// For the scheduler's hooks: the buffer is not resized. Unwinds when it is read-only (for
/// writing into it) or was freed.
pub(crate) fn lend_to_hook(buffer: VALUE, offset: usize, writing: bool) -> Outcome<HookBuffer> {
    if !is_buffer(buffer) {
        return Err(Raise::type_error("an IO::Buffer is needed"));
    }
    let (mut base, mut size): (*mut c_void, _) = (std::ptr::null_mut(), 0);
    // SAFETY: it is an IO::Buffer; the callers own nothing that an exception would leave behind.
    unsafe {
        if writing {
            rb_sys::rb_io_buffer_get_bytes_for_writing(buffer, &raw mut base, &raw mut size);
        } else {
            let mut start: *const c_void = std::ptr::null();
            rb_sys::rb_io_buffer_get_bytes_for_reading(buffer, &raw mut start, &raw mut size);
            base = start.cast_mut();
        }
    }
    let Some(len) = bytes(size).checked_sub(offset) else {
        return Err(Raise::argument_error("the offset is beyond the buffer's end"));
    };
    // SAFETY: `offset` is within the buffer.
    let ptr = unsafe { base.cast::<u8>().add(offset) };
    if is_slice(buffer) && !is_locked(buffer) {
        let target = lend_for_slice(buffer, len, offset)?;
        if !writing {
            // SAFETY: both have `len` bytes.
            unsafe { std::ptr::copy(ptr, target.ptr, len) };
        }
        return Ok(HookBuffer { ptr: target.ptr, len, loan: target.loan, target: Some(target) });
    }
    let loan = lock_buffer(buffer)?;
    Ok(HookBuffer { ptr, len, loan, target: None })
}

/// A new IO::Buffer of no bytes, made as core makes those that it passes to hooks.
pub(super) fn without_memory() -> Outcome {
    // SAFETY: under protect; there is no memory that anybody would have to keep.
    protect(|| unsafe { rb_io_buffer_new(std::ptr::null_mut(), 0, BUFFER_LOCKED) })
}

/// A new IO::Buffer with the bytes of another.
pub(crate) fn copy_of(buffer: VALUE) -> Outcome {
    let (from, size) = peek(buffer);
    // SAFETY: under protect; the memory is the new buffer's own.
    let copy = protect(|| unsafe {
        rb_io_buffer_new(std::ptr::null_mut(), size as Size, BUFFER_INTERNAL)
    })?;
    // SAFETY: both have `size` bytes, and nothing of Ruby has run since they were looked at but the
    // allocation, which moves no memory of a buffer.
    unsafe { std::ptr::copy_nonoverlapping(from, peek(copy).0.cast_mut(), size) };
    Ok(copy)
}

/// `RB_IO_BUFFER_READONLY`, and memory that is another's.
const BUFFER_IN_PLACE: u32 = 128 | BUFFER_LOCKED | 1;

/// Yields a locked, read-only IO::Buffer around some bytes, which is void afterwards.
///
/// # Safety
/// The bytes stay valid and in place until the block has returned.
pub(crate) unsafe fn yield_in_place(bytes: &[u8]) -> Outcome {
    let base: *mut u8 = bytes.as_ptr().cast_mut();
    // SAFETY: under protect. The buffer is read-only, so nothing writes there.
    let buffer =
        protect(|| unsafe { rb_io_buffer_new(base.cast(), bytes.len() as Size, BUFFER_IN_PLACE) })?;
    let yielded = super::value::yield_to_block(buffer);
    // SAFETY: under protect; an IO::Buffer. A program may have freed it already.
    protect(|| unsafe { rb_sys::rb_io_buffer_free_locked(buffer) })?;
    yielded
}

/// A NUL-terminated copy of a String; ArgumentError when it has a NUL inside.
pub(crate) fn c_string(value: VALUE, what: &str) -> Outcome<std::ffi::CString> {
    if !is_string(value) {
        return Err(Raise::type_error(format!("{what} must be a String")));
    }
    std::ffi::CString::new(super::value::bytes_of(value))
        .map_err(|_| Raise::argument_error(format!("{what} contains a null byte")))
}
