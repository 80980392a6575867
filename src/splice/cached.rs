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

/// How long what was seen is good for another transfer, in nanoseconds: pages may leave again.
const GOOD_FOR: u64 = 10_000_000;

/// Which file it is, not by which descriptor, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    device: u64,
    inode: u64,
    size: u64,
}

impl FileStat {
    pub(super) fn new(stat: &libc::stat) -> Option<Self> {
        let size = u64::try_from(stat.st_size).ok()?;
        Some(Self { device: stat.st_dev, inode: stat.st_ino, size })
    }
}

/// Where a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    device: u64,
    inode: u64,
    position: u64,
}

/// What a transfer leaves to the next one from the same place of the same file.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    place: Place,
    seen: usize,
    /// The time of the look, in nanoseconds.
    at: u64,
}

/// What is known of a file's bytes from its position on.
#[derive(Clone, Copy, Debug)]
pub struct Cached {
    can_ask: bool,
    now: u64,
    earlier: Option<Sighting>,
    /// What the caller has just seen of the file: good for the first look.
    stat: Option<FileStat>,
    /// Bytes that were seen in memory and have not been moved since.
    seen: usize,
    /// Where they begin, and when they were seen.
    place: Option<(Place, u64)>,
}

impl Cached {
    /// Nothing is known yet but the file itself, and what an earlier transfer has left. Without
    /// `can_ask` ([`has_cachestat`]) nothing ever is. `now` is in nanoseconds.
    #[must_use]
    pub fn new(can_ask: bool, stat: Option<FileStat>, earlier: Option<Sighting>, now: u64) -> Self {
        Self { can_ask, now, earlier, stat, seen: 0, place: None }
    }

    /// How many of the next `len` bytes can be moved without waiting for the disk: some, or `None`
    /// where that isn't sure. At the file's end `len`, as there is nothing to wait for.
    pub fn ready(&mut self, fd: RawFd, len: usize) -> Option<usize> {
        if self.seen == 0 && self.can_ask {
            self.look(fd, len.min(WINDOW))?;
        }
        (self.seen > 0).then_some(self.seen.min(len))
    }

    /// So many bytes were moved.
    pub fn moved(&mut self, bytes: usize) {
        self.seen = self.seen.saturating_sub(bytes);
        match &mut self.place {
            Some((place, _)) if bytes > 0 => place.position += bytes as u64,
            // The end: what comes there later was not seen.
            _ => self.forget(),
        }
    }

    /// Time has passed: pages may have left.
    pub fn forget(&mut self) {
        self.seen = 0;
        self.place = None;
    }

    /// What the next transfer may start from.
    #[must_use]
    pub fn sighting(&self) -> Option<Sighting> {
        let (place, at) = self.place.filter(|_| self.seen > 0)?;
        Some(Sighting { place, seen: self.seen, at })
    }

    /// Sees a window of bytes, or `len` of them where the window isn't all in memory.
    fn look(&mut self, fd: RawFd, len: usize) -> Option<()> {
        let (place, left) = place_of(fd, self.stat.take())?;
        let good = |earlier: &Sighting| {
            earlier.place == place && self.now.saturating_sub(earlier.at) < GOOD_FOR
        };
        let (seen, at) = match self.earlier.take().filter(good) {
            Some(Sighting { seen, at, .. }) => (seen, at),
            None if left == 0 => (len, self.now),
            None => {
                let sees = |len: &usize| is_in_memory(fd, place.position, *len);
                let [window, len] = [WINDOW, len].map(|len| len.min(left));
                (Some(window).filter(sees).or_else(|| Some(len).filter(sees))?, self.now)
            }
        };
        self.seen = seen;
        self.place = Some((place, at));
        Some(())
    }
}

/// Where a file stands, and how many bytes are left from there on.
fn place_of(fd: RawFd, stat: Option<FileStat>) -> Option<(Place, usize)> {
    let FileStat { device, inode, size } = stat.or_else(|| FileStat::new(&sys::stat(fd)?))?;
    // SAFETY: no pointers.
    let position = u64::try_from(unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) }).ok()?;
    let left = usize::try_from(size.saturating_sub(position)).unwrap_or(usize::MAX);
    Some((Place { device, inode, position }, left))
}

