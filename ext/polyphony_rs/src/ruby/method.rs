//! Defining methods, and the border at which Rust results become Ruby's.

use std::any::Any;
use std::ffi::CStr;
use std::os::raw::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rb_sys::VALUE;

use super::NIL;
use crate::errors::{Outcome, Raise};

/// Runs the body of a method: errors are raised in Ruby, panics become exceptions.
pub(crate) fn guard(body: impl FnOnce() -> Outcome) -> VALUE {
    let raise = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return value,
        Ok(Err(raise)) => raise,
        Err(panic) => Raise::bug(&panic_text(panic.as_ref())),
    };
    raise.throw()
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic".to_string())
}

/// The arguments of a method that takes a variable number of them.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a>(&'a [VALUE]);

impl<'a> Args<'a> {
    /// # Safety
    /// `argv` points to `argc` values that live as long as the call.
    pub(crate) unsafe fn new(argc: c_int, argv: *const VALUE) -> Self {
        let count = usize::try_from(argc).unwrap_or(0);
        if count == 0 {
            return Self(&[]);
        }
        // SAFETY: passed on from this function's own contract.
        Self(unsafe { std::slice::from_raw_parts(argv, count) })
    }

    /// Checks the number of arguments, as Ruby words it.
    pub(crate) fn expect(self, min: usize, max: usize) -> Outcome<Self> {
        let given = self.0.len();
        if (min..=max).contains(&given) {
            return Ok(self);
        }
        let expected = if min == max {
            min.to_string()
        } else if max == usize::MAX {
            format!("{min}+")
        } else {
            format!("{min}..{max}")
        };
        Err(Raise::argument_error(format!(
            "wrong number of arguments (given {given}, expected {expected})"
        )))
    }

    /// An argument, nil where it was not given.
    pub(crate) fn get(self, index: usize) -> VALUE {
        self.0.get(index).copied().unwrap_or(NIL)
    }

    /// All but the first `count`.
    pub(crate) fn after(self, count: usize) -> Self {
        Self(self.0.get(count..).unwrap_or_default())
    }

    pub(crate) fn all(self) -> &'a [VALUE] {
        self.0
    }

    /// Splits off keyword arguments: the last argument if it is a Hash.
    pub(crate) fn keywords(self) -> (Self, Option<VALUE>) {
        match self.0.split_last() {
            Some((last, rest)) if super::value::is_hash(*last) => (Self(rest), Some(*last)),
            _ => (self, None),
        }
    }
}

/// Whether the last argument of the running method is its keywords, and no Hash beside them.
pub(crate) fn has_keywords() -> bool {
    // SAFETY: asked inside a method.
    unsafe { rb_sys::rb_keyword_given_p() != 0 }
}

/// What the running method overrides, called with the same arguments, keywords and block.
pub(crate) fn call_super(args: Args) -> Outcome {
    let (count, args) = (c_int::try_from(args.0.len()).unwrap_or(0), args.0.as_ptr());
    let keywords = c_int::from(has_keywords());
    // SAFETY: under protect, inside a method; the arguments live in the caller's frame.
    super::protect(|| unsafe { rb_sys::rb_call_super_kw(count, args, keywords) })
}

/// A method as the C API takes it.
#[derive(Clone, Copy)]
pub(crate) struct Method {
    pub(crate) function: unsafe extern "C" fn() -> VALUE,
    pub(crate) arity: c_int,
}

/// Wraps a Rust function as a method of the given arity. The function gets the receiver first;
/// with arity -1 it gets [`Args`].
macro_rules! method {
    (@wrap $wrapper:ident, $arity:expr) => {
        $crate::ruby::method::Method {
            // SAFETY: Ruby casts it back and calls it with as many values as the arity says.
            function: unsafe {
                std::mem::transmute::<*const (), unsafe extern "C" fn() -> rb_sys::VALUE>(
                    $wrapper as *const (),
                )
            },
            arity: $arity,
        }
    };
    ($f:path, -1) => {{
        unsafe extern "C" fn wrapper(
            argc: std::os::raw::c_int,
            argv: *const rb_sys::VALUE,
            this: rb_sys::VALUE,
        ) -> rb_sys::VALUE {
            // SAFETY: Ruby passes `argc` values at `argv`.
            let args = unsafe { $crate::ruby::method::Args::new(argc, argv) };
            $crate::ruby::method::guard(|| $f(this, args))
        }
        $crate::ruby::method::method!(@wrap wrapper, -1)
    }};
    ($f:path, 0) => {{
        unsafe extern "C" fn wrapper(this: rb_sys::VALUE) -> rb_sys::VALUE {
            $crate::ruby::method::guard(|| $f(this))
        }
        $crate::ruby::method::method!(@wrap wrapper, 0)
    }};
    ($f:path, 1) => {{
        unsafe extern "C" fn wrapper(this: rb_sys::VALUE, a: rb_sys::VALUE) -> rb_sys::VALUE {
            $crate::ruby::method::guard(|| $f(this, a))
        }
        $crate::ruby::method::method!(@wrap wrapper, 1)
    }};
    ($f:path, 2) => {{
        unsafe extern "C" fn wrapper(
            this: rb_sys::VALUE,
            a: rb_sys::VALUE,
            b: rb_sys::VALUE,
        ) -> rb_sys::VALUE {
            $crate::ruby::method::guard(|| $f(this, a, b))
        }
        $crate::ruby::method::method!(@wrap wrapper, 2)
    }};
    ($f:path, 3) => {{
        unsafe extern "C" fn wrapper(
            this: rb_sys::VALUE,
            a: rb_sys::VALUE,
            b: rb_sys::VALUE,
            c: rb_sys::VALUE,
        ) -> rb_sys::VALUE {
            $crate::ruby::method::guard(|| $f(this, a, b, c))
        }
        $crate::ruby::method::method!(@wrap wrapper, 3)
    }};
}
pub(crate) use method;

/// Defines an instance method; during initialisation only.
pub(crate) fn define(class: VALUE, name: &CStr, method: Method) {
    // SAFETY: a valid class and name; Method was made by the macro above.
    unsafe {
        rb_sys::rb_define_method(class, name.as_ptr(), Some(method.function), method.arity);
    }
}

/// Defines a method of the object itself; during initialisation only.
pub(crate) fn define_singleton(object: VALUE, name: &CStr, method: Method) {
    // SAFETY: as `define`.
    unsafe {
        rb_sys::rb_define_singleton_method(
            object,
            name.as_ptr(),
            Some(method.function),
            method.arity,
        );
    }
}
