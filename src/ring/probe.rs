//! What the running kernel can do: asked of the kernel itself, never of its version.

use io_uring::{IoUring, Probe, opcode};

use crate::buf::probe_incremental;

/// What has a replacement where it is missing.
///
/// `POLYPHONY_WITHOUT=waitid,futex,…` switches some off, so that the replacements can be tested
/// on a kernel that has them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// `IORING_OP_WAITID` (6.7); else a pidfd is polled.
    pub waitid: bool,
    /// `IORING_OP_FUTEX_WAIT` (6.7).
    pub futex: bool,
    /// `IORING_OP_READ_MULTISHOT` (6.7); else poll and read.
    pub read_multishot: bool,
    /// `IORING_OP_SOCKET` … `IORING_OP_LISTEN` (6.11); else the syscalls.
    pub listen: bool,
    /// Buffer rings in which completions share a buffer (6.12); else each takes a whole one.
    pub incremental_buffers: bool,
    /// `cachestat(2)` (6.5); else files are read by the kernel's workers, in memory or not.
    pub cachestat: bool,
}

impl Capabilities {
    /// Asks the kernel behind `ring`.
    pub(super) fn probe(ring: &IoUring) -> Self {
        let mut probe = Probe::new();
        let known = ring.submitter().register_probe(&mut probe).is_ok();
        let without = std::env::var("POLYPHONY_WITHOUT").unwrap_or_default();
        let wanted = |name: &str| !without.split(',').any(|off| off == name);
        let has = |name: &str, code: u8| known && probe.is_supported(code) && wanted(name);
        Self {
            waitid: has("waitid", opcode::WaitId::CODE),
            futex: has("futex", opcode::FutexWait::CODE),
            read_multishot: has("read_multishot", opcode::ReadMulti::CODE),
            listen: has("listen", opcode::Listen::CODE),
            incremental_buffers: wanted("incremental_buffers") && probe_incremental(ring),
            cachestat: wanted("cachestat") && crate::splice::has_cachestat(),
        }
    }

    /// Name and presence of each, for reports.
    #[must_use]
    pub fn entries(&self) -> [(&'static str, bool); 6] {
        [
            ("waitid", self.waitid),
            ("futex", self.futex),
            ("read_multishot", self.read_multishot),
            ("listen", self.listen),
            ("incremental_buffers", self.incremental_buffers),
            ("cachestat", self.cachestat),
        ]
    }
}
