//! Whole connections, and what others were fooled by.

use super::*;
use proptest::prelude::*;

const LIMIT: usize = 64 * 1024;
const MAX_BODY: u64 = 1024 * 1024;

/// A request with its body, and where it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    line: String,
    headers: usize,
    body: Vec<u8>,
}

/// A connection as a server would read it.
struct Connection<'p> {
    pieces: std::slice::Iter<'p, &'p [u8]>,
    unread: Vec<u8>,
}

impl<'p> Connection<'p> {
    fn new(pieces: &'p [&'p [u8]]) -> Self {
        Self { pieces: pieces.iter(), unread: Vec::new() }
    }

    /// Whether more has come.
    fn receive(&mut self) -> bool {
        let Some(piece) = self.pieces.next() else { return false };
        self.unread.extend_from_slice(piece);
        true
    }

    fn request(&mut self) -> Result<Option<Seen>, Refusal> {
        let Some(head) = self.head()? else { return Ok(None) };
        let mut slots = slots();
        let request = Request::parse(&head, &mut slots)?;
        request.body.within(MAX_BODY)?;
        let line = [request.method, request.target, request.version.as_str()].join(" ");
        let headers = request.headers.len();
        let body = match request.body {
            Body::None => Some(Vec::new()),
            Body::Length(len) => self.plain(usize::try_from(len).expect("within the limit")),
            Body::Chunked => self.chunked()?,
        };
        Ok(body.map(|body| Seen { line, headers, body }))
    }

    fn head(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        let mut search = HeadEnd::new(LIMIT);
        let mut searched = 0;
        loop {
            if let Some(len) = search.find(&self.unread[searched..])? {
                return Ok(Some(self.unread.drain(..len).collect()));
            }
            searched = self.unread.len();
            if !self.receive() {
                return Ok(None);
            }
        }
    }

    fn plain(&mut self, len: usize) -> Option<Vec<u8>> {
        while self.unread.len() < len {
            if !self.receive() {
                return None;
            }
        }
        Some(self.unread.drain(..len).collect())
    }

    fn chunked(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        let mut decoder = Chunked::new(MAX_BODY);
        let mut body = Vec::new();
        loop {
            match decoder.next(&self.unread)? {
                Step::More => {
                    self.unread.clear();
                    if !self.receive() {
                        return Ok(None);
                    }
                }
                Step::Data { skip, len } => {
                    body.extend_from_slice(&self.unread[skip..skip + len]);
                    self.unread.drain(..skip + len);
                }
                Step::End { consumed } => {
                    self.unread.drain(..consumed);
                    return Ok(Some(body));
                }
            }
        }
    }
}

/// All the requests of a connection, and the status of a refusal that ended it.
fn serve(pieces: &[&[u8]]) -> (Vec<Seen>, Option<u16>) {
    let mut connection = Connection::new(pieces);
    let mut seen = Vec::new();
    loop {
        match connection.request() {
            Ok(Some(request)) => seen.push(request),
            Ok(None) => return (seen, None),
            Err(refusal) => return (seen, Some(refusal.status())),
        }
    }
}

fn seen(line: &str, headers: usize, body: &[u8]) -> Seen {
    Seen { line: line.to_owned(), headers, body: body.to_owned() }
}

const PIPELINED: &[u8] = b"\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
    POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\r\n\
    POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x\r\na\nb\r\n0\r\nT: 1\r\n\r\n\
    PUT /4 HTTP/1.0\r\ncontent-length: 0\r\n\r\n\
    GET /5 HTTP/1.1\r\nHost:\r\nX: \xff\r\n\r\n";

#[test]
fn pipelined_requests_are_told_apart_at_every_split() {
    let expected = [
        seen("GET /1 HTTP/1.1", 1, b""),
        seen("POST /2 HTTP/1.1", 2, b"hello"),
        seen("POST /3 HTTP/1.1", 2, b"a\nb"),
        seen("PUT /4 HTTP/1.0", 1, b""),
        seen("GET /5 HTTP/1.1", 2, b""),
    ];
    for middle in 0..=PIPELINED.len() {
        let (requests, refused) = serve(&[&PIPELINED[..middle], &PIPELINED[middle..]]);
        assert_eq!((&requests[..], refused), (&expected[..], None), "{middle}");
    }
    let singles: Vec<_> = PIPELINED.chunks(1).collect();
    assert_eq!(serve(&singles).0, expected);
}

#[test]
fn a_request_that_is_cut_off_is_none() {
    let requests = |end| serve(&[&PIPELINED[..end]]).0.len();
    let counts: Vec<_> = (0..=PIPELINED.len()).map(requests).collect();
    assert!(counts.is_sorted());
    assert_eq!((counts[0], counts[PIPELINED.len()]), (0, 5));
    assert_eq!(
        serve(&[&PIPELINED[..PIPELINED.len() - 1]]),
        (serve(&[PIPELINED]).0[..4].to_vec(), None)
    );
}

