//! Blocks from several threads are one stream.

use std::num::NonZeroUsize;
use std::thread;

use proptest::prelude::*;

use super::*;

fn parallel(format: Format, threads: usize) -> Parallel {
    let threads = NonZeroUsize::new(threads).expect("at least one");
    match format {
        Format::Gzip => Parallel::gzip(&Header::default(), Level::default(), threads),
        Format::Zlib => Parallel::zlib(Level::default(), threads),
    }
}

/// Compresses by as many blocks at once as it may be, which come back in an order of `pick`'s.
fn run(
    mut parallel: Parallel,
    data: &[u8],
    size: usize,
    flush: bool,
    mut pick: impl FnMut(usize) -> usize,
) -> Vec<u8> {
    let (mut stream, mut jobs) = (Vec::new(), Vec::new());
    let mut fed = 0usize;
    while !parallel.is_done() {
        fed += parallel.feed(&data[fed..data.len().min(fed.saturating_add(size))]);
        if flush {
            parallel.flush();
        }
        if fed == data.len() {
            parallel.finish();
        }
        jobs.extend(std::iter::from_fn(|| parallel.next_job()));
        if !jobs.is_empty() {
            let job: Job = jobs.swap_remove(pick(jobs.len()) % jobs.len());
            parallel.put(job.run()).expect("a block of this stream");
        }
        let output = parallel.output();
        // Not all at once.
        let count = output.len().div_ceil(2);
        stream.extend_from_slice(&output[..count]);
        parallel.consume(count);
    }
    stream
}

#[test]
fn every_sample_comes_back() {
    for sample in samples() {
        for format in [Format::Gzip, Format::Zlib] {
            for threads in [1, 3] {
                let stream = run(parallel(format, threads), &sample, 100_000, false, |len| len - 1);
                assert!(decode(format, &stream) == Ok(sample.clone()), "{format:?} {threads}");
            }
        }
    }
}

#[test]
fn blocks_know_what_came_before_them() {
    // What can't be compressed, but comes twice: the second time within reach.
    let half = noise(16 * 1024);
    let data = half.repeat(2 * BLOCK / half.len());
    let stream = run(parallel(Format::Gzip, 2), &data, usize::MAX, false, |_| 0);
    assert!(stream.len() < half.len() + 4096, "{}", stream.len());
}

#[test]
fn the_number_of_threads_and_the_order_make_no_difference() {
    let data = [text(5 * BLOCK), noise(BLOCK / 2), text(3 * BLOCK)].concat();
    let one = run(parallel(Format::Gzip, 1), &data, usize::MAX, false, |_| 0);
    let four = run(parallel(Format::Gzip, 4), &data, 10_000, false, |len| len / 2);
    assert!(one == four);
}

#[test]
fn memory_is_bounded() {
    let mut parallel = parallel(Format::Gzip, 2);
    let data = noise(100 * BLOCK);
    assert_eq!(parallel.feed(&data), 6 * BLOCK);
    assert_eq!(parallel.feed(&data), 0);
    let jobs: Vec<_> = std::iter::from_fn(|| parallel.next_job()).collect();
    assert_eq!(jobs.len(), 6);
    for job in jobs.into_iter().rev() {
        assert_eq!(parallel.feed(&data), 0, "nothing is written yet");
        parallel.put(job.run()).expect("a block of this stream");
    }
    // The header is out first, then a block makes room for a block.
    parallel.consume(usize::MAX);
    assert_eq!(parallel.feed(&data), 0);
    parallel.consume(usize::MAX);
    assert_eq!(parallel.feed(&data), BLOCK);
}

#[test]
fn what_was_flushed_can_be_decompressed() {
    let mut parallel = parallel(Format::Gzip, 2);
    let mut decoder = Decoder::new(Format::Gzip, None);
    for message in [&b"hello"[..], b"world"] {
        assert_eq!(parallel.feed(message), 5);
        assert!(parallel.next_job().is_none());
        parallel.flush();
        parallel.flush();
        let job = parallel.next_job().expect("a short block");
        assert!(parallel.next_job().is_none(), "nothing is flushed once only");
        parallel.put(job.run()).expect("a block of this stream");
        let (mut room, mut len) = ([0; 100], 0);
        while !parallel.output().is_empty() {
            let output = parallel.output();
            let step = decoder.step(output, &mut room[len..]).expect("a good stream");
            (len, _) = (len + step.produced, parallel.consume(step.consumed));
        }
        assert_eq!(&room[..len], message);
    }
}

#[test]
fn jobs_run_on_threads() {
    let data = text(5 * BLOCK);
    let mut parallel = parallel(Format::Gzip, 4);
    assert_eq!(parallel.feed(&data), data.len());
    parallel.finish();
    let jobs = std::iter::from_fn(|| parallel.next_job());
    let threads: Vec<_> = jobs.map(|job| thread::spawn(move || job.run())).collect();
    for thread in threads {
        parallel.put(thread.join().expect("no panic")).expect("a block of this stream");
    }
    let mut stream = Vec::new();
    while !parallel.is_done() {
        stream.extend_from_slice(parallel.output());
        parallel.consume(parallel.output().len());
    }
    assert!(decode(Format::Gzip, &stream) == Ok(data));
}

#[test]
fn a_block_of_another_stream_is_refused() {
    let mut other = parallel(Format::Gzip, 1);
    other.finish();
    let job = other.next_job().expect("the last block");
    let error = parallel(Format::Gzip, 1).put(job.run()).expect_err("not its block");
    assert_eq!(error.fault, Fault::Library);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_order_and_any_cut(
        len in 0usize..5 * BLOCK, size in 10_000usize..3 * BLOCK, flush in any::<bool>(),
        threads in 1usize..5, picks in prop::collection::vec(any::<usize>(), 1..9),
    ) {
        let data = text(len);
        let mut picks = picks.into_iter().cycle();
        let stream = run(parallel(Format::Zlib, threads), &data, size, flush, |_| {
            picks.next().unwrap_or(0)
        });
        prop_assert!(decode(Format::Zlib, &stream) == Ok(data));
    }
}
