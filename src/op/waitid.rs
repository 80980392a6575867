use std::os::fd::RawFd;

use io_uring::{opcode, squeue};

use super::{Op, OpMemory};

/// Waits for a change of a child process. Result: 0; what happened is in the op's memory.
#[derive(Clone, Copy, Debug)]
pub struct WaitId {
    /// `P_PID`, `P_PGID`, `P_ALL` or `P_PIDFD`.
    pub idtype: u32,
    /// Whom, by `idtype`.
    pub id: u32,
    /// `WEXITED`, `WNOWAIT` …
    pub options: i32,
}

impl Op for WaitId {
    const NAME: &'static str = "waitid";

    fn fd(&self) -> Option<RawFd> {
        None
    }

    fn build(self, memory: &mut OpMemory) -> squeue::Entry {
        // SAFETY: siginfo_t is plain data for which all zeroes is a valid value.
        let mut info: Box<libc::siginfo_t> = Box::new(unsafe { std::mem::zeroed() });
        let entry =
            opcode::WaitId::new(self.idtype, self.id, self.options).infop(&raw mut *info).build();
        *memory = OpMemory::SigInfo(info);
        entry
    }
}
