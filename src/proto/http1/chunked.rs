//! Bodies in chunks: a size in hexadecimal, as many bytes, and so on until a size of 0.

use super::body::belongs_into_head;
use super::lines::EmptyLine;
use super::{Header, MAX_HEADERS, Refusal};

/// Hexadecimal digits of a size: 64 bits.
const MAX_DIGITS: u8 = 16;
/// Bytes of extensions, beyond one for each byte of payload that came since. Nobody reads them, so
/// they must not be most of what is sent.
const MAX_EXTENSIONS: u64 = 4 * 1024;
/// Bytes of trailers.
const MAX_TRAILERS: usize = 8 * 1024;

/// What [`Chunked::next`] makes of the bytes it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// None of them is payload, and more have to come.
    More,
    /// Behind `skip` bytes come `len` bytes of payload, and then what the next call is to see.
    Data {
        /// Bytes that are not payload.
        skip: usize,
        /// Bytes that are; at least 1.
        len: usize,
    },
    /// The body ends behind so many of them.
    End {
        /// Bytes that belong to this body.
        consumed: usize,
    },
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the first digit of a size.
    Start,
    Size,
    /// Blanks behind a size, which only an extension may have.
    Blank,
    Extension,
    /// Before the line feed that ends a size.
    SizeEnd,
    Payload,
    PayloadEnd,
    /// Between the two bytes of a payload's end.
    PayloadFeed,
    Trailers(EmptyLine),
    Ended,
    Refused(Refusal),
}

/// Finds the payload of a chunked body, in bytes that come in any pieces.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    digits: u8,
    /// The size that is being read, then the bytes of payload that are left of it.
    left: u64,
    /// Bytes that the rest of the body may have.
    room: u64,
    /// Bytes that extensions may have before there is more payload.
    extensions: u64,
    /// The trailers and the empty line behind them; empty if there are none.
    trailers: Vec<u8>,
}

impl Chunked {
    /// A body that may have `max` bytes of payload.
    #[must_use]
    pub fn new(max: u64) -> Self {
        Self {
            state: State::Start,
            digits: 0,
            left: 0,
            room: max,
            extensions: MAX_EXTENSIONS,
            trailers: Vec::new(),
        }
    }

