//! What is in flight for one side of a transfer.

use polyphony_core::op::{OpKey, Progress};

use super::moves::outcome_of;
use super::unparked::Unparked;
use crate::errors::{Outcome, Raise};
use crate::machine::{Seen, Watch};

/// A side of a transfer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    In,
    Out,
}

impl Side {
    /// What its end has to be ready for.
    pub(super) fn events(self) -> i16 {
        if self == Self::In { libc::POLLIN } else { libc::POLLOUT }
    }
}

/// What an op in flight stands for.
#[derive(Clone, Copy)]
pub(super) enum Flight {
    /// Waiting until the end is ready.
    Poll(Watch),
    /// Moving bytes.
    Move(OpKey),
}

/// What it has come to.
pub(super) enum Landed {
    /// The end is ready, or the errno.
    Ready(Result<(), i32>),
    /// Bytes, or the errno.
    Moved(Result<usize, i32>),
}

/// What it has come to when it was ended before its time.
pub(super) enum Stopped {
    /// It was a poll.
    Poll,
    /// Bytes that were moved all the same, or the errno.
    Moved(Result<usize, i32>),
    /// The thread is dying, and couldn't wait for the kernel.
    Left,
}

impl Flight {
    /// Takes what it has come to; `None`: it goes on. `IO::TimeoutError` past its deadline.
    pub(super) fn take(&mut self, unparked: &Unparked) -> Outcome<Option<Landed>> {
        Ok(match self {
            Self::Poll(watch) => match unparked.look_at(watch)? {
                Seen::Result(result) => Some(Landed::Ready(outcome_of(result).map(drop))),
                Seen::Nothing => None,
                Seen::TimedOut => return Err(Raise::io_timeout()),
            },
            Self::Move(key) => match unparked.take(*key) {
                Progress::Result(completion, _) => {
                    Some(Landed::Moved(outcome_of(completion.result)))
                }
                Progress::Gone => Some(Landed::Moved(Err(libc::ECANCELED))),
                Progress::Pending => None,
                Progress::TimedOut => return Err(Raise::io_timeout()),
            },
        })
    }

    /// Ends it, waiting for a move.
    pub(super) fn stop(self, unparked: &mut Unparked) -> Stopped {
        match self {
            Self::Poll(watch) => {
                unparked.abandon(watch.key());
                Stopped::Poll
            }
            Self::Move(key) => match unparked.stop(key) {
                Some(late) => Stopped::Moved(outcome_of(late)),
                None => Stopped::Left,
            },
        }
    }
}
