//! What can be asked of a stream.

use super::{Store, Stream};

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// So many bytes, no less.
    Exactly(usize),
    /// At least one byte, and at most so many.
    UpTo(usize),
    /// Bytes up to a newline, with or without a carriage return before it, which is among the
    /// first `max` bytes.
    Line {
        /// Bytes that are looked at, the newline included.
        max: usize,
    },
    /// Bytes up to a delimiter which is among the first `max` bytes.
    Until {
        /// The last byte, which doesn't belong to what was asked for.
        delimiter: u8,
        /// Bytes that are looked at, the delimiter included.
        max: usize,
    },
    /// The same, or `max` bytes where the delimiter isn't among them, or all there are up to the
    /// stream's end.
    UntilOrUpTo {
        /// As above.
        delimiter: u8,
        /// As above.
        max: usize,
    },
}

/// What was asked for is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its length.
    pub len: usize,
    /// The length of the delimiter behind it.
    pub skip: usize,
}

impl Found {
    fn bytes(len: usize) -> Answer {
        Answer::Ready(Self { len, skip: 0 })
    }
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is there.
    Ready(Found),
    /// It is not there, and won't be: the stream has ended before it, or it is too long.
    Nothing,
    /// To know, so many bytes have to be there.
    NeedMore(usize),
}

impl Stream {
    /// Answers a question. Nothing is consumed.
    pub fn look(&mut self, ask: Ask, store: &impl Store) -> Answer {
        match ask {
            Ask::Exactly(count) if self.pending >= count => Found::bytes(count),
            Ask::Exactly(count) => self.unless_ended(count),
            Ask::UpTo(count) if self.pending > 0 => Found::bytes(count.min(self.pending)),
            Ask::UpTo(_) => self.unless_ended(1),
            Ask::Line { max } => self.look_for_line(max, store),
            Ask::Until { delimiter, max } => match self.look_for(delimiter, max, store) {
                Ok(position) => Answer::Ready(Found { len: position, skip: 1 }),
                Err(answer) => answer,
            },
            Ask::UntilOrUpTo { delimiter, max } => match self.look_for(delimiter, max, store) {
                Ok(position) => Answer::Ready(Found { len: position, skip: 1 }),
                Err(Answer::Nothing) if self.pending > 0 => Found::bytes(max.min(self.pending)),
                Err(answer) => answer,
            },
        }
    }

    /// A carriage return is part of the delimiter.
    fn look_for_line(&mut self, max: usize, store: &impl Store) -> Answer {
        let (len, before) = match self.look_for(b'\n', max, store) {
            Ok(0) => (0, None),
            Ok(position) => (position, self.byte(position - 1, store)),
            Err(answer) => return answer,
        };
        Answer::Ready(match before {
            Some(b'\r') => Found { len: len - 1, skip: 2 },
            _ => Found { len, skip: 1 },
        })
    }

    fn unless_ended(&self, needed: usize) -> Answer {
        if self.ended { Answer::Nothing } else { Answer::NeedMore(needed) }
    }

    /// Where the delimiter is among the first `max` bytes, or why it isn't.
    fn look_for(&mut self, delimiter: u8, max: usize, store: &impl Store) -> Result<usize, Answer> {
        match self.position(delimiter, store) {
            Some(position) if position < max => Ok(position),
            Some(_) => Err(Answer::Nothing),
            None if self.pending >= max => Err(Answer::Nothing),
            None => Err(self.unless_ended(self.pending + 1)),
        }
    }

    /// Where the first byte of that kind is.
    fn position(&mut self, delimiter: u8, store: &impl Store) -> Option<usize> {
        if self.searched.delimiter != delimiter {
            self.searched = super::Searched { delimiter, count: 0 };
        }
        let searched = self.searched.count;
        // As a rule it is in the first piece.
        if let Some(ahead) = self.front(store).get(searched..) {
            if let Some(found) = memchr::memchr(delimiter, ahead) {
                self.searched.count = searched + found;
                return Some(searched + found);
            }
        }
        let found = self.chunks(store).find_map(|(start, bytes)| {
            let skip = searched.saturating_sub(start).min(bytes.len());
            let found = memchr::memchr(delimiter, &bytes[skip..])?;
            Some(start + skip + found)
        });
        self.searched.count = found.unwrap_or(self.pending);
        found
    }

    fn byte(&self, position: usize, store: &impl Store) -> Option<u8> {
        if let Some(byte) = self.front(store).get(position) {
            return Some(*byte);
        }
        let mut chunks = self.chunks(store);
        chunks.find_map(|(start, bytes)| bytes.get(position.checked_sub(start)?).copied())
    }
}
