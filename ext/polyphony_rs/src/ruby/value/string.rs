//! Strings: making, changing, looking at their bytes.

use std::os::raw::{c_char, c_long};

use rb_sys::VALUE;

use super::super::protect;
use super::{NIL, is_string};
use crate::errors::{Outcome, Raise};

/// A new String with these bytes.
pub(crate) fn string(bytes: &[u8]) -> VALUE {
    // SAFETY: the bytes are copied during the call; their number fits a long.
    unsafe { rb_sys::rb_str_new(bytes.as_ptr().cast::<c_char>(), bytes.len() as c_long) }
}

/// A new String of `len` bytes that are yet to be set.
pub(crate) fn string_of(len: usize) -> VALUE {
    // SAFETY: without a source, nothing is copied.
    unsafe { rb_sys::rb_str_new(std::ptr::null(), len as c_long) }
}

/// A new empty String with room for so many bytes.
pub(crate) fn string_with_capacity(capacity: usize) -> VALUE {
    // SAFETY: needs the GVL only.
    unsafe { rb_sys::rb_str_buf_new(capacity as c_long) }
}

/// Appends bytes to a String of ours.
pub(crate) fn append(string: VALUE, bytes: &[u8]) -> VALUE {
    // SAFETY: it is a String that is neither frozen nor locked; the bytes are copied.
    unsafe { rb_sys::rb_str_cat(string, bytes.as_ptr().cast::<c_char>(), bytes.len() as c_long) }
}

/// Appends bytes to a program's String, which may be frozen or locked by now; its encoding stays.
pub(crate) fn try_append(string: VALUE, bytes: &[u8]) -> Outcome<()> {
    protect(|| append(string, bytes)).map(drop)
}

/// A frozen String that has the bytes which this one has now.
pub(crate) fn frozen(string: VALUE) -> Outcome {
    debug_assert!(is_string(string));
    // SAFETY: under protect; it is a String.
    protect(|| unsafe { rb_sys::rb_str_new_frozen(string) })
}

/// Appends a String's bytes, whatever their encoding, to a String.
pub(crate) fn append_string(target: VALUE, string: VALUE) -> VALUE {
    // SAFETY: it is a String, which is kept until they are copied.
    let target = append(target, unsafe { bytes(string) });
    std::hint::black_box(string);
    target
}

/// Says that the bytes of a String of ours are in UTF-8.
pub(crate) fn in_utf8(string: VALUE) -> VALUE {
    // SAFETY: a String that is not frozen; the index is one of Ruby's own.
    unsafe { rb_sys::rb_enc_associate_index(string, rb_sys::rb_utf8_encindex()) }
}

/// The bytes of a String.
///
/// # Safety
/// It is a String, and nothing of Ruby runs as long as they are used.
pub(crate) unsafe fn bytes<'a>(string: VALUE) -> &'a [u8] {
    // SAFETY: this function's own contract.
    unsafe {
        let len = usize::try_from(rb_sys::RSTRING_LEN(string)).unwrap_or(0);
        std::slice::from_raw_parts(rb_sys::RSTRING_PTR(string).cast::<u8>(), len)
    }
}

/// The same, to be changed.
///
/// # Safety
/// As above; and it is a String of ours that shares its bytes with none.
pub(crate) unsafe fn bytes_mut<'a>(string: VALUE) -> &'a mut [u8] {
    // SAFETY: this function's own contract.
    unsafe {
        let len = usize::try_from(rb_sys::RSTRING_LEN(string)).unwrap_or(0);
        std::slice::from_raw_parts_mut(rb_sys::RSTRING_PTR(string).cast_mut().cast::<u8>(), len)
    }
}

/// A new String in UTF-8.
pub(crate) fn utf8(text: &str) -> VALUE {
    // SAFETY: as `string`.
    unsafe { rb_sys::rb_utf8_str_new(text.as_ptr().cast::<c_char>(), text.len() as c_long) }
}

/// A new String: in UTF-8 where the bytes are, else binary.
pub(crate) fn text_of(bytes: &[u8]) -> VALUE {
    match std::str::from_utf8(bytes) {
        Ok(text) => utf8(text),
        Err(_) => string(bytes),
    }
}

/// Says that a binary String of ours is in UTF-8, where it is.
pub(crate) fn in_text(string: VALUE) -> VALUE {
    // SAFETY: a String of ours; the encoding is one that exists.
    unsafe {
        if std::str::from_utf8(bytes(string)).is_ok() {
            rb_sys::rb_enc_associate(string, rb_sys::rb_utf8_encoding());
        }
    }
    string
}

/// A file's name as Ruby's own methods give it: in the file system's encoding.
pub(crate) fn file_name(bytes: &[u8]) -> VALUE {
    // SAFETY: as `string`.
    unsafe { rb_sys::rb_filesystem_str_new(bytes.as_ptr().cast::<c_char>(), bytes.len() as c_long) }
}

/// The bytes of a String, copied.
pub(crate) fn bytes_of(value: VALUE) -> Vec<u8> {
    debug_assert!(is_string(value));
    // SAFETY: it is a String, and nothing runs before they are copied.
    unsafe { bytes(value) }.to_vec()
}

/// Bytes of a String of ours; none for nil.
pub(crate) fn string_len(string: VALUE) -> usize {
    if string == NIL {
        return 0;
    }
    // SAFETY: it is a String.
    usize::try_from(unsafe { rb_sys::RSTRING_LEN(string) }).unwrap_or(0)
}

/// Empties a String of ours, keeping its room.
pub(crate) fn clear(string: VALUE) -> Outcome<()> {
    truncate(string, 0)
}

/// Leaves the first `len` bytes of a String of ours, which has no fewer.
pub(crate) fn truncate(string: VALUE, len: usize) -> Outcome<()> {
    // SAFETY: under protect; there is room for as many.
    protect(|| unsafe {
        rb_sys::rb_str_modify(string);
        rb_sys::rb_str_set_len(string, len as c_long);
        NIL
    })
    .map(drop)
}

/// A new String with some bytes of one of ours.
pub(crate) fn substring(string_: VALUE, range: std::ops::Range<usize>) -> VALUE {
    string(bytes_of(string_).get(range).unwrap_or_default())
}

/// A String's text; TypeError for anything else.
pub(crate) fn text(value: VALUE, what: &str) -> Outcome<String> {
    if !is_string(value) {
        return Err(Raise::type_error(format!("{what} must be a String")));
    }
    String::from_utf8(bytes_of(value))
        .map_err(|_| Raise::argument_error(format!("{what} is not valid UTF-8")))
}

/// The one frozen String in UTF-8 with these bytes, which literals share.
pub(crate) fn interned(text: &str) -> VALUE {
    let (ptr, len) = (text.as_ptr().cast::<c_char>(), text.len() as c_long);
    // SAFETY: the bytes are copied where there is no such String yet.
    unsafe { rb_sys::rb_enc_interned_str(ptr, len, rb_sys::rb_utf8_encoding()) }
}