    /// Goes through the bytes up to the next payload or the end. A call after the end finds
    /// it again.
    ///
    /// # Errors
    /// What is wrong with the body; also when called again.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        let step = self.step(bytes);
        if let Err(refusal) = step {
            self.state = State::Refused(refusal);
        }
        step
    }

    /// What came behind the last chunk, once the body has ended. Keep them apart from the headers:
    /// whoever acts on those has acted already.
    ///
    /// # Errors
    /// More trailers than slots; all fit into [`MAX_HEADERS`].
    pub fn trailers<'h, 'b: 'h>(
        &'b self,
        slots: &'h mut [Header<'b>],
    ) -> Result<&'h [Header<'b>], Refusal> {
        if self.trailers.is_empty() {
            return Ok(&[]);
        }
        match httparse::parse_headers(&self.trailers, slots) {
            Ok(httparse::Status::Complete((len, trailers))) if len == self.trailers.len() => {
                Ok(trailers)
            }
            Err(httparse::Error::TooManyHeaders) => Err(Refusal::TooManyHeaders),
            _ => Err(Refusal::Trailer),
        }
    }

    fn step(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        for (skip, byte) in bytes.iter().enumerate() {
            match self.state {
                State::Payload => return Ok(self.payload(skip, bytes.len() - skip)),
                State::Trailers(search) => return self.find_end(search, skip, &bytes[skip..]),
                State::Ended => return Ok(Step::End { consumed: skip }),
                _ => self.state = self.after(*byte)?,
            }
        }
        match self.state {
            State::Ended => Ok(Step::End { consumed: bytes.len() }),
            State::Refused(refusal) => Err(refusal),
            _ => Ok(Step::More),
        }
    }

    /// The state behind a byte that is not payload.
    fn after(&mut self, byte: u8) -> Result<State, Refusal> {
        Ok(match (self.state, byte) {
            (State::Start | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.digit(byte)?
            }
            (State::Size, b'\r') => State::SizeEnd,
            (State::Size | State::Blank, b' ' | b'\t' | b';') => self.extension(byte)?,
            (State::Start | State::Size | State::Blank, _) => return Err(Refusal::ChunkSize),
            (State::Extension, b'\r') => State::SizeEnd,
            (State::Extension, _) => self.extension(byte)?,
            (State::SizeEnd, b'\n') => self.begin_chunk()?,
            (State::PayloadEnd, b'\r') => State::PayloadFeed,
            (State::PayloadFeed, b'\n') => State::Start,
            (State::PayloadEnd | State::PayloadFeed, _) => return Err(Refusal::ChunkEnd),
            (State::Refused(refusal), _) => return Err(refusal),
            _ => return Err(Refusal::LineEnd),
        })
    }

    fn digit(&mut self, byte: u8) -> Result<State, Refusal> {
        if self.digits == MAX_DIGITS {
            return Err(Refusal::ChunkSize);
        }
        let digit = char::from(byte).to_digit(16).ok_or(Refusal::ChunkSize)?;
        self.digits += 1;
        self.left = (self.left << 4) | u64::from(digit);
        Ok(State::Size)
    }

    fn extension(&mut self, byte: u8) -> Result<State, Refusal> {
        if byte.is_ascii_control() && byte != b'\t' {
            return Err(Refusal::ChunkExtension);
        }
        self.extensions = self.extensions.checked_sub(1).ok_or(Refusal::ChunkExtension)?;
        let is_inside = matches!(self.state, State::Extension) || byte == b';';
        Ok(if is_inside { State::Extension } else { State::Blank })
    }

    fn begin_chunk(&mut self) -> Result<State, Refusal> {
        self.digits = 0;
        if self.left == 0 {
            return Ok(State::Trailers(EmptyLine::default()));
        }
        self.room = self.room.checked_sub(self.left).ok_or(Refusal::BodyTooLarge)?;
        Ok(State::Payload)
    }

    fn payload(&mut self, skip: usize, here: usize) -> Step {
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(here);
        self.left -= len as u64;
        self.extensions = MAX_EXTENSIONS.min(self.extensions.saturating_add(len as u64));
        if self.left == 0 {
            self.state = State::PayloadEnd;
        }
        Step::Data { skip, len }
    }

    /// Keeps the trailers up to the empty line that ends the body.
    fn find_end(
        &mut self,
        mut search: EmptyLine,
        skip: usize,
        rest: &[u8],
    ) -> Result<Step, Refusal> {
        let room = MAX_TRAILERS - self.trailers.len();
        let rest = &rest[..rest.len().min(room)];
        let end = search.find(rest)?;
        if search.has_begun() {
            self.trailers.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
        }
        if let Some(end) = end {
            self.finish_trailers(search.lines())?;
            self.state = State::Ended;
            return Ok(Step::End { consumed: skip + end });
        }
        if rest.len() == room {
            return Err(Refusal::HeadTooLarge);
        }
        self.state = State::Trailers(search);
        Ok(Step::More)
    }

    fn finish_trailers(&mut self, lines: usize) -> Result<(), Refusal> {
        if lines == 0 {
            // Half of the empty line may have been kept.
            self.trailers.clear();
            return Ok(());
        }
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let trailers = self.trailers(&mut slots)?;
        if trailers.iter().any(|trailer| belongs_into_head(trailer.name)) {
            return Err(Refusal::Trailer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: u64 = 1024 * 1024;

    /// The payload, and the bytes that belong to the body.
    fn decode(pieces: &[&[u8]]) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
        let mut decoder = Chunked::new(MAX);
        run(&mut decoder, pieces)
    }

    fn run(decoder: &mut Chunked, pieces: &[&[u8]]) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
        let mut payload = Vec::new();
        let mut before = 0;
        for piece in pieces {
            let mut rest = *piece;
            loop {
                match decoder.next(rest)? {
                    Step::More => break,
                    Step::Data { skip, len } => {
                        payload.extend_from_slice(&rest[skip..skip + len]);
                        rest = &rest[skip + len..];
                    }
                    Step::End { consumed } => {
                        let consumed = before + piece.len() - rest.len() + consumed;
                        return Ok(Some((payload, consumed)));
                    }
                }
            }
            before += piece.len();
        }
        Ok(None)
    }

    fn whole(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
        decode(&[bytes])
    }

    fn refusal(bytes: &[u8]) -> Option<Refusal> {
        whole(bytes).err()
    }

    #[test]
    fn payload_is_found_between_sizes() {
        let bytes = b"5\r\nhello\r\n00A;x=y\r\n, you all!\r\n0\r\n\r\nGET /";
        let (payload, consumed) = whole(bytes).expect("fine").expect("whole");
        assert_eq!(payload, b"hello, you all!");
        assert_eq!(&bytes[consumed..], b"GET /");
    }

    #[test]
    fn an_empty_body_is_a_size_of_0() {
        assert_eq!(whole(b"0\r\n\r\n"), Ok(Some((vec![], 5))));
        assert_eq!(whole(b"000;a\r\n\r\n"), Ok(Some((vec![], 9))));
    }

    #[test]
    fn every_split_gives_the_same() {
        let bytes = b"3 ;a=\"b\"\r\nabc\r\nb\r\n0123456789\n\r\n0\r\nX: y\r\nZ: \r\n\r\n";
        let expected = Ok(Some((b"abc0123456789\n".to_vec(), bytes.len())));
        for middle in 0..=bytes.len() {
            assert_eq!(decode(&[&bytes[..middle], &bytes[middle..]]), expected, "{middle}");
        }
        let singles: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(decode(&singles), expected);
        for end in 0..bytes.len() {
            assert_eq!(whole(&bytes[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn a_size_has_64_bits() {
        let largest = Chunked::new(u64::MAX).next(b"ffffffffffffffff\r\nx");
        assert_eq!(largest, Ok(Step::Data { skip: 18, len: 1 }));
        assert_eq!(refusal(b"10000000000000000\r\n"), Some(Refusal::ChunkSize));
        assert_eq!(refusal(b"00000000000000001\r\n"), Some(Refusal::ChunkSize));
    }

    #[test]
    fn a_size_is_hexadecimal_and_nothing_else() {
        let bad: [&[u8]; 12] = [
            b"\r\n", b";a\r\n", b" 1\r\n", b"1 \r\n", b"1 1\r\n", b"+1\r\n", b"-1\r\n", b"0x1\r\n",
            b"1_0\r\n", b"g\r\n", b"1\n", b"\n",
        ];
        for bytes in bad {
            assert_eq!(refusal(bytes), Some(Refusal::ChunkSize), "{bytes:?}");
        }
        assert_eq!(refusal(b"1\r\r\n"), Some(Refusal::LineEnd));
    }

    #[test]
    fn a_chunk_ends_where_its_size_says() {
        for bytes in [&b"3\r\nabcd\r\n"[..], b"3\r\nabc\n0", b"3\r\nabc\rx", b"3\r\nabc0\r\n"] {
            assert_eq!(refusal(bytes), Some(Refusal::ChunkEnd), "{bytes:?}");
        }
    }

    #[test]
    fn an_extension_has_no_line_ends_of_its_own() {
        for bytes in [&b"3;a\nabc\r\n"[..], b"3;\0\r\n", b"3;\x7f\r\n"] {
            assert_eq!(refusal(bytes), Some(Refusal::ChunkExtension), "{bytes:?}");
        }
        assert_eq!(refusal(b"3;a\rb\r\n"), Some(Refusal::LineEnd));
    }

    #[test]
    fn extensions_must_not_outweigh_the_payload() {
        let long = [b"1;", &vec![b'x'; 5000][..]].concat();
        assert_eq!(refusal(&long), Some(Refusal::ChunkExtension));
        assert_eq!(refusal(&b"1;abc\r\nx\r\n".repeat(5000)), Some(Refusal::ChunkExtension));
        let signed = [b"64;signature=0123456789\r\n", &[b'x'; 100][..], b"\r\n"].concat();
        assert_eq!(whole(&signed.repeat(5000)), Ok(None));
    }

    #[test]
    fn a_body_over_its_limit_is_refused_before_it_comes() {
        let mut decoder = Chunked::new(8);
        assert_eq!(decoder.next(b"5\r\nhello"), Ok(Step::Data { skip: 3, len: 5 }));
        assert_eq!(decoder.next(b"\r\n4\r\n"), Err(Refusal::BodyTooLarge));
        assert!(run(&mut Chunked::new(5), &[b"5\r\nhello\r\n0\r\n\r\n"]).is_ok());
    }

    #[test]
    fn trailers_are_handed_out() {
        let mut decoder = Chunked::new(MAX);
        run(&mut decoder, &[b"0\r\nA: 1\r\n", b"B:2\r\n\r\n"]).expect("fine").expect("whole");
        let mut slots = [httparse::EMPTY_HEADER; 2];
        let trailers = decoder.trailers(&mut slots).expect("fine");
        let pairs: Vec<_> = trailers.iter().map(|t| (t.name, t.value)).collect();
        assert_eq!(pairs, [("A", &b"1"[..]), ("B", b"2")]);
    }

    #[test]
    fn a_body_without_trailers_has_none() {
        let mut decoder = Chunked::new(MAX);
        run(&mut decoder, &[b"0\r\n\r", b"\n"]).expect("fine").expect("whole");
        assert_eq!(decoder.trailers(&mut []), Ok(&[][..]));
    }

    #[test]
    fn a_trailer_is_a_header_that_may_come_late() {
        for (trailer, expected) in [
            ("a b: c\r\n", Refusal::Trailer),
            (" a: b\r\n", Refusal::Trailer),
            ("a\r\n", Refusal::Trailer),
            ("a: b\r\n c\r\n", Refusal::Trailer),
            ("a: \0\r\n", Refusal::Trailer),
            ("content-LENGTH: 5\r\n", Refusal::Trailer),
            ("Transfer-Encoding: chunked\r\n", Refusal::Trailer),
            ("Host: a\r\n", Refusal::Trailer),
            ("a: b\n", Refusal::LineEnd),
        ] {
            let bytes = format!("0\r\n{trailer}\r\n");
            assert_eq!(refusal(bytes.as_bytes()), Some(expected), "{bytes}");
        }
        let many = format!("0\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(refusal(many.as_bytes()), Some(Refusal::TooManyHeaders));
        let large = format!("0\r\na: {}", "b".repeat(MAX_TRAILERS));
        assert_eq!(refusal(large.as_bytes()), Some(Refusal::HeadTooLarge));
    }

    #[test]
    fn a_refusal_is_final() {
        let mut decoder = Chunked::new(MAX);
        assert_eq!(decoder.next(b"x"), Err(Refusal::ChunkSize));
        assert_eq!(decoder.next(b"5\r\nhello"), Err(Refusal::ChunkSize));
        assert_eq!(decoder.next(b""), Err(Refusal::ChunkSize));
    }

    #[test]
    fn the_end_is_final() {
        let mut decoder = Chunked::new(MAX);
        assert_eq!(decoder.next(b"0\r\n\r\nx"), Ok(Step::End { consumed: 5 }));
        assert_eq!(decoder.next(b"x"), Ok(Step::End { consumed: 0 }));
        assert_eq!(decoder.next(b""), Ok(Step::End { consumed: 0 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn chunks_come_back_from_any_pieces(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8),
            size in 1usize..400,
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                bytes.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            let body = bytes.len();
            bytes.extend_from_slice(b"next");
            let pieces: Vec<_> = bytes.chunks(size).collect();
            prop_assert_eq!(decode(&pieces), Ok(Some((chunks.concat(), body))));
        }

        #[test]
        fn any_bytes_mean_the_same_in_any_pieces(
            bytes in prop::collection::vec(prop::sample::select(&b"05fF;:a \t\r\r\n\n\0x"[..]), 0..40),
            size in 1usize..5,
        ) {
            let pieces: Vec<_> = bytes.chunks(size).collect();
            prop_assert_eq!(decode(&pieces), whole(&bytes));
        }
    }
}
