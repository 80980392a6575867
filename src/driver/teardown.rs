//! The end: on the owner's thread, elsewhere, and in a forked child.

use std::mem::ManuallyDrop;

use super::{Driver, Sink};
use crate::op::OpKey;
use crate::ring::sidecar::Sidecar;

/// How long tearing down waits for the kernel to let go of buffers, in nanoseconds per turn and
/// in turns. What it still holds then is leaked.
const REAP_TURN_NS: u64 = 10_000_000;
const REAP_TURNS: usize = 10;

impl<T> Driver<T> {
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

    pub(super) fn close_inherited(&mut self) {
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
