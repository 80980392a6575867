//! Starting ops, ending them, and taking what they bring.

use polyphony_core::op::{Op, OpKey, Progress, Remains};

use super::{Machine, Role, State, Waiter};
use crate::errors::{Outcome, Raise};
use crate::ruby::buffer::{Loan, Source};
use crate::ruby::{NIL, fiber};

impl Machine {
    /// Queues the one op of a call, for the running fiber. A small machine refuses it when full.
    ///
    /// # Safety
    /// What the op points to is kept by `loan` (or needs no keeping).
    pub(crate) unsafe fn submit<O: Op>(&self, op: O, loan: Loan) -> Outcome<OpKey> {
        let waiter = Waiter::new(fiber::current(), loan);
        // SAFETY: the loan's value is marked by the op table and stays in place until the op's
        // last CQE, when it is released.
        let submitted = unsafe { self.state.borrow_mut().driver.submit(op, waiter) };
        submitted.map_err(|error| {
            loan.release();
            Raise::from(error)
        })
    }

    /// As [`Machine::submit`], for a call that may take several ops, at once or one after the
    /// other, and for Ruby's own calls: they are not broken off because the queue is full.
    ///
    /// # Safety
    /// As [`Machine::submit`].
    pub(crate) unsafe fn submit_anyway<O: Op>(&self, op: O, loan: Loan) -> Outcome<OpKey> {
        let waiter = Waiter::new(fiber::current(), loan);
        // SAFETY: as in `submit`.
        let submitted = unsafe { self.state.borrow_mut().driver.submit_anyway(op, waiter) };
        submitted.map_err(|error| {
            loan.release();
            Raise::from(error)
        })
    }

    /// Queues an op that nobody waits for; its errors are lost.
    ///
    /// # Safety
    /// As [`Machine::submit`].
    pub(crate) unsafe fn submit_detached<O: Op>(&self, op: O, loan: Loan) -> Outcome<()> {
        let waiter = Waiter::new(NIL, loan);
        // SAFETY: as in `submit`.
        let submitted = unsafe { self.state.borrow_mut().driver.submit_detached(op, waiter) };
        submitted.map_err(|error| {
            loan.release();
            Raise::from(error)
        })
    }

    /// Gives up interest in an op that was just queued, without stopping it; its errors are lost.
    pub(crate) fn detach(&self, key: OpKey) {
        let state = &mut *self.state.borrow_mut();
        if let Some(waiter) = state.driver.ops_mut().data_mut(key) {
            waiter.fiber = NIL;
        }
        state.driver.detach(key);
    }

    /// Queues an op of the running fiber that sends bytes.
    pub(crate) fn submit_source<O: Op>(
        &self,
        source: Source,
        op: impl FnOnce(*const u8, u32) -> O,
    ) -> Outcome<OpKey> {
        match source {
            Source::Lent { ptr, len, loan } => {
                let len = u32::try_from(len).unwrap_or(i32::MAX as u32);
                // SAFETY: the loan keeps what `ptr` points to.
                unsafe { self.submit(op(ptr, len), loan) }
            }
            Source::Owned(bytes) => {
                let waiter = Waiter::new(fiber::current(), Loan::NONE);
                let mut state = self.state.borrow_mut();
                state.driver.submit_owned(bytes, waiter, op).map_err(Raise::from)
            }
        }
    }

    /// Starts a wait that the kernel knows nothing of.
    pub(crate) fn start_local(
        &self,
        name: &'static str,
        deadline: Option<u64>,
        role: Role,
    ) -> OpKey {
        let waiter = Waiter { role, ..Waiter::new(fiber::current(), Loan::NONE) };
        self.state.borrow_mut().driver.start_local(name, deadline, waiter)
    }

    /// Gives a local op another meaning.
    pub(super) fn set_role(&self, key: OpKey, role: Role) {
        if let Some(waiter) = self.state.borrow_mut().driver.ops_mut().data_mut(key) {
            waiter.role = role;
        }
    }

    /// Ends a local wait, from whichever thread.
    pub(crate) fn complete_local(&self, key: OpKey, result: i32) {
        {
            let State { driver, queues, .. } = &mut *self.state.borrow_mut();
            driver.complete_local(key, result, queues);
        }
        self.wake_if_waiting();
    }

    /// Puts the turn that a local op has brought its fiber behind those of all that are runnable:
    /// another op has it then. From any thread.
    pub(crate) fn postpone(&self, key: OpKey) -> Option<OpKey> {
        let postponed = {
            let State { driver, queues, .. } = &mut *self.state.borrow_mut();
            let mut waiter = None;
            driver.take(key, |remains| waiter = Some(remains.data));
            let postponed = driver.start_local("queue", None, waiter?);
            driver.complete_local(postponed, 0, queues);
            postponed
        };
        self.wake_if_waiting();
        Some(postponed)
    }

    /// A fiber that the op waits for has ended, on whichever thread.
    pub(super) fn count_down(&self, key: OpKey) {
        if let Some(waiter) = self.state.borrow_mut().driver.ops_mut().data_mut(key) {
            if let Role::Join(count @ 2..) = waiter.role {
                waiter.role = Role::Join(count - 1);
                return;
            }
        }
        self.complete_local(key, 0);
    }

    /// The next result of an op; what it had borrowed is given back with its last one.
    pub(crate) fn take(&self, key: OpKey) -> Progress {
        self.take_with_remains(key).0
    }

    /// As [`Machine::take`]; with the last result comes what is left of the op.
    pub(super) fn take_with_remains(&self, key: OpKey) -> (Progress, Option<Remains<Waiter>>) {
        let mut left = None;
        let progress = self.state.borrow_mut().driver.take(key, |remains| left = Some(remains));
        if let Some(remains) = &left {
            remains.data.loan.release();
        }
        (progress, left)
    }

    /// Gives up interest in an op.
    pub(crate) fn abandon(&self, key: OpKey) {
        let State { driver, queues, .. } = &mut *self.state.borrow_mut();
        driver.abandon(key, queues);
    }

    /// Asks for an op to be stopped; its last completion is still to be awaited.
    pub(crate) fn cancel(&self, key: OpKey) {
        let State { driver, queues, .. } = &mut *self.state.borrow_mut();
        driver.cancel(key, queues);
    }
}