/// Whether so many bytes (more than none) are all in memory, and have arrived there.
fn is_in_memory(fd: RawFd, position: u64, len: usize) -> bool {
    let page = sys::page_size();
    let end = position + len as u64;
    let pages = end.div_ceil(page) - position / page;
    let counts = cachestat(fd, &Range { offset: position, len: len as u64 });
    // A page that is still being read in is there, but not ready. They come in order. Where files
    // live in memory, none is read in, and the kernel answers no question about it.
    counts.is_ok_and(|counts| counts.cached >= pages)
        && (sys::can_read_now(fd, end - 1) || sys::lives_in_memory(fd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, SeekFrom, Write};
    use std::os::fd::{AsRawFd, FromRawFd};

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

    fn new(can_ask: bool) -> Cached {
        Cached::new(can_ask, None, None, 0)
    }

    /// What the next transfer knows, 100 of 10,000 bytes having been moved by one at time 0.
    fn next_transfer(file: &mut std::fs::File, now: u64) -> Cached {
        file.rewind().expect("rewind");
        let mut cached = new(true);
        assert_eq!(cached.ready(file.as_raw_fd(), 100), Some(100));
        cached.moved(100);
        file.seek(SeekFrom::Start(100)).expect("seek");
        let sighting = cached.sighting();
        assert_eq!(sighting.map(|sighting| sighting.seen), Some(9900));
        Cached::new(true, None, sighting, now)
    }

    #[test]
    fn what_was_seen_is_good_at_the_same_place_for_a_while() {
        if !has_cachestat() {
            return;
        }
        let mut file = file(&[7; 10_000]);
        let fd = file.as_raw_fd();
        // Whether it looked again shows in the time of the look.
        let looked_at = |cached: &mut Cached| {
            cached.ready(fd, 100);
            cached.sighting().map(|sighting| sighting.at)
        };
        assert_eq!(looked_at(&mut next_transfer(&mut file, GOOD_FOR - 1)), Some(0));
        assert_eq!(looked_at(&mut next_transfer(&mut file, GOOD_FOR)), Some(GOOD_FOR));
        let mut elsewhere = next_transfer(&mut file, 1);
        file.seek(SeekFrom::Start(99)).expect("seek");
        assert_eq!(looked_at(&mut elsewhere), Some(1));
    }

    #[test]
    fn what_was_just_written_is_in_memory() {
        let mut file = file(&[7; 10_000]);
        file.seek(SeekFrom::Start(5000)).expect("seek");
        let fd = file.as_raw_fd();
        let mut cached = new(has_cachestat());
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
    fn what_lives_in_memory_is_in_memory() {
        // SAFETY: a name that ends with a NUL; the descriptor has no other owner.
        let mut file = unsafe {
            let fd = libc::memfd_create(c"polyphony-cached".as_ptr(), libc::MFD_CLOEXEC);
            std::fs::File::from_raw_fd(fd)
        };
        file.write_all(&[7; 10_000]).expect("write");
        file.seek(SeekFrom::Start(5000)).expect("seek");
        let ready = new(has_cachestat()).ready(file.as_raw_fd(), 100_000);
        assert_eq!(ready, has_cachestat().then_some(5000));
    }

    #[test]
    fn the_end_needs_no_disk() {
        let file = file(b"abc");
        let mut cached = new(has_cachestat());
        assert_eq!(cached.ready(file.as_raw_fd(), 100).is_some(), has_cachestat());
        cached.moved(0);
        assert!(cached.sighting().is_none());
    }

    #[test]
    fn without_the_means_to_ask_nothing_is_sure() {
        assert_eq!(new(false).ready(file(b"abc").as_raw_fd(), 1), None);
    }

    #[test]
    fn what_is_no_file_is_not_sure() {
        assert_eq!(new(true).ready(-1, 1), None);
    }
}
