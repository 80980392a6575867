//! One io_uring: pushing SQEs, entering the kernel, draining CQEs.
//!
//! A ring belongs to the thread that made it and never leaves it. Another thread may touch the
//! [`wake::Waker`]'s eventfd, and take descriptors away from what is queued (`Ring::void`).

pub mod probe;
mod setup;
pub mod sidecar;
mod untaken;
pub mod wait;
pub mod wake;

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use io_uring::{IoUring, squeue, types};

pub use probe::Capabilities;
pub use setup::RingConfig;

use untaken::Untaken;

use crate::buf::Pool;
use crate::error::SetupError;

/// How long an enter has at most to take what is queued. It needs microseconds, unless its thread has
/// no processor.
const PATIENCE: Duration = Duration::from_millis(50);
const ENTER_GETEVENTS: u32 = 1;
const ENTER_SQ_WAKEUP: u32 = 2;

/// One completion as the kernel reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cqe {
    /// What the SQE carried: an op's key or one of the reserved values.
    pub user_data: u64,
    /// Non-negative result, or a negated errno.
    pub result: i32,
    /// `IORING_CQE_F_*`.
    pub flags: u32,
}

impl Cqe {
    /// Whether more completions of the same op follow.
    #[must_use]
    pub fn more(self) -> bool {
        io_uring::cqueue::more(self.flags)
    }
}

/// A submission and a completion queue shared with the kernel.
pub struct Ring {
    io: IoUring,
    sqpoll: bool,
    capabilities: Capabilities,
    /// SQEs that were ever queued.
    pushed: u64,
    /// The kernel is handed nothing any more.
    sealed: bool,
    /// Made when it is wanted for the first time.
    untaken: Option<Untaken>,
}

impl Ring {
    /// Opens a ring, giving up set-up flags and then size where the kernel refuses them.
    ///
    /// # Errors
    /// The typed cause when no rung of the ladder holds.
    pub fn new(config: &RingConfig) -> Result<Self, SetupError> {
        let io = setup::open(config)?;
        let capabilities = Capabilities::probe(&io);
        let sqpoll = config.sqpoll_idle.is_some();
        Ok(Self { io, sqpoll, capabilities, pushed: 0, sealed: false, untaken: None })
    }

    /// What this kernel can do, found out when the ring was opened.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Registers a pool of buffers; a ring has one at most.
    ///
    /// # Errors
    /// The kernel's errno.
    pub(crate) fn new_pool(&self) -> io::Result<Pool> {
        Pool::new(&self.io, self.capabilities.incremental_buffers)
    }

    /// Whether a kernel thread takes SQEs by itself.
    #[must_use]
    pub fn is_sqpoll(&self) -> bool {
        self.sqpoll
    }

    /// Number of SQEs that the kernel has not taken yet, and is to take.
    pub fn queued(&mut self) -> usize {
        if self.sealed { 0 } else { self.io.submission().len() }
    }

    /// Number of SQEs that were ever queued.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// For the end: what the kernel has not taken by now stays in the queue for ever. How many
    /// SQEs it has got.
    pub(crate) fn seal(&mut self) -> u64 {
        let left = self.queued();
        self.sealed = true;
        self.pushed - left as u64
    }

    /// Asks the kernel to stop all that it has taken, without an SQE. What can't be stopped at
    /// once ends later, or not at all: the CQEs tell.
    pub(crate) fn cancel_all(&self) {
        let at_once = Some(types::Timespec::new());
        let _ = self.io.submitter().register_sync_cancel(at_once, types::CancelBuilder::any());
    }

    /// Whether the kernel holds completions that the queue had no room for, until the next enter.
    pub fn has_overflowed(&mut self) -> bool {
        self.io.submission().cq_overflow()
    }

    /// Whether there is no room for another SQE.
    pub fn is_full(&mut self) -> bool {
        self.io.submission().is_full()
    }

