use std::ffi::CString;
use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Op, OpMemory};

/// Asks for a file's attributes. Result: 0; what they are is in the op's memory.
#[derive(Clone, Debug)]
pub struct Statx {
    /// Where a relative path begins: a folder, or `AT_FDCWD`.
    pub dirfd: RawFd,
    /// `None`: the descriptor itself.
    pub path: Option<CString>,
    /// `AT_*`; `AT_EMPTY_PATH` is added where there is no path.
    pub flags: i32,
    /// `STATX_*`.
    pub mask: u32,
}

/// What the kernel reads and writes.
pub struct Stat {
    path: CString,
    result: libc::statx,
}

impl Stat {
    pub(super) fn result(&self) -> &libc::statx {
        &self.result
    }
}

impl Op for Statx {
    const NAME: &'static str = "statx";

    fn fd(&self) -> Option<RawFd> {
        Some(self.dirfd)
    }

    fn build(self, memory: &mut OpMemory) -> squeue::Entry {
        let itself = if self.path.is_none() { libc::AT_EMPTY_PATH } else { 0 };
        let path = self.path.unwrap_or_default();
        // SAFETY: statx is plain data for which all zeroes is a valid value.
        let mut stat = Box::new(Stat { path, result: unsafe { std::mem::zeroed() } });
        let result = (&raw mut stat.result).cast::<types::statx>();
        let entry = opcode::Statx::new(types::Fd(self.dirfd), stat.path.as_ptr(), result)
            .flags(self.flags | itself)
            .mask(self.mask)
            .build();
        *memory = OpMemory::Stat(stat);
        entry
    }
}