/// Lines behind `POST / HTTP/1.1` and `Host: a` that some server or proxy has read as another
/// message than its neighbour, and the status they get here.
const TRICKS: &[(&str, u16)] = &[
    // Two ways to say where the body ends.
    ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
    ("Content-Length: 5\r\nTransfer-Encoding: identity\r\n", 400),
    ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
    ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
    ("Content-Length: 5\r\ncontent-length: 5\r\n", 400),
    ("Content-Length: 5, 5\r\n", 400),
    // Numbers that are none, or not for everybody.
    ("Content-Length:\r\n", 400),
    ("Content-Length: +5\r\n", 400),
    ("Content-Length: -5\r\n", 400),
    ("Content-Length: 0x5\r\n", 400),
    ("Content-Length: 5 5\r\n", 400),
    ("Content-Length: 5;\r\n", 400),
    ("Content-Length: 5.0\r\n", 400),
    ("Content-Length: \"5\"\r\n", 400),
    ("Content-Length: 1_0\r\n", 400),
    ("Content-Length: \u{665}\r\n", 400),
    ("Content-Length: 18446744073709551616\r\n", 400),
    ("Content-Length: 99999999999999999999999999\r\n", 400),
    // Codings that one side overlooks.
    ("Transfer-Encoding:\r\n", 400),
    ("Transfer-Encoding: identity\r\n", 400),
    ("Transfer-Encoding: xchunked\r\n", 400),
    ("Transfer-Encoding: chunkedx\r\n", 400),
    ("Transfer-Encoding: \"chunked\"\r\n", 400),
    ("Transfer-Encoding: chunked;a=b\r\n", 400),
    ("Transfer-Encoding: chunked,\r\n", 400),
    ("Transfer-Encoding: ,chunked\r\n", 400),
    ("Transfer-Encoding: chunked, chunked\r\n", 400),
    ("Transfer-Encoding: chunked, identity\r\n", 400),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", 400),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n", 400),
    ("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", 501),
    ("Transfer-Encoding: gzip, chunked\r\n", 501),
    ("Transfer-Encoding: gzip\r\n", 400),
    ("Transfer-Encoding: chun ked\r\n", 400),
    ("Transfer-Encoding: \u{b}chunked\r\n", 400),
    ("Transfer-Encoding: chunked\u{b}\r\n", 400),
    ("Transfer-Encoding: chunked\0\r\n", 400),
    ("Transfer-Encoding: \u{a0}chunked\r\n", 400),
    // Names that one side repairs.
    ("Transfer-Encoding : chunked\r\n", 400),
    ("Transfer-Encoding\t: chunked\r\n", 400),
    ("Transfer Encoding: chunked\r\n", 400),
    (" Transfer-Encoding: chunked\r\n", 400),
    ("\u{b}Transfer-Encoding: chunked\r\n", 400),
    ("Transfer-Encoding\0: chunked\r\n", 400),
    ("Content-Length : 5\r\n", 400),
    (": 5\r\n", 400),
    ("Content-Length\r\n", 400),
    // Lines that one side joins or splits.
    ("Transfer-Encoding:\r\n chunked\r\n", 400),
    ("X: y\r\n\tTransfer-Encoding: chunked\r\n", 400),
    ("X: y\nTransfer-Encoding: chunked\r\n", 400),
    ("X: y\rTransfer-Encoding: chunked\r\n", 400),
    ("X: y\r\rTransfer-Encoding: chunked\r\n", 400),
    ("X: y\n\nGET /hidden HTTP/1.1\r\n", 400),
    ("X: y\r\n\nGET /hidden HTTP/1.1\r\n", 400),
    ("X: y\r\n\r\r\nGET /hidden HTTP/1.1\r\n", 400),
    ("X: \0\r\n", 400),
    ("X: \u{7f}\r\n", 400),
    // Whom it is for.
    ("Host: b\r\n", 400),
    ("Host: a\r\n", 400),
];

#[test]
fn a_message_that_could_be_read_in_two_ways_is_refused() {
    for (lines, status) in TRICKS {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n0\r\n\r\n");
        let (requests, refused) = serve(&[bytes.as_bytes()]);
        assert_eq!((requests, refused), (vec![], Some(*status)), "{lines:?}");
    }
}

