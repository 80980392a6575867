//! Fibers in line for connections, by listening socket.
//!
//! The kernel tells the first one only: a connection that comes wakes one fiber, and those who wait
//! get theirs in order.

use std::collections::VecDeque;
use std::os::fd::RawFd;

use polyphony_core::op::OpKey;

/// A fiber's place in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    fd: RawFd,
    number: u64,
}

struct Standing {
    place: Place,
    /// The local op by which it waits to be the first.
    turn: Option<OpKey>,
}

#[derive(Default)]
pub(crate) struct Acceptors {
    standing: VecDeque<Standing>,
    numbers: u64,
}

impl Acceptors {
    /// A place behind all others.
    pub(super) fn join(&mut self, fd: RawFd) -> Place {
        self.numbers += 1;
        let place = Place { fd, number: self.numbers };
        self.standing.push_back(Standing { place, turn: None });
        place
    }

    pub(super) fn is_first(&self, place: Place) -> bool {
        self.first(place.fd).is_some_and(|first| first.place == place)
    }

    /// Whoever has this place waits for its turn by that op.
    pub(super) fn await_turn(&mut self, place: Place, turn: OpKey) {
        if let Some(index) = self.index(place) {
            self.standing[index].turn = Some(turn);
        }
    }

    /// Gives a place up. The op by which the one behind it waits, if that is the first now.
    pub(super) fn leave(&mut self, place: Place) -> Option<OpKey> {
        let was_first = self.is_first(place);
        let index = self.index(place)?;
        self.standing.remove(index);
        self.first(place.fd).filter(|_| was_first)?.turn
    }

    fn index(&self, place: Place) -> Option<usize> {
        self.standing.iter().position(|standing| standing.place == place)
    }

    fn first(&self, fd: RawFd) -> Option<&Standing> {
        self.standing.iter().find(|standing| standing.place.fd == fd)
    }
}
