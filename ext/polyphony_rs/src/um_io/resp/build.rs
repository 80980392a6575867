//! Objects out of the events that a decoder sees.

use std::cell::{Cell, RefCell};

use polyphony_core::proto::resp::{Aggregate, Decoder, Event, Limits, RespError, Step, Text};
use rb_sys::VALUE;

use super::super::read::LONG;
use super::ERROR;
use super::attributes::Attributes;
use crate::errors::Outcome;
use crate::ruby::{NIL, protect, typed, value};

/// Most elements that an Array has room for before they come, whatever the peer says.
const ROOM: u64 = 64;

/// The reply that is being read. It stays with its IO, so that a reader who is interrupted loses
/// nothing.
pub(in super::super) struct Reply {
    decoder: RefCell<Decoder>,
    /// What is open, the innermost last.
    open: RefCell<Vec<Aggregate>>,
    /// An Array that no program can find: the containers of what is open, and then a string that
    /// is not whole yet, or what is to be [finished](Self::finish).
    stack: VALUE,
    /// The string that is not whole yet.
    text: Cell<Option<Part>>,
    unfinished: Cell<Option<Unfinished>>,
    pub(super) attributes: Attributes,
    /// Bytes are being taken in. Still set afterwards where memory ran out meanwhile: what the
    /// decoder has seen and what is built don't go together any more.
    is_torn: Cell<bool>,
}

/// A string of which `left` bytes are missing.
#[derive(Clone, Copy)]
struct Part {
    kind: Text,
    left: usize,
}

/// What can be made only by methods that programs may have replaced.
#[derive(Clone, Copy)]
enum Unfinished {
    /// Of an Array with keys and values in turn.
    Hash,
    /// The same, and it is no element.
    Attribute,
    /// Of its message.
    Error,
    /// Of its digits.
    BigNumber,
}

/// How far the bytes have led.
pub(super) enum Progress {
    /// To the end of a reply.
    Whole(VALUE),
    /// [`Reply::finish`] comes next.
    Unfinished,
    /// So many bytes of a string come next, for [`Reply::append`].
    Text(usize),
    /// To their last ones, so many, which don't say anything without those behind them.
    NeedMore(usize),
    /// Nowhere.
    Failed(RespError),
    /// Memory ran out the last time.
    Torn,
}

impl Reply {
    pub(super) fn new(stack: VALUE) -> Self {
        Self {
            decoder: RefCell::default(),
            open: RefCell::default(),
            stack,
            text: Cell::new(None),
            unfinished: Cell::new(None),
            attributes: Attributes::new(),
            is_torn: Cell::new(false),
        }
    }

    pub(in super::super) fn mark(&self) {
        typed::mark(self.stack);
        self.attributes.mark();
    }

    /// Whether nothing of a reply was taken yet.
    pub(super) fn is_at_start(&self) -> bool {
        self.unfinished.get().is_none() && self.decoder.borrow().is_between_replies()
    }

