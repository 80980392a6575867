//! Values: constants, conversions, calls.

use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_long};
use std::sync::atomic::{AtomicU64, Ordering};

use rb_sys::{ID, VALUE, ruby_value_type};

use super::protect;
use crate::errors::{Outcome, Raise};

pub(crate) const NIL: VALUE = rb_sys::Qnil as VALUE;
pub(crate) const TRUE: VALUE = rb_sys::Qtrue as VALUE;
pub(crate) const FALSE: VALUE = rb_sys::Qfalse as VALUE;

/// Anything but nil and false: those two are the values without other bits than nil's.
pub(crate) fn truthy(value: VALUE) -> bool {
    value & !NIL != 0
}

pub(crate) fn boolean(truth: bool) -> VALUE {
    if truth { TRUE } else { FALSE }
}

/// The number of an Integer that is a fixnum.
pub(crate) fn fixnum(value: VALUE) -> Option<i64> {
    // A fixnum is its number shifted left by one, with the lowest bit set.
    (value & 1 == 1).then_some((value as i64) >> 1)
}

/// A small Integer, made without the VM's help.
pub(crate) fn from_fixnum(number: i64) -> VALUE {
    ((number << 1) | 1) as VALUE
}

/// An Integer. Unwinds only when memory for a big one runs out.
pub(crate) fn integer(number: i64) -> VALUE {
    // SAFETY: needs the GVL only.
    unsafe { rb_sys::rb_ll2inum(number) }
}

/// An Integer from all of 64 bits.
pub(crate) fn unsigned(number: u64) -> VALUE {
    // SAFETY: needs the GVL only.
    unsafe { rb_sys::rb_ull2inum(number) }
}

pub(crate) fn float(number: f64) -> VALUE {
    // SAFETY: needs the GVL only.
    unsafe { rb_sys::rb_float_new(number) }
}

/// Whether it is an Integer of any size.
pub(crate) fn is_integer(value: VALUE) -> bool {
    fixnum(value).is_some() || is_type(value, ruby_value_type::RUBY_T_BIGNUM)
}

fn is_type(value: VALUE, kind: ruby_value_type) -> bool {
    // SAFETY: any VALUE may be asked for its type.
    unsafe { rb_sys::RB_TYPE_P(value, kind) }
}

pub(crate) fn is_symbol(value: VALUE) -> bool {
    is_type(value, ruby_value_type::RUBY_T_SYMBOL)
}

/// A Symbol's name as a String.
pub(crate) fn symbol_name(symbol: VALUE) -> VALUE {
    debug_assert!(is_symbol(symbol));
    // SAFETY: it is a Symbol.
    unsafe { rb_sys::rb_sym2str(symbol) }
}

pub(crate) fn is_string(value: VALUE) -> bool {
    is_type(value, ruby_value_type::RUBY_T_STRING)
}

pub(crate) fn is_array(value: VALUE) -> bool {
    is_type(value, ruby_value_type::RUBY_T_ARRAY)
}

pub(crate) fn is_class(value: VALUE) -> bool {
    is_type(value, ruby_value_type::RUBY_T_CLASS)
}

pub(crate) fn is_float(value: VALUE) -> bool {
    is_type(value, ruby_value_type::RUBY_T_FLOAT)
}

pub(crate) fn is_data(value: VALUE) -> bool {
    is_type(value, ruby_value_type::RUBY_T_DATA)
}

/// The number of a Float.
pub(crate) fn float_of(value: VALUE) -> f64 {
    debug_assert!(is_float(value));
    // SAFETY: it is a Float.
    unsafe { rb_sys::rb_float_value(value) }
}

/// The name of an object's class.
pub(crate) fn class_name(object: VALUE) -> String {
    // SAFETY: any object has a class, and its name ends in NUL.
    let name = unsafe { CStr::from_ptr(rb_sys::rb_obj_classname(object)) };
    name.to_string_lossy().into_owned()
}

/// `value.is_a?(class)`.
pub(crate) fn kind_of(value: VALUE, class: VALUE) -> bool {
    // SAFETY: both are live values and `class` is a class.
    truthy(unsafe { rb_sys::rb_obj_is_kind_of(value, class) })
}

pub(crate) fn is_exception(value: VALUE) -> bool {
    // SAFETY: the class is a constant of the VM.
    kind_of(value, unsafe { rb_sys::rb_eException })
}

/// Whether an exception is an EOFError.
pub(crate) fn is_eof(exception: VALUE) -> bool {
    // SAFETY: the class is a constant of the VM.
    kind_of(exception, unsafe { rb_sys::rb_eEOFError })
}

/// Whether `value` is Exception or one of its subclasses.
pub(crate) fn is_exception_class(value: VALUE) -> bool {
    // SAFETY: both are classes.
    is_class(value) && truthy(unsafe { rb_sys::rb_class_inherited_p(value, rb_sys::rb_eException) })
}

