//! Every raw call into Ruby's C API.
//!
//! The rest of the extension is written against these wrappers. What they have in common:
//!
//! * A Ruby call that can raise either runs under [`protect`], or is documented to unwind (by
//!   longjmp) past its callers. The latter is allowed only where no frame in between owns
//!   anything that needs dropping: argument parsing at the head of a method.
//! * A `VALUE` in a local is seen by the conservative scan of the stack; one in heap memory is
//!   marked by the owner's `mark`.
//! * All of them need the GVL. Code that runs without it (the waits) calls none of them.

pub(crate) mod buffer;
pub(crate) mod fiber;
pub(crate) mod frames;
pub(crate) mod gather;
pub(crate) mod io;
pub(crate) mod later;
pub(crate) mod libssl;
pub(crate) mod method;
pub(crate) mod nogvl;
pub(crate) mod prefetch;
pub(crate) mod protect;
pub(crate) mod read_buffer;
pub(crate) mod thread;
pub(crate) mod typed;
pub(crate) mod value;
pub(crate) mod versions;
pub(crate) mod write_buffer;

pub(crate) use protect::protect;
pub(crate) use value::{FALSE, NIL, TRUE, UNDEF};

/// To be called before anything of ours makes a buffer; during initialisation.
pub(crate) fn init() {
    versions::get_over_buffer_warning();
}

/// Lets methods defined from now on be called in every Ractor: what they share is atomic or locked,
/// and objects with a struct of ours don't leave the Ractor that made them. During initialisation.
pub(crate) fn declare_ractor_safe() {
    // SAFETY: during initialisation.
    unsafe { rb_sys::rb_ext_ractor_safe(true) };
}
