//! Streams and what feeds them.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::IntoRawFd;

use super::*;
use crate::stream::Stream;

/// A stream's source with its far end, on a ring.
struct Feed {
    it: Fixture,
    inlet: Inlet,
    fds: [RawFd; 2],
    /// Those that are still to be closed.
    open: Vec<RawFd>,
}

impl Feed {
    /// From the first descriptor.
    fn on(fds: [RawFd; 2], receive: bool) -> Self {
        let mut it = Fixture::new();
        let inlet = Inlet::new(&mut it.driver, fds[0], receive);
        Self { it, inlet, fds, open: fds.to_vec() }
    }

    fn pipe() -> Self {
        Self::on(net::pipe(0).expect("pipe"), false)
    }

    fn socket() -> Self {
        Self::on(sockets(), true)
    }

    fn stream(&mut self) -> &mut Stream {
        self.it.driver.stream(self.inlet.stream()).expect("open").0
    }

    fn pending(&mut self) -> usize {
        self.stream().pending()
    }

    /// What is there, consumed.
    fn read(&mut self) -> Vec<u8> {
        let (stream, buffers) = self.it.driver.stream(self.inlet.stream()).expect("open");
        let mut bytes = vec![0; stream.pending()];
        stream.read(&mut bytes, buffers);
        bytes
    }

    /// One look at the op: starts it if there is none, and waits until `count` bytes are there or
    /// it has ended.
    fn fill(&mut self, count: usize) -> Result<(), SubmitError> {
        if self.inlet.settle(&mut self.it.driver) {
            return Ok(());
        }
        let key = self.inlet.op(&mut self.it.driver, 7)?;
        self.stream().set_awaited(Some(count));
        self.it.seen.woken.clear();
        while !self.it.seen.woken.contains(&key) {
            self.it.wait();
        }
        self.it.driver.ops_mut().acknowledge(key);
        self.stream().set_awaited(None);
        self.inlet.settle(&mut self.it.driver);
        Ok(())
    }

    /// Waits for `count` bytes, or for the end.
    fn fill_to(&mut self, count: usize) {
        while self.pending() < count && !self.stream().has_ended() {
            self.fill(count).expect("fill");
        }
    }

    /// Starts the op, and lets it bring what is there while nobody waits.
    fn run_unawaited(&mut self) {
        self.inlet.op(&mut self.it.driver, 7).expect("op");
        for _ in 0..3 {
            self.it.turn();
        }
    }

    fn wait_for_the_last_op(&mut self) {
        while self.it.driver.ops().live() > 0 {
            self.it.wait();
        }
    }

    /// Ends everything: how many segments are left.
    fn close(mut self) -> usize {
        self.inlet.close(&mut self.it.driver, &mut self.it.seen);
        self.wait_for_the_last_op();
        close(&self.open);
        self.it.driver.buffers().segments
    }
}

#[test]
fn a_socket_is_read_by_one_op_that_goes_on() {
    let mut feed = Feed::socket();
    send(feed.fds[1], b"foo");
    feed.fill_to(3);
    let key = feed.inlet.key();
    assert!(key.is_some());
    send(feed.fds[1], b"bar");
    feed.fill_to(6);
    assert_eq!((feed.read(), feed.inlet.key()), (b"foobar".to_vec(), key));
    assert_eq!(feed.close(), 0);
}

#[test]
fn without_multishot_a_pipe_is_polled_and_then_read() {
    let mut feed = Feed::pipe();
    feed.it.driver.capabilities.read_multishot = false;
    feed.it.turn();
    send(feed.fds[1], b"foo");
    // Ready, but nothing was read.
    feed.fill(1).expect("poll");
    assert_eq!(feed.pending(), 0);
    feed.fill(1).expect("read");
    assert_eq!((feed.read(), feed.it.driver.buffers()), (b"foo".to_vec(), Figures::default()));
    assert_eq!(feed.close(), 0);
}

#[test]
fn what_comes_while_nobody_waits_is_there_and_wakes_nobody() {
    for mut feed in [Feed::pipe(), Feed::socket()] {
        feed.run_unawaited();
        send(feed.fds[1], b"foo");
        feed.run_unawaited();
        assert_eq!((feed.pending(), feed.it.seen.woken.len()), (3, 0));
        assert!(!feed.it.driver.is_busy());
        assert_eq!(feed.read(), b"foo");
        assert_eq!(feed.close(), 0);
    }
}

#[test]
fn an_end_that_comes_while_nobody_waits_is_found() {
    for mut feed in [Feed::pipe(), Feed::socket()] {
        send(feed.fds[1], b"foo");
        feed.run_unawaited();
        close(&[feed.open.remove(1)]);
        feed.run_unawaited();
        assert!(feed.inlet.settle(&mut feed.it.driver));
        assert!(feed.stream().has_ended());
        // What is left of an ended stream pins no buffer.
        assert_eq!((feed.pending(), feed.it.driver.buffers().segments), (3, 0));
        assert_eq!((feed.read(), feed.it.driver.ops().live()), (b"foo".to_vec(), 0));
        assert_eq!(feed.it.seen.freed, [7]);
        assert_eq!(feed.close(), 0);
    }
}

