//! A transfer that compresses or decompresses: its buffers, and what may be done next.
//!
//! Reading, computing and writing happen elsewhere, and at the same time: the pump hands out a
//! buffer to read into, work for another thread and bytes to write, and takes each back when it is
//! done. It may be dropped at any moment; what is out by then belongs to whoever has it.

mod work;

use std::collections::VecDeque;
use std::mem;

use super::{CodecError, Flush, Header, Parallel, Status};
use work::{Outcome, Stepped, Task};

pub use work::{Codec, Piece, Work, Worked};

/// Buffers for each direction: one moves while another is worked on.
const BUFFERS: usize = 2;
/// How much larger a decoder's output buffers are, so that what is read usually fits in at once.
const EXPANSION: usize = 3;
/// Fewer compressed bytes than this are written with those that follow, unless there is a flush.
const WORTH_WRITING: usize = 4096;

/// A transfer.
///
/// It owns four buffers of the size it was made with, two of them three times as large where it
/// decompresses, and what its codec owns.
#[derive(Debug)]
pub struct Pump {
    engine: Engine,
    empty: Vec<Vec<u8>>,
    input: VecDeque<Piece>,
    reading: bool,
    /// The source has ended.
    ended: bool,
    flushing: bool,
    rooms: Vec<Vec<u8>>,
    /// Output that is not worth writing yet, in a room that isn't full.
    held: Option<Piece>,
    output: VecDeque<Piece>,
    writing: bool,
    written: u64,
    /// The codec has nothing more to say; why.
    outcome: Option<Result<(), CodecError>>,
}

#[derive(Debug)]
enum Engine {
    Serial {
        /// `None`: at work.
        codec: Option<Codec>,
        status: Status,
    },
    Parallel(Box<Parallel>),
}

impl Pump {
    /// A transfer by one thread at a time.
    #[must_use]
    pub fn serial(codec: Codec, buffer_size: usize) -> Self {
        let room_size = match codec {
            Codec::Encoder(_) => buffer_size,
            Codec::Decoder(_) => buffer_size.saturating_mul(EXPANSION),
        };
        let engine = Engine::Serial { codec: Some(codec), status: Status::NeedsInput };
        Self::new(engine, buffer_size, room_size)
    }

    /// A transfer that several threads compress.
    #[must_use]
    pub fn parallel(parallel: Box<Parallel>, buffer_size: usize) -> Self {
        Self::new(Engine::Parallel(parallel), buffer_size, buffer_size)
    }

    fn new(engine: Engine, buffer_size: usize, room_size: usize) -> Self {
        let buffers = |size: usize| vec![vec![0; size.max(1)]; BUFFERS];
        Self {
            engine,
            empty: buffers(buffer_size),
            input: VecDeque::new(),
            reading: false,
            ended: false,
            flushing: false,
            rooms: buffers(room_size),
            held: None,
            output: VecDeque::new(),
            writing: false,
            written: 0,
            outcome: None,
        }
    }

    /// A buffer to read into, if there should be a read now; one at a time.
    pub fn take_buffer(&mut self) -> Option<Vec<u8>> {
        if self.reading || self.ended || self.outcome.is_some() {
            return None;
        }
        let buffer = self.empty.pop()?;
        self.reading = true;
        Some(buffer)
    }

    /// So many bytes were read into the buffer; 0 is the source's end.
    pub fn was_read(&mut self, buffer: Vec<u8>, count: usize) {
        self.reading = false;
        self.ended = count == 0;
        self.flushing &= count == 0;
        let count = count.min(buffer.len());
        if count == 0 {
            self.empty.push(buffer);
        } else {
            self.input.push_back(Piece { buffer, range: 0..count });
        }
        self.fill_blocks();
        self.settle();
    }

    /// The source is silent: what was read should be on its way before it speaks again.
    pub fn flush(&mut self) {
        self.flushing = true;
        self.fill_blocks();
    }

    /// Something to compute, if there is; until none comes back, since several may be done at once.
    pub fn take_work(&mut self) -> Option<Work> {
        if self.outcome.is_some() {
            return None;
        }
        match &mut self.engine {
            Engine::Serial { .. } => self.take_step(),
            Engine::Parallel(parallel) => parallel.next_job().map(|job| Work(Task::Block(job))),
        }
    }

    /// Input goes into blocks as soon as there is room, so that its buffers are free to read into.
    fn fill_blocks(&mut self) {
        let Engine::Parallel(parallel) = &mut self.engine else { return };
        while let Some(piece) = self.input.front_mut() {
            piece.range.start += parallel.feed(piece.as_ref());
            if !piece.range.is_empty() {
                return;
            }
            self.empty.extend(self.input.pop_front().map(|piece| piece.buffer));
        }
        if self.ended {
            parallel.finish();
        } else if mem::take(&mut self.flushing) {
            parallel.flush();
        }
    }

