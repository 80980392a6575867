//! inotify: watching files, and taking the kernel's records of events apart.

use std::ffi::CStr;
use std::os::fd::RawFd;

use crate::sys::{check, errno};

/// Room for a dozen events with the longest of names; the kernel refuses less than one.
pub const BUFFER_SIZE: usize = 4096;

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The watch that it was seen by; -1 for none.
    pub wd: i32,
    /// `IN_*`.
    pub mask: u32,
    /// Name in the watched folder; empty where the event is about the watched file itself.
    pub name: &'a [u8],
}

/// A new inotify descriptor, close-on-exec and non-blocking: [`read`] never waits.
///
/// # Errors
/// The errno.
pub fn init() -> Result<RawFd, i32> {
    // SAFETY: no pointers.
    check(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) })
}

/// Watches a path: the number of the watch. A path that is watched already keeps its number.
///
/// # Errors
/// The errno.
pub fn add_watch(fd: RawFd, path: &CStr, mask: u32) -> Result<i32, i32> {
    // SAFETY: the path lives across the call.
    check(unsafe { libc::inotify_add_watch(fd, path.as_ptr(), mask) })
}

/// Reads whole records: the number of bytes.
///
/// # Errors
/// The errno; EAGAIN where there is no event.
pub fn read(fd: RawFd, buffer: &mut [u8; BUFFER_SIZE]) -> Result<usize, i32> {
    // SAFETY: the buffer is valid for the call and its length is passed.
    let count = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(count).map_err(|_| errno())
}

/// The events in what was read. Ends at bytes that are no whole record.
pub fn events(bytes: &[u8]) -> impl Iterator<Item = Event<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (event, after) = first(rest)?;
        rest = after;
        Some(event)
    })
}

/// The first event, and the bytes after it: watch, mask, cookie, length of the name, name.
fn first(bytes: &[u8]) -> Option<(Event<'_>, &[u8])> {
    let (wd, rest) = bytes.split_first_chunk()?;
    let (mask, rest) = rest.split_first_chunk()?;
    let (_cookie, rest) = rest.split_first_chunk::<4>()?;
    let (len, rest) = rest.split_first_chunk()?;
    let len = usize::try_from(u32::from_ne_bytes(*len)).ok()?;
    let (padded, after) = rest.split_at_checked(len)?;
    // The kernel fills up with NULs.
    let name = padded.split(|byte| *byte == 0).next().unwrap_or_default();
    let event = Event { wd: i32::from_ne_bytes(*wd), mask: u32::from_ne_bytes(*mask), name };
    Some((event, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(wd: i32, mask: u32, len: u32, name: &[u8]) -> Vec<u8> {
        let header = [wd as u32, mask, 7, len].map(u32::to_ne_bytes);
        [header.as_flattened(), name].concat()
    }

    fn seen(bytes: &[u8]) -> Vec<Event<'_>> {
        events(bytes).collect()
    }

    #[test]
    fn records_follow_each_other() {
        let bytes = [record(1, 2, 0, b""), record(-1, 0x8000_0000, 8, b"name\0\0\0\0")].concat();
        let expected = [
            Event { wd: 1, mask: 2, name: b"" },
            Event { wd: -1, mask: 0x8000_0000, name: b"name" },
        ];
        assert_eq!(seen(&bytes), expected);
    }

    #[test]
    fn a_name_may_fill_its_field() {
        assert_eq!(seen(&record(1, 2, 4, b"full")), [Event { wd: 1, mask: 2, name: b"full" }]);
    }

    #[test]
    fn nothing_comes_of_a_record_that_is_cut_off() {
        let whole = record(1, 2, 8, b"name\0\0\0\0");
        for end in 0..whole.len() {
            assert_eq!(seen(&whole[..end]), [], "{end} bytes");
        }
        let two = [whole.clone(), whole[..20].to_vec()].concat();
        assert_eq!(seen(&two).len(), 1);
    }

    #[test]
    fn a_length_beyond_the_end_is_no_record() {
        for len in [9, i32::MAX as u32, u32::MAX] {
            assert_eq!(seen(&record(1, 2, len, b"12345678")), []);
        }
    }

    #[test]
    fn any_bytes_come_to_an_end() {
        for byte in [0, 1, 0x7f, 0xff] {
            assert!(events(&[byte; 333]).count() <= 333 / size_of::<libc::inotify_event>());
        }
    }

    #[test]
    fn the_kernel_is_understood() {
        let folder = std::env::temp_dir().join(format!("polyphony-inotify-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("a folder");
        let path = std::ffi::CString::new(folder.to_str().expect("UTF-8")).expect("no NUL");
        let fd = init().expect("inotify");
        let mut buffer = [0; BUFFER_SIZE];
        let wd = add_watch(fd, &path, libc::IN_CREATE | libc::IN_DELETE_SELF).expect("a watch");
        assert_eq!(read(fd, &mut buffer), Err(libc::EAGAIN));
        std::fs::write(folder.join("file"), "").expect("a file");
        std::fs::remove_dir_all(&folder).expect("removed");
        let count = read(fd, &mut buffer).expect("events");
        let expected = [
            Event { wd, mask: libc::IN_CREATE, name: b"file" },
            Event { wd, mask: libc::IN_DELETE_SELF, name: b"" },
            Event { wd, mask: libc::IN_IGNORED, name: b"" },
        ];
        assert_eq!(seen(&buffer[..count]), expected);
        crate::sys::close(fd).expect("closed");
    }
}
