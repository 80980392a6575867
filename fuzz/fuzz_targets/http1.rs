//! Requests and chunked bodies that come in pieces are read as if they had come at once.
//!
//! The first byte of the input says how large the pieces are, the rest is the stream: requests, one
//! behind the other, each with its body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use polyphony_core::proto::http1::{
    Body, Chunked, HeadEnd, Header, MAX_HEADERS, Refusal, Request, Step, slots,
};

// Small ones, so that they are met.
const MAX_HEAD: usize = 512;
const MAX_BODY: u64 = 256;

fuzz_target!(|input: &[u8]| {
    let Some((size, stream)) = input.split_first() else { return };
    let size = usize::from(*size).max(1);
    assert_eq!(read(stream, size), read(stream, stream.len().max(1)));
});

/// What was read: heads as text, bodies as they are.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    heads: Vec<String>,
    bodies: Vec<Vec<u8>>,
    trailers: Vec<String>,
    /// What the last request was refused for.
    refusal: Option<Refusal>,
    /// Bytes of the stream that were used.
    consumed: usize,
}

/// All requests of a stream. Where it ends within one, that is read as far as it goes.
fn read(stream: &[u8], size: usize) -> Seen {
    let mut seen = Seen::default();
    loop {
        match read_request(&stream[seen.consumed..], size, &mut seen) {
            Ok(true) => {}
            Ok(false) => return seen,
            Err(refusal) => {
                seen.refusal = Some(refusal);
                return seen;
            }
        }
    }
}

/// Whether there was a whole one.
fn read_request(stream: &[u8], size: usize, seen: &mut Seen) -> Result<bool, Refusal> {
    let Some(len) = head_end(stream, size)? else { return Ok(false) };
    assert!(0 < len && len <= MAX_HEAD && len <= stream.len());
    let mut slots = slots();
    let request = Request::parse(&stream[..len], &mut slots)?;
    seen.heads.push(format!("{request:?}"));
    seen.consumed += len;
    let stream = &stream[len..];
    match request.body.within(MAX_BODY).map(|()| request.body)? {
        Body::None => Ok(true),
        Body::Length(len) => {
            let len = usize::try_from(len).expect("within the limit");
            let Some(body) = stream.get(..len) else { return Ok(false) };
            seen.bodies.push(body.to_vec());
            seen.consumed += len;
            Ok(true)
        }
        Body::Chunked => read_chunks(stream, size, seen),
    }
}

fn head_end(stream: &[u8], size: usize) -> Result<Option<usize>, Refusal> {
    let mut end = HeadEnd::new(MAX_HEAD);
    for piece in stream.chunks(size) {
        if let Some(len) = end.find(piece)? {
            return Ok(Some(len));
        }
    }
    Ok(None)
}

fn read_chunks(stream: &[u8], size: usize, seen: &mut Seen) -> Result<bool, Refusal> {
    let mut chunked = Chunked::new(MAX_BODY);
    let mut body = Vec::new();
    for piece in stream.chunks(size) {
        let mut rest = piece;
        loop {
            match chunked.next(rest) {
                Ok(Step::More) => {
                    seen.consumed += rest.len();
                    break;
                }
                Ok(Step::Data { skip, len }) => {
                    assert!(len > 0);
                    body.extend_from_slice(&rest[skip..skip + len]);
                    assert!(body.len() as u64 <= MAX_BODY);
                    seen.consumed += skip + len;
                    rest = &rest[skip + len..];
                }
                Ok(Step::End { consumed }) => {
                    seen.consumed += consumed;
                    seen.bodies.push(body);
                    assert_eq!(chunked.next(b"x"), Ok(Step::End { consumed: 0 }));
                    return read_trailers(&chunked, seen);
                }
                Err(refusal) => {
                    assert_eq!(chunked.next(b"0\r\n\r\n"), Err(refusal));
                    // How far it got before depends on the pieces.
                    seen.consumed = 0;
                    return Err(refusal);
                }
            }
        }
    }
    seen.bodies.push(body);
    Ok(false)
}

fn read_trailers(chunked: &Chunked, seen: &mut Seen) -> Result<bool, Refusal> {
    let mut slots = [Header { name: "", value: b"" }; MAX_HEADERS];
    let trailers = chunked.trailers(&mut slots)?;
    seen.trailers.push(format!("{trailers:?}"));
    Ok(true)
}
