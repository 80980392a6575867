//! The head of a request: where it ends, and what is in it.

use std::mem::MaybeUninit;

use super::body::{Framing, is_host};
use super::lines::EmptyLine;
use super::{Body, Header, Refusal};

/// Headers of a request, unless the caller brings another number of [`Slots`].
pub const MAX_HEADERS: usize = 100;

/// Where [`Request::parse`] puts the headers; their number is the limit.
pub type Slots<'b> = [MaybeUninit<Header<'b>>];

/// Slots for [`MAX_HEADERS`].
#[must_use]
pub fn slots<'b>() -> [MaybeUninit<Header<'b>>; MAX_HEADERS] {
    [const { MaybeUninit::uninit() }; MAX_HEADERS]
}

/// Looks for the end of a head in bytes that come in pieces; no byte is looked at twice.
#[derive(Clone, Debug)]
pub struct HeadEnd {
    search: EmptyLine,
    searched: usize,
    limit: usize,
}

impl HeadEnd {
    /// Of the next request, whose head may have `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { search: EmptyLine::default(), searched: 0, limit }
    }

    /// Searches the bytes that come next. The length of the head, from the first byte that was
    /// ever passed: empty lines before it, and the one that ends it, are included.
    ///
    /// # Errors
    /// A line that does not end in CR LF; a head larger than the limit.
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let mut rest = &bytes[..bytes.len().min(self.limit - self.searched)];
        while let Some(end) = self.search.find(rest)? {
            self.searched += end;
            rest = &rest[end..];
            if self.search.lines() > 0 {
                return Ok(Some(self.searched));
            }
        }
        self.searched += rest.len();
        if self.searched < self.limit {
            return Ok(None);
        }
        Err(if self.search.lines() == 0 { Refusal::TargetTooLong } else { Refusal::HeadTooLarge })
    }

    /// Whether there was anything but empty lines: where the peer shuts down before, no request
    /// is lost.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.search.has_begun()
    }
}

/// A version of HTTP that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

impl Version {
    /// As in the request line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

/// A request without its body. All of it is borrowed from the head's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'h, 'b> {
    /// `GET`, …
    pub method: &'b str,
    /// Path and query; the whole URL from clients of a proxy; host and port of `CONNECT`; `*`.
    pub target: &'b str,
    /// What the client speaks.
    pub version: Version,
    /// In the order in which they came; a name may come several times.
    pub headers: &'h [Header<'b>],
    /// How the body is delimited.
    pub body: Body,
    /// Whether the client may send another request on this connection.
    pub persists: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

impl<'h, 'b> Request<'h, 'b> {
    /// Takes a head apart: all the bytes up to where [`HeadEnd`] has found its end.
    ///
    /// # Errors
    /// Whatever makes the request malformed, ambiguous or unknown.
    pub fn parse(head: &'b [u8], slots: &'h mut Slots<'b>) -> Result<Self, Refusal> {
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(head, slots) {
            Ok(httparse::Status::Complete(len)) if len == head.len() => {}
            Ok(_) => return Err(Refusal::LineEnd),
            Err(error) => return Err(refusal(error, head)),
        }
        let httparse::Request { method: Some(method), path: Some(target), version, headers } =
            parsed
        else {
            return Err(Refusal::RequestLine);
        };
        let version = if version == Some(0) { Version::Http10 } else { Version::Http11 };
        if !is_target(method, target) {
            return Err(Refusal::RequestLine);
        }
        let framing = Framing::of(headers)?;
        framing.check_host(version)?;
        Ok(Self {
            method,
            target,
            version,
            headers,
            body: framing.body(version)?,
            persists: framing.persists(version),
            expects_continue: framing.expects_continue(version),
        })
    }
}

fn refusal(error: httparse::Error, head: &[u8]) -> Refusal {
    use httparse::Error;
    match error {
        Error::HeaderName | Error::HeaderValue => Refusal::Header,
        Error::NewLine => Refusal::LineEnd,
        Error::TooManyHeaders => Refusal::TooManyHeaders,
        Error::Version if names_a_version(head) => Refusal::UnknownVersion,
        Error::Version | Error::Token | Error::Status => Refusal::RequestLine,
    }
}

/// Whether the third word of the request line could be a version at all.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.trim_ascii_start().split(|byte| *byte == b'\r').next().unwrap_or_default();
    let version = line.splitn(3, |byte| *byte == b' ').nth(2);
    matches!(version, Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']))
}

/// Whether a target has one of the four forms.
fn is_target(method: &str, target: &str) -> bool {
    match method {
        "CONNECT" => is_host(target.as_bytes()),
        "OPTIONS" if target == "*" => true,
        _ => target.starts_with('/') || has_scheme(target),
    }
}

