//! Decompressing, step by step.

use std::mem;

use flate2::{Decompress, FlushDecompress};

use super::checksum::{Checksum, Trailer};
use super::header::{HeaderReader, MAGIC};
use super::{CodecError, Fault, Format, Header, Part, Status, Step};

const METHOD_MASK: u8 = 0x0f;
const METHOD_DEFLATE: u8 = 8;
/// The largest window is 32 KB, 2 to the power of this and 8.
const MAX_WINDOW: u8 = 7;
const PRESET_DICTIONARY: u8 = 0x20;

/// A stream that is being decompressed.
///
/// It owns about 50 KB, whatever comes, and the texts of the first header where they are wanted,
/// which may have [`MAX_KEPT_TEXT`](super::MAX_KEPT_TEXT) bytes each then. What it has put out is good up to a fault: a step
/// that meets one says what it has done, and the next one returns the error.
#[derive(Debug)]
pub struct Decoder {
    format: Format,
    state: State,
    inflate: Decompress,
    checksum: Checksum,
    /// Of the first member, where it is wanted.
    header: Option<Header>,
    wants_header: bool,
    max_output: Option<u64>,
    written: u64,
    verified: u64,
}

#[derive(Debug)]
enum State {
    GzipHeader(HeaderReader),
    ZlibHeader {
        first: Option<u8>,
    },
    Body,
    Trailer(Trailer),
    /// A stream is complete; a gzip member may follow.
    Between,
    /// Zeros behind the last member, as on a tape.
    Padding,
    Failed(CodecError),
}

impl Decoder {
    /// A stream of this format. More than `max_output` bytes don't come out of it.
    #[must_use]
    pub fn new(format: Format, max_output: Option<u64>) -> Self {
        let state = match format {
            Format::Gzip => State::GzipHeader(HeaderReader::new(false)),
            Format::Zlib => State::ZlibHeader { first: None },
        };
        Self {
            format,
            state,
            inflate: Decompress::new(false),
            checksum: Checksum::new(format),
            header: None,
            wants_header: false,
            max_output,
            written: 0,
            verified: 0,
        }
    }

    /// Keeps the header of the first gzip member. Else its texts are skipped, however long.
    #[must_use]
    pub fn keeping_header(mut self) -> Self {
        if let State::GzipHeader(reader) = &mut self.state {
            *reader = HeaderReader::new(true);
        }
        self.wants_header = true;
        self
    }

