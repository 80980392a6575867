//! The ring, the ops in flight and their deadlines, put together.

mod buffers;
mod inlet;
mod reap;
mod streams;
mod submit;
mod teardown;
mod wait;

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::os::fd::RawFd;
use std::sync::Arc;

use crate::buf::Pool;
use crate::error::SetupError;
use crate::fork;
use crate::offload::Inbox;
use crate::op::{OpKey, OpTable};
use crate::ring::sidecar::Sidecar;
use crate::ring::wake::Waker;
use crate::ring::{Capabilities, Ring, RingConfig};
use crate::stream::Streams;

pub use inlet::Inlet;
pub use streams::Buffers;

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
    streams: Streams,
    timers: crate::timer::TimerHeap,
    /// `None`: the ring is closed.
    waker: Option<Waker>,
    // Copies, as the ring may be closed before the driver is dropped.
    capabilities: Capabilities,
    sqpoll: bool,
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
            capabilities: *ring.capabilities(),
            sqpoll: ring.is_sqpoll(),
            ring: ManuallyDrop::new(ring),
            ops: OpTable::default(),
            pool: None,
            streams: Streams::default(),
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
        &self.capabilities
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
    pub fn count_op(&mut self) {
        self.total_ops += 1;
    }

    /// Ops that the kernel has not taken yet; none in a forked child, which has no ring.
    pub fn queued_ops(&mut self) -> usize {
        if self.is_usable() { self.ring.queued().min(self.queued_ops) } else { 0 }
    }

    /// Whether a kernel thread takes SQEs by itself.
    #[must_use]
    pub fn is_sqpoll(&self) -> bool {
        self.sqpoll
    }
}

#[cfg(test)]
mod tests;