#[test]
fn what_only_looks_like_a_trick_is_read() {
    for (lines, body) in [
        ("Content-Length: 5", &b"0\r\n\r\n"[..]),
        ("content-length:5", b"0\r\n\r\n"),
        ("Content-Length: \t 005 \t", b"0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b""),
        ("TRANSFER-encoding:\tChUnKeD\t", b""),
        ("Transfer-Encoding: chunked\r\nTE: trailers, gzip", b""),
        ("Transfer-Encoding: chunked\r\nX-Content-Length: 5", b""),
        ("Transfer-Encoding: chunked\r\nContent_Length: 5", b""),
        ("Content-Length: 5\r\nX: Transfer-Encoding: chunked", b"0\r\n\r\n"),
    ] {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n0\r\n\r\n");
        let (requests, refused) = serve(&[bytes.as_bytes()]);
        let bodies: Vec<_> = requests.iter().map(|request| &request.body[..]).collect();
        assert_eq!((bodies, refused), (vec![body], None), "{lines:?}");
    }
}

#[test]
fn a_request_line_is_read_in_one_way() {
    for (line, status) in [
        ("GET / HTTP/2.0", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET / HTTP/1.2", 505),
        ("GET / HTTP/0.9", 505),
        ("GET / HTTP/1.10", 400),
        ("GET / HTTP/1", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET / x HTTP/2.0", 400),
        ("GET / HTTP/1.1 HTTP/2.0", 400),
        ("GET /", 400),
        ("GET", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET /  HTTP/1.1", 400),
        ("GET\t/\tHTTP/1.1", 400),
        (" GET / HTTP/1.1", 400),
        ("G@T / HTTP/1.1", 400),
        ("GET /\0 HTTP/1.1", 400),
        ("GET /\u{7f} HTTP/1.1", 400),
        ("GET /\rX: y HTTP/1.1", 400),
        ("\rGET / HTTP/1.1", 400),
        ("\u{16}\u{3}\u{1}", 400),
    ] {
        let bytes = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(serve(&[bytes.as_bytes()]), (vec![], Some(status)), "{line:?}");
    }
}

#[test]
fn a_request_says_for_which_host_it_is() {
    for lines in ["", "Host: a b\r\n", "Host: a/b\r\n", "Host: a@b\r\n", "Host: \u{fc}\r\n"] {
        let bytes = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        assert_eq!(serve(&[bytes.as_bytes()]), (vec![], Some(400)), "{lines:?}");
    }
    for host in ["", "a", "a_b.c:8080", "[::1]:80", "%41"] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(serve(&[bytes.as_bytes()]).0.len(), 1, "{host:?}");
    }
}

#[test]
fn http_1_0_knows_no_chunks() {
    let bytes = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(serve(&[bytes]), (vec![], Some(400)));
    assert_eq!(serve(&[b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"]), (vec![], Some(400)));
}

#[test]
fn what_is_too_large_is_refused_while_it_comes() {
    let long = [b"GET /", &vec![b'x'; LIMIT][..]].concat();
    assert_eq!(serve(&[&long]), (vec![], Some(414)));
    let wide = [b"GET / HTTP/1.1\r\nX: ", &vec![b'x'; LIMIT][..]].concat();
    assert_eq!(serve(&[&wide]), (vec![], Some(431)));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    assert_eq!(serve(&[many.as_bytes()]), (vec![], Some(431)));
    let body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n";
    assert_eq!(serve(&[body]), (vec![], Some(413)));
    let chunk = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n";
    assert_eq!(serve(&[chunk]), (vec![], Some(413)));
}

/// [`PIPELINED`] with a few bytes put in, left out or replaced.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(&b"\r\n\0 \t:;,/015aGT\xff"[..]);
    let edit = (0..PIPELINED.len(), 0usize..3, prop::option::of(byte));
    prop::collection::vec(edit, 0..4).prop_map(|edits| {
        let mut bytes = PIPELINED.to_vec();
        for (at, removed, added) in edits {
            let at = at.min(bytes.len());
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, added);
        }
        bytes
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        serve(&[&bytes]);
    }

    #[test]
    fn a_connection_means_the_same_in_any_pieces(bytes in damaged(), size in 1usize..20) {
        let pieces: Vec<_> = bytes.chunks(size).collect();
        prop_assert_eq!(serve(&pieces), serve(&[&bytes]));
    }

    /// The bytes that two readers of lines and headers take for a head are the same.
    #[test]
    fn a_head_ends_where_its_headers_end(bytes in damaged()) {
        if let Ok(Some(len)) = HeadEnd::new(LIMIT).find(&bytes) {
            if Request::parse(&bytes[..len], &mut slots()).is_ok() {
                let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
                let mut twin = httparse::Request::new(&mut headers);
                prop_assert_eq!(twin.parse(&bytes), Ok(httparse::Status::Complete(len)));
            }
        }
    }
}
