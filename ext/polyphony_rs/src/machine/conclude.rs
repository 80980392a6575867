//! Waiting for an op to its end, and what happens when the waiter is interrupted.

use polyphony_core::op::{OpKey, Progress, Remains};
use rb_sys::VALUE;

use super::park::Resume;
use super::{Machine, Role, Waiter, node};
use crate::errors::{Outcome, Raise, check};
use crate::polyphony::{limit, tree};
use crate::ruby::{NIL, fiber, value};

/// How a wait ended.
pub(crate) enum Waited {
    /// With a result: non-negative, or a negated errno.
    Done(i32),
    /// The op's deadline passed; it goes on.
    TimedOut,
    /// The fiber was given something else to do. With it the result that the op had all the
    /// same, where its end was awaited.
    Interrupted(Interruption, Option<i32>),
}

/// What a waiting fiber was interrupted with.
pub(crate) enum Interruption {
    /// Scheduled with a value (not an exception).
    Value(VALUE),
    /// To be raised.
    Raise(Raise),
}

/// What to do with an op whose waiter is interrupted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnInterrupt {
    /// The kernel may write to the caller's memory: cancel, and wait for the last completion.
    AwaitCancel,
    /// Cancel and forget; a late result is discarded.
    Abandon,
}

impl Interruption {
    /// What the interrupted call ends with: the value, or the exception.
    pub(crate) fn conclude(self) -> Outcome {
        match self {
            Self::Value(value) => Ok(value),
            Self::Raise(raise) => Err(raise),
        }
    }

    /// What the running fiber is scheduled with: an exception is raised. Nothing where it was only
    /// a call that something was to be done in between.
    pub(crate) fn of(scheduled: VALUE) -> Option<Self> {
        if !value::is_exception(scheduled) {
            return Some(Self::Value(scheduled));
        }
        node::arrived(fiber::current());
        match tree::interjected(scheduled) {
            None => Some(Self::Raise(Raise::Exception(scheduled))),
            Some(Ok(_)) => None,
            Some(Err(raise)) => Some(Self::Raise(raise)),
        }
    }

    /// The meaning of a timeout's value: a class of exceptions is instantiated, and a
    /// `Polyphony::TimeLimit` says what is to be raised.
    fn of_timeout(value: VALUE) -> Self {
        if limit::is(value) {
            return match value::call(value, c"exception", &[]) {
                Ok(exception) => Self::Raise(Raise::Exception(exception)),
                Err(raise) => Self::Raise(raise),
            };
        }
        if value::is_exception(value) {
            return Self::Raise(Raise::Exception(value));
        }
        if !value::is_exception_class(value) {
            return Self::Value(value);
        }
        match value::instance(value, &[]) {
            Ok(exception) => Self::Raise(Raise::Exception(exception)),
            Err(raise) => Self::Raise(raise),
        }
    }
}

impl Machine {
    /// Parks until something concerns this fiber beyond "look at your ops": `None` is just that.
    pub(crate) fn park_interruptible(&self) -> Option<Interruption> {
        match self.park() {
            Ok(Resume::Op | Resume::Unblock | Resume::Return) => None,
            Ok(Resume::Value(scheduled)) => Interruption::of(scheduled),
            Ok(Resume::Expired(key)) => self.expired(key),
            Err(raise) => Some(Interruption::Raise(raise)),
        }
    }

    /// Waits for the next result of an op.
    pub(crate) fn wait_for(&self, key: OpKey, on_interrupt: OnInterrupt) -> Waited {
        self.wait_for_remains(key, on_interrupt).0
    }

    /// As [`Machine::wait_for`]; with the last result comes what is left of the op.
    pub(crate) fn wait_for_remains(
        &self,
        key: OpKey,
        on_interrupt: OnInterrupt,
    ) -> (Waited, Option<Remains<Waiter>>) {
        loop {
            let interruption = self.park_interruptible();
            if let Some(interruption) = interruption {
                let late = self.stop(key, on_interrupt);
                return (Waited::Interrupted(interruption, late), None);
            }
            let waited = match self.take_with_remains(key) {
                (Progress::Pending, _) => continue,
                (Progress::Result(completion, _), left) => {
                    return (Waited::Done(completion.result), left);
                }
                (Progress::TimedOut, _) => Waited::TimedOut,
                (Progress::Gone, _) => Waited::Done(-libc::ECANCELED),
            };
            return (waited, None);
        }
    }

