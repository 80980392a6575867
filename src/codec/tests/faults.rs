//! Each kind of damage has its fault, and says how much was good before it.

use super::*;

const TRAILER: usize = 8;

fn error(format: Format, stream: &[u8]) -> CodecError {
    // However it is cut, it is the same.
    let at_once = decode(format, stream).expect_err("a fault");
    for (sizes, rooms) in [(&[1], &[100]), (&[7], &[1])] {
        let decoder = Decoder::new(format, None);
        let (mut decoder, result) = decode_in_pieces(decoder, stream, sizes, rooms);
        assert_eq!(result, Err(at_once));
        if !matches!(at_once.fault, Fault::Truncated(_)) {
            assert_eq!(decoder.step(b"", &mut [0; 9]), Err(at_once), "once wrong, always wrong");
        }
        assert_eq!(decoder.finish(), Err(at_once));
    }
    at_once
}

fn fault(format: Format, stream: &[u8]) -> Fault {
    error(format, stream).fault
}

#[test]
fn other_formats() {
    for other in [&b"x"[..], b"\x1fx", b"BZh91AY&SY", &encode(Format::Zlib, b"data")] {
        assert_eq!(fault(Format::Gzip, other), Fault::NotGzip);
    }
    // A window of 64 KB, and a check that is wrong.
    for other in [&b"x"[..], b"\x88\x1c", b"\x78\x9d", &encode(Format::Gzip, b"data")] {
        let fault = fault(Format::Zlib, other);
        assert!(matches!(fault, Fault::NotZlib | Fault::Truncated(Part::Header)), "{fault:?}");
    }
    assert_eq!(fault(Format::Zlib, b"\x88\x1c"), Fault::NotZlib);
    assert_eq!(fault(Format::Zlib, b"\x78\x9d"), Fault::NotZlib);
}

#[test]
fn headers_that_mean_something_else() {
    assert_eq!(fault(Format::Gzip, b"\x1f\x8b\x07"), Fault::Method(7));
    assert_eq!(fault(Format::Gzip, b"\x1f\x8b\x08\xe1"), Fault::ReservedFlags(0xe0));
    assert_eq!(fault(Format::Zlib, b"\x78\xbb\x15\xe1\x03\xf4"), Fault::Dictionary);
}

#[test]
fn an_end_anywhere() {
    for format in [Format::Gzip, Format::Zlib] {
        let data = noise(300);
        let stream = encode(format, &data);
        let (header, trailer) = match format {
            Format::Gzip => (10, 8),
            Format::Zlib => (2, 4),
        };
        for end in 0..stream.len() {
            let part = match end {
                _ if end < header => Part::Header,
                _ if end < stream.len() - trailer => Part::Data,
                _ => Part::Trailer,
            };
            let error = error(format, &stream[..end]);
            assert_eq!((error.fault, error.verified), (Fault::Truncated(part), 0), "{end}");
            if part == Part::Trailer {
                assert_eq!(error.written, 300);
            }
        }
    }
}

#[test]
fn an_end_in_the_second_member() {
    let mut stream = encode(Format::Gzip, b"first");
    stream.extend_from_slice(&encode(Format::Gzip, &noise(100))[..80]);
    let error = error(Format::Gzip, &stream);
    assert_eq!((error.fault, error.verified), (Fault::Truncated(Part::Data), 5));
    assert!(error.written > 5);
}

#[test]
fn wrong_data() {
    // A block type that doesn't exist, behind a stored block of three bytes.
    let stream = [&[0x78, 0x9c][..], &[0, 3, 0, 0xfc, 0xff], b"abc", &[0xff; 20]].concat();
    let error = error(Format::Zlib, &stream);
    assert_eq!(error, CodecError { fault: Fault::Data, written: 3, verified: 0 });
}

