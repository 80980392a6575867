//! A gzip stream in pieces is decompressed as if it had come at once.
//!
//! The first two bytes of the input say how large the pieces and the rooms are, the third whether
//! the rest is a stream or only its compressed data.

#![no_main]

mod support;

use libfuzzer_sys::fuzz_target;
use polyphony_core::codec::Format;

const PLAIN_HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

fuzz_target!(|input: &[u8]| {
    let Some((size, room, rest)) = support::sizes(input) else { return };
    let Some((bare, rest)) = rest.split_first() else { return };
    let header = if bare % 2 == 1 { PLAIN_HEADER } else { &[] };
    let stream = [header, rest].concat();
    let at_once = support::decode(&stream, Format::Gzip, stream.len(), 64 * 1024);
    assert_eq!(support::decode(&stream, Format::Gzip, size, room), at_once);
});
