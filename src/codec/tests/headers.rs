//! What a gzip header says, both ways.

use super::*;

const ALL_FIELDS: &[u8] = include_bytes!("data/all_fields.gz");
/// Bytes of its header: 10 fixed, 2 + 7 extra, 9 + 10 of text, 2 of checksum.
const ALL_FIELDS_HEADER: usize = 40;

fn header_of(stream: &[u8], sizes: &[usize]) -> Header {
    let decoder = Decoder::new(Format::Gzip, None).keeping_header();
    let (decoder, result) = decode_in_pieces(decoder, stream, sizes, &[100]);
    result.expect("a good stream");
    decoder.header().expect("it has come").clone()
}

fn gzip(header: &Header) -> Vec<u8> {
    let mut encoder = Encoder::gzip(header, Level::default());
    encode_in_pieces(&mut encoder, b"data", &[4], &[7], Flush::Finish)
}

#[test]
fn what_was_written_is_read() {
    let full = Header {
        name: Some(b"file name".to_vec()),
        comment: Some(b"a comment".to_vec()),
        mtime: 1_700_000_000,
        text: true,
    };
    let nameless = Header { name: None, ..full.clone() };
    let empty_name = Header { name: Some(Vec::new()), comment: None, ..full.clone() };
    for header in [full, nameless, empty_name, Header::default()] {
        for size in [1, 3, usize::MAX] {
            assert_eq!(header_of(&gzip(&header), &[size]), header);
        }
    }
}

#[test]
fn a_zero_byte_ends_a_text() {
    let header = Header { name: Some(b"one\0two".to_vec()), ..Header::default() };
    assert_eq!(header_of(&gzip(&header), &[100]).name, Some(b"one".to_vec()));
}

#[test]
fn the_plain_header_is_that_of_the_rfc() {
    assert_eq!(gzip(&Header::default())[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
    let level = |number| Level::new(number).expect("a level");
    let extra_flags = |number| {
        let mut encoder = Encoder::gzip(&Header::default(), level(number));
        encode_in_pieces(&mut encoder, b"", &[1], &[100], Flush::Finish)[8]
    };
    assert_eq!([extra_flags(1), extra_flags(6), extra_flags(9)], [4, 0, 2]);
}

#[test]
fn zlib_headers_say_how_hard_was_tried() {
    for number in 0..=9 {
        let mut encoder = Encoder::zlib(Level::new(number).expect("a level"));
        let stream = encode_in_pieces(&mut encoder, b"", &[1], &[100], Flush::Finish);
        let expected = [0, 0, 1, 1, 1, 1, 2, 3, 3, 3][usize::from(number)];
        assert_eq!((stream[0], stream[1] >> 6), (0x78, expected));
    }
}

#[test]
fn extra_fields_are_skipped_and_the_checksum_checked() {
    for size in [1, 2, 5, usize::MAX] {
        let header = header_of(ALL_FIELDS, &[size]);
        assert_eq!(header.name.as_deref(), Some(&b"odd name"[..]));
        assert_eq!(header.comment.as_deref(), Some(&b"a comment"[..]));
        assert_eq!((header.mtime, header.text), (1_700_000_000, true));
    }
}

#[test]
fn a_bit_wrong_in_a_header_with_a_checksum_is_noticed() {
    for at in 4..ALL_FIELDS_HEADER {
        let mut stream = ALL_FIELDS.to_vec();
        stream[at] ^= 1;
        let fault = decode(Format::Gzip, &stream).expect_err("a wrong bit").fault;
        // Where the length or the end of a part is wrong, other bytes are taken for the checksum.
        assert!(matches!(fault, Fault::HeaderChecksum | Fault::Truncated(_)), "{at}: {fault:?}");
    }
}

#[test]
fn an_empty_extra_field_and_the_largest() {
    for len in [0, usize::from(u16::MAX)] {
        let mut stream = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3];
        stream.extend_from_slice(&u16::try_from(len).expect("16 bits").to_le_bytes());
        stream.extend(noise(len));
        stream.extend_from_slice(&encode(Format::Gzip, b"data")[10..]);
        assert_eq!(decode(Format::Gzip, &stream), Ok(b"data".to_vec()));
    }
}

#[test]
fn texts_that_are_kept_have_a_limit() {
    let header = Header { name: Some(vec![b'n'; MAX_KEPT_TEXT]), ..Header::default() };
    assert_eq!(header_of(&gzip(&header), &[1000]), header);
    let header = Header { comment: Some(vec![b'n'; MAX_KEPT_TEXT + 1]), ..Header::default() };
    let decoder = Decoder::new(Format::Gzip, None).keeping_header();
    let (_, result) = decode_in_pieces(decoder, &gzip(&header), &[1000], &[100]);
    assert_eq!(result.expect_err("too long").fault, Fault::LongHeader);
}

#[test]
fn texts_that_nobody_wants_are_skipped_however_long() {
    let text = Some(vec![b'n'; MAX_KEPT_TEXT + 1]);
    let header = Header { name: text.clone(), comment: text, ..Header::default() };
    let decoder = Decoder::new(Format::Gzip, None);
    let (decoder, result) = decode_in_pieces(decoder, &gzip(&header), &[1000], &[100]);
    assert_eq!(result, Ok(b"data".to_vec()));
    assert_eq!(decoder.header(), None);
}

#[test]
fn texts_of_a_later_member_are_never_kept() {
    let long = Header { comment: Some(vec![b'n'; MAX_KEPT_TEXT + 1]), ..Header::default() };
    let stream = [gzip(&Header::default()), gzip(&long)].concat();
    assert_eq!(header_of(&stream, &[1000]), Header::default());
}

#[test]
fn the_first_of_several_headers_counts() {
    let header = header_of(include_bytes!("data/two_members.gz"), &[3]);
    assert_eq!((header.name.as_deref(), header.comment), (Some(&b"one"[..]), None));
}
