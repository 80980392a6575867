//! The driver against a real ring.

mod inlet;

use std::os::fd::RawFd;

use super::*;
use crate::buf::Figures;
use crate::error::SubmitError;
use crate::net;
use crate::offload;
use crate::op::{
    Accept, Completion, Poll, Progress, Read, RecvMultishot, SendFd, Write, WriteAsync,
    receive_fd_now,
};
use crate::ring::wait::Outcome;

#[derive(Default)]
struct Seen {
    woken: Vec<OpKey>,
    freed: Vec<u32>,
}

impl Sink<u32> for Seen {
    fn wake(&mut self, key: OpKey) {
        self.woken.push(key);
    }
    fn freed(&mut self, data: u32) {
        self.freed.push(data);
    }
}

struct Fixture {
    driver: Driver<u32>,
    seen: Seen,
}

impl Fixture {
    fn new() -> Self {
        Self::with_entries(8)
    }

    fn with_entries(entries: u32) -> Self {
        let config = RingConfig { entries, ..RingConfig::default() };
        Self { driver: Driver::new(&config).expect("io_uring"), seen: Seen::default() }
    }

    fn turn(&mut self) {
        self.driver.enter().expect("enter");
        self.driver.drain(&mut self.seen);
    }

    fn wait(&mut self) {
        let wait = self.driver.prepare_wait().expect("wait");
        // A sidecar's late wake may end it early; then there is to be looked all the same.
        let outcome = wait.run(Some(60_000_000_000));
        assert!(matches!(outcome, Outcome::Ready | Outcome::Interrupted));
        self.driver.enter().expect("enter");
        self.driver.drain(&mut self.seen);
    }

    fn result(&mut self, key: OpKey) -> i32 {
        match self.driver.take(key, |_| {}) {
            Progress::Result(Completion { result, .. }, _) => result,
            other => unreachable!("{other:?}"),
        }
    }
}

fn close(fds: &[RawFd]) {
    for fd in fds {
        crate::sys::close(*fd).expect("close");
    }
}

fn read(fd: RawFd, buffer: &mut [u8]) -> Read {
    let len = u32::try_from(buffer.len()).expect("small");
    Read { fd, ptr: buffer.as_mut_ptr(), len, offset: u64::MAX }
}

#[test]
fn a_write_and_a_read_complete_in_one_enter() {
    let mut it = Fixture::new();
    let [r, w] = net::pipe(0).expect("pipe");
    let mut buffer = [0u8; 8];
    let write = Write { fd: w, ptr: b"hello".as_ptr(), len: 5, offset: u64::MAX };
    // SAFETY: both buffers outlive the fixture's turn, in which the ops end.
    let (write, read) =
        unsafe { (it.driver.submit(write, 1), it.driver.submit(read(r, &mut buffer), 2)) };
    let (write, read) = (write.expect("write"), read.expect("read"));
    it.turn();
    assert_eq!(it.seen.woken, [write, read]);
    assert_eq!((it.result(write), it.result(read)), (5, 5));
    assert_eq!(&buffer[..5], b"hello");
    assert_eq!(it.driver.ops().live(), 0);
    close(&[r, w]);
}

#[test]
fn a_cancelled_read_ends_with_ecanceled() {
    let mut it = Fixture::new();
    let [r, w] = net::pipe(0).expect("pipe");
    let mut buffer = [0u8; 8];
    // SAFETY: the op ends before the buffer does.
    let key = unsafe { it.driver.submit(read(r, &mut buffer), 1) }.expect("read");
    it.turn();
    it.driver.cancel(key, &mut it.seen);
    it.turn();
    assert_eq!(it.result(key), -libc::ECANCELED);
    close(&[r, w]);
}

#[test]
fn an_abandoned_op_hands_its_data_back_at_the_last_cqe() {
    let mut it = Fixture::new();
    let [r, w] = net::pipe(0).expect("pipe");
    // SAFETY: a poll points to nothing.
    let key = unsafe { it.driver.submit(Poll { fd: r, events: 1 }, 42) }.expect("poll");
    it.driver.abandon(key, &mut it.seen);
    assert_eq!(it.driver.ops().live(), 1);
    it.turn();
    assert_eq!((it.seen.freed.as_slice(), it.driver.ops().live()), ([42].as_slice(), 0));
    close(&[r, w]);
}

