//! Where a stream gets its bytes: which op is next on its descriptor.
//!
//! Pipes and stream sockets are read by a multishot op into buffers of the pool. Whatever has no
//! multishot, or gets no buffer, is read by an op with memory of its own, which is started when
//! there is something to read: what is silent holds no memory.
//!
//! An op goes on when whoever waited for it turns to something else, and what it brings is there
//! for the next one who asks.

use std::os::fd::RawFd;

use super::{Driver, Sink, streams};
use crate::error::SubmitError;
use crate::op::{Op, OpKey, OpMemory, Poll, Progress, Read, ReadMultishot, Recv, RecvMultishot};
use crate::source::Source;
use crate::stream::StreamId;

/// Bytes of an op that has memory of its own: any datagram fits.
const CHUNK: usize = 65_536;
const CHUNK_LEN: u32 = 65_536;
/// A file's own position.
const CURRENT_POSITION: u64 = u64::MAX;

/// What an op on the descriptor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It brings bytes.
    Read,
    /// It says that there is something to read.
    Poll,
}

/// The source of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Inlet {
    fd: RawFd,
    /// Receive, as opposed to read.
    receive: bool,
    stream: StreamId,
    /// Found out with the first op.
    source: Option<Source>,
    op: Option<(OpKey, Step)>,
    /// There is something to read: the events that say so.
    ready: Option<i32>,
    /// An errno that nobody was told yet: what came before it is read first.
    failure: Option<i32>,
    /// How often the descriptor had been closed when the inlet was made.
    closes: u32,
}

impl Inlet {
    /// The source of a new stream. Nothing is read yet.
    pub fn new<T>(driver: &mut Driver<T>, fd: RawFd, receive: bool) -> Self {
        let stream = driver.open_stream();
        let closes = driver.ops_mut().watch(fd);
        Self { fd, receive, stream, source: None, op: None, ready: None, failure: None, closes }
    }

