//! What the running kernel can do: asked of the kernel itself, never of its version.

use io_uring::{IoUring, Probe, opcode};

/// Opcodes that have a replacement where they are missing.
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
}

impl Capabilities {
    /// Asks the kernel behind `ring`.
    pub(super) fn probe(ring: &IoUring) -> Self {
        let mut probe = Probe::new();
        let known = ring.submitter().register_probe(&mut probe).is_ok();
        let without = std::env::var("POLYPHONY_WITHOUT").unwrap_or_default();
        let has = |name: &str, code: u8| {
            known && probe.is_supported(code) && !without.split(',').any(|off| off == name)
        };
        Self {
            waitid: has("waitid", opcode::WaitId::CODE),
            futex: has("futex", opcode::FutexWait::CODE),
            read_multishot: has("read_multishot", opcode::ReadMulti::CODE),
            listen: has("listen", opcode::Listen::CODE),
        }
    }

    /// Name and presence of each, for reports.
    #[must_use]
    pub fn entries(&self) -> [(&'static str, bool); 4] {
        [
            ("waitid", self.waitid),
            ("futex", self.futex),
            ("read_multishot", self.read_multishot),
            ("listen", self.listen),
        ]
    }
}
