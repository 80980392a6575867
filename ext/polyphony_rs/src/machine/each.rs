//! Loops over the results of ops: multishot ones, which are armed again whenever the kernel ends
//! them for a reason of its own, and single ones where there is no multishot.

use std::ops::ControlFlow;
use std::os::fd::RawFd;

use polyphony_core::op::{Completion, Op, OpKey, Progress};
use rb_sys::VALUE;

use super::park::Resume;
use super::runqueue::{Entry, Kind};
use super::{Interruption, Machine, Role};
use crate::errors::Outcome;
use crate::ruby::buffer::Loan;
use crate::ruby::{NIL, fiber, value};

/// What a plain value scheduled into the fiber of a loop does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strays {
    /// The loop returns it, as every waiting call of the machine does.
    End,
    /// Nothing: a server doesn't end because of a stray wake.
    GoOn,
}

/// Why an op of a loop is over.
pub(super) enum Ended {
    /// By the kernel: the loop starts the next one.
    ByKernel,
    /// By a result that is the loop's end.
    Done,
    /// By a value scheduled into the fiber.
    Interrupted(VALUE),
}

/// Whether a result is the loop's end.
pub(super) type Flow = Outcome<ControlFlow<()>>;

enum Next {
    Result(Completion),
    Last(Completion),
    Gone,
    Interrupted(VALUE),
}

impl Machine {
    /// Calls `turn`, which starts an op on the descriptor and waits for its end, until the loop's
    /// own: nil, or the value that it was interrupted with. EBADF once the descriptor was closed:
    /// its number may be another file's by then.
    pub(super) fn until_done(
        &self,
        fd: RawFd,
        mut turn: impl FnMut() -> Outcome<Ended>,
    ) -> Outcome {
        let known = self.know(fd);
        loop {
            match turn()? {
                Ended::ByKernel => drop(self.descriptor_of(known)?),
                Ended::Done => return Ok(NIL),
                Ended::Interrupted(value) => return Ok(value),
            }
        }
    }

    /// Starts an op and calls `each` with its results until it is over. However that comes about,
    /// the kernel has let go of it afterwards, and results that `each` hasn't got are discarded.
    ///
    /// # Safety
    /// As for [`Machine::submit`].
    pub(super) unsafe fn each_result<O: Op>(
        &self,
        op: O,
        loan: Loan,
        each: &mut impl FnMut(Completion) -> Flow,
    ) -> Outcome<Ended> {
        self.check_usable()?;
        // SAFETY: passed on from this function's own contract.
        let key = unsafe { self.submit_anyway(op, loan) }?;
        let ended = self.results(key, each);
        self.leave(key);
        ended
    }

    fn results(&self, key: OpKey, each: &mut impl FnMut(Completion) -> Flow) -> Outcome<Ended> {
        let mut stopped = false;
        loop {
            match self.next_result(key, &mut stopped)? {
                Next::Result(completion) => {
                    if each(completion)?.is_break() {
                        return Ok(Ended::Done);
                    }
                }
                Next::Last(completion) => {
                    // Stopped by the machine itself: the next op goes on where this one was.
                    let stop = completion.result == -libc::ECANCELED;
                    if !stop && each(completion)?.is_break() {
                        return Ok(Ended::Done);
                    }
                    break;
                }
                Next::Gone => break,
                Next::Interrupted(value) => return Ok(Ended::Interrupted(value)),
            }
        }
        // The next op could bring more, and put the interruption off again.
        if stopped && self.is_interrupted() {
            if let Some(value) = self.interruption(self.park()?, Strays::End)? {
                return Ok(Ended::Interrupted(value));
            }
        }
        Ok(Ended::ByKernel)
    }

    fn next_result(&self, key: OpKey, stopped: &mut bool) -> Outcome<Next> {
        loop {
            match self.take(key) {
                Progress::Result(completion, false) => return Ok(Next::Result(completion)),
                Progress::Result(completion, true) => return Ok(Next::Last(completion)),
                Progress::Gone => return Ok(Next::Gone),
                Progress::Pending | Progress::TimedOut => {}
            }
            let resume = self.park()?;
            if !is_interruption(resume, Strays::End) {
                continue;
            }
            // What the kernel has taken is handed out before the interruption.
            if !std::mem::replace(stopped, true) {
                self.cancel(key);
                // An error would come up at the next wait again.
                let _ = self.poll();
            }
            if self.state.borrow().driver.ops().has_result(key) {
                self.put_back(resume);
            } else if let Some(value) = self.interruption(resume, Strays::End)? {
                return Ok(Next::Interrupted(value));
            }
        }
    }

    /// What a loop ends with, if it does. A timeout's plain value is no stray: somebody wanted it.
    pub(super) fn interruption(&self, resume: Resume, strays: Strays) -> Outcome<Option<VALUE>> {
        let interruption = match resume {
            Resume::Value(scheduled) if is_interruption(resume, strays) => {
                Interruption::of(scheduled)
            }
            Resume::Expired(timer) => self.expired(timer),
            Resume::Value(_) | Resume::Op | Resume::Unblock | Resume::Return => None,
        };
        interruption.map(Interruption::conclude).transpose()
    }

    /// Makes an interruption the fiber's next one, at whichever wait.
    fn put_back(&self, resume: Resume) {
        match resume {
            Resume::Value(value) => self.schedule_first(fiber::current(), value),
            Resume::Expired(timer) => {
                self.state.borrow_mut().queues.run.push_front(Entry::op(timer));
            }
            Resume::Op | Resume::Unblock | Resume::Return => {}
        }
    }

    /// Whether what was put back is still there: the block may have had it.
    fn is_interrupted(&self) -> bool {
        let state = self.state.borrow();
        match state.queues.run.front() {
            Some(Entry { kind: Kind::Schedule, fiber, .. }) => *fiber == fiber::current(),
            Some(Entry { kind: Kind::Op(key), .. }) => {
                let waiter = state.driver.ops().data(*key);
                waiter.is_some_and(|waiter| {
                    waiter.fiber == fiber::current() && matches!(waiter.role, Role::Timeout(_))
                })
            }
            _ => false,
        }
    }

    /// Gives an op up, and tells the kernel at once: what comes from now on is for others.
    fn leave(&self, key: OpKey) {
        // In a forked child there is no ring.
        if self.check_usable().is_err() {
            return;
        }
        let running = self.state.borrow().driver.ops().is_running(key);
        self.abandon(key);
        if running {
            // An error would come up at the next wait again.
            let _ = self.poll();
        }
    }
}

fn is_interruption(resume: Resume, strays: Strays) -> bool {
    match resume {
        Resume::Op | Resume::Unblock | Resume::Return => false,
        Resume::Value(value) => strays == Strays::End || value::is_exception(value),
        Resume::Expired(_) => true,
    }
}

/// Yields to the block, and goes on.
pub(super) fn go_on_after_yield(value: VALUE) -> Flow {
    value::yield_to_block(value).map(|_| ControlFlow::Continue(()))
}