#[test]
fn closing_a_descriptor_ends_what_is_in_flight_on_it() {
    let mut it = Fixture::new();
    let [r, w] = net::pipe(0).expect("pipe");
    let mut buffer = [0u8; 8];
    // SAFETY: the op ends before the buffer does.
    let key = unsafe { it.driver.submit(read(r, &mut buffer), 1) }.expect("read");
    it.turn();
    it.driver.cancel_fd(r, &mut it.seen).expect("cancel");
    close(&[r]);
    it.turn();
    assert_eq!(it.result(key), -libc::EBADF);
    close(&[w]);
}

#[test]
fn what_outlives_its_descriptor_is_handed_over_before_that_is_closed() {
    let mut it = Fixture::new();
    let [r, w] = net::pipe(0).expect("pipe");
    let write = Write { fd: w, ptr: b"hello".as_ptr(), len: 5, offset: u64::MAX };
    // SAFETY: the bytes are static.
    unsafe { it.driver.submit_detached(WriteAsync(write), 7) }.expect("write");
    it.driver.cancel_fd(w, &mut it.seen).expect("cancel");
    close(&[w]);
    let mut buffer = [0u8; 8];
    // SAFETY: the op ends before the buffer does.
    let key = unsafe { it.driver.submit(read(r, &mut buffer), 1) }.expect("read");
    it.turn();
    assert_eq!((it.result(key), it.seen.freed.as_slice()), (5, [7].as_slice()));
    close(&[r]);
}

#[test]
fn dropping_cancels_what_nobody_waits_for() {
    let mut it = Fixture::new();
    let [r, w] = net::pipe(0).expect("pipe");
    // SAFETY: a poll points to nothing.
    unsafe { it.driver.submit_detached(Poll { fd: r, events: 1 }, 7) }.expect("poll");
    it.turn();
    assert!(it.driver.shut_down(&mut it.seen));
    assert_eq!(it.seen.freed, [7]);
    close(&[r, w]);
}

#[test]
fn shutting_down_begins_nothing() {
    let mut it = Fixture::new();
    let [r, w] = net::pipe(0).expect("pipe");
    let write = Write { fd: w, ptr: b"hello".as_ptr(), len: 5, offset: u64::MAX };
    // SAFETY: the bytes are static.
    unsafe { it.driver.submit_detached(WriteAsync(write), 7) }.expect("write");
    assert!(it.driver.shut_down(&mut it.seen));
    assert_eq!(it.seen.freed, [7]);
    close(&[w]);
    let mut buffer = [0u8; 8];
    // SAFETY: there are so many bytes.
    assert_eq!(unsafe { libc::read(r, buffer.as_mut_ptr().cast(), buffer.len()) }, 0);
    close(&[r]);
}

#[test]
fn a_polled_queue_is_taken_before_a_descriptor_is_closed() {
    let idle = Some(std::time::Duration::from_secs(1));
    let config = RingConfig { entries: 8, sqpoll_idle: idle, ..RingConfig::default() };
    let mut it = Fixture { driver: Driver::new(&config).expect("io_uring"), ..Fixture::new() };
    let [r, w] = net::pipe(0).expect("pipe");
    let mut buffer = [0u8; 8];
    // SAFETY: the op ends before the buffer does.
    let key = unsafe { it.driver.submit(read(r, &mut buffer), 1) }.expect("read");
    it.driver.cancel_fd(r, &mut it.seen).expect("cancel");
    assert_eq!(it.driver.queued_ops(), 0);
    close(&[r]);
    while it.seen.woken.is_empty() {
        it.wait();
    }
    assert_eq!(it.result(key), -libc::EBADF);
    close(&[w]);
}

#[test]
fn local_ops_end_by_deadline_or_by_completion() {
    let mut it = Fixture::new();
    let early = it.driver.start_local("test", Some(10), 1);
    let late = it.driver.start_local("test", Some(20), 2);
    let event = it.driver.start_local("test", None, 3);
    assert_eq!(it.driver.next_deadline(), Some(10));
    it.driver.expire(15, &mut it.seen);
    it.driver.complete_local(event, 7, &mut it.seen);
    assert_eq!(it.seen.woken, [early, event]);
    assert_eq!((it.result(early), it.result(event)), (-libc::ETIME, 7));
    it.driver.abandon(late, &mut it.seen);
    assert_eq!((it.driver.next_deadline(), it.driver.ops().live()), (None, 0));
}

