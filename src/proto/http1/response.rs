//! The head of a response, and the frames of a body in chunks.

use std::fmt;
use std::io::Write;
use std::num::NonZeroUsize;

use super::body::is_framing;
use super::{Body, reason};

/// Ends a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What can't be sent, for whoever reads it would see another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsendable {
    /// A status that is not from 100 to 599.
    Status,
    /// The name of a header is no token.
    Name,
    /// The value of a header has control characters.
    Value,
    /// A header that says how the body is delimited: [`ResponseHead::end`] writes it.
    Framing,
}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status => "a status is a number from 100 to 599",
            Self::Name => "malformed name of a header",
            Self::Value => "control character in the value of a header",
            Self::Framing => "Content-Length and Transfer-Encoding come from the body",
        })
    }
}

impl std::error::Error for Unsendable {}

/// Appends a head to the bytes to be sent.
#[derive(Debug)]
pub struct ResponseHead<'o> {
    out: &'o mut Vec<u8>,
    status: u16,
}

impl<'o> ResponseHead<'o> {
    /// Appends the status line.
    ///
    /// # Errors
    /// [`Unsendable::Status`].
    pub fn start(out: &'o mut Vec<u8>, status: u16) -> Result<Self, Unsendable> {
        if !(100..600).contains(&status) {
            return Err(Unsendable::Status);
        }
        append(out, format_args!("HTTP/1.1 {status} {}\r\n", reason(status)));
        Ok(Self { out, status })
    }

    /// Appends a header.
    ///
    /// # Errors
    /// A name or a value that would not be read back; nothing is appended.
    pub fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Unsendable> {
        if name.is_empty() || !name.iter().all(is_token) {
            return Err(Unsendable::Name);
        }
        if is_framing(name) {
            return Err(Unsendable::Framing);
        }
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Unsendable::Value);
        }
        for part in [name, b": ", value, b"\r\n"] {
            self.out.extend_from_slice(part);
        }
        Ok(())
    }

    /// Appends how the body is delimited, and the empty line. Where the status forbids to say it,
    /// nothing is said.
    pub fn end(self, body: Body) {
        let body = if matches!(self.status, 100..200 | 204) { Body::None } else { body };
        match body {
            Body::None => {}
            Body::Length(len) => {
                append(self.out, format_args!("Content-Length: {len}\r\n"));
            }
            Body::Chunked => self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Appends what stands before a chunk; CR LF stands behind it. A chunk of 0 bytes would end the
/// body.
pub fn chunk_head(out: &mut Vec<u8>, len: NonZeroUsize) {
    append(out, format_args!("{len:x}\r\n"));
}

fn append(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    // Memory takes everything.
    let _ = out.write_fmt(text);
}

fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, headers: &[(&str, &str)], body: Body) -> Result<String, Unsendable> {
        let mut out = Vec::new();
        let mut head = ResponseHead::start(&mut out, status)?;
        for (name, value) in headers {
            head.header(name.as_bytes(), value.as_bytes())?;
        }
        head.end(body);
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn a_head_has_status_headers_and_the_way_the_body_ends() {
        let expected = "HTTP/1.1 200 OK\r\nA: b c\r\nD: \r\nContent-Length: 1024\r\n\r\n";
        let written = head(200, &[("A", "b c"), ("D", "")], Body::Length(1024));
        assert_eq!(written.as_deref(), Ok(expected));
        let expected = "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(head(404, &[], Body::Chunked).as_deref(), Ok(expected));
    }

    #[test]
    fn an_unregistered_status_keeps_its_blank() {
        assert_eq!(head(299, &[], Body::None).as_deref(), Ok("HTTP/1.1 299 \r\n\r\n"));
    }

    #[test]
    fn a_status_has_three_digits_of_a_known_class() {
        for status in [0, 99, 600, 1000, u16::MAX] {
            assert_eq!(head(status, &[], Body::None), Err(Unsendable::Status), "{status}");
        }
    }

    #[test]
    fn a_length_is_not_said_where_it_is_forbidden() {
        for status in [100, 101, 204] {
            for body in [Body::Length(5), Body::Chunked] {
                assert_eq!(head(status, &[], body), head(status, &[], Body::None), "{status}");
            }
        }
        // 304 tells what a GET would have brought.
        assert!(head(304, &[], Body::Length(5)).expect("fine").contains("Content-Length: 5"));
    }

    #[test]
    fn nothing_can_be_injected() {
        for name in ["", "a b", "a:", "a\r\n", "a\0", "ä", "(a)"] {
            assert_eq!(head(200, &[(name, "x")], Body::None), Err(Unsendable::Name), "{name:?}");
        }
        for value in ["a\r\nb: c", "a\nb", "a\rb", "\0", "\x7f", "\x1b"] {
            let refused = head(200, &[("a", value)], Body::None);
            assert_eq!(refused, Err(Unsendable::Value), "{value:?}");
        }
        assert!(head(200, &[("a", "tab\tand ümlaut")], Body::None).is_ok());
    }

    #[test]
    fn the_body_is_delimited_once() {
        for name in ["Content-Length", "content-length", "TRANSFER-ENCODING"] {
            let refused = head(200, &[(name, "5")], Body::Length(5));
            assert_eq!(refused, Err(Unsendable::Framing), "{name}");
        }
    }

    #[test]
    fn what_is_refused_leaves_nothing_behind() {
        let mut out = b"before".to_vec();
        assert!(ResponseHead::start(&mut out, 0).is_err());
        assert_eq!(out, b"before");
        let mut head = ResponseHead::start(&mut out, 200).expect("fine");
        assert!(head.header(b"a", b"\n").is_err());
        head.end(Body::None);
        assert_eq!(out, b"beforeHTTP/1.1 200 OK\r\n\r\n");
    }

    #[test]
    fn chunks_are_read_back() {
        use crate::proto::http1::{Chunked, Step};
        let mut out = Vec::new();
        chunk_head(&mut out, NonZeroUsize::new(26).expect("26"));
        assert_eq!(out, b"1a\r\n");
        out.extend_from_slice(&[b'x'; 26]);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(LAST_CHUNK);
        let mut decoder = Chunked::new(26);
        assert_eq!(decoder.next(&out), Ok(Step::Data { skip: 4, len: 26 }));
        assert_eq!(decoder.next(&out[30..]), Ok(Step::End { consumed: 7 }));
    }
}