    /// Queues an SQE; a full queue is submitted first, so this fails only with the kernel's errno.
    ///
    /// # Safety
    /// Everything that `entry` points to stays valid and in place until its last CQE was drained.
    ///
    /// # Errors
    /// The errno of the submission that a full queue makes necessary; ECANCELED once sealed.
    pub unsafe fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        if self.sealed {
            return Err(io::Error::from_raw_os_error(libc::ECANCELED));
        }
        loop {
            // SAFETY: passed on from this function's own contract.
            if unsafe { self.io.submission().push(entry) }.is_ok() {
                self.pushed += 1;
                return Ok(());
            }
            self.submit()?;
        }
    }

    /// Hands all queued SQEs to the kernel and lets it post what is ready, without waiting.
    ///
    /// # Errors
    /// The kernel's errno. An overflowing CQ (EBUSY) is no error: the CQEs are there to drain.
    pub fn submit(&mut self) -> io::Result<usize> {
        let queued = self.queued();
        let mut flags = ENTER_GETEVENTS;
        if self.sqpoll {
            let sq = self.io.submission();
            if sq.need_wakeup() {
                flags |= ENTER_SQ_WAKEUP;
            } else if !sq.cq_overflow() {
                return Ok(queued);
            }
        }
        loop {
            let to_submit = u32::try_from(queued).unwrap_or(u32::MAX);
            // SAFETY: no argument struct is passed.
            let entered =
                unsafe { self.io.submitter().enter::<libc::sigset_t>(to_submit, 0, flags, None) };
            match entered {
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => return Ok(0),
                other => return other,
            }
        }
    }

    /// Whether entering the kernel without waiting would bring anything: SQEs to submit, task
    /// work to run, or CQEs that did not fit.
    pub fn wants_enter(&mut self) -> bool {
        let sq = self.io.submission();
        let unseen = !sq.is_empty() && (!self.sqpoll || sq.need_wakeup());
        unseen || sq.taskrun() || sq.cq_overflow()
    }

    /// Waits until the kernel has begun all that was submitted: a kernel thread that takes SQEs
    /// by itself needs a moment, and looks up their descriptors only then.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn wait_until_taken(&mut self) -> io::Result<()> {
        while self.sqpoll && self.queued() > 0 {
            self.submit()?;
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Takes the descriptor away from those of some SQEs (the how manieth of the ring each is) that
    /// the kernel has not taken yet: they end with EBADF. Where it is about to take them, as its
    /// owner `is_entering`, the number means what it meant until this comes back.
    ///
    /// # Errors
    /// The kernel's errno.
    pub(crate) fn void(
        &mut self,
        sqes: impl Iterator<Item = u64>,
        is_entering: bool,
    ) -> io::Result<()> {
        let taken = self.pushed - self.queued() as u64;
        let mut any = false;
        for sqe in sqes.filter(|sqe| *sqe > taken) {
            let untaken = match self.untaken.take() {
                Some(untaken) => untaken,
                None => Untaken::new(self.as_raw_fd(), self.io.params().sq_entries())?,
            };
            untaken.take_descriptor_from(sqe);
            self.untaken = Some(untaken);
            any = true;
        }
        if any && (is_entering || self.sqpoll) {
            let begun = Instant::now();
            while self.queued() > 0 && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_micros(10));
            }
        }
        Ok(())
    }

    /// Takes every CQE that is there. `each` must not touch the ring.
    pub fn drain(&mut self, mut each: impl FnMut(Cqe)) -> usize {
        let mut count = 0;
        for cqe in self.io.completion() {
            count += 1;
            each(Cqe { user_data: cqe.user_data(), result: cqe.result(), flags: cqe.flags() });
        }
        count
    }

    /// Everything that a blocking wait needs, to be carried out without borrowing the ring.
    pub fn prepare_wait(&mut self) -> wait::Wait {
        let wakeup = self.sqpoll && self.io.submission().need_wakeup();
        let to_submit = if self.sqpoll { 0 } else { self.queued() };
        wait::Wait {
            fd: self.io.as_raw_fd(),
            to_submit: u32::try_from(to_submit).unwrap_or(u32::MAX),
            flags: if wakeup { ENTER_SQ_WAKEUP } else { 0 },
            sidecar: None,
        }
    }

    /// Has the kernel signal an eventfd whenever there is something to take, or no longer.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn signal(&self, completions: Option<&wake::Waker>) -> io::Result<()> {
        match completions {
            Some(waker) => self.io.submitter().register_eventfd(waker.as_raw_fd()),
            None => self.io.submitter().unregister_eventfd(),
        }
    }

    /// The ring's descriptor: another thread may poll it, and do nothing else with it.
    #[must_use]
    pub fn as_raw_fd(&self) -> i32 {
        self.io.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_uring::opcode;

    fn ring(entries: u32) -> Ring {
        Ring::new(&RingConfig { entries, ..RingConfig::default() }).expect("io_uring is allowed")
    }

    fn nop(user_data: u64) -> squeue::Entry {
        opcode::Nop::new().build().user_data(user_data)
    }

    fn drain_all(ring: &mut Ring) -> Vec<u64> {
        let mut seen = Vec::new();
        ring.drain(|cqe| seen.push(cqe.user_data));
        while ring.wants_enter() {
            ring.submit().expect("submit");
            ring.drain(|cqe| seen.push(cqe.user_data));
        }
        seen
    }

    #[test]
    fn a_full_submission_queue_flushes_itself() {
        let mut ring = ring(4);
        for i in 0..10 {
            // SAFETY: a NOP points to nothing.
            unsafe { ring.push(&nop(i)) }.expect("push");
        }
        ring.submit().expect("submit");
        assert_eq!(drain_all(&mut ring), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn an_overflowing_completion_queue_loses_nothing() {
        let mut ring = ring(2);
        for i in 0..100 {
            // SAFETY: a NOP points to nothing.
            unsafe { ring.push(&nop(i)) }.expect("push");
            ring.submit().expect("submit");
        }
        assert_eq!(drain_all(&mut ring), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_wait_submits_and_times_out() {
        let mut ring = ring(4);
        // SAFETY: a NOP points to nothing.
        unsafe { ring.push(&nop(7)) }.expect("push");
        assert_eq!(ring.prepare_wait().run(Some(1_000_000_000)), wait::Outcome::Ready);
        assert_eq!(drain_all(&mut ring), [7]);
        assert_eq!(ring.prepare_wait().run(Some(1_000_000)), wait::Outcome::TimedOut);
    }
}
