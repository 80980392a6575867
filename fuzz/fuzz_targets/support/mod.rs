//! What the targets of the codec share.

use polyphony_core::codec::{CodecError, Decoder, Fault, Format, Status};

/// More than this doesn't come out, so that a bomb costs no time.
pub const MAX_OUTPUT: u64 = 64 * 1024;

/// What comes out of a stream that is read by `size` bytes with room for `room`.
pub fn decode(
    stream: &[u8],
    format: Format,
    size: usize,
    room: usize,
) -> (Vec<u8>, Result<(), CodecError>) {
    let mut decoder = Decoder::new(format, Some(MAX_OUTPUT));
    let (mut output, mut piece) = (Vec::new(), vec![0; room]);
    let (mut start, mut end) = (0, 0);
    let result = loop {
        let step = match decoder.step(&stream[start..end], &mut piece) {
            Ok(step) => step,
            Err(error) => {
                assert_eq!(decoder.step(b"\x1f\x8b", &mut piece), Err(error));
                assert_eq!(decoder.finish(), Err(error));
                break Err(error);
            }
        };
        start += step.consumed;
        output.extend_from_slice(&piece[..step.produced]);
        match step.status {
            Status::NeedsInput if end == stream.len() => break decoder.finish(),
            Status::NeedsInput => {
                assert_eq!(start, end);
                end = (end + size).min(stream.len());
            }
            // A fault may be all that is left to say.
            Status::NeedsOutput => {
                assert!(step.produced == room || step.consumed > 0 || step.produced > 0)
            }
            Status::Done => panic!("another member may follow"),
        }
    };
    if let Err(error) = result {
        assert_ne!(error.fault, Fault::Library);
        assert_eq!(error.written, output.len() as u64);
        assert!(error.verified <= error.written);
    }
    assert_eq!(decoder.written(), output.len() as u64);
    assert!(decoder.written() <= MAX_OUTPUT);
    (output, result)
}

/// Sizes of pieces from the front of an input, and the rest of it.
pub fn sizes(input: &[u8]) -> Option<(usize, usize, &[u8])> {
    let [size, room, rest @ ..] = input else { return None };
    Some((usize::from(*size) + 1, usize::from(*room) + 1, rest))
}
