//! A transfer, step by step.

use std::num::NonZeroUsize;

use proptest::prelude::*;

use super::*;

fn encoder_pump(buffer_size: usize) -> Pump {
    let encoder = encoder(Format::Gzip, Level::default());
    Pump::serial(Codec::Encoder(Box::new(encoder)), buffer_size)
}

fn decoder_pump(buffer_size: usize) -> Pump {
    let decoder = Decoder::new(Format::Gzip, None);
    Pump::serial(Codec::Decoder(Box::new(decoder)), buffer_size)
}

fn parallel_pump(threads: usize, buffer_size: usize) -> Pump {
    let threads = NonZeroUsize::new(threads).expect("at least one");
    let parallel = Parallel::gzip(&Header::default(), Level::default(), threads);
    Pump::parallel(Box::new(parallel), buffer_size)
}

/// Reads `count` bytes from the front of `source`; whether a read was wanted.
fn read(pump: &mut Pump, source: &mut &[u8], count: usize) -> bool {
    let Some(mut buffer) = pump.take_buffer() else { return false };
    let count = count.min(source.len()).min(buffer.len());
    let (now, later) = source.split_at(count);
    buffer[..count].copy_from_slice(now);
    pump.was_read(buffer, count);
    *source = later;
    true
}

fn work(pump: &mut Pump) -> bool {
    let Some(work) = pump.take_work() else { return false };
    pump.was_worked(work.run());
    true
}

fn write(pump: &mut Pump, output: &mut Vec<u8>, count: usize) -> bool {
    let Some(piece) = pump.take_output() else { return false };
    let count = count.min(piece.as_ref().len());
    output.extend_from_slice(&piece.as_ref()[..count]);
    pump.was_written(piece, count);
    true
}

/// Everything, with reads and writes of so many bytes.
pub(super) fn run(
    mut pump: Pump,
    mut source: &[u8],
    size: usize,
) -> (Vec<u8>, Result<(), CodecError>) {
    let mut output = Vec::new();
    loop {
        let moved = read(&mut pump, &mut source, size)
            | work(&mut pump)
            | write(&mut pump, &mut output, size);
        if let Some(outcome) = pump.outcome() {
            assert_eq!(pump.written(), output.len() as u64);
            return (output, outcome);
        }
        assert!(moved, "it waits for nothing");
    }
}

#[test]
fn every_sample_comes_back() {
    for sample in samples() {
        for pump in [encoder_pump(16_384), parallel_pump(1, 16_384), parallel_pump(4, 100)] {
            let (stream, outcome) = run(pump, &sample, 10_000);
            assert_eq!(outcome, Ok(()));
            let (output, outcome) = run(decoder_pump(1000), &stream, 10_000);
            assert_eq!(outcome, Ok(()));
            assert!(output == sample);
        }
    }
}

#[test]
fn reading_working_and_writing_overlap() {
    let stream = encode(Format::Gzip, &noise(10_000));
    let mut source = &stream[..];
    let mut pump = decoder_pump(1000);
    assert!(read(&mut pump, &mut source, 1000) && work(&mut pump));
    assert!(read(&mut pump, &mut source, 1000));
    let buffer = pump.take_buffer().expect("a read");
    let task = pump.take_work().expect("work");
    let piece = pump.take_output().expect("a write");
    // One of each at a time, and no end in sight.
    assert!(pump.take_buffer().is_none() && pump.take_work().is_none());
    assert!(pump.take_output().is_none() && pump.outcome().is_none());
    pump.was_written(piece, 10);
    pump.was_worked(task.run());
    pump.was_read(buffer, 0);
    assert_eq!(pump.written(), 10);
}

#[test]
fn buffers_are_bounded() {
    let mut pump = decoder_pump(1000);
    let bomb = encode(Format::Gzip, &vec![0; 1_000_000]);
    let mut source = &bomb[..];
    let mut reads = 0;
    while read(&mut pump, &mut source, 100) {
        reads += 1;
    }
    assert_eq!(reads, 2);
    let steps = std::iter::from_fn(|| work(&mut pump).then_some(())).count();
    assert_eq!(steps, 2, "a step for each room, until something is written");
}

