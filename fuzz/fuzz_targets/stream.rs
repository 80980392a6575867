//! A segmented stream reads like the same bytes in one row.
//!
//! The input is a program: each step is a byte that says what to do, one that says how much, and
//! for a feed the bytes themselves.

#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use polyphony_core::buf::Segment;
use polyphony_core::stream::{Answer, Ask, Found, Store, Stream};

fuzz_target!(|input: &[u8]| {
    let mut it = Twins::default();
    let mut rest = input;
    while let [step, count, tail @ ..] = rest {
        rest = it.step(*step, usize::from(*count), tail);
        assert_eq!(it.stream.pending(), it.bytes.len());
    }
    let all = it.bytes.len();
    it.ask(Ask::Exactly(all));
    assert!(it.buffers.unread.values().all(|count| *count == 0));
});

/// Buffers, with the number of segments of each that were not released.
#[derive(Default)]
struct Buffers {
    bytes: Vec<Vec<u8>>,
    unread: HashMap<u16, usize>,
}

impl Store for Buffers {
    fn bytes(&self, segment: Segment) -> &[u8] {
        let Segment { bid, offset, len } = segment;
        assert!(self.unread[&bid] > 0);
        &self.bytes[usize::from(bid)][usize::from(offset)..][..usize::from(len)]
    }

    fn release(&mut self, segment: Segment) {
        let unread = self.unread.get_mut(&segment.bid).expect("a buffer");
        *unread = unread.checked_sub(1).expect("released once");
    }
}

/// A stream, and the bytes that should be in it.
#[derive(Default)]
struct Twins {
    stream: Stream,
    buffers: Buffers,
    bytes: Vec<u8>,
    ended: bool,
}

impl Twins {
    /// One step; what of the input is left.
    fn step<'a>(&mut self, step: u8, count: usize, tail: &'a [u8]) -> &'a [u8] {
        let delimiter = b'|';
        let max = if count == 0 { usize::MAX } else { count };
        match step % 13 {
            // No segment is empty.
            0..=3 if !self.ended && count > 0 && !tail.is_empty() => {
                let (bytes, tail) = tail.split_at(count.min(tail.len()));
                self.feed(bytes, step % 13);
                return tail;
            }
            0..=3 => {}
            4 => self.ask(Ask::Exactly(count)),
            5 => self.ask(Ask::UpTo(max)),
            6 => self.ask(Ask::Line { max }),
            7 => self.ask(Ask::Until { delimiter, max }),
            8 => self.ask(Ask::UntilOrUpTo { delimiter, max: count.max(1) }),
            9 => self.give_back(count),
            10 => {
                let together = self.stream.contiguous(count, &mut self.buffers);
                assert_eq!(together, &self.bytes[..count.min(self.bytes.len())]);
            }
            11 => self.take_chunk(),
            _ => self.rearrange(count),
        }
        tail
    }

    fn feed(&mut self, bytes: &[u8], kind: u8) {
        // Large ones stay in their buffers.
        let bytes = if kind == 2 { bytes.repeat(100) } else { bytes.to_vec() };
        self.bytes.extend_from_slice(&bytes);
        if kind == 3 {
            return self.stream.feed_bytes(bytes);
        }
        let room = self.buffers.bytes.last().is_some_and(|last| last.len() + bytes.len() <= 16_384);
        if kind == 0 || !room {
            self.buffers.bytes.push(Vec::new());
        }
        let index = self.buffers.bytes.len() - 1;
        let Ok(bid) = u16::try_from(index) else { unreachable!("inputs are short") };
        let buffer = &mut self.buffers.bytes[index];
        let small = |number| u16::try_from(number).expect("a buffer's size");
        let segment = Segment { bid, offset: small(buffer.len()), len: small(bytes.len()) };
        buffer.extend_from_slice(&bytes);
        *self.buffers.unread.entry(bid).or_default() += 1;
        self.stream.feed(segment, &mut self.buffers);
    }

    fn ask(&mut self, ask: Ask) {
        let answer = self.stream.look(ask, &self.buffers);
        if let Answer::NeedMore(count) = answer {
            assert!(count > self.bytes.len() && !self.ended);
        }
        let found = if let Answer::Ready(found) = answer { Some(found) } else { None };
        assert_eq!(found, self.expected(ask), "{ask:?}");
        if let Some(Found { len, skip }) = found {
            let mut bytes = vec![0; len];
            assert_eq!(self.stream.read(&mut bytes, &mut self.buffers), len);
            assert_eq!(self.stream.consume(skip, &mut self.buffers), skip);
            assert_eq!(bytes, self.bytes[..len]);
            self.bytes.drain(..len + skip);
        }
    }

    /// What the answer should be, if it is there.
    fn expected(&self, ask: Ask) -> Option<Found> {
        let all = self.bytes.len();
        let position = |delimiter, max| {
            let position = self.bytes.iter().position(|byte| *byte == delimiter);
            position.filter(|position| *position < max)
        };
        let before = |len| Some(Found { len, skip: 1 });
        match ask {
            Ask::Exactly(len) => (all >= len).then_some(Found { len, skip: 0 }),
            Ask::UpTo(max) => (all > 0).then_some(Found { len: max.min(all), skip: 0 }),
            Ask::Line { max } => match position(b'\n', max)? {
                at if at > 0 && self.bytes[at - 1] == b'\r' => Some(Found { len: at - 1, skip: 2 }),
                at => before(at),
            },
            Ask::Until { delimiter, max } => before(position(delimiter, max)?),
            Ask::UntilOrUpTo { delimiter, max } => match position(delimiter, max) {
                Some(at) => before(at),
                None if all >= max || (self.ended && all > 0) => {
                    Some(Found { len: max.min(all), skip: 0 })
                }
                None => None,
            },
        }
    }

    /// Consumes some, and gives them back.
    fn give_back(&mut self, count: usize) {
        let mut bytes = vec![0; count];
        let count = self.stream.read(&mut bytes, &mut self.buffers);
        assert_eq!(bytes[..count], self.bytes[..count]);
        self.stream.unread(&bytes[..count]);
    }

    fn take_chunk(&mut self) {
        let Some(chunk) = self.stream.take_chunk() else { return assert!(self.bytes.is_empty()) };
        let len = chunk.bytes(&self.buffers).len();
        assert_eq!(chunk.bytes(&self.buffers), &self.bytes[..len]);
        chunk.release(&mut self.buffers);
        self.bytes.drain(..len);
    }

    /// What changes nothing of the bytes, or all.
    fn rearrange(&mut self, count: usize) {
        match count % 5 {
            0 => self.stream.make_room(&mut self.buffers),
            1 => self.stream.release_sparse(&mut self.buffers),
            2 => self.stream.set_awaited(Some(count)),
            3 => {
                self.stream.end();
                self.ended = true;
            }
            _ => {
                self.stream.clear(&mut self.buffers);
                self.bytes.clear();
                self.ended = false;
            }
        }
    }
}