#[test]
fn cancelling_what_is_over_leaves_the_next_op_in_its_slot_alone() {
    let mut it = Fixture::new();
    let over = it.driver.start_local("test", None, 1);
    it.driver.complete_local(over, 0, &mut it.seen);
    assert_eq!(it.result(over), 0);
    let next = it.driver.start_local("test", Some(10), 2);
    assert_eq!(next.index(), over.index());
    it.driver.cancel(over, &mut it.seen);
    assert_eq!(it.driver.next_deadline(), Some(10));
}

#[test]
fn a_deadline_on_an_op_times_it_out_once() {
    let mut it = Fixture::new();
    let [r, w] = net::pipe(0).expect("pipe");
    // SAFETY: a poll points to nothing.
    let key = unsafe { it.driver.submit(Poll { fd: r, events: 1 }, 1) }.expect("poll");
    it.driver.set_deadline(key, 10);
    it.driver.expire(10, &mut it.seen);
    assert_eq!(it.driver.take(key, |_| {}), Progress::TimedOut);
    it.driver.abandon(key, &mut it.seen);
    it.turn();
    assert_eq!(it.driver.ops().live(), 0);
    close(&[r, w]);
}

#[test]
fn a_wake_from_another_thread_ends_the_wait() {
    let mut it = Fixture::new();
    let waker = it.driver.waker().expect("open").clone();
    let thread = std::thread::spawn(move || waker.wake());
    it.wait();
    thread.join().expect("thread");
    assert!(it.seen.woken.is_empty());
    // And again: the poll is still armed or armed anew.
    it.driver.waker().expect("open").wake();
    it.wait();
}

#[test]
fn workers_report_through_the_inbox() {
    let mut it = Fixture::new();
    let key = it.driver.start_local("test", None, 1);
    let inbox = it.driver.inbox().clone();
    let slot = offload::run(offload::Kind::Blocking, inbox, key, || 11);
    it.wait();
    assert_eq!(it.result(key), 0);
    assert_eq!(slot.take(), Some(11));
}

#[test]
fn more_ops_than_the_ring_holds_all_complete() {
    let mut it = Fixture::new();
    let [r, w] = net::pipe(0).expect("pipe");
    let polls: Vec<_> = (0..1000)
        // SAFETY: a poll points to nothing.
        .map(|i| unsafe { it.driver.submit(Poll { fd: w, events: 4 }, i) }.expect("poll"))
        .collect();
    let mut turns = 0;
    while it.seen.woken.len() < polls.len() {
        it.turn();
        turns += 1;
        assert!(turns < 1000, "{} of {}", it.seen.woken.len(), polls.len());
    }
    for key in polls {
        assert_eq!(it.result(key), 4);
    }
    close(&[r, w]);
}

#[test]
fn dropping_with_ops_in_flight_reaps_them() {
    let mut it = Fixture::new();
    let [r, w] = net::pipe(0).expect("pipe");
    let mut buffer = [0u8; 8];
    // SAFETY: dropping the driver on this thread reaps the op, before the buffer goes.
    unsafe { it.driver.submit(read(r, &mut buffer), 1) }.expect("read");
    it.turn();
    drop(it);
    // SAFETY: writes from a live array to a fd that is open.
    assert_eq!(unsafe { libc::write(w, b"x".as_ptr().cast(), 1) }, 1);
    assert_eq!(buffer[0], 0);
    close(&[r, w]);
}

#[test]
fn a_detached_op_hands_its_data_back_and_wakes_nobody() {
    let mut it = Fixture::new();
    let [r, w] = net::pipe(0).expect("pipe");
    let write = Write { fd: w, ptr: b"x".as_ptr(), len: 1, offset: u64::MAX };
    // SAFETY: the byte is static.
    unsafe { it.driver.submit_detached(write, 7) }.expect("write");
    assert_eq!((it.driver.queued_ops(), it.driver.ops().detached()), (1, 1));
    it.turn();
    assert_eq!((it.seen.woken.len(), it.seen.freed.as_slice()), (0, [7].as_slice()));
    assert_eq!((it.driver.queued_ops(), it.driver.ops().detached()), (0, 0));
    close(&[r, w]);
}

