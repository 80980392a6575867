//! Buffers for what the kernel reads, shared by all descriptors of a ring.

use std::io;

use io_uring::{IoUring, cqueue};

use super::ledger::Ledger;
use super::mapping::Mapping;
use super::ring::BufRing;
use super::{BUFFER_SIZE, Segment};

/// A buffer's size as its entry in the ring has it.
#[allow(clippy::cast_possible_truncation)] // it fits an offset of 16 bits
const ENTRY_LEN: u32 = BUFFER_SIZE as u32;

/// What a pool consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Buffers that have memory.
    pub allocated: usize,
    /// Those that are neither the kernel's nor hold anything unread.
    pub free: usize,
    /// Bytes that the kernel may fill.
    pub available: usize,
    /// Segments that were not released.
    pub segments: usize,
    /// The most there ever were at one time.
    pub most_segments: usize,
}

/// Buffers, their ring, and the books.
///
/// The kernel writes to the buffers as long as an op that takes them is in flight: whoever drops
/// the pool before the last of them was reaped has to [leak](Pool::leak) it instead.
pub struct Pool {
    ring: BufRing,
    ledger: Ledger,
    /// By bid; `None` where the memory was given back, or never had.
    memory: Vec<Option<Mapping>>,
    incremental: bool,
}