#[test]
fn wrong_checksums_and_lengths() {
    let stream = encode(Format::Gzip, &text(5000));
    let start = stream.len() - TRAILER;
    for at in start..stream.len() {
        let mut wrong = stream.clone();
        wrong[at] ^= 0x10;
        let expected = if at < start + 4 { Fault::Checksum } else { Fault::Length };
        let error = error(Format::Gzip, &wrong);
        assert_eq!(error, CodecError { fault: expected, written: 5000, verified: 0 });
    }
    let mut wrong = encode(Format::Zlib, b"data");
    *wrong.last_mut().expect("a trailer") ^= 1;
    assert_eq!(fault(Format::Zlib, &wrong), Fault::Checksum);
}

#[test]
fn a_bit_wrong_anywhere_is_noticed() {
    let data = text(600);
    for format in [Format::Gzip, Format::Zlib] {
        let stream = encode(format, &data);
        // Of a plain gzip header time, extra flags, system and the text flag are not checked.
        let unchecked = if format == Format::Gzip { 3..10 } else { 0..0 };
        for at in (0..stream.len()).filter(|at| !unchecked.contains(at)) {
            for bit in 0..8 {
                let mut wrong = stream.clone();
                wrong[at] ^= 1 << bit;
                match decode(format, &wrong) {
                    Err(error) => assert_ne!(error.fault, Fault::Library),
                    // The class of the level, a smaller window, bits between data and trailer.
                    Ok(output) => assert!(output == data, "{format:?} {at} {bit}"),
                }
            }
        }
    }
}

#[test]
fn garbage_behind_the_end() {
    let stream = [&encode(Format::Gzip, b"data")[..], b"garbage"].concat();
    let expected = CodecError { fault: Fault::TrailingGarbage, written: 4, verified: 4 };
    assert_eq!(error(Format::Gzip, &stream), expected);
    let stream = [&encode(Format::Zlib, b"data")[..], b"\x78"].concat();
    assert_eq!(error(Format::Zlib, &stream), expected);
    let stream = [&encode(Format::Gzip, b"data")[..], &[0; 10], b"\x1f"].concat();
    assert_eq!(error(Format::Gzip, &stream), expected);
}

#[test]
fn zeros_behind_the_end_are_padding() {
    let padded = include_bytes!("data/padded.gz");
    assert_eq!(decode(Format::Gzip, padded), Ok(b"on tape".to_vec()));
}

#[test]
fn members_follow_each_other() {
    let two = include_bytes!("data/two_members.gz");
    assert_eq!(decode(Format::Gzip, two), Ok(b"first second".to_vec()));
    let many = encode(Format::Gzip, b"").repeat(1000);
    assert_eq!(decode(Format::Gzip, &many), Ok(Vec::new()));
}

#[test]
fn a_limit_is_the_most_that_comes_out() {
    for format in [Format::Gzip, Format::Zlib] {
        let bomb = encode(format, &vec![0; 1_000_000]);
        for (limit, fits) in [(0, false), (1, false), (999_999, false), (1_000_000, true)] {
            for rooms in [&[100_000][..], &[1, 50_000]] {
                let decoder = Decoder::new(format, Some(limit));
                let (decoder, result) = decode_in_pieces(decoder, &bomb, &[1000], rooms);
                if fits {
                    assert_eq!(result.map(|output| output.len()), Ok(1_000_000));
                } else {
                    let error = result.expect_err("a bomb");
                    assert_eq!(error.fault, Fault::TooLarge(limit));
                    assert_eq!((error.written, decoder.written()), (limit, limit));
                }
            }
        }
    }
}

#[test]
fn a_limit_holds_for_all_members_together() {
    let member = encode(Format::Gzip, &[b'x'; 60]);
    let decoder = Decoder::new(Format::Gzip, Some(100));
    let (_, result) = decode_in_pieces(decoder, &member.repeat(2), &[10], &[1000]);
    let expected = CodecError { fault: Fault::TooLarge(100), written: 100, verified: 60 };
    assert_eq!(result, Err(expected));
}

#[test]
fn errors_say_what_was_good() {
    let text =
        |written, verified| CodecError { fault: Fault::Checksum, written, verified }.to_string();
    assert_eq!(text(7, 7), "wrong checksum (after 7 bytes)");
    assert_eq!(text(7, 5), "wrong checksum (after 7 bytes, 5 of them verified)");
}
