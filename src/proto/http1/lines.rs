//! Where a section of lines ends: at the first empty one.

use super::Refusal;

/// Looks for an empty line in bytes that come in pieces; no byte is looked at twice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EmptyLine {
    /// Bytes of the line that has not ended yet.
    line: usize,
    /// Whether the last of them is a carriage return.
    after_return: bool,
    /// Lines that were not empty.
    lines: usize,
}

impl EmptyLine {
    /// The position behind the next empty line. `None`: all the bytes belong to lines before it.
    ///
    /// # Errors
    /// [`Refusal::LineEnd`] where a line feed has no carriage return before it.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let is_empty = self.line + end - start == 1;
            self.add(&bytes[start..end]);
            if !self.after_return {
                return Err(Refusal::LineEnd);
            }
            start = end + 1;
            self.line = 0;
            self.after_return = false;
            if is_empty {
                return Ok(Some(start));
            }
            self.lines += 1;
        }
        self.add(&bytes[start..]);
        Ok(None)
    }

    /// Lines before the empty one, so far.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// Whether there is anything of a line so far.
    pub(super) fn has_begun(&self) -> bool {
        self.lines > 0 || self.line > 0
    }

    fn add(&mut self, part: &[u8]) {
        self.line += part.len();
        if let Some(last) = part.last() {
            self.after_return = *last == b'\r';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pieces: &[&[u8]]) -> Result<Option<usize>, Refusal> {
        let mut search = EmptyLine::default();
        let mut before = 0;
        for piece in pieces {
            if let Some(end) = search.find(piece)? {
                return Ok(Some(before + end));
            }
            before += piece.len();
        }
        Ok(None)
    }

    #[test]
    fn the_end_is_behind_the_empty_line() {
        assert_eq!(found(&[b"\r\nrest"]), Ok(Some(2)));
        assert_eq!(found(&[b"a: b\r\nc: d\r\n\r\nrest\r\n\r\n"]), Ok(Some(14)));
    }

    #[test]
    fn a_line_may_come_in_any_pieces() {
        assert_eq!(found(&[b"", b"a", b"", b"\r", b"", b"\n", b"\r", b"", b"\nrest"]), Ok(Some(5)));
    }

    #[test]
    fn lines_without_an_empty_one_go_on() {
        for bytes in [&b""[..], b"a", b"a\r", b"a\r\n", b"a\r\n\r", b"a\r\nb\r\n"] {
            assert_eq!(found(&[bytes]), Ok(None));
        }
    }

    #[test]
    fn a_line_feed_alone_is_refused_in_any_piece() {
        for pieces in [
            &[&b"\n"[..]][..],
            &[b"a\n"],
            &[b"a", b"\n"],
            &[b"a\r\n\n"],
            &[b"a\r\n", b"\n"],
            &[b"a\r", b"b\n"],
            &[b"\ra\n"],
        ] {
            assert_eq!(found(pieces), Err(Refusal::LineEnd));
        }
    }

    #[test]
    fn a_second_carriage_return_is_not_an_empty_line() {
        assert_eq!(found(&[b"a\r\n\r\r\n"]), Ok(None));
    }
}
