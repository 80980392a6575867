//! Several buffers lent to the kernel at once, as one sequence of bytes.

use std::cell::RefCell;

use polyphony_core::op::Pieces;
use rb_sys::VALUE;

use super::buffer::{COPY_UP_TO, Loan, Lock, Source, lend_source};
use super::typed::{self, DataType, Typed};
use crate::errors::{Outcome, Raise};

/// Lives in a Ruby object of its own: each op that writes some of the bytes keeps all of them.
#[derive(Default)]
pub(crate) struct Gathered(RefCell<Parts>);

#[derive(Default)]
struct Parts {
    pieces: Pieces,
    loans: Vec<Loan>,
    /// Short buffers, copied: neighbours share a piece.
    copies: Vec<Box<[u8]>>,
    /// The neighbours that are being collected.
    run: Vec<u8>,
    /// Who needs the loans: the method, and the ops in flight.
    holders: usize,
}

static TYPE: DataType<Gathered> = DataType::new();

impl Typed for Gathered {
    const NAME: &'static std::ffi::CStr = c"UringMachine::Gathered";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        self.0.borrow().loans.iter().for_each(|loan| typed::mark(loan.value));
    }
}

impl Parts {
    /// Takes a buffer in. What it has to be given back at once is returned.
    fn add(&mut self, source: Source) -> Option<Loan> {
        match source {
            Source::Owned(bytes) => self.run.extend_from_slice(&bytes),
            Source::Lent { len: 0, loan, .. } => return Some(loan),
            Source::Lent { ptr, len, loan } if len <= COPY_UP_TO => {
                // SAFETY: they are lent until the loan is released.
                self.run.extend_from_slice(unsafe { std::slice::from_raw_parts(ptr, len) });
                return Some(loan);
            }
            Source::Lent { ptr, len, loan } => {
                self.end_run();
                self.pieces.push(ptr, len);
                self.loans.push(loan);
            }
        }
        None
    }

    fn end_run(&mut self) {
        if !self.run.is_empty() {
            let copy = std::mem::take(&mut self.run).into_boxed_slice();
            self.pieces.push(copy.as_ptr(), copy.len());
            self.copies.push(copy);
        }
    }
}

/// Bytes on loan, and how many of them are written.
#[derive(Clone, Copy)]
pub(crate) struct Sources {
    object: VALUE,
    parts: &'static RefCell<Parts>,
}

impl Sources {
    /// Lends Strings and IO::Buffers; none of them where one is something else. Unwinds when
    /// memory runs out.
    pub(crate) fn lend(buffers: &[VALUE]) -> Outcome<Self> {
        let sources = Self::new()?;
        for buffer in buffers {
            match lend_source(*buffer, None) {
                Ok(source) => {
                    let back = sources.parts.borrow_mut().add(source);
                    if let Some(loan) = back {
                        loan.release();
                    }
                }
                Err(raise) => {
                    sources.release();
                    return Err(raise);
                }
            }
        }
        sources.parts.borrow_mut().end_run();
        Ok(sources)
    }

    fn new() -> Outcome<Self> {
        // Made first: what it owns is safe there if anything below unwinds.
        // SAFETY: the class is a constant of the VM.
        let object = typed::wrap(unsafe { rb_sys::rb_cObject }, Gathered::default());
        let gathered = typed::get::<Gathered>(object);
        let parts = &gathered.ok_or_else(|| Raise::um_error("uninitialized buffers"))?.0;
        parts.borrow_mut().holders = 1;
        Ok(Self { object, parts })
    }

    /// Whether everything is written.
    pub(crate) fn is_empty(self) -> bool {
        self.parts.borrow().pieces.is_empty()
    }

    /// What the next op is to write.
    pub(crate) fn next(self) -> Box<[libc::iovec]> {
        self.parts.borrow().pieces.next()
    }

    pub(crate) fn advance(self, count: usize) {
        self.parts.borrow_mut().pieces.advance(count);
    }

    /// For an op that writes some of the bytes.
    pub(crate) fn loan(self) -> Loan {
        self.parts.borrow_mut().holders += 1;
        Loan { value: self.object, lock: Lock::Several }
    }

    /// The method doesn't need the bytes any more; an op that is still in flight may.
    pub(crate) fn release(self) {
        release(self.object);
    }
}

/// One holder less; the last one gives everything back.
pub(super) fn release(object: VALUE) {
    let Some(Gathered(parts)) = typed::get::<Gathered>(object) else { return };
    let held = {
        let mut parts = parts.borrow_mut();
        parts.holders = parts.holders.saturating_sub(1);
        parts.holders > 0
    };
    if held {
        return;
    }
    // One at a time: those that are left stay marked while Ruby runs.
    while let Some(loan) = pop(parts) {
        loan.release();
    }
    // It owns what `parts` refers to.
    std::hint::black_box(object);
}

fn pop(parts: &RefCell<Parts>) -> Option<Loan> {
    parts.borrow_mut().loans.pop()
}