    /// Decompresses as much as there is input and room for.
    ///
    /// # Errors
    /// What is wrong with the stream; the same again from then on.
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, CodecError> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        let (mut consumed, mut produced) = (0, 0);
        let status = loop {
            let rest = &input[consumed..];
            // Of the body there may be more to say without more input.
            if rest.is_empty() && !matches!(self.state, State::Body) {
                break Status::NeedsInput;
            }
            let (taken, given) = match self.advance(rest, &mut output[produced..]) {
                Ok(progress) => progress,
                Err(fault) => {
                    self.state = State::Failed(self.error(fault));
                    break Status::NeedsOutput;
                }
            };
            consumed += taken;
            produced += given;
            match self.state {
                State::Failed(_) => break Status::NeedsOutput,
                State::Body if produced == output.len() => break Status::NeedsOutput,
                State::Body if rest.is_empty() && given == 0 => break Status::NeedsInput,
                _ => {}
            }
        };
        match self.state {
            State::Failed(error) if consumed == 0 && produced == 0 => Err(error),
            _ => Ok(Step { consumed, produced, status }),
        }
    }

    /// The source has ended, and everything from it was consumed.
    ///
    /// # Errors
    /// The stream isn't complete, or a fault was met before.
    pub fn finish(&self) -> Result<(), CodecError> {
        let part = match &self.state {
            State::Between | State::Padding => return Ok(()),
            State::Failed(error) => return Err(*error),
            State::GzipHeader(_) | State::ZlibHeader { .. } => Part::Header,
            State::Body => Part::Data,
            State::Trailer(_) => Part::Trailer,
        };
        Err(self.error(Fault::Truncated(part)))
    }

    /// The header of the first gzip member, once it has come, and where it is kept.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Bytes that have come out.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    fn error(&self, fault: Fault) -> CodecError {
        CodecError { fault, written: self.written, verified: self.verified }
    }

    /// Goes on within one part of the stream: bytes consumed and produced. `input` is not empty,
    /// but for the body.
    fn advance(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), Fault> {
        let consumed = match &mut self.state {
            State::GzipHeader(reader) => {
                let consumed = reader.feed(input)?;
                if reader.is_complete() {
                    self.end_header();
                }
                consumed
            }
            State::ZlibHeader { first } => {
                match first.replace(input[0]) {
                    None => check_zlib_method(input[0])?,
                    Some(first) => {
                        check_zlib_flags(first, input[0])?;
                        self.state = State::Body;
                    }
                }
                1
            }
            State::Body => return self.inflate(input, output),
            State::Trailer(trailer) => {
                let consumed = trailer.feed(input);
                if trailer.is_complete() {
                    self.end_member()?;
                }
                consumed
            }
            State::Between => self.begin_next(input[0])?,
            State::Padding => {
                let zeros = input.iter().take_while(|byte| **byte == 0).count();
                if zeros < input.len() {
                    return Err(Fault::TrailingGarbage);
                }
                zeros
            }
            // `step` has returned the error.
            State::Failed(_) => 0,
        };
        Ok((consumed, 0))
    }

    fn end_header(&mut self) {
        if let State::GzipHeader(reader) = mem::replace(&mut self.state, State::Body) {
            if self.wants_header {
                self.header.get_or_insert_with(|| reader.into_header());
            }
        }
    }

    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), Fault> {
        let left = self.max_output.map_or(u64::MAX, |limit| limit.saturating_sub(self.written));
        // At the limit one byte more is asked for: is there one?
        let mut beyond = [0; 1];
        let at_limit = left == 0 && !output.is_empty();
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(output.len());
        let output = if at_limit { &mut beyond[..] } else { &mut output[..room] };

        let (seen, written) = (self.inflate.total_in(), self.inflate.total_out());
        let result = self.inflate.decompress(input, output, FlushDecompress::None);
        // Both differences fit: they are lengths of parts of slices.
        let consumed = usize::try_from(self.inflate.total_in() - seen).unwrap_or(0);
        let produced = usize::try_from(self.inflate.total_out() - written).unwrap_or(0);
        if at_limit && produced > 0 {
            return Err(Fault::TooLarge(self.written));
        }
        self.checksum.update(&output[..produced]);
        self.written += produced as u64;
        match result {
            Ok(flate2::Status::StreamEnd) => self.state = State::Trailer(Trailer::new(self.format)),
            Ok(_) if consumed == 0 && produced == 0 && !input.is_empty() && !output.is_empty() => {
                return Err(Fault::Library);
            }
            Ok(_) => {}
            // What was put out before it is good.
            Err(_) => self.state = State::Failed(self.error(Fault::Data)),
        }
        Ok((consumed, produced))
    }

    fn end_member(&mut self) -> Result<(), Fault> {
        let State::Trailer(trailer) = mem::replace(&mut self.state, State::Between) else {
            return Ok(());
        };
        if trailer.checksum() != self.checksum.value() {
            return Err(Fault::Checksum);
        }
        if trailer.length().is_some_and(|length| Some(length) != self.checksum.length()) {
            return Err(Fault::Length);
        }
        self.verified = self.written;
        Ok(())
    }

    /// What comes behind a complete stream: bytes consumed.
    fn begin_next(&mut self, first: u8) -> Result<usize, Fault> {
        match (self.format, first) {
            (Format::Gzip, 0) => self.state = State::Padding,
            (Format::Gzip, first) if first == MAGIC[0] => {
                self.inflate.reset(false);
                self.checksum = Checksum::new(self.format);
                self.state = State::GzipHeader(HeaderReader::new(false));
            }
            _ => return Err(Fault::TrailingGarbage),
        }
        Ok(0)
    }
}

fn check_zlib_method(first: u8) -> Result<(), Fault> {
    if first & METHOD_MASK != METHOD_DEFLATE || first >> 4 > MAX_WINDOW {
        return Err(Fault::NotZlib);
    }
    Ok(())
}

fn check_zlib_flags(first: u8, second: u8) -> Result<(), Fault> {
    if u16::from_be_bytes([first, second]) % 31 != 0 {
        return Err(Fault::NotZlib);
    }
    if second & PRESET_DICTIONARY != 0 {
        return Err(Fault::Dictionary);
    }
    Ok(())
}