#[test]
fn a_silent_source_is_flushed_once() {
    for mut pump in [encoder_pump(1000), parallel_pump(2, 1000)] {
        let mut decoder = Decoder::new(Format::Gzip, None);
        let mut room = [0; 100];
        for message in [&b"hello"[..], b"world"] {
            assert!(read(&mut pump, &mut &*message, 5));
            let mut stream = Vec::new();
            while work(&mut pump) || write(&mut pump, &mut stream, 1000) {}
            assert!(stream.is_empty(), "kept for better compression");
            pump.flush();
            while work(&mut pump) || write(&mut pump, &mut stream, 1000) {}
            let step = decoder.step(&stream, &mut room).expect("a good stream");
            assert_eq!(&room[..step.produced], message);
            pump.flush();
            assert!(!work(&mut pump) && pump.take_output().is_none());
        }
    }
}

#[test]
fn what_was_good_is_written_before_the_fault() {
    let mut stream = encode(Format::Gzip, b"good data");
    stream.extend_from_slice(b"garbage");
    let (output, outcome) = run(decoder_pump(4), &stream, 3);
    assert_eq!(output, b"good data");
    let expected = CodecError { fault: Fault::TrailingGarbage, written: 9, verified: 9 };
    assert_eq!(outcome, Err(expected));
}

#[test]
fn nothing_is_no_gzip() {
    let (_, outcome) = run(decoder_pump(4), b"", 3);
    assert_eq!(outcome.expect_err("truncated").fault, Fault::Truncated(Part::Header));
}

#[test]
fn the_header_is_there_at_the_end() {
    let header = Header { name: Some(b"name".to_vec()), ..Header::default() };
    let mut encoder = Encoder::gzip(&header, Level::default());
    let stream = encode_in_pieces(&mut encoder, b"data", &[4], &[100], Flush::Finish);
    let mut source = &stream[..];
    let decoder = Decoder::new(Format::Gzip, None).keeping_header();
    let mut pump = Pump::serial(Codec::Decoder(Box::new(decoder)), 100);
    assert_eq!(pump.header(), None);
    while pump.outcome().is_none() {
        read(&mut pump, &mut source, 100);
        work(&mut pump);
        write(&mut pump, &mut Vec::new(), 100);
    }
    assert_eq!(pump.header(), Some(&header));
}

#[test]
fn work_says_how_much_it_is() {
    let mut pump = encoder_pump(1000);
    assert!(read(&mut pump, &mut &b"hello"[..], 5));
    assert_eq!(pump.take_work().map(|work| (work.len(), work.is_empty())), Some((5, false)));
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Read(usize),
    Work,
    Write(usize),
    Flush,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        (1usize..3000).prop_map(Move::Read),
        Just(Move::Work),
        (1usize..3000).prop_map(Move::Write),
        Just(Move::Flush),
    ];
    prop::collection::vec(one, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_of_moves(moves in moves(), len in 0usize..200_000, threads in 0usize..3) {
        let data = text(len);
        let mut source = &data[..];
        let mut pump = if threads == 0 { encoder_pump(2000) } else { parallel_pump(threads, 2000) };
        let mut stream = Vec::new();
        for one in moves {
            match one {
                Move::Read(count) => _ = read(&mut pump, &mut source, count),
                Move::Work => _ = work(&mut pump),
                Move::Write(count) => _ = write(&mut pump, &mut stream, count),
                Move::Flush => pump.flush(),
            }
        }
        while pump.outcome().is_none() {
            let moved = read(&mut pump, &mut source, 5000)
                | work(&mut pump)
                | write(&mut pump, &mut stream, 5000);
            prop_assert!(moved || pump.outcome().is_some());
        }
        prop_assert!(decode(Format::Gzip, &stream) == Ok(data));
    }
}