#[test]
fn a_ring_that_refuses_when_full_takes_more_after_a_submit() {
    let config = RingConfig { entries: 1, refuse_when_full: true, ..RingConfig::default() };
    let mut driver: Driver<u32> = Driver::new(&config).expect("io_uring is allowed");
    let [r, w] = net::pipe(0).expect("pipe");
    // SAFETY: a poll points to nothing.
    let mut poll = || unsafe { driver.submit(Poll { fd: w, events: 4 }, 0) };
    assert!(poll().is_ok());
    assert_eq!(poll().expect_err("full"), SubmitError::Full);
    assert_eq!(driver.submit_queued().expect("submit"), 1);
    // SAFETY: as above.
    assert!(unsafe { driver.submit(Poll { fd: w, events: 4 }, 0) }.is_ok());
    // SAFETY: as above.
    assert!(unsafe { driver.submit_anyway(Poll { fd: w, events: 4 }, 0) }.is_ok());
    assert_eq!(driver.queued_ops(), 1);
    drop(driver);
    close(&[r, w]);
}

#[test]
fn a_timer_given_up_is_pending_until_the_next_drain() {
    let mut it = Fixture::new();
    let key = it.driver.start_local("test", Some(10), 1);
    it.driver.abandon(key, &mut it.seen);
    assert_eq!((it.driver.pending_ops(), it.driver.ops().live()), (1, 0));
    it.turn();
    assert_eq!(it.driver.pending_ops(), 0);
}

#[test]
fn a_sidecar_waits_in_the_owners_place() {
    let mut it = Fixture::new();
    it.driver.start_sidecar().expect("thread");
    let [r, w] = net::pipe(0).expect("pipe");
    // SAFETY: a poll points to nothing.
    let key = unsafe { it.driver.submit(Poll { fd: r, events: 1 }, 1) }.expect("poll");
    let writer = std::thread::spawn(move || {
        // SAFETY: writes from a static array to a fd that is open.
        unsafe { libc::write(w, b"x".as_ptr().cast(), 1) }
    });
    while it.seen.woken.is_empty() {
        it.wait();
    }
    assert_eq!((writer.join().expect("thread"), it.result(key)), (1, 1));
    for _ in 0..3 {
        let waker = it.driver.waker().expect("open").clone();
        let thread = std::thread::spawn(move || waker.wake());
        it.wait();
        thread.join().expect("thread");
    }
    it.driver.stop_sidecar();
    assert!(!it.driver.has_sidecar());
    close(&[r, w]);
}

#[test]
fn a_ring_closes_before_its_time_once_nothing_is_in_flight() {
    let mut it = Fixture::new();
    let key = it.driver.start_local("test", None, 1);
    let inbox = it.driver.inbox().clone();
    assert!(!it.driver.close());
    it.driver.complete_local(key, 0, &mut it.seen);
    it.result(key);
    assert!(it.driver.close());
    assert!(!it.driver.is_usable());
    assert_eq!((it.driver.queued_ops(), it.driver.close()), (0, false));
    // A late report wakes nobody.
    inbox.post(key, 0);
    drop(it);
}

fn sockets() -> [RawFd; 2] {
    net::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0).expect("sockets")
}

fn recv_multishot(it: &mut Fixture, fd: RawFd) -> OpKey {
    assert!(it.driver.provide_buffers());
    // SAFETY: the op points to nothing but the driver's pool.
    unsafe { it.driver.submit(RecvMultishot { fd, flags: 0 }, 1) }.expect("recv")
}

fn send(fd: RawFd, bytes: &[u8]) {
    // SAFETY: reads from a live slice.
    let sent = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    assert_eq!(usize::try_from(sent), Ok(bytes.len()));
}

#[test]
fn there_is_no_pool_before_the_first_use() {
    let mut it = Fixture::new();
    assert_eq!(it.driver.buffers(), Figures::default());
    assert!(it.driver.provide_buffers());
    assert_eq!(it.driver.buffers().allocated, 16);
}

#[test]
fn a_multishot_hands_out_segments() {
    let mut it = Fixture::new();
    let [one, other] = sockets();
    let key = recv_multishot(&mut it, one);
    it.turn();
    send(other, b"hello");
    it.turn();
    assert_eq!(it.seen.woken, [key]);
    let Progress::Result(Completion { segment: Some(segment), .. }, false) =
        it.driver.take(key, |_| {})
    else {
        unreachable!("no segment")
    };
    assert_eq!(it.driver.segment(segment), b"hello");
    it.driver.release(segment);
    assert_eq!(it.driver.buffers().segments, 0);
    it.driver.abandon(key, &mut it.seen);
    it.turn();
    assert_eq!(it.driver.ops().live(), 0);
    close(&[one, other]);
}

