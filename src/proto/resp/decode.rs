//! Takes replies apart.

use super::event::{Aggregate, Event, Step, Text};
use super::{Limits, RespError, number};

const LINE_END: &[u8] = b"\r\n";
/// Bytes before a verbatim string: a format of three letters and a colon.
const FORMAT: usize = 4;

/// Turns the bytes at the front of a stream into events.
///
/// Aggregates may be inside each other; the decoder counts their elements and says when one is
/// complete. A reply is complete when every [`Event::Open`] has had its [`Event::Close`], and
/// [`Decoder::is_between_replies`] says so.
///
/// An attribute belongs to the value behind it. It is none itself: neither an element of what it is
/// inside of, nor a reply.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    /// What is open, the innermost last.
    open: Vec<Frame>,
    /// The caller has taken a string; its end comes next.
    in_text: bool,
    /// An attribute has begun, and its reply has not.
    in_attribute: bool,
    /// Bytes at the front that hold no end of a line: they aren't searched again.
    searched: usize,
    failure: Option<RespError>,
}

/// What the decoder has to know of something open.
#[derive(Clone, Copy, Debug)]
enum Frame {
    /// So many elements are left.
    Counted { left: u64 },
    /// It goes on to `.`; `half` is a pair that has only a key yet.
    Streamed { pairs: bool, half: bool },
    /// A string of so many bytes, up to `;0`.
    Chunks { len: usize },
}