#[test]
fn a_file_is_read_to_its_end() {
    let path = std::env::temp_dir().join(format!("polyphony-inlet-{}", std::process::id()));
    let mut file = File::create(&path).expect("file");
    file.write_all(&[b'x'; 100_000]).expect("write");
    let reader = File::open(&path).expect("file");
    std::fs::remove_file(path).expect("remove");
    let mut feed = Feed::on([reader, file].map(IntoRawFd::into_raw_fd), false);
    feed.fill_to(100_000);
    assert_eq!((feed.pending(), feed.stream().has_ended()), (100_000, false));
    feed.fill(usize::MAX).expect("the end");
    assert!(feed.stream().has_ended());
    assert_eq!(feed.read(), [b'x'; 100_000]);
    assert_eq!(feed.close(), 0);
}

#[test]
fn a_full_stream_is_stopped_and_goes_on_later() {
    let mut feed = Feed::socket();
    let mut sent = 0;
    while !feed.stream().is_full() {
        send(feed.fds[1], &[b'x'; 16_384]);
        sent += 16_384;
        feed.run_unawaited();
    }
    assert_eq!(feed.it.driver.ops().live(), 0);
    send(feed.fds[1], &[b'y'; 16_384]);
    feed.it.turn();
    assert_eq!(feed.pending(), sent);
    assert!(feed.inlet.settle(&mut feed.it.driver));
    assert!(feed.inlet.key().is_none());
    assert_eq!(feed.read(), vec![b'x'; sent]);
    feed.fill_to(16_384);
    assert_eq!(feed.read(), [b'y'; 16_384]);
    assert_eq!(feed.close(), 0);
}

#[test]
fn a_stream_that_has_taken_all_buffers_at_once_gets_no_larger_pool() {
    let mut feed = Feed::pipe();
    let size = crate::splice::calls::set_pipe_size(feed.fds[1], 1 << 20);
    if size < 1 << 20 || !feed.it.driver.capabilities().read_multishot {
        eprintln!("skipped: no pipe of 1 MiB, or no multishot read");
        return;
    }
    for _ in 0..3 {
        send(feed.fds[1], &[b'x'; 512 * 1024]);
        let mut left = 512 * 1024;
        while left > 0 {
            feed.fill_to(1);
            left -= feed.read().len();
        }
    }
    // As many as the kernel should have, twice: those that are unread, and those in their place.
    assert!(feed.it.driver.buffers().allocated <= 32, "{:?}", feed.it.driver.buffers());
    assert_eq!(feed.close(), 0);
}

#[test]
fn a_closed_descriptor_is_read_no_more() {
    let mut feed = Feed::pipe();
    send(feed.fds[1], b"foo");
    feed.fill_to(3);
    feed.it.driver.cancel_fd(feed.fds[0], &mut feed.it.seen).expect("cancel");
    close(&[feed.open.remove(0)]);
    let [reader, writer] = net::pipe(0).expect("pipe");
    assert_eq!(reader, feed.fds[0]);
    feed.wait_for_the_last_op();
    assert_eq!(feed.read(), b"foo");
    assert!(feed.inlet.settle(&mut feed.it.driver));
    for _ in 0..2 {
        let refused = feed.inlet.op(&mut feed.it.driver, 7);
        assert!(matches!(refused, Err(SubmitError::Errno(libc::EBADF))), "{refused:?}");
        assert_eq!(feed.inlet.check_open(&feed.it.driver), Err(libc::EBADF));
    }
    // An inlet that is made now is for the new file.
    let fresh = Inlet::new(&mut feed.it.driver, reader, false);
    assert_eq!(fresh.check_open(&feed.it.driver), Ok(()));
    feed.open.extend([reader, writer]);
    assert_eq!(feed.close(), 0);
}

#[test]
fn what_is_no_socket_is_not_received_from() {
    let mut feed = Feed::on(net::pipe(0).expect("pipe"), true);
    let refused = feed.inlet.op(&mut feed.it.driver, 7);
    assert!(matches!(refused, Err(SubmitError::Errno(libc::ENOTSOCK))), "{refused:?}");
    assert!(!feed.it.driver.is_busy());
    assert_eq!(feed.close(), 0);
}

#[test]
fn where_no_buffer_is_left_an_op_has_memory_of_its_own() {
    let mut feed = Feed::socket();
    feed.it.driver.provide_buffers();
    // Whoever holds them all.
    let mut held = Vec::new();
    let pool = feed.it.driver.pool.as_mut().expect("a pool");
    while pool.figures().available > 0 {
        let bid = u32::try_from(held.len()).expect("few");
        let flags = (bid << 16) | 1; // IORING_CQE_F_BUFFER
        held.push(pool.take_in(16_384, flags).expect("a segment"));
        pool.ran_out();
    }
    send(feed.fds[1], b"foo");
    feed.fill_to(3);
    assert_eq!((feed.read(), feed.it.driver.buffers().available), (b"foo".to_vec(), 0));
    assert_eq!(feed.close(), held.len());
}

#[test]
fn a_cleared_inlet_leaves_what_comes_to_others() {
    let mut feed = Feed::socket();
    send(feed.fds[1], b"foo");
    feed.run_unawaited();
    feed.inlet.stop(&mut feed.it.driver, &mut feed.it.seen);
    feed.wait_for_the_last_op();
    assert_eq!(feed.it.driver.ops().feeding(), 0);
    send(feed.fds[1], b"bar");
    feed.it.turn();
    assert_eq!(feed.read(), b"foo");
    feed.fill_to(3);
    assert_eq!(feed.read(), b"bar");
    assert_eq!(feed.close(), 0);
}