pub(crate) fn is_proc(value: VALUE) -> bool {
    // SAFETY: any value may be asked.
    truthy(unsafe { rb_sys::rb_obj_is_proc(value) })
}

pub(crate) fn is_fiber(value: VALUE) -> bool {
    // SAFETY: the class is a constant of the VM (rb_cFiber is not exported, Fiber is a constant).
    kind_of(value, super::fiber::class())
}

/// Seconds given as any number; nil is `None`.
pub(crate) fn seconds(value: VALUE) -> Outcome<Option<f64>> {
    if value == NIL {
        return Ok(None);
    }
    if let Some(number) = fixnum(value) {
        #[allow(clippy::cast_precision_loss)] // 2^53 seconds are enough
        return Ok(Some(number as f64));
    }
    if is_float(value) {
        // SAFETY: it is a Float.
        return Ok(Some(unsafe { rb_sys::rb_float_value(value) }));
    }
    let mut number = 0.0;
    protect(|| {
        // SAFETY: under protect; raises TypeError for what is no number.
        number = unsafe { rb_sys::rb_num2dbl(value) };
        NIL
    })?;
    Ok(Some(number))
}

/// An Integer that fits an `i32`; TypeError or RangeError otherwise.
pub(crate) fn int32(value: VALUE, what: &str) -> Outcome<i32> {
    let number = int64(value, what)?;
    i32::try_from(number)
        .map_err(|_| Raise::range_error(format!("{what} {number} is out of range")))
}

/// The symbol or method name as an ID; for names known at compile time.
pub(crate) fn intern(name: &CStr) -> ID {
    // SAFETY: a NUL-terminated name.
    unsafe { rb_sys::rb_intern(name.as_ptr()) }
}

/// A name that is looked up once: interning hashes its text.
pub(crate) struct Name {
    text: &'static CStr,
    id: AtomicU64,
}

impl Name {
    pub(crate) const fn new(text: &'static CStr) -> Self {
        Self { text, id: AtomicU64::new(0) }
    }

    pub(crate) fn id(&self) -> ID {
        match self.id.load(Ordering::Relaxed) {
            // No name has this ID; one that was interned from C never changes.
            0 => {
                let id = intern(self.text);
                self.id.store(id, Ordering::Relaxed);
                id
            }
            id => id,
        }
    }
}

pub(crate) fn symbol(name: &CStr) -> VALUE {
    // SAFETY: the ID is valid.
    unsafe { rb_sys::rb_id2sym(intern(name)) }
}

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

/// The Integer that a String's digits are.
pub(crate) fn parse_integer(digits: VALUE) -> VALUE {
    // SAFETY: it is a String; without checks, nothing is raised.
    unsafe { rb_sys::rb_str_to_inum(digits, 10, 0) }
}

