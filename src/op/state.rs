//! The life of an op, as a pure function.

/// Where an op is between its submission and its last completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The kernel (or the timer heap) has it; somebody waits for it.
    Submitted,
    /// The kernel was asked to stop it; somebody waits for its last completion.
    Cancelling,
    /// Its last completion is here, to be taken.
    Completed,
    /// Nobody waits, and it is to go on.
    Detached,
    /// Nobody waits any more; its memory stays until the last completion.
    Abandoned,
}

/// What can happen to an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A completion arrived; `more` says that others will follow (multishot).
    Cqe {
        /// `IORING_CQE_F_MORE`.
        more: bool,
    },
    /// The waiter wants it stopped and will wait for the end.
    Cancel,
    /// The waiter is gone.
    Abandon,
    /// The waiter has taken the last result.
    Take,
}

/// What the owner of the op has to do after a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Keep the result and make the waiter runnable.
    Wake,
    /// Ask the kernel to cancel.
    AskCancel,
    /// The result has no taker: release what it stands for.
    Discard,
    /// Release the results not taken, then the slot and all memory of the op.
    Free,
}

/// The one transition function. `None` means that the op is over.
#[must_use]
pub fn step(state: State, event: Event) -> (Option<State>, Action) {
    use Event::{Abandon, Cancel, Cqe, Take};
    use State::{Abandoned, Cancelling, Completed, Detached, Submitted};
    match (state, event) {
        (Submitted, Cqe { more: true }) => (Some(Submitted), Action::Wake),
        (Submitted | Cancelling, Cqe { more: false }) => (Some(Completed), Action::Wake),
        (Cancelling, Cqe { more: true }) => (Some(Cancelling), Action::Wake),
        (Abandoned | Detached, Cqe { more: true }) => (Some(state), Action::Discard),
        (Abandoned | Detached, Cqe { more: false }) => (None, Action::Free),

        (Submitted, Cancel) => (Some(Cancelling), Action::AskCancel),
        (Submitted, Abandon) => (Some(Abandoned), Action::AskCancel),
        (Detached, Cancel | Abandon) => (Some(Abandoned), Action::AskCancel),
        (Cancelling, Abandon) => (Some(Abandoned), Action::None),
        (Completed, Abandon | Take) => (None, Action::Free),

        // A result of a multishot op was taken, or the op was asked to stop twice: no change.
        (Submitted | Cancelling | Abandoned | Detached, Take)
        | (Cancelling | Completed | Abandoned, Cancel)
        | (Abandoned, Abandon)
        // The kernel posts nothing after the last completion.
        | (Completed, Cqe { .. }) => (Some(state), Action::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: Event = Event::Cqe { more: false };
    const MORE: Event = Event::Cqe { more: true };

    #[test]
    fn submitted_to_completed_to_freed() {
        assert_eq!(step(State::Submitted, LAST), (Some(State::Completed), Action::Wake));
        assert_eq!(step(State::Completed, Event::Take), (None, Action::Free));
    }

    #[test]
    fn a_multishot_stays_submitted_until_its_last_cqe() {
        assert_eq!(step(State::Submitted, MORE), (Some(State::Submitted), Action::Wake));
        assert_eq!(step(State::Submitted, Event::Take), (Some(State::Submitted), Action::None));
        assert_eq!(step(State::Submitted, LAST), (Some(State::Completed), Action::Wake));
    }

    #[test]
    fn cancel_is_asked_once_and_waits_for_the_cqe() {
        let (state, action) = step(State::Submitted, Event::Cancel);
        assert_eq!((state, action), (Some(State::Cancelling), Action::AskCancel));
        assert_eq!(step(State::Cancelling, Event::Cancel), (Some(State::Cancelling), Action::None));
        assert_eq!(step(State::Cancelling, MORE), (Some(State::Cancelling), Action::Wake));
        assert_eq!(step(State::Cancelling, LAST), (Some(State::Completed), Action::Wake));
    }

    #[test]
    fn cancel_after_completion_changes_nothing() {
        assert_eq!(step(State::Completed, Event::Cancel), (Some(State::Completed), Action::None));
    }

    #[test]
    fn abandoned_is_freed_at_the_last_cqe_only() {
        let (state, action) = step(State::Submitted, Event::Abandon);
        assert_eq!((state, action), (Some(State::Abandoned), Action::AskCancel));
        assert_eq!(step(State::Abandoned, MORE), (Some(State::Abandoned), Action::Discard));
        assert_eq!(step(State::Abandoned, LAST), (None, Action::Free));
    }

    #[test]
    fn detached_goes_on_until_it_is_over_or_cancelled() {
        assert_eq!(step(State::Detached, MORE), (Some(State::Detached), Action::Discard));
        assert_eq!(step(State::Detached, LAST), (None, Action::Free));
        for event in [Event::Cancel, Event::Abandon] {
            let stopped = (Some(State::Abandoned), Action::AskCancel);
            assert_eq!(step(State::Detached, event), stopped);
        }
    }

    #[test]
    fn abandoning_a_cancelling_op_does_not_cancel_twice() {
        assert_eq!(step(State::Cancelling, Event::Abandon), (Some(State::Abandoned), Action::None));
    }

    #[test]
    fn abandoning_a_completed_op_frees_it() {
        assert_eq!(step(State::Completed, Event::Abandon), (None, Action::Free));
    }

    #[test]
    fn a_cqe_after_the_last_one_is_ignored() {
        assert_eq!(step(State::Completed, LAST), (Some(State::Completed), Action::None));
    }
}
