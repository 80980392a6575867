//! The ring, the ops in flight and their deadlines, put together.

use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::RawFd;
use std::sync::Arc;

use io_uring::opcode;

use crate::buf::{Figures, Pool, Segment};
use crate::error::{SetupError, SubmitError};
use crate::fork;
use crate::offload::Inbox;
use crate::op::{self, Completion, Op, OpKey, OpMemory, OpTable, PollMultishot, Progress, Remains};
use crate::ring::sidecar::Sidecar;
use crate::ring::wait::Wait;
use crate::ring::wake::Waker;
use crate::ring::{Capabilities, Cqe, Ring, RingConfig};

/// How long tearing down waits for the kernel to let go of buffers, in nanoseconds per turn and
/// in turns. What it still holds then is leaked.
const REAP_TURN_NS: u64 = 10_000_000;
const REAP_TURNS: usize = 10;

/// Receives what a drain brings to light.
pub trait Sink<T> {
    /// The waiter of this op should run.
    fn wake(&mut self, key: OpKey);
    /// An op that nobody waited for is over.
    fn freed(&mut self, data: T);
}

/// A ring with its ops and timers, owned by one thread.
pub struct Driver<T> {
    // Dropped by hand: before the memory of ops is released, and not at all in a forked child.
    ring: ManuallyDrop<Ring>,
    ops: OpTable<T>,
    /// Made when the first op needs it.
    pool: Option<Pool>,
    timers: crate::timer::TimerHeap,
    /// `None`: the ring is closed.
    waker: Option<Waker>,
    wake_armed: bool,
    inbox: Arc<Inbox>,
    sidecar: Option<Sidecar>,
    /// Cancels that could not be queued yet.
    unsent_cancels: VecDeque<OpKey>,
    total_ops: u64,
    /// Ops queued since the queue was last handed to the kernel.
    queued_ops: usize,
    /// Timers given up since the last drain: they count as pending until then, like a timer that
    /// the kernel is still to let go of.
    given_up: usize,
    refuse_when_full: bool,
    /// The caller's clock at its last look.
    now: u64,
    owner: libc::pthread_t,
    fork_generation: u32,
    /// The ring's descriptor, for a forked child to close once.
    inherited_fd: Option<RawFd>,
}

impl<T> Driver<T> {
    /// Opens a ring for the calling thread.
    ///
    /// # Errors
    /// The typed cause where the kernel refuses.
    pub fn new(config: &RingConfig) -> Result<Self, SetupError> {
        fork::watch();
        let ring = Ring::new(config)?;
        let inherited_fd = Some(ring.as_raw_fd());
        let waker = Waker::new()
            .map_err(|error| SetupError::diagnose(error.raw_os_error().unwrap_or(0)))?;
        Ok(Self {
            ring: ManuallyDrop::new(ring),
            ops: OpTable::default(),
            pool: None,
            timers: crate::timer::TimerHeap::default(),
            inbox: Inbox::new(waker.clone()),
            waker: Some(waker),
            wake_armed: false,
            sidecar: None,
            unsent_cancels: VecDeque::new(),
            total_ops: 0,
            queued_ops: 0,
            given_up: 0,
            refuse_when_full: config.refuse_when_full,
            now: 0,
            owner: crate::sys::thread_token(),
            fork_generation: fork::generation(),
            inherited_fd,
        })
    }

    /// Whether the ring was opened by this process, and not by one that has forked it.
    #[must_use]
    pub fn is_of_this_process(&self) -> bool {
        self.fork_generation == fork::generation()
    }

