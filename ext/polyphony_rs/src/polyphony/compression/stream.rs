//! A stream under way: what the kernel and the workers use while its fiber waits.
//!
//! It lives in a Ruby object that no program can find. Ops that read into its buffers, or write
//! from them, borrow the object; a fiber that is never resumed leaves it to the GC.

use std::cell::RefCell;

use polyphony_core::codec::{Piece, Pump, Worked};
use polyphony_core::offload::Slot;
use polyphony_core::op::OpKey;
use rb_sys::VALUE;

use super::source::Source;
use crate::errors::{Outcome, Raise};
use crate::ruby::buffer::{Loan, Lock};
use crate::ruby::protect;
use crate::ruby::typed::{self, DataType, Typed};

static TYPE: DataType<Stream> = DataType::new();

/// All of a stream that has to be freed.
pub(super) struct Parts {
    pub(super) pump: Pump,
    /// What is read into.
    pub(super) reading: Option<Vec<u8>>,
    /// What is written.
    pub(super) writing: Option<Piece>,
    /// What is computed, and where it will be.
    pub(super) working: Vec<(OpKey, Slot<Worked>)>,
    /// An op that uses the buffers could not be waited for.
    left: bool,
    /// Bytes on the heap, about.
    size: usize,
}

struct Stream(RefCell<Option<Parts>>);

impl Typed for Stream {
    const NAME: &'static std::ffi::CStr = c"Polyphony::Compression";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {}

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.borrow().as_ref().map_or(0, |parts| parts.size)
    }
}

/// A stream as its fiber's frame holds it.
#[derive(Clone, Copy)]
pub(super) struct Held {
    object: VALUE,
    stream: &'static Stream,
}

impl Held {
    /// Makes the object first: should memory run out, nothing is owned yet.
    pub(super) fn new(size: usize, pump: impl FnOnce() -> Pump) -> Outcome<Self> {
        // SAFETY: the class is a constant of the VM.
        let class = unsafe { rb_sys::rb_cObject };
        let object = protect(|| typed::wrap(class, Stream(RefCell::new(None))))?;
        let stream: &'static Stream =
            typed::get(object).ok_or_else(|| Raise::type_error("not a stream"))?;
        let parts = Parts {
            pump: pump(),
            reading: None,
            writing: None,
            working: Vec::new(),
            left: false,
            size,
        };
        *stream.0.borrow_mut() = Some(parts);
        Ok(Self { object, stream })
    }

    /// Calls `f` with the parts; it calls nothing of Ruby. `None`: they are gone.
    pub(super) fn with<T>(self, f: impl FnOnce(&mut Parts) -> T) -> Option<T> {
        let answer = self.stream.0.borrow_mut().as_mut().map(f);
        std::hint::black_box(self.object);
        answer
    }

    /// Wants a buffer to read into, if there should be a read now: its size.
    pub(super) fn take_buffer(self) -> Option<usize> {
        self.with(|parts| {
            if parts.reading.is_none() {
                parts.reading = parts.pump.take_buffer();
            }
            parts.reading.as_ref().map(Vec::len)
        })
        .flatten()
    }

    /// Moves a part of the source's chunk into the buffer: how many bytes.
    pub(super) fn was_supplied(self, source: &mut Source) -> usize {
        let supplied = self.with(|parts| {
            let mut buffer = parts.reading.take()?;
            let count = source.take(&mut buffer);
            parts.pump.was_read(buffer, count);
            Some(count)
        });
        supplied.flatten().unwrap_or(0)
    }

    /// So many bytes were read into the buffer.
    pub(super) fn was_read(self, count: usize) {
        self.with(|parts| {
            if let Some(buffer) = parts.reading.take() {
                parts.pump.was_read(buffer, count);
            }
        });
    }

    /// The bytes to be written, if there are. They stay there until [`Held::was_written`].
    pub(super) fn take_output(self) -> Option<*const [u8]> {
        self.with(|parts| {
            if parts.writing.is_none() {
                parts.writing = parts.pump.take_output();
            }
            parts.writing.as_ref().map(|piece| std::ptr::from_ref(piece.as_ref()))
        })
        .flatten()
    }

    /// At most so many of them were written.
    pub(super) fn was_written(self, count: usize) {
        self.with(|parts| {
            if let Some(piece) = parts.writing.take() {
                parts.pump.was_written(piece, count);
            }
        });
    }

    /// What was read goes out, as far as there is something.
    pub(super) fn flush(self) {
        self.with(|parts| parts.pump.flush());
    }

    /// Bytes that have reached the destination.
    pub(super) fn written(self) -> u64 {
        self.with(|parts| parts.pump.written()).unwrap_or(0)
    }

    /// For ops that use the buffers.
    pub(super) fn loan(self) -> Loan {
        Loan { value: self.object, lock: Lock::Held }
    }

    /// An op may still use the buffers: they are left to the GC.
    pub(super) fn leave(self) {
        self.with(|parts| parts.left = true);
    }

    /// Frees everything, if no op uses it.
    pub(super) fn free(self) {
        let parts = &mut *self.stream.0.borrow_mut();
        if parts.as_ref().is_some_and(|parts| !parts.left) {
            *parts = None;
        }
        std::hint::black_box(self.object);
    }
}
