//! The ops of a table taken together: how many there are, and which.

use std::os::fd::RawFd;

use super::{OpTable, Slot};
use crate::op::OpKey;
use crate::op::state::State;

/// An op in flight, as people see it.
#[derive(Debug)]
pub struct Pending<'a, T> {
    /// What it does.
    pub name: &'static str,
    /// The descriptor that it works on.
    pub fd: Option<RawFd>,
    /// When it began, in the caller's nanoseconds; as exact as the caller's looks at the clock.
    pub since: u64,
    /// The binding's value.
    pub data: &'a T,
}

impl<T> OpTable<T> {
    /// Number of ops that are not over.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live
    }

    /// Number of ops in flight whose results go to a stream.
    pub(crate) fn feeding(&self) -> usize {
        self.feeding
    }

    /// Number of ops in flight that nobody has ever waited for.
    #[must_use]
    pub fn detached(&self) -> usize {
        self.detached
    }

    /// Most ops there ever were at one time.
    #[must_use]
    pub fn high_water(&self) -> usize {
        self.high_water
    }

    /// Binding values of all ops, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.data.as_ref())
    }

    /// Binding values of the ops that end because their descriptors were closed.
    pub fn closed(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter(|slot| slot.closed).filter_map(|slot| slot.data.as_ref())
    }

    /// All ops that are not over, in slot order.
    pub fn pending(&self) -> impl Iterator<Item = Pending<'_, T>> {
        (0u32..).zip(&self.slots).filter(|(_, slot)| slot.state.is_some()).filter_map(
            |(index, slot)| {
                let data = slot.data.as_ref()?;
                Some(Pending {
                    name: slot.name,
                    fd: self.on_fd.first_of(index),
                    since: slot.since,
                    data,
                })
            },
        )
    }

    /// Number of ops that the kernel has or will have.
    #[must_use]
    pub fn in_kernel(&self) -> usize {
        let with_kernel =
            |slot: &&Slot<T>| !slot.local && !matches!(slot.state, None | Some(State::Completed));
        self.slots.iter().filter(with_kernel).count()
    }

    /// Keys of all ops that are not over.
    pub(crate) fn keys(&self) -> Vec<OpKey> {
        self.keys_where(|_| true)
    }

    /// Keys of the ops that the kernel has not got with the first `taken` SQEs.
    pub(crate) fn untaken(&self, taken: u64) -> Vec<OpKey> {
        self.keys_where(|slot| !slot.local && slot.sqe > taken)
    }

    fn keys_where(&self, wanted: impl Fn(&Slot<T>) -> bool) -> Vec<OpKey> {
        (0u32..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.state.is_some() && wanted(slot))
            .map(|(index, slot)| OpKey { index, generation: slot.generation })
            .collect()
    }

    /// Keys of the ops on a descriptor.
    #[must_use]
    pub fn on_fd(&self, fd: RawFd) -> Vec<OpKey> {
        let key = |index| OpKey { index, generation: self.slots[index as usize].generation };
        self.on_fd.slots(fd).map(key).collect()
    }
}
