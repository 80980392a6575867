//! How much was moved: for the caller's block, for the result, and for the exception.

use rb_sys::VALUE;

use super::unparked::Unparked;
use crate::errors::{Outcome, Raise};
use crate::ruby::value;

/// Counts the bytes of a call.
pub(super) struct Meter {
    pub(super) moved: u64,
    /// What the block was told last.
    told: u64,
    has_block: bool,
}

impl Meter {
    /// For the running method.
    pub(super) fn new() -> Self {
        Self { moved: 0, told: 0, has_block: value::block_given() }
    }

    /// That tells no block.
    pub(super) fn silent() -> Self {
        Self { moved: 0, told: 0, has_block: false }
    }

    /// Tells the block what has reached the destination, where that has grown.
    pub(super) fn tell(&mut self, unparked: &mut Unparked, moved: u64) -> Outcome<()> {
        unparked.run(|| self.report(moved))
    }

    /// The same where no machine lets the fiber wait.
    pub(super) fn report(&mut self, moved: u64) -> Outcome<()> {
        self.moved = moved;
        if self.has_block && moved > self.told {
            self.told = moved;
            value::yield_to_block(count(moved))?;
        }
        Ok(())
    }

    /// The method's end: the count is its result, or goes with its exception.
    pub(super) fn conclude(&self, outcome: Outcome<()>) -> Outcome {
        match outcome {
            Ok(()) => Ok(count(self.moved)),
            Err(raise) => Err(with_count(raise, count(self.moved))),
        }
    }
}

/// A number of bytes as an Integer.
pub(super) fn count(bytes: u64) -> VALUE {
    value::unsigned(bytes)
}

/// Puts a count on an exception, for `Exception#bytes_moved`.
pub(super) fn with_count(raise: Raise, moved: VALUE) -> Raise {
    if let Raise::Jump(_) = raise {
        return raise;
    }
    let Some(exception) = raise.into_exception() else {
        return Raise::Errno(libc::ENOMEM);
    };
    // A frozen one goes without.
    let _ = value::set_ivar(exception, value::intern(c"bytes_moved"), moved);
    Raise::Exception(exception)
}

/// `Exception#bytes_moved`
fn bytes_moved(exception: VALUE) -> Outcome {
    Ok(value::ivar(exception, value::intern(c"bytes_moved")))
}

pub(super) fn init() {
    use crate::ruby::method::{define, method};
    // SAFETY: the class is a constant of the VM.
    define(unsafe { rb_sys::rb_eException }, c"bytes_moved", method!(bytes_moved, 0));
}
