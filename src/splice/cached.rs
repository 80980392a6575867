//! Whether a file's next bytes are in memory, so that moving them waits for no disk.

use std::os::fd::RawFd;

use crate::sys;

/// Most bytes that are looked at, and then trusted, at once: pages may leave again.
pub const WINDOW: usize = 1024 * 1024;

/// `cachestat(2)` has one number wherever io_uring is.
const SYS_CACHESTAT: libc::c_long = 451;

#[repr(C)]
struct Range {
    offset: u64,
    len: u64,
}

/// What `cachestat(2)` counts, in pages.
#[repr(C)]
#[derive(Default)]
struct Counts {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

fn cachestat(fd: RawFd, range: &Range) -> Result<Counts, i32> {
    let mut counts = Counts::default();
    // SAFETY: both structs live across the call and are laid out as the kernel's.
    let done =
        unsafe { libc::syscall(SYS_CACHESTAT, fd, std::ptr::from_ref(range), &raw mut counts, 0) };
    if done == 0 { Ok(counts) } else { Err(sys::errno()) }
}

/// Whether the kernel has `cachestat(2)` (6.5).
#[must_use]
pub fn has_cachestat() -> bool {
    cachestat(-1, &Range { offset: 0, len: 0 }).err() == Some(libc::EBADF)
}

/// What is known of a file's bytes from its position on.
#[derive(Clone, Copy, Debug)]
pub struct Cached {
    can_ask: bool,
    /// Bytes that were seen in memory and have not been moved since.
    seen: usize,
}

impl Cached {
    /// Nothing is known yet. Without `can_ask` ([`has_cachestat`]) nothing ever is.
    #[must_use]
    pub fn new(can_ask: bool) -> Self {
        Self { can_ask, seen: 0 }
    }

    /// How many of the next `len` bytes can be moved without waiting for the disk: some, or `None`
    /// where that isn't sure. At the file's end `len`, as there is nothing to wait for.
    pub fn ready(&mut self, fd: RawFd, len: usize) -> Option<usize> {
        if self.seen == 0 && self.can_ask {
            self.seen = look(fd, len.min(WINDOW))?;
        }
        (self.seen > 0).then_some(self.seen.min(len))
    }

    /// So many bytes were moved.
    pub fn moved(&mut self, bytes: usize) {
        self.seen = self.seen.saturating_sub(bytes);
    }

    /// Time has passed: pages may have left.
    pub fn forget(&mut self) {
        self.seen = 0;
    }
}

/// `len` or the bytes up to the file's end, if they are all in memory.
fn look(fd: RawFd, len: usize) -> Option<usize> {
    let size = sys::file_size(fd)?;
    // SAFETY: no pointers.
    let position = u64::try_from(unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) }).ok()?;
    let left = usize::try_from(size.saturating_sub(position)).unwrap_or(usize::MAX);
    let len = match len.min(left) {
        0 => return Some(len),
        some => some,
    };
    let page = sys::page_size();
    let end = position + len as u64;
    let pages = end.div_ceil(page) - position / page;
    let counts = cachestat(fd, &Range { offset: position, len: len as u64 }).ok()?;
    // A page that is still being read in is there, but not ready. They come in order.
    (counts.cached >= pages && sys::can_read_now(fd, end - 1)).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, SeekFrom, Write};
    use std::os::fd::AsRawFd;

    fn file(content: &[u8]) -> std::fs::File {
        let path = std::env::temp_dir().join(format!(
            "polyphony-cached-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let options = std::fs::File::options().read(true).write(true).create_new(true).open(&path);
        let mut file = options.expect("file");
        std::fs::remove_file(&path).expect("remove");
        file.write_all(content).expect("write");
        file
    }

    #[test]
    fn what_was_just_written_is_in_memory() {
        let mut file = file(&[7; 10_000]);
        file.seek(SeekFrom::Start(5000)).expect("seek");
        let fd = file.as_raw_fd();
        let mut cached = Cached::new(has_cachestat());
        if has_cachestat() {
            assert_eq!(cached.ready(fd, 100_000), Some(5000));
            cached.moved(4000);
            assert_eq!(cached.ready(fd, 100_000), Some(1000));
            assert_eq!(cached.ready(fd, 10), Some(10));
        } else {
            assert_eq!(cached.ready(fd, 100_000), None);
        }
    }

    #[test]
    fn the_end_needs_no_disk() {
        let file = file(b"abc");
        let mut cached = Cached::new(has_cachestat());
        assert_eq!(cached.ready(file.as_raw_fd(), 100).is_some(), has_cachestat());
    }

    #[test]
    fn without_the_means_to_ask_nothing_is_sure() {
        assert_eq!(Cached::new(false).ready(file(b"abc").as_raw_fd(), 1), None);
    }

    #[test]
    fn what_is_no_file_is_not_sure() {
        assert_eq!(Cached::new(true).ready(-1, 1), None);
    }
}
