//! Hashes, and keywords, which are one.

use std::ffi::{CStr, c_int};
use std::os::raw::c_long;

use rb_sys::{VALUE, ruby_value_type};

use super::super::protect;
use super::{NIL, array_len, at, bytes_of, call, is_array, is_type, symbol};
use crate::errors::{Outcome, Raise};

pub(crate) fn hash() -> VALUE {
    // SAFETY: needs the GVL only.
    unsafe { rb_sys::rb_hash_new() }
}

/// A Hash with room for so many pairs.
pub(crate) fn hash_with_capacity(capacity: usize) -> VALUE {
    // SAFETY: needs the GVL only.
    unsafe { rb_sys::rb_hash_new_capa(capacity as c_long) }
}

/// How many pairs a Hash has.
pub(crate) fn hash_len(hash: VALUE) -> usize {
    debug_assert!(is_hash(hash));
    // SAFETY: it is a Hash.
    usize::try_from(unsafe { rb_sys::rb_hash_size_num(hash) }).unwrap_or(0)
}

/// Calls `each` with the pairs of a Hash until it gives an error, which is handed back. It calls
/// nothing of Ruby.
pub(crate) fn each_pair(
    hash: VALUE,
    mut each: impl FnMut(VALUE, VALUE) -> Outcome<()>,
) -> Outcome<()> {
    struct Walk<'a, F>(&'a mut F, Option<Raise>);
    unsafe extern "C" fn step<F: FnMut(VALUE, VALUE) -> Outcome<()>>(
        key: VALUE,
        value: VALUE,
        walk: VALUE,
    ) -> c_int {
        // SAFETY: the address of the Walk below, which nobody else uses meanwhile.
        let Walk(each, error) = unsafe { &mut *(walk as *mut Walk<'_, F>) };
        *error = each(key, value).err();
        // ST_CONTINUE and ST_STOP.
        c_int::from(error.is_some())
    }
    fn walk_with<F: FnMut(VALUE, VALUE) -> Outcome<()>>(hash: VALUE, each: &mut F) -> Outcome<()> {
        let mut walk = Walk(each, None);
        let address = (&raw mut walk) as VALUE;
        protect(|| {
            // SAFETY: under protect; it is a Hash, and the walk outlives the call.
            unsafe { rb_sys::rb_hash_foreach(hash, Some(step::<F>), address) };
            NIL
        })?;
        walk.1.map_or(Ok(()), Err)
    }
    debug_assert!(is_hash(hash));
    walk_with(hash, &mut each)
}

/// A Hash of keys and values that are in turn in an Array which nobody changes.
pub(crate) fn hash_of_pairs(pairs: VALUE) -> VALUE {
    debug_assert!(is_array(pairs));
    let hash = hash();
    // SAFETY: it is an Array. Without a last key that has no value, as Ruby takes pairs only.
    unsafe {
        let count = rb_sys::RARRAY_LEN(pairs) & !1;
        rb_sys::rb_hash_bulk_insert(count, rb_sys::RARRAY_CONST_PTR(pairs), hash);
    }
    std::hint::black_box(pairs);
    hash
}

pub(crate) fn store(hash: VALUE, key: VALUE, value: VALUE) {
    // SAFETY: `hash` is a fresh, unfrozen Hash of ours, and the key a Symbol or a frozen String.
    unsafe { rb_sys::rb_hash_aset(hash, key, value) };
}

/// Stores under a Symbol key in a program's Hash, which may be frozen by now.
pub(crate) fn try_store(hash: VALUE, key: &CStr, value: VALUE) -> Outcome<()> {
    let key = symbol(key);
    // SAFETY: under protect; it is a Hash.
    protect(|| unsafe { rb_sys::rb_hash_aset(hash, key, value) }).map(drop)
}

/// The value of a Symbol key, nil where the Hash lacks it.
pub(crate) fn lookup(hash: VALUE, key: &CStr) -> VALUE {
    // SAFETY: `hash` is a Hash; Symbols run no user code.
    unsafe { rb_sys::rb_hash_lookup2(hash, symbol(key), NIL) }
}

/// Refuses keywords that are not known, as Ruby does.
pub(crate) fn check_keywords(hash: VALUE, known: &[&CStr]) -> Outcome<()> {
    let keys = call(hash, c"keys", &[])?;
    // A subclass of Hash may have a method of its own.
    if !is_array(keys) {
        return Err(Raise::type_error("the keywords' keys must be an Array"));
    }
    for index in 0..array_len(keys) {
        let key = at(keys, index);
        if !known.iter().any(|name| symbol(name) == key) {
            // SAFETY: under protect. Always a String, whatever the key's own method returns.
            let text = protect(|| unsafe { rb_sys::rb_inspect(key) })?;
            let text = String::from_utf8_lossy(&bytes_of(text)).into_owned();
            return Err(Raise::argument_error(format!("unknown keyword: {text}")));
        }
    }
    Ok(())
}

pub(crate) fn is_hash(value: VALUE) -> bool {
    is_type(value, ruby_value_type::RUBY_T_HASH)
}
