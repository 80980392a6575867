//! Waiting for completions, here or in a thread beside the owner.

use std::io;

use super::Driver;
use crate::op::{self, Op, OpMemory, PollMultishot};
use crate::ring::sidecar::Sidecar;
use crate::ring::wait::Wait;
use crate::ring::wake::Waker;

impl<T> Driver<T> {
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

    /// Has completions wake the owner as other threads do, for one that polls its waker and never
    /// waits on the ring.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn announce(&self) -> io::Result<()> {
        self.waker.as_ref().map_or(Ok(()), |waker| self.ring.signal(Some(waker)))
    }

    /// What woke the owner is looked at next.
    pub fn forget_wakes(&self) {
        if let Some(waker) = &self.waker {
            waker.reset();
        }
    }

    /// Starts a thread that waits for completions beside the owner, unless there is one.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn start_sidecar(&mut self) -> io::Result<()> {
        if let (None, Some(wakes)) = (&self.sidecar, &self.waker) {
            let completions = Waker::new()?;
            self.ring.signal(Some(&completions))?;
            match Sidecar::start(completions, wakes.clone()) {
                Ok(sidecar) => self.sidecar = Some(sidecar),
                Err(error) => {
                    self.ring.signal(None)?;
                    return Err(error);
                }
            }
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
}
