//! What was compressed comes out again, however it is cut.

use proptest::prelude::*;

use super::*;

#[test]
fn every_sample_comes_back_at_every_level() {
    for sample in samples() {
        for number in 0..=9 {
            let level = Level::new(number).expect("a level");
            for format in [Format::Gzip, Format::Zlib] {
                let mut encoder = encoder(format, level);
                let stream =
                    encode_in_pieces(&mut encoder, &sample, &[65_536], &[16_384], Flush::Finish);
                assert!(decode(format, &stream) == Ok(sample.clone()), "{format:?} {number}");
            }
        }
    }
}

#[test]
fn what_was_flushed_can_be_decompressed() {
    for rooms in [&[1usize][..], &[5], &[63, 64], &[4096]] {
        let mut encoder = encoder(Format::Gzip, Level::default());
        let mut decoder = Decoder::new(Format::Gzip, None);
        for message in [&b"hello"[..], b"", b"world", &noise(1000)] {
            let stream = encode_in_pieces(&mut encoder, message, &[7], rooms, Flush::Sync);
            assert!(!encoder.is_unflushed());
            let mut room = vec![0; 2000];
            let step = decoder.step(&stream, &mut room).expect("a good stream");
            assert_eq!(step.consumed, stream.len());
            assert_eq!(&room[..step.produced], message);
        }
    }
}

#[test]
fn a_flush_of_nothing_puts_out_nothing() {
    let mut encoder = encoder(Format::Zlib, Level::default());
    encode_in_pieces(&mut encoder, b"once", &[4], &[100], Flush::Sync);
    assert_eq!(encode_in_pieces(&mut encoder, b"", &[4], &[100], Flush::Sync), b"");
}

#[test]
fn an_encoder_that_is_done_takes_nothing() {
    let mut encoder = encoder(Format::Zlib, Level::default());
    encode_in_pieces(&mut encoder, b"data", &[4], &[100], Flush::Finish);
    let step = encoder.step(b"more", &mut [0; 100], Flush::None).expect("no fault");
    assert_eq!(step, Step { consumed: 0, produced: 0, status: Status::Done });
}

#[test]
fn there_are_ten_levels() {
    assert_eq!((0..=255).filter_map(Level::new).count(), 10);
    assert_eq!(Level::default(), Level::new(6).expect("a level"));
}

prop_compose! {
    /// Runs of one byte and of noise.
    fn data()(parts in prop::collection::vec((any::<u8>(), 0usize..3000, any::<bool>()), 0..12))
        -> Vec<u8>
    {
        parts.iter().flat_map(|(byte, len, flat)| {
            if *flat { vec![*byte; *len] } else { noise(*len) }
        }).collect()
    }
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1usize..10, 50usize..80, 1usize..5000], 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cut_of_input_and_room(
        data in data(), level in 0u8..=9, gzip in any::<bool>(),
        sizes in sizes(), rooms in sizes(), flush_at in 0usize..5000,
    ) {
        let format = if gzip { Format::Gzip } else { Format::Zlib };
        let mut encoder = encoder(format, Level::new(level).expect("a level"));
        let (before, after) = data.split_at(flush_at.min(data.len()));
        let mut stream = encode_in_pieces(&mut encoder, before, &sizes, &rooms, Flush::Sync);
        stream.extend(encode_in_pieces(&mut encoder, after, &sizes, &rooms, Flush::Finish));
        let decoder = Decoder::new(format, Some(data.len() as u64));
        let (decoder, result) = decode_in_pieces(decoder, &stream, &rooms, &sizes);
        prop_assert_eq!(decoder.written(), data.len() as u64);
        prop_assert!(result == Ok(data));
    }
}