/// A line at the front of the stream.
struct Line<'a> {
    /// Between its type and its end.
    text: &'a [u8],
    /// Where the bytes behind it begin.
    end: usize,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Other limits, for what comes next.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether nothing is open, and nothing due: the stream may end here.
    #[must_use]
    pub fn is_between_replies(&self) -> bool {
        self.open.is_empty() && !self.in_text && !self.in_attribute
    }

    /// What is at the front of the stream. After [`Step::NeedMore`] the same bytes are to be shown
    /// again, with more behind them.
    ///
    /// # Errors
    /// The stream can't be understood; it stays so.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, RespError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let step = self.step(bytes);
        match step {
            Ok(Step::NeedMore) => {}
            Ok(Step::Event { .. }) => self.searched = 0,
            Err(failure) => self.failure = Some(failure),
        }
        step
    }

    fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, RespError> {
        if self.in_text {
            return self.text_end(bytes);
        }
        let innermost = self.open.last().copied();
        if let Some(Frame::Counted { left: 0 }) = innermost {
            return Ok(self.close(0));
        }
        let Some(&kind) = bytes.first() else { return Ok(Step::NeedMore) };
        if matches!(innermost, Some(Frame::Chunks { .. })) != (kind == b';') {
            return Err(RespError::Chunk);
        }
        // Before the rest of the line has come: what speaks another protocol may never send it.
        if !b"$*:+-_#,(%~>|=!;.".contains(&kind) {
            return Err(RespError::Type(kind));
        }
        let Some(line) = self.line(bytes)? else { return Ok(Step::NeedMore) };
        match kind {
            b'$' => self.string(Text::String, &line, bytes),
            b'=' => self.string(Text::Verbatim, &line, bytes),
            b'!' => self.string(Text::Error, &line, bytes),
            b';' => self.chunk(&line, bytes),
            b'*' => self.aggregate(Aggregate::Array, &line),
            b'~' => self.aggregate(Aggregate::Set, &line),
            b'>' => self.aggregate(Aggregate::Push, &line),
            b'%' => self.aggregate(Aggregate::Map, &line),
            b'|' => self.aggregate(Aggregate::Attribute, &line),
            b'.' => self.end(&line),
            _ => scalar(kind, line.text).map(|event| self.element(event, line.end)),
        }
    }

    /// The line at the front, if its end has come.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Line<'a>>, RespError> {
        let from = self.searched.clamp(1, bytes.len());
        // Most lines are short: memchr2 would take longer for them (14 ns a reply, not 11).
        let found = bytes[from..].iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let at = found.map_or(bytes.len(), |offset| from + offset);
        let text = &bytes[1..at];
        if text.len() > self.limits.line {
            return Err(RespError::LineLength(self.limits.line));
        }
        match &bytes[at..] {
            [] | [b'\r'] => {
                self.searched = at;
                Ok(None)
            }
            [b'\r', b'\n', ..] => Ok(Some(Line { text, end: at + LINE_END.len() })),
            _ => Err(RespError::LineEnd),
        }
    }

    /// A value, or the beginning of one: an element of what is open.
    fn element<'a>(&mut self, event: Event<'a>, consumed: usize) -> Step<'a> {
        match self.open.last_mut() {
            // Not 0: then it would have been closed.
            Some(Frame::Counted { left }) => *left -= 1,
            Some(Frame::Streamed { half, .. }) => *half = !*half,
            Some(Frame::Chunks { .. }) => {}
            None => self.in_attribute = false,
        }
        Step::Event { event, consumed }
    }

    fn close(&mut self, consumed: usize) -> Step<'static> {
        self.open.pop();
        Step::Event { event: Event::Close, consumed }
    }

    fn string<'a>(
        &mut self,
        kind: Text,
        line: &Line<'_>,
        bytes: &'a [u8],
    ) -> Result<Step<'a>, RespError> {
        match (kind, line.text) {
            (Text::String, b"-1") => return Ok(self.element(Event::Null, line.end)),
            (Text::String, b"?") => {
                let open = Event::Open { kind: Aggregate::Chunks, count: None };
                let step = self.element(open, line.end);
                self.open.push(Frame::Chunks { len: 0 });
                return Ok(step);
            }
            _ => {}
        }
        let len = self.string_length(line)?;
        if kind != Text::Verbatim {
            return self.text(kind, len, line.end, bytes);
        }
        let len = len.checked_sub(FORMAT).ok_or(RespError::Format)?;
        match bytes[line.end..].get(..FORMAT) {
            Some([.., b':']) => self.text(kind, len, line.end + FORMAT, bytes),
            Some(_) => Err(RespError::Format),
            None => Ok(Step::NeedMore),
        }
    }

    fn string_length(&self, line: &Line<'_>) -> Result<usize, RespError> {
        let len = number::length(line.text).ok_or(RespError::Length)?;
        let len = usize::try_from(len).ok().filter(|len| *len <= self.limits.string);
        len.ok_or(RespError::StringLength(self.limits.string))
    }

    /// A string that begins at `start`: all of it, or that it begins.
    fn text<'a>(
        &mut self,
        kind: Text,
        len: usize,
        start: usize,
        bytes: &'a [u8],
    ) -> Result<Step<'a>, RespError> {
        match bytes[start..].split_at_checked(len) {
            Some((text, after)) if after.len() >= LINE_END.len() => {
                if !after.starts_with(LINE_END) {
                    return Err(RespError::StringEnd);
                }
                let consumed = start + len + LINE_END.len();
                Ok(self.element(Event::Text { kind, bytes: text }, consumed))
            }
            _ => {
                self.in_text = true;
                Ok(self.element(Event::TextStart { kind, len }, start))
            }
        }
    }

    fn text_end<'a>(&mut self, bytes: &[u8]) -> Result<Step<'a>, RespError> {
        match bytes {
            [] | [b'\r'] => Ok(Step::NeedMore),
            [b'\r', b'\n', ..] => {
                self.in_text = false;
                Ok(Step::Event { event: Event::TextEnd, consumed: LINE_END.len() })
            }
            _ => Err(RespError::StringEnd),
        }
    }

    /// A piece of a streamed string; an empty one is its end.
    fn chunk<'a>(&mut self, line: &Line<'_>, bytes: &'a [u8]) -> Result<Step<'a>, RespError> {
        let more = self.string_length(line)?;
        if more == 0 {
            return Ok(self.close(line.end));
        }
        if let Some(Frame::Chunks { len }) = self.open.last_mut() {
            *len = len.saturating_add(more);
            if *len > self.limits.string {
                return Err(RespError::StringLength(self.limits.string));
            }
        }
        self.text(Text::String, more, line.end, bytes)
    }

    fn aggregate(&mut self, kind: Aggregate, line: &Line<'_>) -> Result<Step<'static>, RespError> {
        let pairs = kind.has_pairs();
        let (count, frame) = match line.text {
            b"-1" if kind == Aggregate::Array => return Ok(self.element(Event::Null, line.end)),
            b"?" => (None, Frame::Streamed { pairs, half: false }),
            text => {
                let count = number::length(text).ok_or(RespError::Length)?;
                let left = count.checked_mul(if pairs { 2 } else { 1 }).ok_or(RespError::Length)?;
                (Some(count), Frame::Counted { left })
            }
        };
        if self.open.len() >= self.limits.nesting {
            return Err(RespError::Nesting(self.limits.nesting));
        }
        let open = Event::Open { kind, count };
        let step = match kind {
            Aggregate::Attribute => {
                self.in_attribute |= self.open.is_empty();
                Step::Event { event: open, consumed: line.end }
            }
            _ => self.element(open, line.end),
        };
        self.open.push(frame);
        Ok(step)
    }

    /// The end of a streamed aggregate.
    fn end(&mut self, line: &Line<'_>) -> Result<Step<'static>, RespError> {
        match self.open.last() {
            Some(Frame::Streamed { pairs: true, half: true }) => Err(RespError::Pair),
            Some(Frame::Streamed { .. }) if line.text.is_empty() => Ok(self.close(line.end)),
            _ => Err(RespError::End),
        }
    }
}

/// A value that is a line of its own.
fn scalar(kind: u8, text: &[u8]) -> Result<Event<'_>, RespError> {
    match (kind, text) {
        (b'+', _) => Ok(Event::Text { kind: Text::String, bytes: text }),
        (b'-', _) => Ok(Event::Text { kind: Text::Error, bytes: text }),
        (b':', _) => number::integer(text).map(Event::Integer).ok_or(RespError::Integer),
        (b',', _) => number::double(text).map(Event::Double).ok_or(RespError::Double),
        (b'(', _) => number::big(text).map(Event::BigNumber).ok_or(RespError::BigNumber),
        (b'#', b"t") => Ok(Event::Boolean(true)),
        (b'#', b"f") => Ok(Event::Boolean(false)),
        (b'#', _) => Err(RespError::Boolean),
        (b'_', b"") => Ok(Event::Null),
        (b'_', _) => Err(RespError::Null),
        (other, _) => Err(RespError::Type(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_can_change_between_replies() {
        let mut decoder = Decoder::default();
        assert!(matches!(decoder.next(b"$3\r\nfoo\r\n"), Ok(Step::Event { .. })));
        decoder.set_limits(Limits { string: 2, ..Limits::default() });
        assert_eq!(decoder.next(b"$3\r\nfoo\r\n"), Err(RespError::StringLength(2)));
    }

    #[test]
    fn a_line_in_many_pieces_is_searched_once() {
        let mut decoder = Decoder::default();
        let line = [b"+".as_slice(), &[b'x'; 60_000], b"\r\n"].concat();
        for end in 0..line.len() {
            assert_eq!(decoder.next(&line[..end]), Ok(Step::NeedMore));
            assert!(decoder.searched + 1 >= end, "{end} bytes");
        }
        assert!(matches!(decoder.next(&line), Ok(Step::Event { .. })));
        assert_eq!(decoder.searched, 0);
    }
}
