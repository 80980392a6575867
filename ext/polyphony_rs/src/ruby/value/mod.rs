//! Values: constants, conversions, calls.

mod array;
mod hash;
mod string;

use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_long};
use std::sync::atomic::{AtomicU64, Ordering};

use rb_sys::{ID, VALUE, ruby_value_type};

use super::protect;
use crate::errors::{Outcome, Raise};

pub(crate) use array::*;
pub(crate) use hash::*;
pub(crate) use string::*;

pub(crate) const NIL: VALUE = rb_sys::Qnil as VALUE;
pub(crate) const TRUE: VALUE = rb_sys::Qtrue as VALUE;
pub(crate) const FALSE: VALUE = rb_sys::Qfalse as VALUE;
/// No value of any program's.
pub(crate) const UNDEF: VALUE = rb_sys::Qundef as VALUE;

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

/// How many there are of something.
pub(crate) fn count(number: usize) -> VALUE {
    integer(i64::try_from(number).unwrap_or(i64::MAX))
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

/// Whether an exception is that of an errno.
pub(crate) fn is_errno(exception: VALUE, errno: i32) -> bool {
    // SAFETY: the class is a constant of the VM.
    kind_of(exception, unsafe { rb_sys::rb_eSystemCallError })
        && call(exception, c"errno", &[]).is_ok_and(|number| fixnum(number) == Some(errno.into()))
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

/// Calls a method; what it raises is handed back.
pub(crate) fn call(receiver: VALUE, method: &CStr, args: &[VALUE]) -> Outcome {
    let method = intern(method);
    let (count, args) = (c_int::try_from(args.len()).unwrap_or(0), args.as_ptr());
    // SAFETY: under protect; the arguments live in the caller's frame.
    protect(|| unsafe { rb_sys::rb_funcallv(receiver, method, count, args) })
}

/// As [`call`]; the last argument is passed on as keywords where it came as such.
pub(crate) fn call_passing(
    receiver: VALUE,
    method: &CStr,
    args: &[VALUE],
    keywords: bool,
) -> Outcome {
    let method = intern(method);
    let (count, args) = (c_int::try_from(args.len()).unwrap_or(0), args.as_ptr());
    // SAFETY: under protect; the arguments live in the caller's frame.
    protect(|| unsafe { rb_sys::rb_funcallv_kw(receiver, method, count, args, keywords.into()) })
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

/// The same with two arguments.
pub(crate) fn yield_two(first: VALUE, second: VALUE) -> Outcome {
    let arguments = [first, second];
    // SAFETY: as in `yield_to_block`; both arguments live in this frame.
    protect(|| unsafe { rb_sys::rb_yield_values2(2, arguments.as_ptr()) })
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

/// A constant of Ruby itself; during initialisation only.
pub(crate) fn constant(name: &CStr) -> VALUE {
    // SAFETY: during initialisation; the constant is there.
    unsafe { rb_sys::rb_const_get(rb_sys::rb_cObject, intern(name)) }
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
    // SAFETY: under protect: raises where there is no such library.
    protect(|| unsafe { rb_sys::rb_require(library.as_ptr()) })?;
    class_at(path)
}

/// A class or module by its path.
pub(crate) fn class_at(path: &CStr) -> Outcome {
    // SAFETY: under protect: raises where there is none.
    protect(|| unsafe { rb_sys::rb_path2class(path.as_ptr()) })
}

/// A new module inside another; during initialisation only.
pub(crate) fn define_module(under: VALUE, name: &CStr) -> VALUE {
    // SAFETY: `under` is a module, and the name begins with a capital letter.
    unsafe { rb_sys::rb_define_module_under(under, name.as_ptr()) }
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
        None => {
            Err(Raise::type_error(format!("{what} must be an Integer, not {}", class_name(value))))
        }
    }
}
