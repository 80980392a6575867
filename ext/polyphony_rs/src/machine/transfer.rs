//! `splice` and `tee` on descriptors.

use std::os::fd::RawFd;

use polyphony_core::op::{Op, Splice, Tee};
use rb_sys::VALUE;

use super::files::{fd_of, length, op_len};
use super::{Machine, OnInterrupt, READABLE, Readiness, WRITABLE, Waited};
use crate::errors::{Outcome, integer_or_errno};
use crate::ruby::NIL;
use crate::ruby::buffer::Loan;
use crate::ruby::method::{define, method};

/// `splice(in, out, len)`: bytes moved, 0 at EOF.
fn splice(this: VALUE, from: VALUE, to: VALUE, len: VALUE) -> Outcome {
    let (from, to, len) = (fd_of(from)?, fd_of(to)?, op_len(length(len, "length")?));
    Machine::of(this)?.transfer(from, to, || Splice { from, to, len })
}

/// `tee(in, out, len)`: bytes copied, 0 at EOF.
fn tee(this: VALUE, from: VALUE, to: VALUE, len: VALUE) -> Outcome {
    let (from, to, len) = (fd_of(from)?, fd_of(to)?, op_len(length(len, "length")?));
    Machine::of(this)?.transfer(from, to, || Tee { from, to, len })
}

impl Machine {
    /// Does what `op` says. Where an end that doesn't block isn't ready (pipes of Ruby's don't
    /// block), it waits for that, as reads and writes do.
    fn transfer<O: Op>(&self, from: RawFd, to: RawFd, op: impl Fn() -> O) -> Outcome {
        let known = [from, to].map(|fd| self.know(fd));
        loop {
            // SAFETY: the op points to nothing.
            let key = unsafe { self.submit_anyway(op(), Loan::NONE) }?;
            match self.wait_for(key, OnInterrupt::Abandon) {
                Waited::Done(result) if result == -libc::EAGAIN => {}
                Waited::Done(result) => return integer_or_errno(result),
                Waited::TimedOut => return Ok(NIL),
                Waited::Interrupted(interruption, _) => return interruption.conclude(),
            }
            for end in [(from, READABLE), (to, WRITABLE)] {
                if let Readiness::Interrupted(interruption) = self.wait_ready(&[end], None)? {
                    return interruption.conclude();
                }
                known.into_iter().try_for_each(|known| self.descriptor_of(known).map(drop))?;
            }
        }
    }
}

pub(super) fn init(class: VALUE) {
    define(class, c"splice", method!(splice, 3));
    define(class, c"tee", method!(tee, 3));
}
