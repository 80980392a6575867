//! A zlib stream in pieces is decompressed as if it had come at once.
//!
//! The first two bytes of the input say how large the pieces and the rooms are.

#![no_main]

mod support;

use libfuzzer_sys::fuzz_target;
use polyphony_core::codec::Format;

fuzz_target!(|input: &[u8]| {
    let Some((size, room, stream)) = support::sizes(input) else { return };
    let at_once = support::decode(stream, Format::Zlib, stream.len(), 64 * 1024);
    assert_eq!(support::decode(stream, Format::Zlib, size, room), at_once);
});
