//! A transfer in HTTP's chunked coding through a pipe, as a pure state machine.
//!
//! What is in the pipe is a chunk's payload. Its head goes out in one send with the end of the
//! chunk before, so that a chunk is three moves: into the pipe, the head, out of the pipe. Where
//! the source has nothing at present, the end of a chunk goes out by itself: the client sees
//! whole chunks.

use std::io::Write;

/// Longest frame: the end of a chunk, 16 hex digits, the end of a line.
const FRAME: usize = 2 + 16 + 2;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Move at most so many bytes into the pipe, and report [`Chunked::filled`].
    Fill(usize),
    /// Send [`Chunked::frame`] from there on, and report [`Chunked::sent`]. Whether more follows
    /// at once.
    Send {
        /// More follows.
        more: bool,
    },
    /// Move so many bytes out of the pipe, and report [`Chunked::drained`].
    Drain(usize),
    /// All is sent.
    Done,
}

/// A transfer under way.
#[derive(Clone, Copy, Debug)]
pub struct Chunked {
    max: usize,
    frame: [u8; FRAME],
    len: usize,
    sent: usize,
    /// Payload in the pipe.
    payload: usize,
    /// The chunk before is without its end.
    open: bool,
    ended: bool,
    moved: u64,
}

impl Chunked {
    /// A transfer that has not begun, in chunks of at most `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let frame = [0; FRAME];
        Self { max, frame, len: 0, sent: 0, payload: 0, open: false, ended: false, moved: 0 }
    }

    /// What is to be done next.
    #[must_use]
    pub fn step(&self) -> Step {
        if self.sent < self.len {
            return Step::Send { more: self.payload > 0 };
        }
        match self.payload {
            0 if self.ended => Step::Done,
            0 => Step::Fill(self.max),
            payload => Step::Drain(payload),
        }
    }

    /// What is to be sent.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.frame[self.sent..self.len]
    }

    /// Payload came into the pipe; 0 is the source's EOF.
    pub fn filled(&mut self, bytes: usize) {
        self.payload = bytes;
        self.ended = bytes == 0;
        let end = if self.open { "\r\n" } else { "" };
        match bytes {
            0 => self.write(format_args!("{end}0\r\n\r\n")),
            size => self.write(format_args!("{end}{size:x}\r\n")),
        }
        self.open = bytes > 0;
    }

    /// The source would have to be waited for: the end of the chunk before goes out now.
    pub fn would_wait(&mut self) {
        if self.open {
            self.open = false;
            self.write(format_args!("\r\n"));
        }
    }

    /// Bytes of the frame were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
    }

    /// Payload went out of the pipe.
    pub fn drained(&mut self, bytes: usize) {
        self.payload = self.payload.saturating_sub(bytes);
        self.moved += bytes as u64;
    }

    /// Payload in the pipe.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.payload
    }

    /// Bytes of payload that have reached the destination.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.moved
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        let mut rest = &mut self.frame[..];
        // The longest text fits.
        let _ = rest.write_fmt(text);
        let left = rest.len();
        (self.len, self.sent) = (FRAME - left, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn send_all(chunked: &mut Chunked, wire: &mut Vec<u8>, at_once: usize) {
        while let Step::Send { .. } = chunked.step() {
            let part = &chunked.frame()[..chunked.frame().len().min(at_once)];
            wire.extend_from_slice(part);
            let len = part.len();
            chunked.sent(len);
        }
    }

    #[test]
    fn nothing_is_the_last_chunk_alone() {
        let mut chunked = Chunked::new(10);
        assert_eq!(chunked.step(), Step::Fill(10));
        chunked.filled(0);
        assert_eq!(chunked.step(), Step::Send { more: false });
        assert_eq!(chunked.frame(), b"0\r\n\r\n");
        chunked.sent(5);
        assert_eq!((chunked.step(), chunked.moved()), (Step::Done, 0));
    }

    #[test]
    fn the_end_of_a_chunk_goes_with_the_head_of_the_next() {
        let mut chunked = Chunked::new(100);
        chunked.filled(26);
        assert_eq!((chunked.frame(), chunked.step()), (&b"1a\r\n"[..], Step::Send { more: true }));
        chunked.sent(4);
        assert_eq!(chunked.step(), Step::Drain(26));
        chunked.drained(20);
        assert_eq!(chunked.step(), Step::Drain(6));
        chunked.drained(6);
        chunked.filled(100);
        assert_eq!(chunked.frame(), b"\r\n64\r\n");
        chunked.sent(6);
        chunked.drained(100);
        chunked.filled(0);
        assert_eq!(chunked.frame(), b"\r\n0\r\n\r\n");
        chunked.sent(7);
        assert_eq!((chunked.step(), chunked.moved()), (Step::Done, 126));
    }

    #[test]
    fn before_a_wait_the_chunk_is_ended() {
        let mut chunked = Chunked::new(100);
        chunked.would_wait();
        assert_eq!(chunked.step(), Step::Fill(100), "there was none");
        chunked.filled(1);
        chunked.sent(3);
        chunked.drained(1);
        chunked.would_wait();
        assert_eq!((chunked.frame(), chunked.step()), (&b"\r\n"[..], Step::Send { more: false }));
        chunked.sent(2);
        chunked.would_wait();
        assert_eq!(chunked.step(), Step::Fill(100), "once is enough");
        chunked.filled(2);
        assert_eq!(chunked.frame(), b"2\r\n");
    }

    #[test]
    fn the_largest_chunk_has_a_head() {
        let mut chunked = Chunked::new(usize::MAX);
        chunked.filled(1);
        chunked.sent(3);
        chunked.drained(1);
        chunked.filled(usize::MAX);
        assert_eq!(chunked.frame(), b"\r\nffffffffffffffff\r\n");
    }

    proptest! {
        /// Whatever the pieces, the wire has the chunks that were made, each with its head.
        #[test]
        fn the_wire_is_right(
            pieces in prop::collection::vec((1usize..5000, 1usize..700, any::<bool>()), 0..20),
            at_once in 1usize..8,
        ) {
            let (mut chunked, mut wire, mut wanted) = (Chunked::new(5000), vec![], vec![]);
            for (size, part, waits) in &pieces {
                if *waits {
                    chunked.would_wait();
                    send_all(&mut chunked, &mut wire, at_once);
                }
                chunked.filled(*size);
                send_all(&mut chunked, &mut wire, at_once);
                while let Step::Drain(len) = chunked.step() {
                    let len = len.min(*part);
                    wire.resize(wire.len() + len, b'x');
                    chunked.drained(len);
                }
                wanted.extend(format!("{size:x}\r\n{}\r\n", "x".repeat(*size)).bytes());
            }
            chunked.filled(0);
            send_all(&mut chunked, &mut wire, at_once);
            wanted.extend(b"0\r\n\r\n");
            prop_assert!(wire == wanted);
            prop_assert_eq!(chunked.step(), Step::Done);
            prop_assert_eq!(chunked.moved(), pieces.iter().map(|it| it.0 as u64).sum::<u64>());
        }
    }
}
