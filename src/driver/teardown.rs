//! The end: on the owner's thread, elsewhere, and in a forked child.

use std::mem::ManuallyDrop;

use super::{Driver, Sink};
use crate::op::{Completion, OpKey};
use crate::ring::sidecar::Sidecar;

/// How long tearing down waits for the kernel to let go of buffers, in nanoseconds per turn and
/// in turns. What it still holds then is leaked.
const REAP_TURN_NS: u64 = 10_000_000;
const REAP_TURNS: usize = 10;

impl<T> Driver<T> {
    /// Cancels every op and waits (a tenth of a second at most) until the kernel has let go.
    /// Afterwards no op is left, or `false` is returned; the ring takes no more either way. Ops
    /// that the kernel was not handed yet are not begun.
    pub fn shut_down(&mut self, sink: &mut impl Sink<T>) -> bool {
        if self.ops.in_kernel() > 0 {
            // A kernel thread that takes SQEs by itself can't be kept from it.
            let _ = self.ring.wait_until_taken();
        }
        let taken = self.ring.seal();
        for key in self.ops.keys() {
            self.abandon(key, sink);
        }
        for key in self.ops.untaken(taken) {
            let todo = self.ops.complete(key, Completion::new(-libc::ECANCELED, 0));
            self.carry_out(key, todo, sink);
        }
        self.unsent_cancels.clear();
        for _ in 0..REAP_TURNS {
            if self.ops.in_kernel() == 0 {
                return true;
            }
            self.ring.cancel_all();
            let _ = self.ring.prepare_wait().run(Some(REAP_TURN_NS));
            self.drain(sink);
        }
        self.ops.in_kernel() == 0
    }

    /// Hands over what is queued, and waits (a tenth of a second at most) for the ops that nobody
    /// waits for: a program that comes to its end has meant them to be done.
    pub fn finish_detached(&mut self, sink: &mut impl Sink<T>) {
        if !self.is_usable() || !self.is_owner() {
            return;
        }
        for _ in 0..REAP_TURNS {
            if self.ops.detached() == 0 || self.submit_queued().is_err() {
                return;
            }
            self.drain(sink);
            if self.ops.detached() > 0 {
                let _ = self.ring.prepare_wait().run(Some(REAP_TURN_NS));
                self.drain(sink);
            }
        }
    }

    /// In a forked child: gives up the parent's ring and hands the ops' binding values back. The
    /// ring's memory was not inherited: its addresses may belong to something else by now, so
    /// nothing is unmapped.
    fn disown(&mut self) -> Vec<T> {
        self.close_inherited();
        if let Some(sidecar) = self.sidecar.take() {
            sidecar.forget();
        }
        self.ops.leak();
        let left = self.ops.clear();
        // Our own copy of the buffers: the kernel fills the parent's.
        self.give_up_pool();
        left
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
        self.give_up_pool();
        self.waker = None;
        self.inherited_fd = None;
        self.inbox.close();
        true
    }

    pub(super) fn close_inherited(&mut self) {
        if let Some(fd) = self.inherited_fd.take() {
            // The descriptor may have been closed by the child already.
            let _ = crate::sys::close(fd);
        }
    }

    /// Ends all ops, where that is possible: on the owner's thread, or when the kernel is done with
    /// them. Whether it holds nothing any more; then the binding's values went to `sink`.
    pub fn let_go(&mut self, sink: &mut impl Sink<T>) -> bool {
        if !self.is_of_this_process() {
            // The kernel writes to the parent's memory.
            self.disown().into_iter().for_each(|data| sink.freed(data));
        }
        if !self.is_usable() {
            return true;
        }
        (self.is_owner() || self.ops.in_kernel() == 0) && self.shut_down(sink)
    }

    /// Frees the buffers that the kernel has left, unless somebody still looks at a segment: a
    /// block that was never left.
    fn give_up_pool(&mut self) {
        self.streams.close_all(&mut self.pool);
        self.release_unclaimed();
        if let Some(pool) = self.pool.take() {
            if pool.figures().segments > 0 {
                pool.leak();
            }
        }
    }

    /// Whether the calling thread is the one that opened the ring.
    pub(super) fn is_owner(&self) -> bool {
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
        if !self.let_go(&mut Forget) {
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
        self.give_up_pool();
    }
}