    /// Waits for an op of which only the end counts. `Some`: the fiber was scheduled with that
    /// value before.
    pub(super) fn wait_until_over(&self, key: OpKey) -> Outcome<Option<VALUE>> {
        match self.wait_for(key, OnInterrupt::Abandon) {
            Waited::Done(result) => check(result).map(|_| None),
            Waited::TimedOut => Ok(None),
            Waited::Interrupted(interruption, _) => interruption.conclude().map(Some),
        }
    }

    /// Ends an op before its time. With [`OnInterrupt::AwaitCancel`] it comes back when the
    /// kernel has let go; the result is returned if there was one.
    pub(crate) fn stop(&self, key: OpKey, how: OnInterrupt) -> Option<i32> {
        if how == OnInterrupt::Abandon {
            self.abandon(key);
            return None;
        }
        self.cancel(key);
        self.await_last(key)
    }

    /// Waits for the last result of an op. What comes meanwhile comes at the next wait, behind what
    /// the caller was stopped by.
    pub(super) fn await_last(&self, key: OpKey) -> Option<i32> {
        // At most a few values, on the stack where the GC sees them.
        let late = value::array();
        let mut expired = Vec::new();
        let result = loop {
            match self.take(key) {
                Progress::Result(completion, true) => break Some(completion.result),
                Progress::Result(_, false) => continue,
                Progress::Gone => break None,
                Progress::Pending | Progress::TimedOut => {}
            }
            match self.park() {
                Ok(Resume::Op | Resume::Unblock | Resume::Return) => {}
                Ok(Resume::Value(value)) => value::push(late, value),
                Ok(Resume::Expired(key)) => expired.push(key),
                Err(Raise::Exception(exception)) => value::push(late, exception),
                // The thread is dying: no time to wait. The machine keeps the memory.
                Err(_) => {
                    self.abandon(key);
                    break None;
                }
            }
        };
        let me = fiber::current();
        for index in 0..value::array_len(late) {
            self.schedule(me, value::at(late, index));
        }
        expired.into_iter().for_each(|key| self.expire_later(key));
        result
    }

    /// A timeout block ran out: what its fiber is interrupted with. Nothing where the block has
    /// ended meanwhile.
    pub(crate) fn expired(&self, key: OpKey) -> Option<Interruption> {
        let interruption = self.expiring(key);
        self.abandon(key);
        interruption
    }

    /// As [`Machine::expired`]; the timeout stays.
    pub(crate) fn expiring(&self, key: OpKey) -> Option<Interruption> {
        match self.state.borrow().driver.ops().data(key)?.role {
            Role::Timeout(value) => Some(Interruption::of_timeout(value)),
            Role::Wake | Role::Join(_) | Role::Timer | Role::Async(_) | Role::Line(_) => None,
        }
    }

    /// Puts a timeout that came at a bad moment behind the others.
    pub(crate) fn expire_later(&self, key: OpKey) {
        self.state.borrow_mut().queues.run.push(super::Entry::op(key));
    }

    /// Waits for an op and turns its result into the method's.
    pub(crate) fn conclude(
        &self,
        key: OpKey,
        on_interrupt: OnInterrupt,
        done: impl FnOnce(i32) -> Outcome,
    ) -> Outcome {
        self.conclude_with_remains(key, on_interrupt, |result, _| done(result))
    }

    /// As [`Machine::conclude`]; `done` also gets what is left of the op.
    pub(super) fn conclude_with_remains(
        &self,
        key: OpKey,
        on_interrupt: OnInterrupt,
        done: impl FnOnce(i32, Option<Remains<Waiter>>) -> Outcome,
    ) -> Outcome {
        match self.wait_for_remains(key, on_interrupt) {
            (Waited::Done(result), left) => done(result, left),
            (Waited::TimedOut, _) => Ok(NIL),
            (Waited::Interrupted(interruption, _), _) => interruption.conclude(),
        }
    }
}
