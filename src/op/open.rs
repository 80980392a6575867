use std::ffi::CString;
use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Discard, Op, OpMemory};

/// Opens a file. Result: a descriptor, close-on-exec.
#[derive(Clone, Debug)]
pub struct Open {
    /// The path, relative to the working directory.
    pub path: CString,
    /// `O_*`; `O_CLOEXEC` is added.
    pub flags: i32,
    /// Permissions of a file that is made.
    pub mode: libc::mode_t,
    /// On a worker thread from the start. The kernel's first try, made by the submitter, opens
    /// with O_NONBLOCK: a FIFO is then opened without waiting for its other side.
    pub on_worker: bool,
}

impl Op for Open {
    const NAME: &'static str = "open";
    const DISCARD: Discard = Discard::CloseFd;

    fn fd(&self) -> Option<RawFd> {
        None
    }

    fn build(self, memory: &mut OpMemory) -> squeue::Entry {
        let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), self.path.as_ptr())
            .flags(self.flags | libc::O_CLOEXEC)
            .mode(self.mode)
            .build();
        let entry = if self.on_worker { entry.flags(squeue::Flags::ASYNC) } else { entry };
        // The bytes stay where they are when the CString moves.
        *memory = OpMemory::Path(self.path);
        entry
    }
}
