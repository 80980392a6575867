//! `read`, `read_line`, `read_to_delim`, `skip`.

use polyphony_core::stream::{Answer, Ask, Found};
use rb_sys::VALUE;

use super::UmIo;
use super::fill::{Read, Reader, read_in_turn};
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, protect, value};

/// Longer reads of a given length take what comes as it comes, so that it isn't all unread first.
pub(super) const LONG: usize = 128 * 1024;

impl UmIo {
    /// Takes what was asked for as a String where it is all in one place: the usual case.
    fn take_at_once(&self, ask: Ask) -> Outcome<Option<VALUE>> {
        let machine = self.machine()?;
        let found = self.with_stream(machine, |stream, buffers| {
            let Answer::Ready(found) = stream.look(ask, buffers) else { return None };
            let bytes: *const [u8] = stream.front(buffers).get(..found.len)?;
            Some((found, bytes))
        })?;
        let Some((found, bytes)) = found else { return Ok(None) };
        // SAFETY: the bytes stay where they are until they are consumed: no fiber runs meanwhile.
        // Unwinds when memory runs out only; nothing is owned here.
        let string = value::string(unsafe { &*bytes });
        self.with_stream(machine, |stream, buffers| {
            stream.consume(found.len + found.skip, buffers);
        })?;
        Ok(Some(string))
    }
}

/// Reads what was asked for; nil where there is no such thing.
fn read_found(this: VALUE, ask: Ask) -> Outcome {
    let io = UmIo::of(this)?;
    if io.reader.get() == NIL && !io.is_amid_reply() {
        if let Some(string) = io.take_at_once(ask)? {
            return Ok(string);
        }
    }
    read_in_turn(this, |reader| reader.take_if_found(ask))
}

impl Reader {
    /// Takes what was found as a String.
    pub(super) fn take(&self, found: Found) -> Outcome {
        let string = protect(|| value::string_of(found.len))?;
        self.io.with_stream(self.machine, |stream, buffers| {
            // SAFETY: a String of that length which nobody else knows; nothing of Ruby is called
            // before it is filled.
            stream.read(unsafe { value::bytes_mut(string) }, buffers);
            stream.consume(found.skip, buffers);
        })?;
        Ok(string)
    }

    pub(super) fn take_if_found(&self, ask: Ask) -> Read<VALUE> {
        match self.find(ask)? {
            Some(found) => Ok(self.take(found)?),
            None => Ok(NIL),
        }
    }

    /// Exactly `count` bytes, nil where there are fewer before the end: those stay.
    pub(super) fn read_long(&self, count: usize) -> Read<VALUE> {
        let string = protect(|| value::string_with_capacity(LONG))?;
        match self.append(string, count) {
            Ok(true) => Ok(string),
            // They come again.
            outcome => {
                self.io.with_stream(self.machine, |stream, _| {
                    // SAFETY: nothing of Ruby runs while the bytes are copied.
                    stream.unread(unsafe { value::bytes(string) });
                })?;
                outcome.map(|_| NIL)
            }
        }
    }

    /// Appends `count` bytes to a String. Whether there were as many.
    fn append(&self, string: VALUE, count: usize) -> Read<bool> {
        let mut left = count;
        while left > 0 {
            let step = left.min(LONG);
            if self.find(Ask::Exactly(step))?.is_none() {
                return Ok(false);
            }
            left -= step;
            self.append_pending(string, step)?;
        }
        Ok(true)
    }

    /// Appends bytes that are there.
    fn append_pending(&self, string: VALUE, count: usize) -> Outcome<()> {
        let mut left = count;
        while left > 0 {
            let front = self.front()?;
            let len = front.len().min(left);
            // SAFETY: the bytes stay where they are until they are consumed, below.
            protect(|| value::append(string, unsafe { &(&*front)[..len] }))?;
            self.io.with_stream(self.machine, |stream, buffers| stream.consume(len, buffers))?;
            left -= len;
        }
        Ok(())
    }

    /// The first bytes that are there, as many as are in one place.
    pub(super) fn front(&self) -> Outcome<*const [u8]> {
        self.io.with_stream(self.machine, |stream, buffers| {
            let front: *const [u8] = stream.front(buffers);
            front
        })
    }

    pub(super) fn skip(&self, count: usize) -> Read<usize> {
        let mut left = count;
        while left > 0 {
            let Some(found) = self.find(Ask::UpTo(left))? else { break };
            self.io.with_stream(self.machine, |stream, buffers| {
                stream.consume(found.len, buffers);
            })?;
            left -= found.len;
        }
        Ok(count - left)
    }
}

/// `read(n)`: n bytes; 0: all that is there; negative: up to -n bytes.
fn read(this: VALUE, count: VALUE) -> Outcome {
    let count = value::int64(count, "length")?;
    let len = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if len > isize::MAX as usize {
        return Err(Raise::range_error("length is out of range"));
    }
    match count {
        0 => read_found(this, Ask::UpTo(usize::MAX)),
        1.. if len <= LONG => read_found(this, Ask::Exactly(len)),
        1.. => read_in_turn(this, |reader| reader.read_long(len)),
        _ => read_found(this, Ask::UpTo(len)),
    }
}

/// `read_line(max = 0)`
fn read_line(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(0, 1)?;
    let max = limit(args.get(0))?;
    read_found(this, Ask::Line { max })
}

/// `read_to_delim(delimiter, max = 0)`: negative: -max bytes where there is no delimiter among
/// them.
fn read_to_delim(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(1, 2)?;
    let delimiter = delimiter(args.get(0))?;
    let ask = match args.get(1) {
        given if value::fixnum(given).is_some_and(|max| max < 0) => {
            let max = value::int64(given, "limit")?.unsigned_abs();
            Ask::UntilOrUpTo { delimiter, max: usize::try_from(max).unwrap_or(usize::MAX) }
        }
        given => Ask::Until { delimiter, max: limit(given)? },
    };
    read_found(this, ask)
}

fn delimiter(argument: VALUE) -> Outcome<u8> {
    if !value::is_string(argument) {
        return Err(Raise::argument_error("delimiter must be a String"));
    }
    match value::bytes_of(argument)[..] {
        [byte] => Ok(byte),
        _ => Err(Raise::um_error("delimiter must be a single byte")),
    }
}

/// Bytes to be searched: nil and 0 mean all.
fn limit(argument: VALUE) -> Outcome<usize> {
    if argument == NIL {
        return Ok(usize::MAX);
    }
    match value::int64(argument, "limit")? {
        0 => Ok(usize::MAX),
        limit @ 1.. => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
        limit => Err(Raise::argument_error(format!("limit must not be negative: {limit}"))),
    }
}

/// `skip(n)`: how many bytes were there to be skipped.
fn skip(this: VALUE, count: VALUE) -> Outcome {
    let count = crate::machine::length(count, "length")?;
    read_in_turn(this, |reader| {
        let skipped = reader.skip(count)?;
        Ok(value::integer(i64::try_from(skipped).unwrap_or(i64::MAX)))
    })
}

pub(super) fn init(class: VALUE) {
    define(class, c"read", method!(read, 1));
    define(class, c"read_line", method!(read_line, -1));
    define(class, c"read_to_delim", method!(read_to_delim, -1));
    define(class, c"skip", method!(skip, 1));
}