    fn take_step(&mut self) -> Option<Work> {
        let Engine::Serial { codec, status } = &mut self.engine else { return None };
        let last = self.input.len() <= 1;
        let flush = match codec.as_ref()? {
            Codec::Encoder(_) if last && self.ended => Flush::Finish,
            Codec::Encoder(encoder) if last && self.flushing => {
                let kept = encoder.is_unflushed() || self.held.is_some();
                if kept || !self.input.is_empty() { Flush::Sync } else { Flush::None }
            }
            _ => Flush::None,
        };
        if self.input.is_empty() && flush == Flush::None && *status == Status::NeedsInput {
            return None;
        }
        let room = self.held.take().or_else(|| self.rooms.pop().map(Piece::empty))?;
        let codec = codec.take()?;
        Some(Work(Task::Step { codec, input: self.input.pop_front(), room, flush }))
    }

    /// Takes work back that is done, in any order.
    pub fn was_worked(&mut self, worked: Worked) {
        match (worked.0, &mut self.engine) {
            (Outcome::Step(stepped), Engine::Serial { .. }) => self.was_stepped(stepped),
            (Outcome::Block(block), Engine::Parallel(parallel)) => {
                if let Err(error) = parallel.put(block) {
                    self.outcome = Some(Err(error));
                }
            }
            _ => debug_assert!(false, "work goes back to where it came from"),
        }
    }

    fn was_stepped(&mut self, stepped: Stepped) {
        let Engine::Serial { codec, status } = &mut self.engine else { return };
        let Stepped { codec: back, input, mut room, flush, result } = stepped;
        let mut hold = matches!(back, Codec::Encoder(_)) && flush == Flush::None;
        *codec = Some(back);
        match result {
            Ok(step) => {
                *status = step.status;
                room.range.end += step.produced;
                hold &= step.status == Status::NeedsInput && room.range.len() < WORTH_WRITING;
                if step.status == Status::Done {
                    self.outcome = Some(Ok(()));
                }
                self.keep_rest(input, step.consumed);
            }
            Err(error) => {
                hold = false;
                self.outcome = Some(Err(error));
            }
        }
        if room.range.is_empty() {
            self.rooms.push(room.buffer);
        } else if hold {
            self.held = Some(room);
        } else {
            self.output.push_back(room);
        }
        self.settle();
    }

    /// Finds out whether a decoder has come to its end.
    fn settle(&mut self) {
        let Engine::Serial { codec: Some(Codec::Decoder(decoder)), status } = &self.engine else {
            return;
        };
        if self.ended && self.input.is_empty() && *status == Status::NeedsInput {
            self.outcome.get_or_insert_with(|| decoder.finish());
        }
    }

    fn keep_rest(&mut self, input: Option<Piece>, consumed: usize) {
        let Some(mut piece) = input else { return };
        piece.range.start += consumed;
        if piece.range.is_empty() {
            self.empty.push(piece.buffer);
        } else {
            self.input.push_front(piece);
        }
    }

    /// Bytes to write, if there are; one piece at a time.
    pub fn take_output(&mut self) -> Option<Piece> {
        if self.writing {
            return None;
        }
        if self.output.is_empty() {
            self.join_blocks();
        }
        let piece = self.output.pop_front()?;
        self.writing = true;
        Some(piece)
    }

    /// Output of several blocks in one piece, as far as it goes.
    fn join_blocks(&mut self) {
        let Engine::Parallel(parallel) = &mut self.engine else { return };
        let Some(mut room) = self.rooms.pop() else { return };
        let mut len = 0;
        loop {
            let bytes = parallel.output();
            let count = bytes.len().min(room.len() - len);
            if count == 0 {
                break;
            }
            room[len..len + count].copy_from_slice(&bytes[..count]);
            len += count;
            parallel.consume(count);
        }
        if parallel.is_done() {
            self.outcome.get_or_insert(Ok(()));
        }
        self.fill_blocks();
        if len > 0 {
            self.output.push_back(Piece { buffer: room, range: 0..len });
        } else {
            self.rooms.push(room);
        }
    }

    /// So many bytes of the piece were written; the rest is the next one.
    pub fn was_written(&mut self, mut piece: Piece, count: usize) {
        self.writing = false;
        let count = count.min(piece.range.len());
        self.written += count as u64;
        piece.range.start += count;
        if piece.range.is_empty() {
            self.rooms.push(piece.buffer);
        } else {
            self.output.push_front(piece);
        }
    }

    /// How it has ended, once all that was good is written.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), CodecError>> {
        self.outcome.filter(|_| self.output.is_empty() && !self.writing)
    }

    /// Bytes written to the destination.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The header of a gzip stream that is decompressed, once it has come and no work is out.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        match &self.engine {
            Engine::Serial { codec: Some(Codec::Decoder(decoder)), .. } => decoder.header(),
            _ => None,
        }
    }
}