    /// Whether the ring exists in this process and is open.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.waker.is_some() && self.is_of_this_process()
    }

    /// What this kernel can do.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        self.ring.capabilities()
    }

    /// The ops in flight.
    #[must_use]
    pub fn ops(&self) -> &OpTable<T> {
        &self.ops
    }

    /// The ops in flight, to change the binding's values.
    pub fn ops_mut(&mut self) -> &mut OpTable<T> {
        &mut self.ops
    }

    /// The means by which other threads wake this one; `None` once the ring is closed.
    #[must_use]
    pub fn waker(&self) -> Option<&Waker> {
        self.waker.as_ref()
    }

    /// Where workers report the end of local ops.
    #[must_use]
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// Ops since the ring was opened.
    #[must_use]
    pub fn total_ops(&self) -> u64 {
        self.total_ops
    }

    /// Ops that are not over, given up timers included until the next drain.
    #[must_use]
    pub fn pending_ops(&self) -> usize {
        self.ops.live() + self.given_up
    }

    /// Says what time it is, for [`crate::op::Pending::since`].
    pub fn set_now(&mut self, now: u64) {
        self.now = now;
    }

    /// What time it is, as last said.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Counts an op that was done without the ring.
    pub fn count_direct_op(&mut self) {
        self.total_ops += 1;
    }

    /// Ops that the kernel has not taken yet; none in a forked child, which has no ring.
    pub fn queued_ops(&mut self) -> usize {
        if self.is_usable() { self.ring.queued().min(self.queued_ops) } else { 0 }
    }

    /// Whether a kernel thread takes SQEs by itself.
    #[must_use]
    pub fn is_sqpoll(&self) -> bool {
        self.ring.is_sqpoll()
    }

    /// Queues an op. `data` comes back when the op is over.
    ///
    /// # Safety
    /// What the op points to stays valid and in place until `data` comes back, or for ever if
    /// the driver is dropped before.
    ///
    /// # Errors
    /// Where the queue is full; `data` is dropped.
    pub unsafe fn submit<O: Op>(&mut self, op: O, data: T) -> Result<OpKey, SubmitError> {
        if self.refuse_when_full && self.ring.is_full() {
            return Err(SubmitError::Full);
        }
        let key = self.ops.insert(data, None, self.now);
        let entry = self.ops.describe(key, op);
        // SAFETY: memory owned by the op lives in its slot until the last CQE; the rest is this
        // function's own contract.
        if let Err(error) = unsafe { self.ring.push(&entry) } {
            // Never seen by the kernel: end it as if it had completed.
            self.ops.complete(key, Completion::new(-libc::ECANCELED, 0));
            self.ops.take(key, drop);
            return Err(SubmitError::Errno(error.raw_os_error().unwrap_or(libc::EIO)));
        }
        self.total_ops += 1;
        self.queued_ops += 1;
        Ok(key)
    }

    /// Queues an op that nobody waits for: `data` comes out of a drain once it is over, its
    /// result is lost.
    ///
    /// # Safety
    /// As [`Driver::submit`].
    ///
    /// # Errors
    /// As [`Driver::submit`].
    pub unsafe fn submit_detached<O: Op>(&mut self, op: O, data: T) -> Result<(), SubmitError> {
        // SAFETY: this function's own contract.
        let key = unsafe { self.submit(op, data) }?;
        self.ops.detach(key);
        Ok(())
    }

    /// Queues an op that reads bytes of its own: `bytes` moves into the op's memory and `op` is
    /// made from its address.
    ///
    /// # Errors
    /// As [`Driver::submit`].
    pub fn submit_owned<O: Op>(
        &mut self,
        bytes: Box<[u8]>,
        data: T,
        op: impl FnOnce(*const u8, u32) -> O,
    ) -> Result<OpKey, SubmitError> {
        let len = u32::try_from(bytes.len()).map_err(|_| SubmitError::Errno(libc::EINVAL))?;
        let op = op(bytes.as_ptr(), len);
        // SAFETY: the bytes are put into the op's slot right below and stay until its last CQE;
        // a boxed slice doesn't move with its box. The kernel can't look before that: only the
        // caller's next enter shows it the SQE, unless the queue is polled, and then the heap
        // memory is valid as well, as `bytes` lives on.
        let key = unsafe { self.submit(op, data) }?;
        if let Some(memory) = self.ops.memory_mut(key) {
            *memory = OpMemory::Bytes(bytes);
        }
        Ok(key)
    }

    /// Gives up interest in an op that was just queued, without stopping it: see
    /// [`Driver::submit_detached`].
    pub fn detach(&mut self, key: OpKey) {
        self.ops.detach(key);
    }

    /// Starts an op that the kernel knows nothing of: it ends by its deadline, by
    /// [`Driver::complete_local`], by a worker's report or by being cancelled.
    pub fn start_local(&mut self, name: &'static str, deadline: Option<u64>, data: T) -> OpKey {
        let key = self.ops.insert(data, Some(name), self.now);
        if let Some(deadline) = deadline {
            self.timers.set(key.index(), deadline);
        }
        key
    }

    /// Ends a local op.
    pub fn complete_local(&mut self, key: OpKey, result: i32, sink: &mut impl Sink<T>) {
        if self.ops.is_local(key) {
            self.timers.cancel(key.index());
            let todo = self.ops.complete(key, Completion::new(result, 0));
            self.carry_out(key, todo, sink);
        }
    }

    /// Gives an op a deadline: past it, [`Driver::take`] answers [`Progress::TimedOut`].
    pub fn set_deadline(&mut self, key: OpKey, deadline: u64) {
        if self.ops.is_running(key) {
            self.timers.set(key.index(), deadline);
        }
    }

    /// The next result of an op; with the last one, what is left of it goes to `freed`.
    pub fn take(&mut self, key: OpKey, freed: impl FnOnce(Remains<T>)) -> Progress {
        let timers = &mut self.timers;
        self.ops.take(key, |remains| {
            timers.cancel(key.index());
            freed(remains);
        })
    }

    /// Asks the kernel to stop an op whose waiter stays for its last completion.
    pub fn cancel(&mut self, key: OpKey, sink: &mut impl Sink<T>) {
        if self.ops.data(key).is_none() {
            return;
        }
        self.timers.cancel(key.index());
        let todo = self.ops.cancel(key);
        self.carry_out(key, todo, sink);
    }

    /// Gives up interest in an op. Its memory stays until its last completion.
    pub fn abandon(&mut self, key: OpKey, sink: &mut impl Sink<T>) {
        if self.ops.data(key).is_none() {
            return;
        }
        let had_timer = self.timers.cancel(key.index());
        if had_timer && self.ops.is_local(key) {
            self.given_up += 1;
        }
        let todo = self.ops.abandon(key);
        self.carry_out(key, todo, sink);
        self.release_unclaimed();
    }

    /// Cancels everything in flight on a descriptor that is about to be closed, except what
    /// outlives it. Their waiters get EBADF.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn cancel_fd(&mut self, fd: RawFd, sink: &mut impl Sink<T>) -> io::Result<()> {
        if self.queue_cancel_fd(fd, sink) {
            // The kernel has to act before the number can be given to another file.
            self.hand_over()?;
            self.ring.wait_until_taken()?;
        }
        Ok(())
    }

    /// As [`Driver::cancel_fd`], for a descriptor that an op queued next is going to close.
    /// Whether there is anything on it.
    pub fn queue_cancel_fd(&mut self, fd: RawFd, sink: &mut impl Sink<T>) -> bool {
        let keys = self.ops.on_fd(fd);
        for key in &keys {
            if !self.ops.survives_close(*key) {
                self.ops.mark_closed(*key);
                self.cancel(*key, sink);
            }
        }
        !keys.is_empty()
    }

    fn carry_out(&mut self, key: OpKey, todo: op::Todo<T>, sink: &mut impl Sink<T>) {
        match todo {
            op::Todo::Nothing => {}
            op::Todo::Wake => sink.wake(key),
            op::Todo::AskCancel => self.ask_cancel(key),
            op::Todo::Freed(data) => {
                if let Some(data) = data {
                    sink.freed(data);
                }
            }
        }
    }

    fn ask_cancel(&mut self, key: OpKey) {
        let entry = opcode::AsyncCancel::new(key.user_data()).build().user_data(op::IGNORED);
        // SAFETY: a cancel points to nothing.
        if unsafe { self.ring.push(&entry) }.is_err() {
            self.unsent_cancels.push_back(key);
        }
    }

    /// Hands queued SQEs to the kernel and lets it post what is ready, without waiting and only
    /// if there is something to gain.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn enter(&mut self) -> io::Result<()> {
        if self.ring.wants_enter() { self.hand_over().map(drop) } else { Ok(()) }
    }

    /// Hands queued SQEs to the kernel; how many it took.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn submit_queued(&mut self) -> io::Result<usize> {
        if self.ring.queued() == 0 { Ok(0) } else { self.hand_over() }
    }

    fn hand_over(&mut self) -> io::Result<usize> {
        self.queued_ops = 0;
        self.ring.submit()
    }

    /// Takes what has completed and what workers reported.
    pub fn drain(&mut self, sink: &mut impl Sink<T>) {
        self.given_up = 0;
        let Self { ring, ops, pool, timers, waker, wake_armed, .. } = self;
        let mut ran_out = false;
        let mut crowded = Vec::new();
        ring.drain(|cqe| match cqe.user_data {
            op::IGNORED => {}
            op::WAKE => {
                waker.iter().for_each(Waker::reset);
                *wake_armed = cqe.more();
            }
            user_data => {
                let key = OpKey::from_user_data(user_data);
                let Cqe { result, flags, .. } = cqe;
                let segment = pool.as_mut().and_then(|pool| pool.take_in(result, flags));
                ran_out |= result == -libc::ENOBUFS && ops.takes_buffers(key);
                let todo = ops.complete(key, Completion { result, flags, segment });
                if segment.is_some() && ops.is_crowded(key) {
                    crowded.push(key);
                }
                match todo {
                    op::Todo::Wake => sink.wake(key),
                    op::Todo::Freed(data) => {
                        timers.cancel(key.index());
                        if let Some(data) = data {
                            sink.freed(data);
                        }
                    }
                    op::Todo::Nothing | op::Todo::AskCancel => {}
                }
            }
        });
        // Their waiters start them again when they have caught up.
        crowded.into_iter().for_each(|key| self.cancel(key, sink));
        self.release_unclaimed();
        if let Some(pool) = &mut self.pool {
            if ran_out {
                pool.ran_out();
            }
            pool.refill();
        }
        for (key, result) in self.inbox.take() {
            self.complete_local(key, result, sink);
        }
        match self.unsent_cancels.pop_front() {
            Some(key) if self.ops.is_running(key) => self.ask_cancel(key),
            _ => {}
        }
    }

    /// Sees to it that the kernel has buffers to fill; to be called before each op that takes
    /// them. False: there are none at this time, as whoever has unread segments holds them all,
    /// or because the kernel refuses.
    pub fn provide_buffers(&mut self) -> bool {
        if self.pool.is_none() && self.is_usable() {
            self.pool = self.ring.new_pool().ok();
        }
        self.pool.as_mut().is_some_and(Pool::refill)
    }

    /// The bytes of a segment.
    #[must_use]
    pub fn segment(&self, segment: Segment) -> &[u8] {
        self.pool.as_ref().map_or(&[], |pool| pool.bytes(segment))
    }

    /// A segment was read.
    pub fn release(&mut self, segment: Segment) {
        if let Some(pool) = &mut self.pool {
            pool.release(segment);
        }
    }

    fn release_unclaimed(&mut self) {
        for segment in self.ops.take_unclaimed() {
            self.release(segment);
        }
    }

    /// How many buffers there are; none before the first use.
    #[must_use]
    pub fn buffers(&self) -> Figures {
        self.pool.as_ref().map_or_else(Figures::default, Pool::figures)
    }

    /// Ends what is due at `now`.
    pub fn expire(&mut self, now: u64, sink: &mut impl Sink<T>) {
        while let Some(slot) = self.timers.pop_expired(now) {
            if let Some((key, todo)) = self.ops.expire(slot) {
                self.carry_out(key, todo, sink);
            }
        }
    }

    /// The nearest deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.next_deadline()
    }

    /// Everything that a blocking wait needs; other threads' wakes end it.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn prepare_wait(&mut self) -> io::Result<Wait> {
        if let Some(waker) = self.waker.as_ref().filter(|_| !self.wake_armed) {
            let poll = PollMultishot { fd: waker.as_raw_fd(), events: libc::POLLIN as u32 };
            let poll = poll.build(&mut OpMemory::None).user_data(op::WAKE);
            // SAFETY: a poll points to nothing; the eventfd lives as long as the driver.
            unsafe { self.ring.push(&poll) }?;
            self.wake_armed = true;
        }
        if let Some(sidecar) = &self.sidecar {
            // Who waits elsewhere leaves no SQE behind, and no work that needs an enter; what this
            // brings is looked at first.
            if self.ring.wants_enter() {
                self.ring.submit()?;
                sidecar.wake();
            }
            return Ok(self.ring.prepare_wait().beside(sidecar));
        }
        self.queued_ops = 0;
        Ok(self.ring.prepare_wait())
    }

    /// Starts a thread that waits for completions beside the owner, unless there is one.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn start_sidecar(&mut self) -> io::Result<()> {
        if let (None, Some(wakes)) = (&self.sidecar, &self.waker) {
            let completions = Waker::new()?;
            self.ring.signal(Some(&completions))?;
            self.sidecar = Some(Sidecar::start(completions, wakes.clone())?);
        }
        Ok(())
    }

    /// Ends that thread.
    pub fn stop_sidecar(&mut self) {
        if self.sidecar.take().is_some() {
            // It can't fail: there is one. The ring is fine with nobody listening.
            let _ = self.ring.signal(None);
        }
    }

    /// Whether there is one.
    #[must_use]
    pub fn has_sidecar(&self) -> bool {
        self.sidecar.is_some()
    }

    /// Cancels every op and waits (a tenth of a second at most) until the kernel has let go.
    /// Afterwards no op is left, or `false` is returned.
    pub fn shut_down(&mut self, sink: &mut impl Sink<T>) -> bool {
        for key in self.ops.keys() {
            self.abandon(key, sink);
        }
        for _ in 0..REAP_TURNS {
            let _ = self.enter();
            self.drain(sink);
            if self.ops.in_kernel() == 0 {
                return true;
            }
            let _ = self.ring.prepare_wait().run(Some(REAP_TURN_NS));
        }
        self.drain(sink);
        self.ops.in_kernel() == 0
    }

    /// In a forked child: gives up the parent's ring and hands the ops' binding values back. The
    /// ring's memory was not inherited: its addresses may belong to something else by now, so
    /// nothing is unmapped.
    pub fn disown(&mut self) -> Vec<T> {
        self.close_inherited();
        if let Some(sidecar) = self.sidecar.take() {
            sidecar.forget();
        }
        self.ops.leak();
        // Our own copy of the buffers: the kernel fills the parent's.
        self.pool = None;
        self.ops.clear()
    }

    /// Closes the ring and its eventfd before their time. False where ops are still in flight, or
    /// the ring isn't this thread's: then it stays open.
    pub fn close(&mut self) -> bool {
        if !self.is_usable() || !self.is_owner() || self.ops.live() > 0 {
            return false;
        }
        self.stop_sidecar();
        // SAFETY: never used again: without a waker, the driver is not usable.
        unsafe { ManuallyDrop::drop(&mut self.ring) };
        self.pool = None;
        self.waker = None;
        self.inherited_fd = None;
        self.inbox.close();
        true
    }

    fn close_inherited(&mut self) {
        if let Some(fd) = self.inherited_fd.take() {
            // The descriptor may have been closed by the child already.
            let _ = crate::sys::close(fd);
        }
    }

    /// Cancels and reaps what is in flight, where that is possible: on the owner's thread.
    /// Whether the kernel holds nothing any more.
    pub fn let_go(&mut self) -> bool {
        if !self.is_usable() {
            // The kernel writes to the parent's memory, or to none.
            return true;
        }
        self.ops.in_kernel() == 0 || (self.is_owner() && self.shut_down(&mut Forget))
    }

    /// Whether the calling thread is the one that opened the ring.
    fn is_owner(&self) -> bool {
        self.owner == crate::sys::thread_token()
    }
}

