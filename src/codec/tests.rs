//! The codec against itself, against the tools of others, and against what is wrong.

mod faults;
mod headers;
mod parallel;
mod pump;
mod round_trips;
mod tools;

use super::*;

/// All that comes out of a stream, or what is wrong with it.
fn decode(format: Format, stream: &[u8]) -> Result<Vec<u8>, CodecError> {
    decode_in_pieces(Decoder::new(format, None), stream, &[usize::MAX], &[4096]).1
}

/// The same with input and room in pieces of the sizes given, in turn; the decoder, and what is
/// wrong or what came out.
fn decode_in_pieces(
    mut decoder: Decoder,
    stream: &[u8],
    sizes: &[usize],
    rooms: &[usize],
) -> (Decoder, Result<Vec<u8>, CodecError>) {
    let mut output = Vec::new();
    let (mut sizes, mut rooms) = (sizes.iter().cycle(), rooms.iter().cycle());
    let (mut start, mut end) = (0, 0);
    loop {
        let mut room = vec![0; *rooms.next().expect("a size")];
        let step = match decoder.step(&stream[start..end], &mut room) {
            Ok(step) => step,
            Err(error) => {
                assert_eq!(error.written, output.len() as u64);
                return (decoder, Err(error));
            }
        };
        output.extend_from_slice(&room[..step.produced]);
        start += step.consumed;
        if step.status == Status::NeedsInput {
            assert_eq!(start, end);
            if end == stream.len() {
                let result = decoder.finish().map(|()| output);
                return (decoder, result);
            }
            end = end.saturating_add(*sizes.next().expect("a size")).min(stream.len());
        }
    }
}

/// A stream, compressed with input and room in pieces of the sizes given, in turn.
fn encode_in_pieces(
    encoder: &mut Encoder,
    data: &[u8],
    sizes: &[usize],
    rooms: &[usize],
    flush: Flush,
) -> Vec<u8> {
    let mut stream = Vec::new();
    let (mut sizes, mut rooms) = (sizes.iter().cycle(), rooms.iter().cycle());
    let (mut start, mut end) = (0, 0);
    loop {
        let mut room = vec![0; *rooms.next().expect("a size")];
        let mode = if end == data.len() { flush } else { Flush::None };
        let step = encoder.step(&data[start..end], &mut room, mode).expect("any input is good");
        stream.extend_from_slice(&room[..step.produced]);
        start += step.consumed;
        match step.status {
            Status::NeedsOutput => assert_eq!(step.produced, room.len()),
            Status::Done => return stream,
            Status::NeedsInput if end == data.len() => {
                assert_ne!(flush, Flush::Finish);
                return stream;
            }
            Status::NeedsInput => {
                end = end.saturating_add(*sizes.next().expect("a size")).min(data.len());
            }
        }
    }
}

/// A gzip member or a zlib stream of level 6.
fn encode(format: Format, data: &[u8]) -> Vec<u8> {
    let mut encoder = encoder(format, Level::default());
    encode_in_pieces(&mut encoder, data, &[usize::MAX], &[4096], Flush::Finish)
}

fn encoder(format: Format, level: Level) -> Encoder {
    match format {
        Format::Gzip => Encoder::gzip(&Header::default(), level),
        Format::Zlib => Encoder::zlib(level),
    }
}

/// Bytes that look random, the same each time.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Lines that compress as text does.
fn text(len: usize) -> Vec<u8> {
    let line = |(number, byte): (usize, u8)| {
        format!("line {number}: {} and {}\n", byte % 17, "word ".repeat(usize::from(byte % 7)))
    };
    let mut text = Vec::new();
    let mut lines = noise(len).into_iter().enumerate().map(line);
    while text.len() < len {
        text.extend_from_slice(lines.next().unwrap_or_default().as_bytes());
        if text.is_empty() {
            break;
        }
    }
    text.truncate(len);
    text
}

/// Data that is easy, ordinary and impossible to compress, of lengths at borders.
fn samples() -> Vec<Vec<u8>> {
    let mut samples = vec![Vec::new(), vec![b'x'], vec![0; 300_000]];
    for len in [100, 32 * 1024, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
        samples.push(text(len));
        samples.push(noise(len));
    }
    samples
}
