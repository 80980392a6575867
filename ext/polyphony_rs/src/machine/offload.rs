//! Jobs for worker threads: name lookup, `waitid` where the ring lacks it, and computing.

use std::ops::ControlFlow;

use polyphony_core::child::{self, Whom};
use polyphony_core::offload::{self, Kind, Slot};
use polyphony_core::op::OpKey;
use polyphony_core::resolve::{self, Family};
use rb_sys::VALUE;

use super::{Machine, Role};
use crate::errors::{Outcome, Raise, check};

impl Machine {
    /// The addresses of a host, looked up by the system's resolver on a worker thread. Broken off
    /// with the value that the fiber was scheduled with meanwhile.
    pub(crate) fn resolve(
        &self,
        host: &str,
        family: Family,
    ) -> Outcome<ControlFlow<VALUE, Vec<String>>> {
        let host = host.to_owned();
        Ok(match self.block(move || resolve::lookup(&host, family))? {
            ControlFlow::Break(value) => ControlFlow::Break(value),
            ControlFlow::Continue(found) => ControlFlow::Continue(found?),
        })
    }

    /// `waitid(2)` without reaping, for kernels whose ring can't do it.
    pub(super) fn offload_waitid(&self, whom: Whom, options: i32) -> Outcome<Option<VALUE>> {
        match self.block(move || child::wait_blocking(whom, options))? {
            ControlFlow::Break(value) => Ok(Some(value)),
            ControlFlow::Continue(result) => check(result).map(|_| None),
        }
    }

    /// Runs a job that blocks on a worker thread and waits for its value. An interrupted wait
    /// leaves the job to its own end, and is broken off with the value that did it.
    fn block<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Outcome<ControlFlow<VALUE, T>> {
        let (key, slot) = self.offload(Kind::Blocking, job);
        match self.wait_until_over(key)? {
            Some(value) => Ok(ControlFlow::Break(value)),
            None => value_of(&slot).map(ControlFlow::Continue),
        }
    }

    /// Starts a job on a worker thread. Its value is in the slot when the op has ended.
    pub(crate) fn offload<T: Send + 'static>(
        &self,
        kind: Kind,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> (OpKey, Slot<T>) {
        let key = self.start_local("worker", None, Role::Wake);
        let inbox = self.state().borrow().driver.inbox().clone();
        (key, offload::run(kind, inbox, key, job))
    }
}

/// What a job that is over has come to.
pub(crate) fn value_of<T>(slot: &Slot<T>) -> Outcome<T> {
    slot.take().ok_or_else(|| Raise::bug("a worker has lost its job"))
}