#[test]
fn an_abandoned_multishot_gives_its_buffers_back() {
    let mut it = Fixture::new();
    let [one, other] = sockets();
    let key = recv_multishot(&mut it, one);
    it.turn();
    for _ in 0..3 {
        send(other, b"hello");
        it.turn();
    }
    assert_eq!(it.driver.buffers().segments, 3);
    it.driver.abandon(key, &mut it.seen);
    assert_eq!(it.driver.buffers().segments, 0);
    // What comes before the cancel takes effect.
    send(other, b"late");
    it.turn();
    assert_eq!((it.driver.buffers().segments, it.driver.ops().live()), (0, 0));
    close(&[one, other]);
}

#[test]
fn a_reader_that_takes_nothing_stops_its_multishot() {
    let mut it = Fixture::new();
    let [one, other] = sockets();
    let key = recv_multishot(&mut it, one);
    it.turn();
    for _ in 0..100 {
        send(other, b"x");
        it.turn();
    }
    it.turn();
    assert!(it.driver.buffers().segments < 70, "{:?}", it.driver.buffers());
    let mut count = 0;
    loop {
        match it.driver.take(key, |_| {}) {
            Progress::Result(Completion { segment: Some(segment), .. }, false) => {
                count += it.driver.segment(segment).len();
                it.driver.release(segment);
            }
            Progress::Result(Completion { result, .. }, true) => {
                assert_eq!(result, -libc::ECANCELED);
                break;
            }
            other => unreachable!("{other:?}"),
        }
    }
    // The rest is in the socket.
    assert!((64..100).contains(&count), "{count}");
    close(&[one, other]);
}

#[test]
fn several_streams_that_find_no_buffer_double_the_pool_once() {
    // All completions fit.
    let mut it = Fixture::with_entries(64);
    let pairs: Vec<_> = (0..4).map(|_| sockets()).collect();
    assert!(it.driver.provide_buffers());
    let block = vec![7; crate::buf::BUFFER_SIZE];
    for pair in &pairs {
        (0..8).for_each(|_| send(pair[1], &block));
    }
    let keys: Vec<_> = pairs.iter().map(|pair| recv_multishot(&mut it, pair[0])).collect();
    it.turn();
    // 16 buffers were there for 32 blocks; now there are 16 more, for everybody.
    let figures = it.driver.buffers();
    assert_eq!((figures.allocated, figures.segments), (48, 16));
    keys.into_iter().for_each(|key| it.driver.abandon(key, &mut it.seen));
    it.turn();
    assert_eq!(it.driver.buffers().segments, 0);
    pairs.iter().for_each(|pair| close(pair));
}

#[test]
fn a_closed_ring_has_no_pool() {
    let mut it = Fixture::new();
    assert!(it.driver.provide_buffers());
    assert!(it.driver.close());
    assert!(!it.driver.provide_buffers());
    assert_eq!(it.driver.buffers(), Figures::default());
}

#[test]
fn a_descriptor_that_was_sent_is_there_at_once_or_not_at_all() {
    let mut it = Fixture::new();
    let [one, other] = sockets();
    let [r, w] = net::pipe(0).expect("pipe");
    assert_eq!(receive_fd_now(other), Err(libc::EAGAIN));
    // SAFETY: the message is the op's own.
    let key = unsafe { it.driver.submit(SendFd { socket: one, fd: w }, 1) }.expect("send");
    it.turn();
    assert_eq!(it.result(key), 1);
    let received = receive_fd_now(other).expect("received");
    assert_ne!(received, w);
    close(&[w, one, other, r, received]);
}

#[test]
fn an_accept_on_no_socket_fails_by_completion() {
    let mut it = Fixture::new();
    let [r, w] = net::pipe(0).expect("pipe");
    // SAFETY: an accept without address points to nothing.
    let key = unsafe { it.driver.submit(Accept { fd: r, flags: 0 }, 1) }.expect("accept");
    it.turn();
    assert_eq!(it.result(key), -libc::ENOTSOCK);
    close(&[r, w]);
}
