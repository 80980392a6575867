//! What was compressed, in one thread or in blocks, comes out again.
//!
//! The first two bytes of the input say how large the pieces and the rooms are, the third one the
//! level, the format, and after how many pieces a flush is asked for.

#![no_main]

mod support;

use std::num::NonZeroUsize;

use libfuzzer_sys::fuzz_target;
use polyphony_core::codec::{Encoder, Flush, Format, Header, Level, Parallel, Status};

fuzz_target!(|input: &[u8]| {
    let Some((size, room, rest)) = support::sizes(input) else { return };
    let Some((how, data)) = rest.split_first() else { return };
    let level = Level::new(how % 10).expect("a digit");
    let format = if how % 2 == 0 { Format::Gzip } else { Format::Zlib };
    let flush_each = usize::from(how / 10) + 1;
    let header = Header { name: Some(data.to_vec()), ..Header::default() };

    let mut encoder = match format {
        Format::Gzip => Encoder::gzip(&header, level),
        Format::Zlib => Encoder::zlib(level),
    };
    let mut parallel = match format {
        Format::Gzip => Parallel::gzip(&header, level, NonZeroUsize::MIN),
        Format::Zlib => Parallel::zlib(level, NonZeroUsize::MIN),
    };
    let (mut serial_output, mut parallel_output) = (Vec::new(), Vec::new());
    for (number, piece) in data.chunks(size).enumerate() {
        let flush = if number % flush_each == 0 { Flush::Sync } else { Flush::None };
        encode(&mut encoder, piece, room, flush, &mut serial_output);
        let mut fed = 0;
        while fed < piece.len() {
            fed += parallel.feed(&piece[fed..]);
            if flush == Flush::Sync {
                parallel.flush();
            }
            run(&mut parallel, &mut parallel_output);
        }
    }
    encode(&mut encoder, &[], room, Flush::Finish, &mut serial_output);
    parallel.finish();
    run(&mut parallel, &mut parallel_output);
    assert!(parallel.is_done());

    let expected = (data.to_vec(), Ok(()));
    assert_eq!(support::decode(&serial_output, format, size, room), expected);
    assert_eq!(support::decode(&parallel_output, format, size, room), expected);
});

fn encode(encoder: &mut Encoder, mut input: &[u8], room: usize, flush: Flush, into: &mut Vec<u8>) {
    let mut piece = vec![0; room];
    loop {
        let step = encoder.step(input, &mut piece, flush).expect("any input can be compressed");
        assert!(step.consumed + step.produced > 0 || step.status != Status::NeedsOutput);
        input = &input[step.consumed..];
        into.extend_from_slice(&piece[..step.produced]);
        match step.status {
            Status::NeedsOutput => assert_eq!(step.produced, room),
            Status::NeedsInput => break assert!(input.is_empty() && flush != Flush::Finish),
            Status::Done => break assert!(input.is_empty() && flush == Flush::Finish),
        }
    }
}

fn run(parallel: &mut Parallel, into: &mut Vec<u8>) {
    loop {
        let job = parallel.next_job();
        let idle = job.is_none();
        if let Some(job) = job {
            parallel.put(job.run()).expect("a block of this stream");
        }
        while !parallel.output().is_empty() {
            into.extend_from_slice(parallel.output());
            parallel.consume(parallel.output().len());
        }
        if idle {
            return;
        }
    }
}
