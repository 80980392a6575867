//! Starting ops, and ending them before their time.

use std::io;
use std::os::fd::RawFd;

use io_uring::opcode;

use super::{Driver, Sink};
use crate::error::SubmitError;
use crate::op::{self, Completion, Op, OpKey, OpMemory, Progress, Remains};

impl<T> Driver<T> {
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
        // SAFETY: this function's own contract.
        unsafe { self.submit_anyway(op, data) }
    }

    /// As [`Driver::submit`], also by a ring that refuses when full: for one of several ops, of
    /// which there may be more than fit.
    ///
    /// # Safety
    /// As [`Driver::submit`].
    ///
    /// # Errors
    /// The errno of the submission that a full queue makes necessary; `data` is dropped.
    pub unsafe fn submit_anyway<O: Op>(&mut self, op: O, data: T) -> Result<OpKey, SubmitError> {
        let key = self.ops.insert(data, None, self.now);
        let entry = self.ops.describe(key, op, self.ring.pushed() + 1);
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

    /// As [`Driver::start_local`]; it ends as well when the descriptor is closed, with EBADF.
    pub fn start_local_on(&mut self, name: &'static str, fd: RawFd, data: T) -> OpKey {
        let key = self.start_local(name, None, data);
        self.ops.link(key, fd);
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
    /// outlives it. Their waiters get EBADF. Whether there was anything.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn cancel_fd(&mut self, fd: RawFd, sink: &mut impl Sink<T>) -> io::Result<bool> {
        let any = self.queue_cancel_fd(fd, sink);
        if any {
            // The kernel has to act before the number can be given to another file.
            self.hand_over()?;
            self.ring.wait_until_taken()?;
        }
        Ok(any)
    }

    /// As [`Driver::cancel_fd`], from another thread than the ring's: that one asks the kernel when
    /// it is woken. Whether it has to be. What the kernel has not taken yet ends with EBADF: when it
    /// does, the number may be another file's. `is_entering`: the ring's thread is in a wait.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn cancel_fd_from_outside(
        &mut self,
        fd: RawFd,
        is_entering: bool,
        sink: &mut impl Sink<T>,
    ) -> io::Result<bool> {
        self.ops.note_close(fd);
        let keys = self.ops.on_fd(fd);
        self.ring.void(keys.iter().filter_map(|key| self.ops.sqe(*key)), is_entering)?;
        for key in &keys {
            self.ops.mark_closed(*key);
            self.timers.cancel(key.index());
            match self.ops.cancel(*key) {
                op::Todo::AskCancel => self.unsent_cancels.push_back(*key),
                todo => self.carry_out(*key, todo, sink),
            }
        }
        Ok(!keys.is_empty())
    }

    /// Whether the kernel is still to be asked for what was cancelled.
    #[must_use]
    pub fn has_unsent_cancels(&self) -> bool {
        !self.unsent_cancels.is_empty()
    }

    /// As [`Driver::cancel_fd`], for a descriptor that an op queued next is going to close.
    /// Whether there is anything on it.
    pub fn queue_cancel_fd(&mut self, fd: RawFd, sink: &mut impl Sink<T>) -> bool {
        self.ops.note_close(fd);
        let keys = self.ops.on_fd(fd);
        for key in &keys {
            if !self.ops.survives_close(*key) {
                self.ops.mark_closed(*key);
                self.cancel(*key, sink);
            }
        }
        !keys.is_empty()
    }

    pub(super) fn carry_out(&mut self, key: OpKey, todo: op::Todo<T>, sink: &mut impl Sink<T>) {
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

    pub(super) fn ask_cancel(&mut self, key: OpKey) {
        let entry = opcode::AsyncCancel::new(key.user_data()).build().user_data(op::IGNORED);
        // SAFETY: a cancel points to nothing.
        if unsafe { self.ring.push(&entry) }.is_err() {
            self.unsent_cancels.push_back(key);
        }
    }
}