/// The digits of an Integer that is no fixnum.
pub(crate) fn digits(integer: VALUE) -> VALUE {
    debug_assert!(is_type(integer, ruby_value_type::RUBY_T_BIGNUM));
    // SAFETY: it is a bignum.
    unsafe { rb_sys::rb_big2str(integer, 10) }
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
    // SAFETY: under protect; no String is too short for 0 bytes.
    protect(|| unsafe {
        rb_sys::rb_str_modify(string);
        rb_sys::rb_str_set_len(string, 0);
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

/// Replaces an item of an Array of ours.
pub(crate) fn set_at(array: VALUE, index: usize, item: VALUE) {
    debug_assert!(is_array(array));
    // SAFETY: `array` is an unfrozen Array of ours, and the index within it.
    unsafe { rb_sys::rb_ary_store(array, index as c_long, item) };
}

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

/// The one frozen String in UTF-8 with these bytes, which literals share.
pub(crate) fn interned(text: &str) -> VALUE {
    let (ptr, len) = (text.as_ptr().cast::<c_char>(), text.len() as c_long);
    // SAFETY: the bytes are copied where there is no such String yet.
    unsafe { rb_sys::rb_enc_interned_str(ptr, len, rb_sys::rb_utf8_encoding()) }
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

/// Calls a method; what it raises is handed back.
pub(crate) fn call(receiver: VALUE, method: &CStr, args: &[VALUE]) -> Outcome {
    let method = intern(method);
    let (count, args) = (c_int::try_from(args.len()).unwrap_or(0), args.as_ptr());
    // SAFETY: under protect; the arguments live in the caller's frame.
    protect(|| unsafe { rb_sys::rb_funcallv(receiver, method, count, args) })
}

/// A method's name given as a Symbol or String; TypeError for anything else.
pub(crate) fn name(value: VALUE) -> Outcome<ID> {
    let mut id = 0;
    protect(|| {
        // SAFETY: under protect.
        id = unsafe { rb_sys::rb_to_id(value) };
        NIL
    })?;
    Ok(id)
}

/// Calls a public method with a block, nil for none; what it raises (or breaks with) is handed
/// back.
pub(crate) fn call_with_block(
    receiver: VALUE,
    method: ID,
    args: &[VALUE],
    block: VALUE,
) -> Outcome {
    let (count, args) = (c_int::try_from(args.len()).unwrap_or(0), args.as_ptr());
    // SAFETY: under protect; the arguments live in the caller's frame, and the block is a Proc.
    protect(|| unsafe { rb_sys::rb_funcall_with_block(receiver, method, count, args, block) })
}

/// Yields to the block of the running method; what it raises (or breaks with) is handed back.
pub(crate) fn yield_to_block(value: VALUE) -> Outcome {
    // SAFETY: under protect; called from methods that were given a block.
    protect(|| unsafe { rb_sys::rb_yield(value) })
}

/// The same without an argument, as a lambda wants it.
pub(crate) fn yield_nothing() -> Outcome {
    // SAFETY: as in `yield_to_block`; no arguments are read.
    protect(|| unsafe { rb_sys::rb_yield_values2(0, std::ptr::null()) })
}

pub(crate) fn block_given() -> bool {
    // SAFETY: asked inside a method.
    unsafe { rb_sys::rb_block_given_p() != 0 }
}

/// An error where the running method was given no block.
pub(crate) fn check_block() -> Outcome<()> {
    if block_given() { Ok(()) } else { Err(Raise::local_jump_error("no block given")) }
}

/// The block of the running method as a Proc.
pub(crate) fn block() -> Outcome {
    check_block()?;
    // SAFETY: there is a block.
    protect(|| unsafe { rb_sys::rb_block_proc() })
}

/// Defines a constant of a class; during initialisation only.
pub(crate) fn define_constant(class: VALUE, name: &str, value: VALUE) {
    // SAFETY: `class` is a class, and the name begins with a capital letter.
    unsafe {
        let name = rb_sys::rb_intern2(name.as_ptr().cast::<c_char>(), name.len() as c_long);
        rb_sys::rb_const_set(class, name, value);
    }
}

/// An instance variable, nil where it is not set.
pub(crate) fn ivar(object: VALUE, name: ID) -> VALUE {
    // SAFETY: reading never raises for an internal name.
    unsafe { rb_sys::rb_attr_get(object, name) }
}

/// Sets an instance variable; raises for frozen objects.
pub(crate) fn set_ivar(object: VALUE, name: ID, value: VALUE) -> Outcome {
    // SAFETY: under protect.
    protect(|| unsafe { rb_sys::rb_ivar_set(object, name, value) })
}

/// Whether there is a top-level constant of that name; nothing is autoloaded.
pub(crate) fn is_defined(constant: &CStr) -> bool {
    // SAFETY: the class is a constant of the VM.
    unsafe { rb_sys::rb_const_defined(rb_sys::rb_cObject, intern(constant)) != 0 }
}

/// A class of the standard library by its path, once that library is loaded.
pub(crate) fn class_of_library(library: &CStr, path: &CStr) -> Outcome {
    // SAFETY: under protect: raises where there is no such library, or no such class.
    protect(|| unsafe {
        rb_sys::rb_require(library.as_ptr());
        rb_sys::rb_path2class(path.as_ptr())
    })
}

/// `Time.at(seconds)`
pub(crate) fn time(seconds: i64) -> Outcome {
    // SAFETY: under protect.
    protect(|| unsafe { rb_sys::rb_time_new(seconds, 0) })
}

pub(crate) fn is_time(value: VALUE) -> bool {
    // SAFETY: the class is a constant of the VM.
    kind_of(value, unsafe { rb_sys::rb_cTime })
}

/// Unwinds with a FrozenError for an object that is frozen.
pub(crate) fn check_frozen(object: VALUE) {
    // SAFETY: any value may be asked; the callers own nothing.
    unsafe { rb_sys::rb_check_frozen(object) };
}

/// The same as an error.
pub(crate) fn refuse_frozen(object: VALUE) -> Outcome<()> {
    let checked = protect(|| {
        check_frozen(object);
        NIL
    });
    checked.map(drop)
}

/// Makes a new instance: `class.new(*args)`.
pub(crate) fn instance(class: VALUE, args: &[VALUE]) -> Outcome {
    call(class, c"new", args)
}

/// `object.respond_to?(method)`; false where asking fails.
pub(crate) fn responds_to(object: VALUE, method: &CStr) -> bool {
    let method = intern(method);
    // SAFETY: under protect.
    let answer = protect(|| unsafe { boolean(rb_sys::rb_respond_to(object, method) != 0) });
    answer.is_ok_and(truthy)
}

/// An Integer of up to 63 bits; TypeError for anything else, RangeError for a larger one.
pub(crate) fn int64(value: VALUE, what: &str) -> Outcome<i64> {
    match fixnum(value) {
        Some(number) => Ok(number),
        None if is_integer(value) => Err(Raise::range_error(format!("{what} is out of range"))),
        None => Err(Raise::type_error(format!("{what} must be an Integer"))),
    }
}
