//! Which ops are in flight on a descriptor.

use std::os::fd::RawFd;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Links {
    fd: RawFd,
    prev: u32,
    next: u32,
}

const UNLINKED: Links = Links { fd: -1, prev: NONE, next: NONE };

/// Doubly linked lists of slots, one per descriptor. Linking and unlinking are a few stores.
/// A slot may be on two of them (a splice has two descriptors): it has two places, `2 * slot` and
/// the next.
#[derive(Default)]
pub(super) struct FdIndex {
    /// First slot by descriptor.
    heads: Vec<u32>,
    /// Links by place.
    links: Vec<Links>,
}

impl FdIndex {
    pub(super) fn link(&mut self, slot: u32, fds: [Option<RawFd>; 2]) {
        for (place, fd) in (slot * 2..).zip(fds) {
            if let Some(fd) = fd {
                self.link_place(place, fd);
            }
        }
    }

    fn link_place(&mut self, place: u32, fd: RawFd) {
        let Ok(row) = usize::try_from(fd) else { return };
        if self.heads.len() <= row {
            self.heads.resize(row + 1, NONE);
        }
        let index = place as usize;
        if self.links.len() <= index {
            self.links.resize(index + 1, UNLINKED);
        }
        let next = self.heads[row];
        self.links[index] = Links { fd, prev: NONE, next };
        if next != NONE {
            self.links[next as usize].prev = place;
        }
        self.heads[row] = place;
    }

    pub(super) fn unlink(&mut self, slot: u32) {
        self.unlink_place(slot * 2);
        self.unlink_place(slot * 2 + 1);
    }

    fn unlink_place(&mut self, place: u32) {
        let Some(links) = self.links.get_mut(place as usize) else { return };
        let Links { fd, prev, next } = std::mem::replace(links, UNLINKED);
        let Ok(row) = usize::try_from(fd) else { return };
        if prev == NONE {
            self.heads[row] = next;
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
        let row = usize::try_from(fd).ok();
        let mut at = row.and_then(|row| self.heads.get(row).copied()).unwrap_or(NONE);
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
