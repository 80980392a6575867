//! `splice` and `tee` on descriptors.

use polyphony_core::op::{Splice, Tee};
use rb_sys::VALUE;

use super::files::{fd_of, length, op_len};
use super::{Machine, OnInterrupt};
use crate::errors::{Outcome, integer_or_errno};
use crate::ruby::buffer::Loan;
use crate::ruby::method::{define, method};

/// `splice(in, out, len)`: bytes moved, 0 at EOF.
fn splice(this: VALUE, from: VALUE, to: VALUE, len: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let len = op_len(length(len, "length")?);
    let op = Splice { from: fd_of(from)?, to: fd_of(to)?, len };
    // SAFETY: the op points to nothing.
    let key = unsafe { machine.submit(op, Loan::NONE) }?;
    machine.conclude(key, OnInterrupt::Abandon, integer_or_errno)
}

/// `tee(in, out, len)`: bytes copied, 0 at EOF.
fn tee(this: VALUE, from: VALUE, to: VALUE, len: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let len = op_len(length(len, "length")?);
    let op = Tee { from: fd_of(from)?, to: fd_of(to)?, len };
    // SAFETY: the op points to nothing.
    let key = unsafe { machine.submit(op, Loan::NONE) }?;
    machine.conclude(key, OnInterrupt::Abandon, integer_or_errno)
}

pub(super) fn init(class: VALUE) {
    define(class, c"splice", method!(splice, 3));
    define(class, c"tee", method!(tee, 3));
}