fn has_scheme(target: &str) -> bool {
    let Some((scheme, _)) = target.split_once("://") else { return false };
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 64 * 1024;

    fn end(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        HeadEnd::new(LIMIT).find(bytes)
    }

    #[test]
    fn empty_lines_before_a_request_are_skipped() {
        let bytes = b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        let len = end(bytes).expect("fine").expect("whole");
        assert_eq!(&bytes[len..], b"rest");
        assert_eq!(Request::parse(&bytes[..len], &mut slots()).expect("fine").target, "/");
    }

    #[test]
    fn empty_lines_are_no_request() {
        let mut search = HeadEnd::new(LIMIT);
        assert_eq!((search.find(b"\r\n\r\n"), search.has_begun()), (Ok(None), false));
        assert_eq!((search.find(b"G"), search.has_begun()), (Ok(None), true));
    }

    #[test]
    fn the_end_is_found_at_every_split() {
        let bytes = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for middle in 0..bytes.len() {
            let mut search = HeadEnd::new(LIMIT);
            assert_eq!(search.find(&bytes[..middle]), Ok(None), "{middle}");
            assert_eq!(search.find(&bytes[middle..]), Ok(Some(bytes.len())), "{middle}");
        }
    }

    #[test]
    fn a_head_may_fill_its_limit() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(HeadEnd::new(bytes.len()).find(bytes), Ok(Some(bytes.len())));
        assert_eq!(HeadEnd::new(bytes.len() - 1).find(bytes), Err(Refusal::HeadTooLarge));
        assert_eq!(HeadEnd::new(8).find(bytes), Err(Refusal::TargetTooLong));
    }

    #[test]
    fn the_limit_counts_what_came_in_earlier_pieces() {
        let mut search = HeadEnd::new(20);
        assert_eq!(search.find(b"GET / HTTP/1.1\r\n"), Ok(None));
        assert_eq!(search.find(b"abc"), Ok(None));
        assert_eq!(search.find(b"d"), Err(Refusal::HeadTooLarge));
        assert_eq!(search.find(b"\r\n\r\n"), Err(Refusal::HeadTooLarge));
    }

    #[test]
    fn a_request_is_borrowed_from_its_head() {
        let head =
            b"POST /a?b=c HTTP/1.1\r\nHost: a:80\r\nX-Y:  z \t\r\nEmpty:\r\ncontent-length: 5\r\n\
            Expect: 100-Continue\r\n\r\n";
        let mut slots = slots();
        let request = Request::parse(head, &mut slots).expect("fine");
        assert_eq!((request.method, request.target), ("POST", "/a?b=c"));
        assert_eq!(request.version.as_str(), "HTTP/1.1");
        assert_eq!(request.body, Body::Length(5));
        assert!(request.persists && request.expects_continue);
        let headers: Vec<_> = request.headers.iter().map(|h| (h.name, h.value)).collect();
        assert_eq!(headers[1], ("X-Y", &b"z"[..]));
        assert_eq!(headers[2], ("Empty", &b""[..]));
        assert_eq!(headers.len(), 5);
        assert!(head.as_ptr_range().contains(&request.target.as_ptr()));
    }

    #[test]
    fn as_many_headers_as_slots() {
        let head = |count: usize| {
            let more = "a: b\r\n".repeat(count - 1);
            format!("GET / HTTP/1.1\r\nHost: a\r\n{more}\r\n").into_bytes()
        };
        let parse = |head: &[u8]| Request::parse(head, &mut slots()).map(|r| r.headers.len());
        assert_eq!(parse(&head(MAX_HEADERS)), Ok(MAX_HEADERS));
        assert_eq!(parse(&head(MAX_HEADERS + 1)), Err(Refusal::TooManyHeaders));
    }

    #[test]
    fn the_connection_persists_unless_one_side_does_not_want_it() {
        for (version, connection, persists) in [
            ("1.1", "", true),
            ("1.1", "Connection: close\r\n", false),
            ("1.1", "Connection: Upgrade , CLOSE\r\n", false),
            ("1.1", "Connection: a\r\nconnection: Close\r\n", false),
            ("1.1", "Connection: closed, enclose\r\n", true),
            ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
            ("1.0", "Connection: keep-alive, close\r\n", false),
        ] {
            let head = format!("GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n");
            let mut slots = slots();
            let request = Request::parse(head.as_bytes(), &mut slots).expect("fine");
            assert_eq!(request.persists, persists, "{head}");
        }
    }

    #[test]
    fn nobody_waits_to_continue_in_http_1_0() {
        for (version, value, expected) in
            [("1.1", "100-continue", true), ("1.0", "100-continue", false), ("1.1", "tea", false)]
        {
            let head = format!("PUT / HTTP/{version}\r\nHost: a\r\nExpect: {value}\r\n\r\n");
            let mut slots = slots();
            let request = Request::parse(head.as_bytes(), &mut slots).expect("fine");
            assert_eq!(request.expects_continue, expected, "{head}");
        }
    }

    #[test]
    fn a_target_has_one_of_four_forms() {
        for (method, target, valid) in [
            ("GET", "/", true),
            ("GET", "//double", true),
            ("GET", "/ümlaut", true),
            ("GET", "http://host/path", true),
            ("GET", "*", false),
            ("GET", "path", false),
            ("GET", "://host", false),
            ("GET", "1a://host", false),
            ("GET", "?a=/b://c", false),
            ("OPTIONS", "*", true),
            ("OPTIONS", "/", true),
            ("CONNECT", "host:443", true),
            ("CONNECT", "/", false),
            ("CONNECT", "http://host/", false),
        ] {
            let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            let parsed = Request::parse(head.as_bytes(), &mut slots()).map(|_| ());
            assert_eq!(parsed, if valid { Ok(()) } else { Err(Refusal::RequestLine) }, "{head}");
        }
    }

    #[test]
    fn http_1_0_needs_no_host() {
        let mut slots = slots();
        let request = Request::parse(b"GET / HTTP/1.0\r\n\r\n", &mut slots).expect("fine");
        assert_eq!((request.version, request.body), (Version::Http10, Body::None));
    }
}
