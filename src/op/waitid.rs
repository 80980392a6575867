use std::os::fd::RawFd;

use io_uring::{opcode, squeue};

use super::{Op, OpMemory};
use crate::child::Whom;

/// Waits for a change of a child process. Result: 0. What has changed is asked for afterwards, so
/// that a wait that is given up loses nothing.
#[derive(Clone, Copy, Debug)]
pub struct WaitId {
    /// Which children.
    pub whom: Whom,
    /// `WEXITED` …; `WNOWAIT` is added.
    pub options: i32,
}

impl Op for WaitId {
    const NAME: &'static str = "waitid";

    fn fd(&self) -> Option<RawFd> {
        None
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        let Whom { idtype, id } = self.whom;
        opcode::WaitId::new(idtype, id, self.options | libc::WNOWAIT).build()
    }
}
