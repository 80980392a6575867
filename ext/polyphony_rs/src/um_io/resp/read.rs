//! `resp_read`.

use std::cell::Cell;

use polyphony_core::proto::resp::{Limits, RespError};
use polyphony_core::stream::Ask;
use rb_sys::VALUE;

use super::super::UmIo;
use super::super::fill::{Read, Reader, in_turn};
use super::super::read::LONG;
use super::build::{Progress, Reply};
use super::{attributes, limits};
use crate::errors::{Kind, Outcome, Raise};
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, protect, value};

/// Bytes behind those in one place that are moved to them at least, where they are needed to see
/// what comes next: a line is rarely longer.
const STEP: usize = 64;

impl UmIo {
    /// The reply where all of it is in one place, and takes no more than Strings, numbers and
    /// Arrays: the usual case.
    fn take_reply_at_once(&self, reply: &Reply) -> Outcome<Option<VALUE>> {
        let machine = self.machine()?;
        let front = self.with_stream(machine, |stream, buffers| {
            let front: *const [u8] = stream.front(buffers);
            front
        })?;
        let used = Cell::new(0);
        // SAFETY: the bytes stay where they are until they are consumed: no fiber runs meanwhile.
        // Unwinds when memory runs out only; nothing is owned here.
        let progress = reply.take_in(unsafe { &*front }, &used);
        self.with_stream(machine, |stream, buffers| stream.consume(used.get(), buffers))?;
        match progress {
            Progress::Whole(value) => Ok(Some(value)),
            _ => Ok(None),
        }
    }
}

impl Reader {
    fn reply(&self, reply: &Reply) -> Read<VALUE> {
        loop {
            match self.take_in(reply)? {
                Progress::Whole(value) => return Ok(value),
                Progress::Unfinished => {
                    if let Some(value) = reply.finish()? {
                        return Ok(value);
                    }
                }
                Progress::Text(left) => self.take_text(reply, left)?,
                Progress::NeedMore(left) => {
                    if !self.has_more(left)? {
                        return end(reply, self.pending()?);
                    }
                }
                Progress::Failed(error) => return Err(Raise::from(error).into()),
                Progress::Torn => {
                    return Err(Raise::um_error("memory ran out within a RESP reply").into());
                }
            }
        }
    }

    /// Goes on with what is in one place.
    fn take_in(&self, reply: &Reply) -> Outcome<Progress> {
        let front = self.front()?;
        let used = Cell::new(0);
        let mut progress = Progress::Torn;
        let taken = protect(|| {
            // SAFETY: as above.
            progress = reply.take_in(unsafe { &*front }, &used);
            NIL
        });
        self.consume(used.get())?;
        taken.map(|_| progress)
    }

    /// Takes what has come of a string, or waits for it.
    fn take_text(&self, reply: &Reply, left: usize) -> Read<()> {
        let front = self.front()?;
        let len = front.len().min(left);
        if len == 0 {
            return match self.find(Ask::Exactly(left.min(LONG)))? {
                // Or so many are left before the end.
                None if self.pending()? == 0 => Err(cut_off().into()),
                _ => Ok(()),
            };
        }
        // SAFETY: the bytes stay where they are until they are consumed.
        reply.append(unsafe { &(&*front)[..len] })?;
        Ok(self.consume(len)?)
    }

    /// Whether there are bytes behind the `left` first ones. Some of them are moved to those.
    fn has_more(&self, left: usize) -> Read<bool> {
        if self.find(Ask::Exactly(left + 1))?.is_none() {
            return Ok(false);
        }
        // Without any that are left, the next ones are in one place as they are.
        if left > 0 {
            self.io.with_stream(self.machine, |stream, buffers| {
                stream.contiguous(left + left.max(STEP), buffers);
            })?;
        }
        Ok(true)
    }

    fn pending(&self) -> Outcome<usize> {
        self.io.with_stream(self.machine, |stream, _| stream.pending())
    }

    fn consume(&self, count: usize) -> Outcome<()> {
        self.io.with_stream(self.machine, |stream, buffers| stream.consume(count, buffers))?;
        Ok(())
    }
}

/// What a stream's end means: nil where no reply has begun.
fn end(reply: &Reply, pending: usize) -> Read<VALUE> {
    if pending == 0 && reply.is_at_start() { Ok(NIL) } else { Err(cut_off().into()) }
}

fn cut_off() -> Raise {
    Raise::Error(Kind::Eof, "the stream has ended within a RESP reply".into())
}

impl From<RespError> for Raise {
    fn from(error: RespError) -> Self {
        Self::um_error(error.to_string())
    }
}

/// `resp_read(max_nesting: 128, max_string: 512 MB, max_line: 64 KB) { |attribute, value| }`: a
/// reply; nil at the end of the stream, EOFError where that is within a reply. The block is called
/// with the attributes that have come with it, wherever they were.
fn resp_read(this: VALUE, args: Args) -> Outcome {
    let limits = limits(args)?;
    let io = UmIo::of(this)?;
    io.machine()?;
    let wanted = value::block_given();
    let list = Cell::new(NIL);
    let value = read_reply(this, io, (limits, wanted), &list)?;
    if wanted {
        attributes::yield_each(list.get())?;
    }
    Ok(value)
}

/// The reply, and the list of its attributes.
fn read_reply(
    this: VALUE,
    io: &UmIo,
    (limits, wanted): (Limits, bool),
    list: &Cell<VALUE>,
) -> Outcome {
    let reply = io.reply();
    if io.reader.get() == NIL {
        reply.begin(limits, wanted);
        if let Some(value) = io.take_reply_at_once(reply)? {
            list.set(reply.attributes.take());
            return Ok(value);
        }
    }
    in_turn(this, |reader| {
        reply.begin(limits, wanted);
        let value = reader.reply(reply)?;
        // Before anybody else reads the next one.
        list.set(reply.attributes.take());
        Ok(value)
    })
}

pub(super) fn init(class: VALUE) {
    define(class, c"resp_read", method!(resp_read, -1));
}
