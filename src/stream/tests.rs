use std::cell::Cell;
use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// Buffers as the pool has them: each may hold several segments, and knows how many are unread.
#[derive(Default)]
struct Buffers {
    bytes: Vec<Vec<u8>>,
    unread: HashMap<u16, usize>,
    looks: Cell<usize>,
}

impl Buffers {
    /// A segment with these bytes: in the last buffer, or in a new one.
    fn segment(&mut self, bytes: &[u8], new: bool) -> Segment {
        if new || self.bytes.is_empty() {
            self.bytes.push(Vec::new());
        }
        let bid = u16::try_from(self.bytes.len() - 1).expect("few buffers");
        let buffer = self.bytes.last_mut().expect("a buffer");
        let offset = u16::try_from(buffer.len()).expect("a small buffer");
        buffer.extend_from_slice(bytes);
        *self.unread.entry(bid).or_default() += 1;
        Segment { bid, offset, len: u16::try_from(bytes.len()).expect("a short segment") }
    }

    fn held(&self) -> usize {
        self.unread.values().sum()
    }
}

impl Store for Buffers {
    fn bytes(&self, segment: Segment) -> &[u8] {
        self.looks.set(self.looks.get() + 1);
        let Segment { bid, offset, len } = segment;
        &self.bytes[usize::from(bid)][usize::from(offset)..][..usize::from(len)]
    }

    fn release(&mut self, segment: Segment) {
        let unread = self.unread.get_mut(&segment.bid).expect("a buffer that is in use");
        *unread = unread.checked_sub(1).expect("released once");
    }
}

#[derive(Default)]
struct Fixture {
    stream: Stream,
    buffers: Buffers,
}

impl Fixture {
    fn with(chunks: &[&str]) -> Self {
        let mut it = Self::default();
        chunks.iter().for_each(|chunk| it.feed(chunk.as_bytes()));
        it
    }

    fn feed(&mut self, bytes: &[u8]) {
        let segment = self.buffers.segment(bytes, true);
        self.stream.feed(segment, &mut self.buffers);
    }

    fn look(&mut self, ask: Ask) -> Answer {
        self.stream.look(ask, &self.buffers)
    }

