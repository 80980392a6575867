//! Bytes that come in pieces are read as if they had come at once.
//!
//! The first byte of the input says how large the pieces are, the rest is the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use polyphony_core::proto::resp::{Aggregate, Decoder, Event, Limits, RespError, Step};

// Small ones, so that they are met.
const LIMITS: Limits = Limits { nesting: 4, string: 64, line: 32 };

fuzz_target!(|input: &[u8]| {
    let Some((size, stream)) = input.split_first() else { return };
    let size = usize::from(*size).max(1);
    assert_eq!(read(stream, size), read(stream, stream.len()));
});

/// All events of a stream as text, and the error at its end. A string that comes in two steps is
/// written down as if it had come in one.
fn read(stream: &[u8], size: usize) -> (Vec<String>, Option<RespError>) {
    let mut decoder = Decoder::new(LIMITS);
    let mut seen = Vec::new();
    let mut text = None;
    let mut open = 0;
    let mut attribute = false;
    let (mut start, mut end) = (0, 0);
    loop {
        let (event, consumed) = match decoder.next(&stream[start..end]) {
            Ok(Step::Event { event, consumed }) => (event, consumed),
            Ok(Step::NeedMore) if end == stream.len() => return (seen, None),
            Ok(Step::NeedMore) => {
                end = (end + size).min(stream.len());
                continue;
            }
            Err(error) => {
                assert_eq!(decoder.next(b"+OK\r\n"), Err(error));
                return (seen, Some(error));
            }
        };
        assert!(consumed <= end - start);
        assert!(consumed > 0 || event == Event::Close);
        start += consumed;
        if open == 0 {
            attribute = matches!(event, Event::Open { kind: Aggregate::Attribute, .. });
        }
        match event {
            Event::TextStart { kind, len } => {
                assert!(len <= LIMITS.string);
                let Some(bytes) = stream.get(start..start + len) else { return (seen, None) };
                start += len;
                end = end.max(start);
                text = Some(Event::Text { kind, bytes });
            }
            Event::TextEnd => seen.push(format!("{:?}", text.take().expect("a string"))),
            Event::Open { .. } => open += 1,
            Event::Close => open -= 1,
            _ => {}
        }
        if !matches!(event, Event::TextStart { .. } | Event::TextEnd) {
            seen.push(format!("{event:?}"));
        }
        // Chunks are no level.
        assert!(open <= LIMITS.nesting + 1);
        assert_eq!(decoder.is_between_replies(), open == 0 && text.is_none() && !attribute);
    }
}