impl Pool {
    /// Registers the pool's ring, without buffers. `incremental`: completions that don't use up a
    /// buffer leave the rest of it for the next one.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn new(io: &IoUring, incremental: bool) -> io::Result<Self> {
        let ring = BufRing::register(io, incremental)?;
        Ok(Self { ring, ledger: Ledger::default(), memory: Vec::new(), incremental })
    }

    /// Gives the kernel buffers, where it has few. Whether it has any.
    pub fn refill(&mut self) -> bool {
        if self.ledger.is_low() {
            while self.offer_next().is_some() {}
            self.ring.publish();
        }
        self.ledger.available() > 0
    }

    fn offer_next(&mut self) -> Option<()> {
        let bid = self.ledger.next()?;
        let index = usize::from(bid);
        if self.memory.len() <= index {
            self.memory.resize_with(index + 1, || None);
        }
        let place = &mut self.memory[index];
        if place.is_none() {
            // Without memory the kernel does with less.
            *place = Mapping::new(BUFFER_SIZE).ok();
        }
        let start = place.as_ref()?.as_ptr();
        // SAFETY: nobody reads the buffer, and its memory stays until the kernel is done with it
        // and its segments are released. There are no more buffers than entries.
        unsafe { self.ring.push(bid, start, ENTRY_LEN) };
        self.ledger.offered(bid);
        Some(())
    }

    /// What a completion has put into a buffer, to be [released](Pool::release). Completions have
    /// to come in the kernel's order.
    pub fn take_in(&mut self, result: i32, flags: u32) -> Option<Segment> {
        let bid = cqueue::buffer_select(flags)?;
        let len = usize::try_from(result).unwrap_or(0);
        if len == 0 && self.incremental {
            // The kernel goes on with this buffer, whatever the flags say.
            return None;
        }
        let segment = self.ledger.filled(bid, len, !cqueue::buffer_more(flags))?;
        if len > 0 {
            return Some(segment);
        }
        self.release(segment);
        None
    }

    /// The kernel found no buffer: it gets more at a time from now on.
    pub fn ran_out(&mut self) {
        self.ledger.ran_out();
        self.refill();
    }

    /// The bytes of a segment; none where the buffer has gone.
    #[must_use]
    pub fn bytes(&self, segment: Segment) -> &[u8] {
        let Some(Some(memory)) = self.memory.get(usize::from(segment.bid)) else { return &[] };
        let offset = usize::from(segment.offset).min(BUFFER_SIZE);
        let len = usize::from(segment.len).min(BUFFER_SIZE - offset);
        // SAFETY: within the buffer. The kernel writes only behind what it has reported.
        unsafe { std::slice::from_raw_parts(memory.as_ptr().add(offset), len) }
    }

    /// The bytes were read: the buffer goes back when they were the last ones.
    pub fn release(&mut self, segment: Segment) {
        if self.ledger.release(segment) {
            self.memory[usize::from(segment.bid)] = None;
        }
    }

    /// How much there is of everything.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let (segments, most_segments) = self.ledger.segments();
        Figures {
            allocated: self.ledger.allocated(),
            free: self.ledger.free(),
            available: self.ledger.available(),
            segments,
            most_segments,
        }
    }

    /// Gives up the pool without releasing its memory, which the kernel may still write to.
    pub fn leak(self) {
        #[allow(clippy::mem_forget)]
        std::mem::forget(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::{MAX_BUFFERS, ring::probe_incremental};
    use crate::net;
    use crate::op::{Op, OpMemory, ReadMultishot, RecvMultishot};

    struct Fixture {
        pool: Pool,
        io: IoUring,
        fds: [i32; 2],
    }

    impl Fixture {
        /// `None`: this kernel can't do that.
        fn new(incremental: bool, fds: [i32; 2]) -> Option<Self> {
            let io = IoUring::new(64).expect("io_uring");
            if incremental && !probe_incremental(&io) {
                eprintln!("skipped: no incremental buffers");
                return None;
            }
            let mut pool = Pool::new(&io, incremental).expect("pool");
            assert_eq!(pool.figures(), Figures::default());
            assert!(pool.refill());
            Some(Self { pool, io, fds })
        }

        fn socket(incremental: bool) -> Option<Self> {
            let fds = net::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0).expect("sockets");
            let mut it = Self::new(incremental, fds)?;
            it.arm();
            Some(it)
        }

        fn arm(&mut self) {
            let op = RecvMultishot { fd: self.fds[0], flags: 0 };
            self.push(op);
        }

        fn push(&mut self, op: impl Op) {
            let entry = op.build(&mut OpMemory::None);
            // SAFETY: the op points to nothing but the pool, which lives as long as the ring.
            unsafe { self.io.submission().push(&entry) }.expect("room");
            self.io.submit().expect("submit");
        }

        fn send(&self, bytes: &[u8]) {
            // SAFETY: reads from a live slice.
            let sent = unsafe { libc::write(self.fds[1], bytes.as_ptr().cast(), bytes.len()) };
            assert_eq!(usize::try_from(sent), Ok(bytes.len()));
        }

        /// Results of what has completed, and the segments.
        fn take(&mut self) -> Vec<(i32, Option<Segment>)> {
            self.io.submit_and_wait(1).expect("wait");
            let Self { io, pool, .. } = self;
            let each = |cqe: cqueue::Entry| (cqe.result(), pool.take_in(cqe.result(), cqe.flags()));
            io.completion().map(each).collect()
        }

        /// The one chunk that has completed, released.
        fn chunk(&mut self) -> Vec<u8> {
            let taken = self.take();
            let [(result, Some(segment))] = taken[..] else { unreachable!("{taken:?}") };
            let bytes = self.pool.bytes(segment).to_vec();
            assert_eq!(usize::try_from(result), Ok(bytes.len()));
            self.pool.release(segment);
            bytes
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            for fd in self.fds {
                crate::sys::close(fd).expect("close");
            }
        }
    }

    #[test]
    fn incremental_completions_share_a_buffer() {
        let Some(mut it) = Fixture::socket(true) else { return };
        it.send(b"hello");
        assert_eq!(it.chunk(), b"hello");
        it.send(b"world!");
        assert_eq!(it.chunk(), b"world!");
        let figures = it.pool.figures();
        assert_eq!((figures.allocated, figures.free), (16, 0));
        assert_eq!(figures.available, 16 * BUFFER_SIZE - 11);
    }

    #[test]
    fn classic_completions_use_up_a_buffer_each() {
        let Some(mut it) = Fixture::socket(false) else { return };
        it.send(b"hello");
        assert_eq!(it.chunk(), b"hello");
        it.send(b"world!");
        assert_eq!(it.chunk(), b"world!");
        let figures = it.pool.figures();
        assert_eq!((figures.allocated, figures.free), (16, 2));
        assert_eq!(figures.available, 14 * BUFFER_SIZE);
    }

    /// Many times round the pool, and round its ring, in chunks of odd sizes.
    fn rounds(incremental: bool) {
        let Some(mut it) = Fixture::socket(incremental) else { return };
        let mut next = 0u8;
        for round in 0..3 * MAX_BUFFERS {
            let size = 1 + (round * 7919) % (BUFFER_SIZE - 1);
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                next = next.wrapping_add(1);
                next
            })
            .take(size)
            .collect();
            it.send(&bytes);
            let mut came = Vec::new();
            while came.len() < size {
                for (_, segment) in it.take() {
                    let segment = segment.expect("a segment");
                    came.extend_from_slice(it.pool.bytes(segment));
                    it.pool.release(segment);
                }
                it.pool.refill();
            }
            assert!(came == bytes, "round {round}");
        }
        assert!(it.pool.figures().allocated <= 32);
        assert_eq!(it.pool.figures().segments, 0);
    }

    #[test]
    fn bytes_survive_many_rounds_of_incremental_buffers() {
        rounds(true);
    }

    #[test]
    fn bytes_survive_many_rounds_of_classic_buffers() {
        rounds(false);
    }

    fn exhaustion(incremental: bool) {
        let Some(mut it) = Fixture::socket(incremental) else { return };
        let mut held = Vec::new();
        let block = vec![7; BUFFER_SIZE];
        for _ in 0..16 {
            it.send(&block);
            held.extend(it.take());
        }
        it.send(b"more");
        let taken = it.take();
        assert_eq!(taken, [(-libc::ENOBUFS, None)]);
        it.pool.ran_out();
        assert_eq!(it.pool.figures().available, 32 * BUFFER_SIZE);
        it.arm();
        assert_eq!(it.chunk(), b"more");
        for (_, segment) in held {
            let segment = segment.expect("a segment");
            assert!(it.pool.bytes(segment).iter().all(|byte| *byte == 7));
            it.pool.release(segment);
        }
        assert_eq!(it.pool.figures().segments, 0);
    }

    #[test]
    fn an_exhausted_incremental_pool_says_enobufs_and_grows() {
        exhaustion(true);
    }

    #[test]
    fn an_exhausted_classic_pool_says_enobufs_and_grows() {
        exhaustion(false);
    }

    #[test]
    fn a_multishot_read_of_a_pipe_takes_buffers() {
        let Some(mut it) = Fixture::new(false, net::pipe(0).expect("pipe")) else { return };
        it.push(ReadMultishot { fd: it.fds[0] });
        for _ in 0..3 {
            it.send(b"hello");
            assert_eq!(it.chunk(), b"hello");
        }
    }

    #[test]
    fn the_end_of_a_stream_uses_no_buffer() {
        for incremental in [true, false] {
            let Some(mut it) = Fixture::socket(incremental) else { continue };
            net::shutdown(it.fds[1], libc::SHUT_WR).expect("shutdown");
            assert_eq!(it.take(), [(0, None)]);
            let figures = it.pool.figures();
            assert_eq!((figures.available, figures.segments), (16 * BUFFER_SIZE, 0));
        }
    }

    #[test]
    fn segments_of_buffers_that_are_not_there_are_empty() {
        let Some(mut it) = Fixture::socket(false) else { return };
        let segment = Segment { bid: 1000, offset: 0, len: 5 };
        assert_eq!(it.pool.bytes(segment), b"");
        it.pool.release(segment);
        let beyond = Segment { bid: 0, offset: u16::MAX, len: u16::MAX };
        assert_eq!(it.pool.bytes(beyond), b"");
    }
}
