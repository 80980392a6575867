//! Blocking libc calls on worker threads: name lookup, and `waitid` where the ring lacks it.

use std::sync::{Arc, Mutex, PoisonError};

use polyphony_core::{offload, resolve, sys};

use super::{Machine, OnInterrupt, Role, Waited};
use crate::errors::{Outcome, Raise};

impl Machine {
    /// The addresses of a host, looked up by the system's resolver on a worker thread.
    pub(crate) fn resolve(&self, host: &str) -> Outcome<Vec<String>> {
        let found = Arc::new(Mutex::new(Vec::new()));
        let (host, slot) = (host.to_owned(), found.clone());
        self.offload(move || {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = resolve::lookup(&host);
            0
        })?;
        Ok(std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// `waitid(2)` without reaping, for kernels whose ring can't do it.
    pub(crate) fn offload_waitid(&self, idtype: u32, id: u32, options: i32) -> Outcome<()> {
        self.offload(move || sys::waitid_blocking(idtype, id, options))
    }

    /// Runs a job on a worker thread and waits for its result: a negated errno is raised. An
    /// interrupted wait leaves the job to its own end.
    fn offload(&self, job: impl FnOnce() -> i32 + Send + 'static) -> Outcome<()> {
        let key = self.start_local("worker", None, Role::Wake);
        let inbox = self.state().borrow().driver.inbox().clone();
        offload::run(move || inbox.post(key, job()));
        match self.wait_for(key, OnInterrupt::Abandon) {
            Waited::Interrupted(interruption, _) => interruption.conclude().map(drop),
            Waited::Done(result) if result < 0 => Err(Raise::Errno(-result)),
            Waited::Done(_) | Waited::TimedOut => Ok(()),
        }
    }
}
