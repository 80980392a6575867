//! Jobs for worker threads: name lookup, `waitid` where the ring lacks it, and computing.

use std::ops::ControlFlow;
use std::sync::Arc;

use polyphony_core::child::{self, Whom};
use polyphony_core::offload::{self, Inbox, Kind, Slot};
use polyphony_core::op::{OpKey, Progress};
use polyphony_core::resolve::{self, Family};
use rb_sys::VALUE;

use super::{Interruption, Machine, Resume, Role};
use crate::errors::{Outcome, Raise, check};
use crate::ruby::fiber;

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
        let (key, inbox) = self.start_reported();
        (key, offload::run(kind, inbox, key, job))
    }

    /// A local op of the running fiber, and where its end is reported from another thread.
    pub(crate) fn start_reported(&self) -> (OpKey, Arc<Inbox>) {
        let key = self.start_local("worker", None, Role::Wake);
        (key, self.state().borrow().driver.inbox().clone())
    }

    /// Waits for the end of such an op, and only for that: values are no reason to go on. What
    /// interrupts the wait is raised once `cancel` was called and the end has come all the same;
    /// where the job was done nevertheless, at the fiber's next wait: its result is wanted.
    pub(crate) fn await_report(
        &self,
        key: OpKey,
        cancel: impl FnOnce(),
        is_done: impl FnOnce() -> bool,
    ) -> Outcome<()> {
        let (raise, timeout) = loop {
            if !matches!(self.take(key), Progress::Pending | Progress::TimedOut) {
                return Ok(());
            }
            match self.park() {
                Ok(Resume::Op | Resume::Unblock | Resume::Return) => {}
                Ok(Resume::Value(scheduled)) => {
                    if let Some(Interruption::Raise(raise)) = Interruption::of(scheduled) {
                        break (raise, None);
                    }
                }
                Ok(Resume::Expired(timeout)) => match self.expiring(timeout) {
                    Some(Interruption::Raise(raise)) => break (raise, Some(timeout)),
                    _ => self.abandon(timeout),
                },
                Err(raise) => break (raise, None),
            }
        };
        cancel();
        self.await_last(key);
        let done = is_done();
        match (raise, timeout) {
            // It is void once its block has ended.
            (_, Some(timeout)) if done => {
                self.expire_later(timeout);
                Ok(())
            }
            (Raise::Exception(exception), None) if done => {
                self.schedule(fiber::current(), exception);
                Ok(())
            }
            (raise, timeout) => {
                if let Some(timeout) = timeout {
                    self.abandon(timeout);
                }
                Err(raise)
            }
        }
    }
}

/// What a job that is over has come to.
pub(crate) fn value_of<T>(slot: &Slot<T>) -> Outcome<T> {
    slot.take().ok_or_else(|| Raise::bug("a worker has lost its job"))
}
