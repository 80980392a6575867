//! SQEs that are queued and that the kernel has not taken yet. It looks up their descriptors only
//! when it does: whoever closes one meanwhile, in another thread, has to take the number away from
//! them, as it is the next file's by then.

use std::io;
use std::os::fd::RawFd;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicI32, Ordering};

/// Where the SQEs are in what a ring's descriptor maps (`IORING_OFF_SQES`).
const OFFSET_OF_SQES: libc::off_t = 0x1000_0000;
/// What one takes.
const SQE: usize = 64;
/// Where its descriptor is in it.
const FD: usize = 4;

/// The SQEs of a ring, mapped once more.
pub(super) struct Untaken {
    start: NonNull<u8>,
    entries: usize,
}

impl Untaken {
    /// # Errors
    /// The kernel's errno.
    pub(super) fn new(ring: RawFd, entries: u32) -> io::Result<Self> {
        let entries = entries as usize;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, wherever the kernel likes; it keeps the pages of the ring.
        let start = unsafe {
            libc::mmap(null_mut(), entries * SQE, access, libc::MAP_SHARED, ring, OFFSET_OF_SQES)
        };
        match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(Self { start, entries }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The how manieth SQE of the ring has no descriptor any more: it ends with EBADF.
    pub(super) fn take_descriptor_from(&self, sqe: u64) {
        // The ring has fewer entries than a usize has values.
        #[allow(clippy::cast_possible_truncation)]
        let index = (sqe.wrapping_sub(1) % self.entries as u64) as usize;
        // SAFETY: within the mapping, and aligned as the kernel's struct is. The kernel reads the
        // field at once, before it looks the file up.
        let fd = unsafe { AtomicI32::from_ptr(self.start.as_ptr().add(index * SQE + FD).cast()) };
        fd.store(-1, Ordering::Release);
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, with this length. A forked child unmaps its own.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.entries * SQE) };
    }
}

// SAFETY: nothing but memory, written atomically.
unsafe impl Send for Untaken {}