    /// The stream that it feeds.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// The descriptor.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.fd
    }

    /// Whether the descriptor is still the one that the inlet was made for.
    ///
    /// # Errors
    /// EBADF once it was closed: the number may be another file's.
    pub fn check_open<T>(&self, driver: &Driver<T>) -> Result<(), i32> {
        if driver.ops().closes(self.fd) == self.closes { Ok(()) } else { Err(libc::EBADF) }
    }

    /// The op in flight, if there is one.
    #[must_use]
    pub fn key(&self) -> Option<OpKey> {
        self.op.map(|(key, _)| key)
    }

    /// Whether somebody waits for what comes.
    pub fn is_awaited<T>(&self, driver: &mut Driver<T>) -> bool {
        driver.stream(self.stream).is_some_and(|(stream, _)| stream.is_awaited())
    }

    /// The op that is in flight: a new one with this value of the binding's, if there was none.
    ///
    /// # Errors
    /// What the last op has failed with. EBADF once the descriptor was closed, ENOTSOCK where it
    /// has to be a socket, or that the queue is full.
    pub fn op<T>(&mut self, driver: &mut Driver<T>, data: T) -> Result<OpKey, SubmitError> {
        if let Some((key, _)) = self.op {
            return Ok(key);
        }
        if let Some(errno) = self.failure.take() {
            return Err(SubmitError::Errno(errno));
        }
        self.check_open(driver).map_err(SubmitError::Errno)?;
        let (key, step) = self.start(driver, data)?;
        driver.ops_mut().feed_into(key, self.stream);
        self.op = Some((key, step));
        Ok(key)
    }

    fn start<T>(&mut self, driver: &mut Driver<T>, data: T) -> Result<(OpKey, Step), SubmitError> {
        let source = match self.source {
            Some(source) => source,
            None => self.find_source().map_err(SubmitError::Errno)?,
        };
        self.source = Some(source);
        let fd = self.fd;
        let multishot = driver.capabilities().read_multishot;
        let key = match source {
            Source::Stream if driver.provide_buffers() => {
                submit(driver, RecvMultishot { fd, flags: 0 }, data)
            }
            Source::Pipe if multishot && driver.provide_buffers() => {
                submit(driver, ReadMultishot { fd }, data)
            }
            _ if source == Source::File || self.ready.is_some() => self.read_once(driver, data),
            _ => {
                let events = (libc::POLLIN | libc::POLLRDHUP) as u32;
                return Ok((submit(driver, Poll { fd, events }, data)?, Step::Poll));
            }
        };
        Ok((key?, Step::Read))
    }

    fn find_source(&self) -> Result<Source, i32> {
        if self.receive { Source::of_socket(self.fd) } else { Source::of(self.fd) }
    }

    fn read_once<T>(&self, driver: &mut Driver<T>, data: T) -> Result<OpKey, SubmitError> {
        let mut bytes = vec![0; CHUNK].into_boxed_slice();
        let (fd, ptr, len) = (self.fd, bytes.as_mut_ptr(), CHUNK_LEN);
        // SAFETY: the bytes are put into the op's slot right below, and stay in place there until
        // its last CQE.
        let key = unsafe {
            if self.receive {
                driver.submit_anyway(Recv { fd, ptr, len, flags: 0 }, data)
            } else {
                driver.submit_anyway(Read { fd, ptr, len, offset: CURRENT_POSITION }, data)
            }
        }?;
        if let Some(memory) = driver.ops_mut().memory_mut(key) {
            *memory = OpMemory::Bytes(bytes);
        }
        Ok(key)
    }

    /// Looks what has become of the op. Whether it has ended: what it has brought is in the
    /// stream.
    pub fn settle<T>(&mut self, driver: &mut Driver<T>) -> bool {
        let Some((key, step)) = self.op else { return false };
        let mut left = None;
        let progress = driver.take(key, |remains| left = Some(remains));
        let Some((stream, _)) = driver.stream(self.stream) else { return false };
        let result = match progress {
            Progress::Pending | Progress::TimedOut | Progress::Result(_, false) => return false,
            Progress::Result(end, true) => end.result,
            Progress::Gone => stream.take_outcome().unwrap_or(-libc::ECANCELED),
        };
        if let Some(remains) = left {
            streams::feed_remains(stream, result, remains);
        }
        self.op = None;
        let ready = self.ready.take();
        match (step, result) {
            (Step::Poll, events @ 0..) => self.ready = Some(events),
            (Step::Read, 0) if !self.is_empty_datagram(ready) => stream.end(),
            (Step::Read, 0..) => {}
            // Stopped when the stream was full; out of buffers; somebody else was faster.
            (_, result) if is_passing(-result) => {}
            (_, result) => self.failure = Some(-result),
        }
        true
    }

    /// Whether a result of 0 means a datagram without bytes, and not the end.
    fn is_empty_datagram(&self, ready: Option<i32>) -> bool {
        let hung_up = ready.is_none_or(|events| events & i32::from(libc::POLLRDHUP) != 0);
        self.source == Some(Source::Messages) && !hung_up
    }

    /// Gives up the op, if there is one. What it brings from now on is lost.
    pub fn stop<T>(&mut self, driver: &mut Driver<T>, sink: &mut impl Sink<T>) {
        (self.ready, self.failure) = (None, None);
        if let Some((key, _)) = self.op.take() {
            driver.abandon(key, sink);
        }
        if let Some((stream, _)) = driver.stream(self.stream) {
            stream.take_outcome();
        }
    }

    /// The end of the inlet and of its stream.
    pub fn close<T>(&mut self, driver: &mut Driver<T>, sink: &mut impl Sink<T>) {
        self.stop(driver, sink);
        driver.close_stream(self.stream);
    }
}

fn is_passing(errno: i32) -> bool {
    matches!(errno, libc::ECANCELED | libc::ENOBUFS | libc::EAGAIN | libc::EINTR)
}

fn submit<T>(driver: &mut Driver<T>, op: impl Op, data: T) -> Result<OpKey, SubmitError> {
    // SAFETY: the op points to nothing but the pool, which the driver keeps.
    unsafe { driver.submit_anyway(op, data) }
}
