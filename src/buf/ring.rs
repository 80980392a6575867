//! A provided buffer ring: where the kernel finds buffers to fill.

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use super::mapping::Mapping;
use super::{GROUP, MAX_BUFFERS};

/// `IOU_PBUF_RING_MMAP`: the kernel allocates the ring.
const KERNEL_MEMORY: u16 = 1;
/// `IOU_PBUF_RING_INC`: a buffer is filled by several completions, one behind the other (6.12).
const INCREMENTAL: u16 = 2;

/// Entries of the ring. The tail counts them in 16 bits, so they are a power of two.
#[allow(clippy::cast_possible_truncation)] // asserted below
const ENTRIES: u16 = MAX_BUFFERS as u16;
const _: () = assert!(MAX_BUFFERS.is_power_of_two() && MAX_BUFFERS <= 1 << 15);

/// Whether the kernel fills buffers bit by bit: found out by asking it for a ring that does.
pub(crate) fn probe_incremental(io: &IoUring) -> bool {
    let flags = KERNEL_MEMORY | INCREMENTAL;
    // SAFETY: no memory of ours is passed.
    let known = unsafe { io.submitter().register_buf_ring_with_flags(0, 1, GROUP, flags) };
    known.is_ok() && io.submitter().unregister_buf_ring(GROUP).is_ok()
}

/// Memory shared with the kernel: we write entries and the tail, it takes them from the head.
///
/// The kernel unregisters it when the io_uring is closed, and holds its pages until then.
pub(super) struct BufRing {
    memory: Mapping,
    tail: u16,
}

impl BufRing {
    /// Registers an empty ring.
    ///
    /// # Errors
    /// The kernel's errno, ENOMEM or EINVAL.
    pub(super) fn register(io: &IoUring, incremental: bool) -> io::Result<Self> {
        let memory = Mapping::new(MAX_BUFFERS * size_of::<BufRingEntry>())?;
        let flags = if incremental { INCREMENTAL } else { 0 };
        let address = memory.as_ptr() as u64;
        // SAFETY: the memory holds that many entries. The kernel pins its pages: unmapping them
        // before the io_uring is closed takes them from us, not from it.
        unsafe {
            io.submitter().register_buf_ring_with_flags(address, ENTRIES, GROUP, flags)?;
        }
        Ok(Self { memory, tail: 0 })
    }

    /// Puts a buffer behind the others; the kernel sees it after [`BufRing::publish`].
    ///
    /// # Safety
    /// `len` bytes at `ptr` may be written to by the kernel until it reports the buffer as done,
    /// or has no op that could take it. The ring is not full.
    pub(super) unsafe fn push(&mut self, bid: u16, ptr: *mut u8, len: u32) {
        let index = usize::from(self.tail % ENTRIES);
        // SAFETY: the index is within the mapping, which is page-aligned; the kernel doesn't look
        // at an entry behind the tail. Field by field, as the tail lies in the first entry.
        unsafe {
            let entry = &mut *self.memory.as_ptr().cast::<BufRingEntry>().add(index);
            entry.set_addr(ptr as u64);
            entry.set_len(len);
            entry.set_bid(bid);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel what was pushed.
    pub(super) fn publish(&mut self) {
        // SAFETY: the mapping begins with an entry, and the tail is in it; the kernel only reads
        // it. Released, so that it sees the entries before it.
        unsafe {
            let tail = BufRingEntry::tail(self.memory.as_ptr().cast()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }
}
