//! Arrays of ours, and those of programs.

use std::os::raw::c_long;

use rb_sys::VALUE;

use super::{is_array, utf8};

pub(crate) fn array() -> VALUE {
    // SAFETY: needs the GVL only.
    unsafe { rb_sys::rb_ary_new() }
}

pub(crate) fn array_with_capacity(capacity: usize) -> VALUE {
    // SAFETY: needs the GVL only.
    unsafe { rb_sys::rb_ary_new_capa(capacity as c_long) }
}

/// An Array that no program can find.
pub(crate) fn hidden_array() -> VALUE {
    // SAFETY: needs the GVL only.
    unsafe { rb_sys::rb_ary_hidden_new(0) }
}

/// Takes everything out of an Array of ours.
pub(crate) fn clear_array(array: VALUE) {
    // SAFETY: `array` is an unfrozen Array of ours.
    unsafe { rb_sys::rb_ary_clear(array) };
}

pub(crate) fn array_of(items: &[VALUE]) -> VALUE {
    // SAFETY: the items are copied during the call.
    unsafe { rb_sys::rb_ary_new_from_values(items.len() as c_long, items.as_ptr()) }
}

/// Texts as an Array of Strings.
pub(crate) fn texts(texts: &[String]) -> VALUE {
    let list = array();
    texts.iter().for_each(|text| push(list, utf8(text)));
    list
}

/// A plain Array with the same items. Calls no method, as those of a subclass may return anything.
pub(crate) fn copy_of(array: VALUE) -> VALUE {
    debug_assert!(is_array(array));
    // SAFETY: it is an Array.
    unsafe { rb_sys::rb_ary_dup(array) }
}

pub(crate) fn push(array: VALUE, item: VALUE) {
    // SAFETY: `array` is a fresh, unfrozen Array of ours.
    unsafe { rb_sys::rb_ary_push(array, item) };
}

pub(crate) fn array_len(array: VALUE) -> usize {
    debug_assert!(is_array(array));
    // SAFETY: it is an Array.
    usize::try_from(unsafe { rb_sys::RARRAY_LEN(array) }).unwrap_or(0)
}

/// An Array's item, nil beyond its end.
pub(crate) fn at(array: VALUE, index: usize) -> VALUE {
    debug_assert!(is_array(array));
    // SAFETY: it is an Array; an index beyond the end gives nil.
    unsafe { rb_sys::rb_ary_entry(array, index as c_long) }
}

/// The same, counted from the end: the last one is the first.
pub(crate) fn from_end(array: VALUE, index: usize) -> VALUE {
    debug_assert!(is_array(array));
    // SAFETY: as above.
    unsafe { rb_sys::rb_ary_entry(array, -(index as c_long)) }
}

/// Puts an item before the others of an Array of ours.
pub(crate) fn unshift(array: VALUE, item: VALUE) {
    // SAFETY: `array` is an unfrozen Array of ours.
    unsafe { rb_sys::rb_ary_unshift(array, item) };
}

/// Takes the first item of an Array of ours, nil when it is empty.
pub(crate) fn shift(array: VALUE) -> VALUE {
    // SAFETY: `array` is an unfrozen Array of ours.
    unsafe { rb_sys::rb_ary_shift(array) }
}

/// Takes the last item of an Array of ours, nil when it is empty.
pub(crate) fn pop(array: VALUE) -> VALUE {
    // SAFETY: `array` is an unfrozen Array of ours.
    unsafe { rb_sys::rb_ary_pop(array) }
}

/// Takes out the first item that is this very object; whether there was one.
pub(crate) fn delete_first(array: VALUE, item: VALUE) -> bool {
    let Some(index) = (0..array_len(array)).find(|index| at(array, *index) == item) else {
        return false;
    };
    // SAFETY: `array` is an unfrozen Array of ours, and the index within it.
    unsafe { rb_sys::rb_ary_delete_at(array, index as c_long) };
    true
}

/// Replaces an item of an Array of ours.
pub(crate) fn set_at(array: VALUE, index: usize, item: VALUE) {
    debug_assert!(is_array(array));
    // SAFETY: `array` is an unfrozen Array of ours, and the index within it.
    unsafe { rb_sys::rb_ary_store(array, index as c_long, item) };
}
