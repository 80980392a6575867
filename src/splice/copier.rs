//! A transfer through a buffer, for ends that can't be spliced, as a pure state machine.

use super::Plan;

/// Reads, then writes what was read until that is through, and so on.
#[derive(Clone, Copy, Debug)]
pub struct Copier {
    plan: Plan,
    /// Bytes in the buffer that are written, and that it has.
    written: usize,
    held: usize,
    ended: bool,
    moved: u64,
}

/// Bytes of a buffer: more don't make a copy faster.
pub const BUFFER: usize = 64 * 1024;

impl Copier {
    /// A transfer that has not begun.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self { plan, written: 0, held: 0, ended: false, moved: 0 }
    }

    /// How many bytes to read into the buffer; `None`: it is to be written, or all is done.
    #[must_use]
    pub fn wants_read(&self) -> Option<usize> {
        let left = self.plan.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.moved));
        let len = BUFFER.min(self.plan.chunk).min(usize::try_from(left).unwrap_or(usize::MAX));
        (self.held == 0 && !self.ended && len > 0).then_some(len)
    }

    /// Which bytes of the buffer to write; `None`: there are none.
    #[must_use]
    pub fn wants_write(&self) -> Option<std::ops::Range<usize>> {
        (self.held > 0).then_some(self.written..self.held)
    }

    /// Bytes came; 0 is the source's EOF.
    pub fn read(&mut self, bytes: usize) {
        self.held = bytes;
        self.ended = bytes == 0;
    }

    /// Bytes were written.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        self.moved += bytes as u64;
        if self.written >= self.held {
            (self.written, self.held) = (0, 0);
        }
    }

    /// Whether the source has ended.
    #[must_use]
    pub fn source_ended(&self) -> bool {
        self.ended
    }

    /// Bytes that have reached the destination.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_written_to_the_end_before_more_is_read() {
        let mut copier = Copier::new(Plan::TO_EOF);
        assert_eq!((copier.wants_read(), copier.wants_write()), (Some(BUFFER), None));
        copier.read(100);
        assert_eq!((copier.wants_read(), copier.wants_write()), (None, Some(0..100)));
        copier.wrote(60);
        assert_eq!((copier.wants_read(), copier.wants_write()), (None, Some(60..100)));
        copier.wrote(40);
        assert_eq!((copier.wants_read(), copier.moved()), (Some(BUFFER), 100));
        copier.read(0);
        assert_eq!((copier.wants_read(), copier.wants_write()), (None, None));
        assert!(copier.source_ended());
    }

    #[test]
    fn no_more_than_the_limit_is_read() {
        let mut copier = Copier::new(Plan { chunk: 6, limit: Some(10) });
        assert_eq!(copier.wants_read(), Some(6));
        copier.read(6);
        copier.wrote(6);
        assert_eq!(copier.wants_read(), Some(4));
        copier.read(4);
        copier.wrote(4);
        assert_eq!((copier.wants_read(), copier.source_ended()), (None, false));
    }
}