    /// What was asked for, consumed.
    fn take(&mut self, ask: Ask) -> Result<Vec<u8>, Answer> {
        match self.look(ask) {
            Answer::Ready(Found { len, skip }) => {
                let mut bytes = vec![0; len];
                assert_eq!(self.stream.read(&mut bytes, &mut self.buffers), len);
                assert_eq!(self.stream.consume(skip, &mut self.buffers), skip);
                Ok(bytes)
            }
            answer => Err(answer),
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, Answer> {
        self.take(Ask::Line { max: usize::MAX })
    }
}

#[test]
fn exactly_waits_for_all_of_it() {
    let mut it = Fixture::with(&["foo"]);
    assert_eq!(it.look(Ask::Exactly(6)), Answer::NeedMore(6));
    it.feed(b"bar");
    assert_eq!(it.take(Ask::Exactly(6)), Ok(b"foobar".to_vec()));
    assert_eq!((it.stream.pending(), it.stream.consumed(), it.buffers.held()), (0, 6, 0));
}

#[test]
fn what_is_too_little_at_the_end_stays() {
    let mut it = Fixture::with(&["foo"]);
    it.stream.end();
    assert_eq!(it.look(Ask::Exactly(4)), Answer::Nothing);
    assert_eq!(it.line(), Err(Answer::Nothing));
    assert_eq!(it.take(Ask::UpTo(10)), Ok(b"foo".to_vec()));
    assert_eq!(it.look(Ask::UpTo(10)), Answer::Nothing);
}

#[test]
fn up_to_needs_a_byte_only() {
    let mut it = Fixture::default();
    assert_eq!(it.look(Ask::UpTo(5)), Answer::NeedMore(1));
    it.feed(b"foo");
    assert_eq!(it.take(Ask::UpTo(2)), Ok(b"fo".to_vec()));
    assert_eq!(it.take(Ask::UpTo(5)), Ok(b"o".to_vec()));
}

#[test]
fn a_line_ends_with_a_newline_whatever_segments_it_is_in() {
    let mut it = Fixture::with(&["f", "oo\nba", "r\r", "\n\n\r", "\nrest"]);
    for line in ["foo", "bar", "", ""] {
        assert_eq!(it.line(), Ok(line.as_bytes().to_vec()));
    }
    assert_eq!(it.line(), Err(Answer::NeedMore(5)));
    assert_eq!(it.stream.consumed(), 12);
}

#[test]
fn a_lines_limit_counts_the_newline() {
    let mut it = Fixture::with(&["baz\n"]);
    assert_eq!(it.look(Ask::Line { max: 3 }), Answer::Nothing);
    assert_eq!(it.take(Ask::Line { max: 4 }), Ok(b"baz".to_vec()));
    it.feed(b"foobar");
    assert_eq!(it.look(Ask::Line { max: 6 }), Answer::Nothing);
    assert_eq!(it.look(Ask::Line { max: 7 }), Answer::NeedMore(7));
}

#[test]
fn a_delimiter_or_so_many_bytes() {
    let mut it = Fixture::with(&["abc|defgh|ij"]);
    let ask = Ask::UntilOrUpTo { delimiter: b'|', max: 4 };
    assert_eq!(it.take(ask), Ok(b"abc".to_vec()));
    assert_eq!(it.take(ask), Ok(b"defg".to_vec()));
    assert_eq!(it.take(ask), Ok(b"h".to_vec()));
    assert_eq!(it.take(ask), Err(Answer::NeedMore(3)));
    it.stream.end();
    assert_eq!(it.take(ask), Ok(b"ij".to_vec()));
    assert_eq!(it.take(ask), Err(Answer::Nothing));
}

#[test]
fn no_byte_is_searched_twice() {
    let mut it = Fixture::default();
    for _ in 0..20 {
        it.feed(&[b'x'; 4096]);
    }
    assert!(it.line().is_err());
    let before = it.buffers.looks.get();
    it.feed(b"\n");
    assert_eq!(it.stream.searched.count, 20 * 4096);
    assert_eq!(
        it.look(Ask::Line { max: usize::MAX }),
        Answer::Ready(Found { len: 81_920, skip: 1 })
    );
    // Each piece is passed by once for the newline, and once for what is before it; and the first
    // one is looked at before the others.
    assert!(it.buffers.looks.get() - before <= 2 * 21 + 2);
    // Another delimiter is another search.
    assert!(matches!(it.look(Ask::Until { delimiter: b'x', max: 9 }), Answer::Ready(_)));
}

#[test]
fn the_first_small_segments_stay_and_others_are_copied() {
    let mut it = Fixture::with(&["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(it.buffers.held(), FEW);
    it.feed(&[b'x'; SMALL as usize]);
    assert_eq!(it.buffers.held(), FEW + 1);
    it.stream.release_sparse(&mut it.buffers);
    assert_eq!(it.buffers.held(), 1);
    assert_eq!(it.take(Ask::Exactly(8)), Ok(b"abcdefgx".to_vec()));
    it.stream.clear(&mut it.buffers);
    assert_eq!((it.buffers.held(), it.stream.pending(), it.stream.consumed()), (0, 0, 8));
}

#[test]
fn a_stream_is_full_at_a_number_of_bytes_or_of_buffers() {
    let mut bytes = Fixture::default();
    let mut segments = 0;
    while !bytes.stream.is_full() {
        bytes.feed(&[b'x'; 16_384]);
        segments += 1;
    }
    assert_eq!(segments * 16_384, FULL);

    let mut buffers = Fixture::default();
    for _ in 0..FULL_SEGMENTS {
        assert!(!buffers.stream.is_full());
        buffers.feed(&[b'x'; SMALL as usize]);
    }
    assert!(buffers.stream.is_full());
}

#[test]
fn a_full_stream_makes_room_for_what_cannot_be_answered_otherwise() {
    let mut it = Fixture::default();
    let mut fed = 0;
    for round in 1..=5 {
        while !it.stream.is_full() {
            it.feed(&[b'x'; 16_384]);
            fed += 16_384;
        }
        assert_eq!(it.line(), Err(Answer::NeedMore(it.stream.pending() + 1)));
        it.stream.make_room(&mut it.buffers);
        assert_eq!((it.buffers.held(), it.stream.is_full()), (0, false), "round {round}");
    }
    it.feed(b"\nmore");
    let line = it.line().expect("a line");
    assert_eq!(line.len(), fed);
    assert!(fed >= 5 * FULL);
    assert_eq!(it.take(Ask::UpTo(9)), Ok(b"more".to_vec()));
}

#[test]
fn what_was_consumed_can_be_given_back() {
    let mut it = Fixture::with(&["foobar\n"]);
    assert_eq!(it.take(Ask::Exactly(3)), Ok(b"foo".to_vec()));
    it.stream.unread(b"foo");
    assert_eq!(it.stream.consumed(), 0);
    assert_eq!(it.line(), Ok(b"foobar".to_vec()));
    assert_eq!(it.buffers.held(), 0);
}

#[test]
fn pieces_are_moved_together_on_demand() {
    let mut it = Fixture::with(&["xfoo", "bar", "baz"]);
    assert_eq!(it.take(Ask::Exactly(1)), Ok(b"x".to_vec()));
    assert_eq!(it.stream.contiguous(2, &mut it.buffers), b"fo");
    assert_eq!(it.buffers.held(), 3);
    assert_eq!(it.stream.contiguous(5, &mut it.buffers), b"fooba");
    assert_eq!(it.stream.contiguous(100, &mut it.buffers), b"foobarbaz");
    assert_eq!((it.stream.consumed(), it.buffers.held()), (1, 0));
}

#[test]
fn cleared_streams_begin_anew() {
    let mut it = Fixture::with(&["foo"]);
    it.stream.end();
    it.stream.clear(&mut it.buffers);
    assert_eq!(it.line(), Err(Answer::NeedMore(1)));
    it.feed(b"bar\n");
    assert_eq!(it.line(), Ok(b"bar".to_vec()));
}

#[test]
fn who_waits_for_a_cleared_stream_looks_again_at_the_next_byte() {
    let mut it = Fixture::with(&["foo"]);
    it.stream.set_awaited(Some(9));
    it.stream.clear(&mut it.buffers);
    assert!(it.stream.is_awaited() && !it.stream.has_awaited());
    it.feed(b"b");
    assert!(it.stream.has_awaited());
}

#[test]
fn ids_of_closed_streams_are_used_again() {
    let (mut streams, mut buffers) = (Streams::default(), Buffers::default());
    let first = streams.open();
    let second = streams.open();
    let segment = buffers.segment(b"foo", true);
    streams.get_mut(first).expect("open").feed(segment, &mut buffers);
    streams.close(first, &mut buffers);
    streams.close(first, &mut buffers);
    assert_eq!((buffers.held(), streams.get(first).is_none()), (0, true));
    assert_eq!(streams.open(), first);
    assert_ne!(streams.open(), second);
    assert_eq!(streams.get(first).map(Stream::pending), Some(0));
}

/// A stream without segments: all bytes in a row.
#[derive(Default)]
struct Naive {
    bytes: Vec<u8>,
    ended: bool,
}

impl Naive {
    /// `None`: needs more; `Some(None)`: no such thing.
    fn take(&mut self, ask: Ask) -> Option<Option<Vec<u8>>> {
        let all = self.bytes.len();
        let unless_ended = if self.ended { Some(None) } else { None };
        let up_to = |delimiter: u8, max: usize| {
            let position = self.bytes.iter().position(|byte| *byte == delimiter);
            position.filter(|position| *position < max)
        };
        let (len, skip) = match ask {
            Ask::Exactly(count) if all >= count => (count, 0),
            Ask::UpTo(count) if all > 0 => (count.min(all), 0),
            Ask::Exactly(_) | Ask::UpTo(_) => return unless_ended,
            Ask::Line { max } => match up_to(b'\n', max) {
                Some(at) if at > 0 && self.bytes[at - 1] == b'\r' => (at - 1, 2),
                Some(at) => (at, 1),
                None if all >= max => return Some(None),
                None => return unless_ended,
            },
            Ask::Until { delimiter, max } => match up_to(delimiter, max) {
                Some(at) => (at, 1),
                None if all >= max => return Some(None),
                None => return unless_ended,
            },
            Ask::UntilOrUpTo { delimiter, max } => match up_to(delimiter, max) {
                Some(at) => (at, 1),
                None if all >= max || (self.ended && all > 0) => (max.min(all), 0),
                None => return unless_ended,
            },
        };
        let rest = self.bytes.split_off(len + skip);
        let mut taken = std::mem::replace(&mut self.bytes, rest);
        taken.truncate(len);
        Some(Some(taken))
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Bytes, in a new buffer or behind those before.
    Feed(Vec<u8>, bool),
    FeedBytes(Vec<u8>),
    Ask(Ask),
    Skip(usize),
    /// Consume so many and give them back.
    Peek(usize),
    Contiguous(usize),
    Chunk,
    MakeRoom,
    ReleaseSparse,
    Clear,
    End,
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'|'), Just(b'a'), Just(b'b')];
    prop_oneof![
        8 => prop::collection::vec(byte, 1..20),
        1 => (4000usize..6000).prop_map(|len| vec![b'x'; len]),
    ]
}

fn asks() -> impl Strategy<Value = Ask> {
    let max = || prop_oneof![1usize..40, Just(usize::MAX)];
    prop_oneof![
        (0usize..60).prop_map(Ask::Exactly),
        (1usize..60).prop_map(Ask::UpTo),
        max().prop_map(|max| Ask::Line { max }),
        max().prop_map(|max| Ask::Until { delimiter: b'|', max }),
        (1usize..40).prop_map(|max| Ask::UntilOrUpTo { delimiter: b'|', max }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (text(), any::<bool>()).prop_map(|(bytes, new)| Step::Feed(bytes, new)),
        1 => text().prop_map(Step::FeedBytes),
        8 => asks().prop_map(Step::Ask),
        1 => (0usize..30).prop_map(Step::Skip),
        1 => (0usize..30).prop_map(Step::Peek),
        1 => (0usize..60).prop_map(Step::Contiguous),
        1 => Just(Step::Chunk),
        1 => Just(Step::MakeRoom),
        1 => Just(Step::ReleaseSparse),
        1 => Just(Step::Clear),
        1 => Just(Step::End),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn any_segmentation_reads_like_one_row_of_bytes(steps in steps()) {
        let mut it = Fixture::default();
        let mut naive = Naive::default();
        for step in steps {
            match step {
                Step::Feed(bytes, new) if !naive.ended => {
                    naive.bytes.extend_from_slice(&bytes);
                    let segment = it.buffers.segment(&bytes, new);
                    it.stream.feed(segment, &mut it.buffers);
                }
                Step::FeedBytes(bytes) if !naive.ended => {
                    naive.bytes.extend_from_slice(&bytes);
                    it.stream.feed_bytes(bytes);
                }
                Step::Feed(..) | Step::FeedBytes(..) => {}
                Step::Ask(ask) => {
                    let taken = match it.take(ask) {
                        Ok(bytes) => Some(Some(bytes)),
                        Err(Answer::Nothing) => Some(None),
                        Err(Answer::NeedMore(count)) => {
                            prop_assert!(count > it.stream.pending());
                            None
                        }
                        Err(Answer::Ready(_)) => unreachable!(),
                    };
                    prop_assert_eq!(taken, naive.take(ask), "{:?}", ask);
                }
                Step::Skip(count) => {
                    let skipped = it.stream.consume(count, &mut it.buffers);
                    prop_assert_eq!(skipped, count.min(naive.bytes.len()));
                    naive.bytes.drain(..skipped);
                }
                Step::Peek(count) => {
                    let mut bytes = vec![0; count];
                    let count = it.stream.read(&mut bytes, &mut it.buffers);
                    prop_assert_eq!(&bytes[..count], &naive.bytes[..count]);
                    it.stream.unread(&bytes[..count]);
                }
                Step::Contiguous(count) => {
                    let bytes = it.stream.contiguous(count, &mut it.buffers).to_vec();
                    prop_assert_eq!(&bytes[..], &naive.bytes[..count.min(naive.bytes.len())]);
                }
                Step::Chunk => {
                    if let Some(chunk) = it.stream.take_chunk() {
                        let bytes = chunk.bytes(&it.buffers).to_vec();
                        chunk.release(&mut it.buffers);
                        let rest = naive.bytes.split_off(bytes.len());
                        prop_assert_eq!(std::mem::replace(&mut naive.bytes, rest), bytes);
                    } else {
                        prop_assert!(naive.bytes.is_empty());
                    }
                }
                Step::MakeRoom => it.stream.make_room(&mut it.buffers),
                Step::ReleaseSparse => it.stream.release_sparse(&mut it.buffers),
                Step::Clear => {
                    it.stream.clear(&mut it.buffers);
                    naive = Naive::default();
                }
                Step::End => {
                    it.stream.end();
                    naive.ended = true;
                }
            }
            prop_assert_eq!(it.stream.pending(), naive.bytes.len());
            prop_assert_eq!(it.stream.held, it.buffers.held());
        }
        let rest = it.stream.pending();
        prop_assert_eq!(it.take(Ask::Exactly(rest)), Ok(naive.bytes));
        prop_assert_eq!(it.buffers.held(), 0);
    }
}
