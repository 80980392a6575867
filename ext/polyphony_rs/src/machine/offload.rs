//! Blocking libc calls on worker threads: name lookup, and `waitid` where the ring lacks it.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use polyphony_core::child::{self, Whom};
use polyphony_core::offload;
use polyphony_core::resolve::{self, Family};
use rb_sys::VALUE;

use super::{Machine, Role};
use crate::errors::Outcome;

impl Machine {
    /// The addresses of a host, looked up by the system's resolver on a worker thread. Broken off
    /// with the value that the fiber was scheduled with meanwhile.
    pub(crate) fn resolve(
        &self,
        host: &str,
        family: Family,
    ) -> Outcome<ControlFlow<VALUE, Vec<String>>> {
        let found = Arc::new(Mutex::new(Vec::new()));
        let (host, slot) = (host.to_owned(), found.clone());
        let ended = self.offload(move || match resolve::lookup(&host, family) {
            Ok(found) => {
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = found;
                0
            }
            Err(errno) => -errno,
        })?;
        Ok(match ended {
            Some(value) => ControlFlow::Break(value),
            None => ControlFlow::Continue(std::mem::take(
                &mut *found.lock().unwrap_or_else(PoisonError::into_inner),
            )),
        })
    }

    /// `waitid(2)` without reaping, for kernels whose ring can't do it.
    pub(super) fn offload_waitid(&self, whom: Whom, options: i32) -> Outcome<Option<VALUE>> {
        self.offload(move || child::wait_blocking(whom, options))
    }

    /// Runs a job on a worker thread and waits for its result: a negated errno is raised. An
    /// interrupted wait leaves the job to its own end; `Some` is the value that did it.
    fn offload(&self, job: impl FnOnce() -> i32 + Send + 'static) -> Outcome<Option<VALUE>> {
        let key = self.start_local("worker", None, Role::Wake);
        let inbox = self.state().borrow().driver.inbox().clone();
        offload::run(move || inbox.post(key, job()));
        self.wait_until_over(key)
    }
}