/// Drops what it is given; for teardown.
struct Forget;

impl<T> Sink<T> for Forget {
    fn wake(&mut self, _: OpKey) {}
    fn freed(&mut self, _: T) {}
}

impl<T> Drop for Driver<T> {
    /// On the owner's thread every op is cancelled and its last CQE reaped before its memory is
    /// released. Elsewhere (another thread, a forked child), or when the kernel doesn't let go
    /// in time, the ring is closed and the memory is leaked: a read that a worker thread carries
    /// out goes on writing after its ring was closed.
    fn drop(&mut self) {
        if !self.let_go() {
            self.ops.leak();
            if let Some(pool) = self.pool.take() {
                pool.leak();
            }
        }
        match self.sidecar.take() {
            Some(sidecar) if self.is_of_this_process() => drop(sidecar),
            sidecar => sidecar.map_or((), Sidecar::forget),
        }
        if self.is_usable() {
            // SAFETY: the last use of the field.
            unsafe { ManuallyDrop::drop(&mut self.ring) };
        } else {
            self.close_inherited();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net;
    use crate::op::{
        Accept, Completion, Poll, Read, ReceiveFd, RecvMultishot, SendFd, Write, WriteAsync,
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
        crate::offload::run(move || inbox.post(key, 11));
        it.wait();
        assert_eq!(it.result(key), 11);
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
    fn a_descriptor_that_came_in_for_nobody_is_closed() {
        let mut it = Fixture::new();
        let [one, other] = sockets();
        let [r, w] = net::pipe(0).expect("pipe");
        let (send, receive) = (SendFd { socket: one, fd: w }, ReceiveFd { socket: other });
        // SAFETY: the messages are the ops' own.
        let keys = unsafe { (it.driver.submit(send, 1), it.driver.submit(receive, 2)) };
        it.driver.enter().expect("enter");
        close(&[w]);
        // The kernel is done with it, and nobody has looked.
        it.driver.abandon(keys.1.expect("receive"), &mut it.seen);
        it.turn();
        assert_eq!(it.result(keys.0.expect("send")), 1);
        let mut ends = [libc::pollfd { fd: r, events: libc::POLLIN, revents: 0 }];
        assert_eq!(net::poll_now(&mut ends).expect("poll"), 1);
        assert_eq!(ends[0].revents, libc::POLLHUP);
        close(&[one, other, r]);
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
}
