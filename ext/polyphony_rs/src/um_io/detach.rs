//! `detach`: the descriptor goes to whoever reads it by other means.

use polyphony_core::stream::Ask;
use rb_sys::VALUE;

use super::fill::{Read, Reader, read_in_turn};
use crate::errors::Outcome;
use crate::machine::State;
use crate::ruby::method::{define, method};
use crate::ruby::{protect, value};

impl Reader {
    /// Ends the op that reads. What it brings until its end is kept.
    fn end_op(&self) -> Read<()> {
        loop {
            let is_over = self.io.with_inlet(self.machine, |inlet, state| {
                let State { driver, queues, .. } = state;
                inlet.settle(driver);
                let Some(key) = inlet.key() else { return true };
                driver.cancel(key, queues);
                false
            });
            if is_over {
                return Ok(());
            }
            // More than ever comes: until the end.
            self.fill(usize::MAX)?;
        }
    }

    fn detach(&self) -> Read<VALUE> {
        self.end_op()?;
        let pending = self.io.with_stream(self.machine, |stream, _| stream.pending())?;
        if pending == 0 {
            return Ok(protect(|| value::string(&[]))?);
        }
        self.take_if_found(Ask::UpTo(usize::MAX))
    }
}

fn detach(this: VALUE) -> Outcome {
    read_in_turn(this, Reader::detach)
}

pub(super) fn init(class: VALUE) {
    define(class, c"detach", method!(detach, 0));
}
