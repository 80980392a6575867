//! Bytes in several places, and how many of them are written.

use std::collections::VecDeque;

/// What is left to be written, by as many ops as it takes.
#[derive(Debug, Default)]
pub struct Pieces(VecDeque<libc::iovec>);

impl Pieces {
    /// Most pieces that the kernel takes at once (`UIO_MAXIOV`).
    pub const MOST: usize = 1024;

    /// Appends a piece. An empty one is left out.
    pub fn push(&mut self, ptr: *const u8, len: usize) {
        if len > 0 {
            self.0.push_back(libc::iovec { iov_base: ptr.cast_mut().cast(), iov_len: len });
        }
    }

    /// Whether everything is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the next op is to write.
    #[must_use]
    pub fn next(&self) -> Box<[libc::iovec]> {
        self.0.iter().take(Self::MOST).copied().collect()
    }

    /// So many bytes are written.
    pub fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.0.front_mut() {
            if count < first.iov_len {
                first.iov_base = first.iov_base.cast::<u8>().wrapping_add(count).cast();
                first.iov_len -= count;
                return;
            }
            count -= first.iov_len;
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces as (position, length) in one stretch of memory.
    fn pieces(list: &[(usize, usize)]) -> Pieces {
        let mut pieces = Pieces::default();
        for (position, len) in list {
            pieces.push(std::ptr::null::<u8>().wrapping_add(*position), *len);
        }
        pieces
    }

    fn left(pieces: &Pieces) -> Vec<(usize, usize)> {
        pieces.next().iter().map(|piece| (piece.iov_base as usize, piece.iov_len)).collect()
    }

    #[test]
    fn empty_pieces_are_left_out() {
        assert!(pieces(&[(10, 0), (20, 0)]).is_empty());
        assert_eq!(left(&pieces(&[(10, 0), (20, 3), (30, 0)])), [(20, 3)]);
    }

    #[test]
    fn writing_goes_on_within_a_piece_and_at_the_next() {
        let mut it = pieces(&[(10, 5), (20, 5), (30, 5)]);
        it.advance(0);
        assert_eq!(left(&it), [(10, 5), (20, 5), (30, 5)]);
        it.advance(2);
        assert_eq!(left(&it), [(12, 3), (20, 5), (30, 5)]);
        it.advance(3);
        assert_eq!(left(&it), [(20, 5), (30, 5)]);
        it.advance(9);
        assert_eq!((left(&it), it.is_empty()), (vec![(34, 1)], false));
        it.advance(1);
        assert_eq!((left(&it), it.is_empty()), (vec![], true));
    }

    #[test]
    fn more_than_there_is_can_not_be_written() {
        let mut it = pieces(&[(10, 5)]);
        it.advance(100);
        assert!(it.is_empty());
    }

    #[test]
    fn one_op_gets_as_many_as_the_kernel_takes() {
        let list: Vec<_> = (0..Pieces::MOST + 2).map(|index| (index * 10, 10)).collect();
        let mut it = pieces(&list);
        assert_eq!(left(&it).len(), Pieces::MOST);
        it.advance(Pieces::MOST * 10 + 4);
        assert_eq!(left(&it), [(Pieces::MOST * 10 + 4, 6), (Pieces::MOST * 10 + 10, 10)]);
    }
}