    /// The limits of the next reply, and whether its attributes are wanted; of one that has begun
    /// both stay.
    pub(super) fn begin(&self, limits: Limits, attributes: bool) {
        if self.is_at_start() {
            self.decoder.borrow_mut().set_limits(limits);
            self.attributes.begin(attributes);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.decoder.take();
        self.open.take();
        self.text.take();
        self.unfinished.take();
        self.attributes.clear();
        self.is_torn.set(false);
        value::clear_array(self.stack);
    }

    /// Goes on with the bytes at the front of the stream; how many it has used is added up in
    /// `used`, also when it unwinds, which it does when memory runs out only. It calls no method
    /// that a program may have replaced, so no fiber runs meanwhile.
    pub(super) fn take_in(&self, bytes: &[u8], used: &Cell<usize>) -> Progress {
        if self.unfinished.get().is_some() {
            return Progress::Unfinished;
        }
        if let Some(Part { left: left @ 1.., .. }) = self.text.get() {
            return Progress::Text(left);
        }
        if self.is_torn.replace(true) {
            return Progress::Torn;
        }
        let progress = loop {
            let step = self.decoder.borrow_mut().next(&bytes[used.get()..]);
            let event = match step {
                Ok(Step::Event { event, consumed }) => {
                    used.set(used.get() + consumed);
                    event
                }
                Ok(Step::NeedMore) => break Progress::NeedMore(bytes.len() - used.get()),
                Err(error) => {
                    value::clear_array(self.stack);
                    break Progress::Failed(error);
                }
            };
            if let Some(progress) = self.build(event) {
                break progress;
            }
        };
        self.is_torn.set(false);
        progress
    }

    fn build(&self, event: Event<'_>) -> Option<Progress> {
        match event {
            Event::Null => self.add(NIL),
            Event::Boolean(truth) => self.add(value::boolean(truth)),
            Event::Integer(number) => self.add(value::integer(number)),
            Event::Double(number) => self.add(value::float(number)),
            Event::BigNumber(digits) => {
                self.put_off(value::string(digits.as_bytes()), Unfinished::BigNumber)
            }
            Event::Text { bytes, .. } if self.is_amid_chunks() => {
                value::append(self.last(), bytes);
                None
            }
            Event::Text { kind: Text::String, bytes } => self.add(value::string(bytes)),
            Event::Text { kind: Text::Verbatim, bytes } => {
                self.add(value::in_utf8(value::string(bytes)))
            }
            Event::Text { kind: Text::Error, bytes } => {
                self.put_off(value::string(bytes), Unfinished::Error)
            }
            Event::TextStart { kind, len } => {
                if !self.is_amid_chunks() {
                    value::push(self.stack, value::string_with_capacity(len.min(LONG)));
                }
                self.text.set(Some(Part { kind, left: len }));
                (len > 0).then_some(Progress::Text(len))
            }
            Event::TextEnd => self.end_text(),
            Event::Open { kind, count } => {
                value::push(self.stack, container(kind, count));
                self.open.borrow_mut().push(kind);
                None
            }
            Event::Close => self.close(),
        }
    }

    fn end_text(&self) -> Option<Progress> {
        let part = self.text.take()?;
        if self.is_amid_chunks() {
            return None;
        }
        match part.kind {
            Text::String => self.add(value::pop(self.stack)),
            Text::Verbatim => self.add(value::in_utf8(value::pop(self.stack))),
            Text::Error => self.leave_off(Unfinished::Error),
        }
    }

    fn close(&self) -> Option<Progress> {
        let kind = self.open.borrow_mut().pop()?;
        match kind {
            Aggregate::Map => self.leave_off(Unfinished::Hash),
            Aggregate::Attribute if self.attributes.are_wanted() => {
                self.leave_off(Unfinished::Attribute)
            }
            Aggregate::Attribute => {
                value::pop(self.stack);
                None
            }
            Aggregate::Array | Aggregate::Set | Aggregate::Push | Aggregate::Chunks => {
                self.add(value::pop(self.stack))
            }
        }
    }

    /// An element of what is open, or a reply.
    fn add(&self, element: VALUE) -> Option<Progress> {
        self.attributes.value_came(element, self.open.borrow().len());
        if self.open.borrow().is_empty() {
            return Some(Progress::Whole(element));
        }
        value::push(self.last(), element);
        None
    }

    fn put_off(&self, raw: VALUE, unfinished: Unfinished) -> Option<Progress> {
        value::push(self.stack, raw);
        self.leave_off(unfinished)
    }

    fn leave_off(&self, unfinished: Unfinished) -> Option<Progress> {
        self.unfinished.set(Some(unfinished));
        Some(Progress::Unfinished)
    }

    /// Makes what was put off of what is last on the stack. It may run any code; where that raises,
    /// it can be tried again.
    pub(super) fn finish(&self) -> Outcome<Option<VALUE>> {
        let Some(unfinished) = self.unfinished.get() else { return Ok(None) };
        let raw = self.last();
        let made = match unfinished {
            Unfinished::Hash | Unfinished::Attribute => protect(|| value::hash_of_pairs(raw)),
            Unfinished::Error => protect(|| value::in_utf8(raw))
                .and_then(|message| value::instance(ERROR.get(), &[message])),
            Unfinished::BigNumber => protect(|| value::parse_integer(raw)),
        }?;
        // Cleared meanwhile: it belongs to nothing.
        if self.unfinished.get().is_none() || self.last() != raw {
            return Ok(None);
        }
        let depth = self.open.borrow().len();
        if matches!(unfinished, Unfinished::Attribute) {
            protect(|| {
                self.attributes.add(made, depth);
                NIL
            })?;
            self.unfinished.set(None);
            value::pop(self.stack);
            return Ok(None);
        }
        if depth > 0 {
            let outer = value::from_end(self.stack, 2);
            protect(|| {
                value::push(outer, made);
                NIL
            })?;
        }
        self.attributes.value_came(made, depth);
        self.unfinished.set(None);
        value::pop(self.stack);
        Ok((depth == 0).then_some(made))
    }

    /// Appends bytes to the string that is not whole yet.
    pub(super) fn append(&self, bytes: &[u8]) -> Outcome<()> {
        let Some(part) = self.text.get() else { return Ok(()) };
        let string = self.last();
        protect(|| value::append(string, bytes))?;
        let left = part.left.saturating_sub(bytes.len());
        self.text.set(Some(Part { left, ..part }));
        Ok(())
    }

    fn is_amid_chunks(&self) -> bool {
        self.open.borrow().last() == Some(&Aggregate::Chunks)
    }

    fn last(&self) -> VALUE {
        value::from_end(self.stack, 1)
    }
}

/// What elements are collected in. That of a map is an Array too, with keys and values in turn.
fn container(kind: Aggregate, count: Option<u64>) -> VALUE {
    let room = count.unwrap_or(0).min(ROOM) as usize;
    match kind {
        Aggregate::Array | Aggregate::Set | Aggregate::Push => value::array_with_capacity(room),
        Aggregate::Map | Aggregate::Attribute => value::hidden_array(),
        Aggregate::Chunks => value::string(&[]),
    }
}
