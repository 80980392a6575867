//! Which ops are in flight on a descriptor.

use std::collections::HashMap;
use std::os::fd::RawFd;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Links {
    fd: RawFd,
    prev: u32,
    next: u32,
}

const UNLINKED: Links = Links { fd: -1, prev: NONE, next: NONE };

/// Descriptors below this have a row in a table; a number beyond it may be anything.
const NEAR: usize = 1 << 20;

/// What is known about a descriptor.
#[derive(Clone, Copy)]
struct Row {
    /// The first place of its list.
    head: u32,
    /// How often it was closed: the number may be another file's since.
    closes: u32,
}

const EMPTY: Row = Row { head: NONE, closes: 0 };

/// Doubly linked lists of slots, one per descriptor. Linking and unlinking are a few stores.
/// A slot may be on two of them (a splice has two descriptors): it has two places, `2 * slot` and
/// the next.
#[derive(Default)]
pub(super) struct FdIndex {
    near: Vec<Row>,
    far: HashMap<RawFd, Row>,
    /// Links by place.
    links: Vec<Links>,
}

impl FdIndex {
    fn row(&self, fd: RawFd) -> Row {
        match usize::try_from(fd) {
            Ok(index) if index < NEAR => self.near.get(index).copied().unwrap_or(EMPTY),
            _ => self.far.get(&fd).copied().unwrap_or(EMPTY),
        }
    }

    fn set_head(&mut self, fd: RawFd, head: u32) {
        match usize::try_from(fd) {
            Ok(index) if index < NEAR => {
                if self.near.len() <= index {
                    self.near.resize(index + 1, EMPTY);
                }
                self.near[index].head = head;
            }
            _ => {
                let row = Row { head, ..self.row(fd) };
                if head == NONE && row.closes == 0 {
                    self.far.remove(&fd);
                } else {
                    self.far.insert(fd, row);
                }
            }
        }
    }

    /// How often the descriptor was closed; from now on that is counted.
    pub(super) fn watch(&mut self, fd: RawFd) -> u32 {
        if fd >= 0 {
            let row = self.row(fd);
            self.set_head(fd, row.head);
        }
        self.closes(fd)
    }

    /// The descriptor is about to be closed. Only what had an op needs to know.
    pub(super) fn closed(&mut self, fd: RawFd) {
        let row = match usize::try_from(fd) {
            Ok(index) if index < NEAR => self.near.get_mut(index),
            _ => self.far.get_mut(&fd),
        };
        if let Some(row) = row {
            row.closes = row.closes.wrapping_add(1);
        }
    }

    /// How often the descriptor was closed.
    pub(super) fn closes(&self, fd: RawFd) -> u32 {
        self.row(fd).closes
    }

    pub(super) fn link(&mut self, slot: u32, fds: [Option<RawFd>; 2]) {
        for (place, fd) in (slot * 2..).zip(fds) {
            if let Some(fd) = fd {
                self.link_place(place, fd);
            }
        }
    }

    fn link_place(&mut self, place: u32, fd: RawFd) {
        if fd < 0 {
            return;
        }
        let index = place as usize;
        if self.links.len() <= index {
            self.links.resize(index + 1, UNLINKED);
        }
        let next = self.row(fd).head;
        self.links[index] = Links { fd, prev: NONE, next };
        if next != NONE {
            self.links[next as usize].prev = place;
        }
        self.set_head(fd, place);
    }

    pub(super) fn unlink(&mut self, slot: u32) {
        self.unlink_place(slot * 2);
        self.unlink_place(slot * 2 + 1);
    }

    fn unlink_place(&mut self, place: u32) {
        let Some(links) = self.links.get_mut(place as usize) else { return };
        let Links { fd, prev, next } = std::mem::replace(links, UNLINKED);
        if fd < 0 {
            return;
        }
        if prev == NONE {
            self.set_head(fd, next);
        } else {
            self.links[prev as usize].next = next;
        }
        if next != NONE {
            self.links[next as usize].prev = prev;
        }
    }

    /// The (first) descriptor of a slot.
    pub(super) fn first_of(&self, slot: u32) -> Option<RawFd> {
        self.links.get(slot as usize * 2).map(|links| links.fd).filter(|fd| *fd >= 0)
    }

    /// The slots on a descriptor, latest first.
    pub(super) fn slots(&self, fd: RawFd) -> impl Iterator<Item = u32> {
        let mut at = self.row(fd).head;
        std::iter::from_fn(move || {
            let place = at;
            if place == NONE {
                return None;
            }
            at = self.links[place as usize].next;
            Some(place / 2)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(index: &FdIndex, fd: RawFd) -> Vec<u32> {
        index.slots(fd).collect()
    }

    #[test]
    fn lists_are_kept_per_descriptor() {
        let mut index = FdIndex::default();
        for (slot, fd) in [(0, 5), (1, 5), (2, 9), (3, 5)] {
            index.link(slot, [Some(fd), None]);
        }
        assert_eq!(slots(&index, 5), [3, 1, 0]);
        index.unlink(1);
        assert_eq!((index.first_of(1), index.first_of(2)), (None, Some(9)));
        assert_eq!(slots(&index, 5), [3, 0]);
        index.unlink(3);
        index.unlink(0);
        assert_eq!(slots(&index, 5), []);
        assert_eq!(slots(&index, 9), [2]);
        assert_eq!(slots(&index, 1000), []);
        assert_eq!(slots(&index, -1), []);
    }

    #[test]
    fn a_number_that_is_no_descriptor_takes_no_table() {
        let mut index = FdIndex::default();
        index.link(0, [Some(RawFd::MAX), Some(2_000_000)]);
        assert_eq!((slots(&index, RawFd::MAX), slots(&index, 2_000_000)), (vec![0], vec![0]));
        index.unlink(0);
        assert_eq!((index.near.len(), index.far.len()), (0, 0));
    }

    #[test]
    fn closes_are_counted_for_descriptors_that_had_an_op() {
        let mut index = FdIndex::default();
        index.closed(5);
        index.closed(2_000_000);
        assert_eq!((index.closes(5), index.closes(2_000_000), index.far.len()), (0, 0, 0));
        index.link(0, [Some(5), Some(2_000_000)]);
        index.closed(5);
        index.closed(2_000_000);
        index.unlink(0);
        assert_eq!((index.closes(5), index.closes(2_000_000)), (1, 1));
    }

    #[test]
    fn unlinking_twice_or_without_linking_is_harmless() {
        let mut index = FdIndex::default();
        index.unlink(4);
        index.link(4, [Some(1), Some(2)]);
        assert_eq!(slots(&index, 2), [4]);
        index.unlink(4);
        index.unlink(4);
        assert_eq!(slots(&index, 1), []);
        assert_eq!(slots(&index, 2), []);
    }
}
