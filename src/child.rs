//! Child processes: which, and what became of them.

use crate::sys::errno;

/// Children to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whom {
    /// `P_PID`, `P_PGID`, `P_ALL` or `P_PIDFD`.
    pub idtype: u32,
    /// Whom, by `idtype`.
    pub id: u32,
}

impl Whom {
    /// As `waitpid(2)` names them: -1 is any child, 0 one of the own process group, below -1 one
    /// of that group.
    #[must_use]
    pub fn of_pid(pid: i32) -> Self {
        let id = pid.unsigned_abs();
        match pid {
            -1 => Self { idtype: libc::P_ALL, id: 0 },
            ..=0 => Self { idtype: libc::P_PGID, id },
            _ => Self { idtype: libc::P_PID, id },
        }
    }
}

/// What `waitid(2)` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Whose; 0 where nothing has changed.
    pub pid: i32,
    /// The exit code or the signal.
    pub status: i32,
    /// `CLD_*`.
    pub code: i32,
}

impl Change {
    /// The status as `waitpid(2)` gives it.
    #[must_use]
    pub fn wait_status(&self) -> i32 {
        match self.code {
            libc::CLD_EXITED => (self.status & 0xff) << 8,
            libc::CLD_DUMPED => self.status | 0x80,
            libc::CLD_STOPPED | libc::CLD_TRAPPED => (self.status << 8) | 0x7f,
            libc::CLD_CONTINUED => 0xffff,
            _ => self.status,
        }
    }
}

/// What has changed, without waiting. Without `WNOWAIT` the child is reaped.
///
/// # Errors
/// ECHILD where there is no such child, EINVAL for bad options.
pub fn look(whom: Whom, options: i32) -> Result<Change, i32> {
    // SAFETY: all zeroes is a valid siginfo_t, and it lives across the call, which writes the
    // fields of a child or none.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        if libc::waitid(whom.idtype, whom.id, &raw mut info, options | libc::WNOHANG) != 0 {
            return Err(errno());
        }
        Ok(Change { pid: info.si_pid(), status: info.si_status(), code: info.si_code })
    }
}

/// Waits until something has changed, reaping nobody; for worker threads. 0, or a negated errno.
#[must_use]
pub fn wait_blocking(whom: Whom, options: i32) -> i32 {
    // SAFETY: all zeroes is a valid siginfo_t, and it lives across the call.
    let result = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(whom.idtype, whom.id, &raw mut info, options | libc::WNOWAIT)
    };
    if result == 0 { 0 } else { -errno() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids_name_children_as_waitpid_does() {
        let whom = |idtype, id| Whom { idtype, id };
        assert_eq!(Whom::of_pid(-1), whom(libc::P_ALL, 0));
        assert_eq!(Whom::of_pid(0), whom(libc::P_PGID, 0));
        assert_eq!(Whom::of_pid(-7), whom(libc::P_PGID, 7));
        assert_eq!(Whom::of_pid(i32::MIN), whom(libc::P_PGID, 1 << 31));
        assert_eq!(Whom::of_pid(7), whom(libc::P_PID, 7));
    }

    #[test]
    fn statuses_read_as_those_of_waitpid() {
        let status = |code, status| Change { pid: 1, status, code }.wait_status();
        let exited = status(libc::CLD_EXITED, 3);
        assert!(libc::WIFEXITED(exited) && libc::WEXITSTATUS(exited) == 3);
        let killed = status(libc::CLD_KILLED, 9);
        assert!(libc::WIFSIGNALED(killed) && libc::WTERMSIG(killed) == 9);
        assert!(!libc::WCOREDUMP(killed));
        let dumped = status(libc::CLD_DUMPED, 11);
        assert!(libc::WTERMSIG(dumped) == 11 && libc::WCOREDUMP(dumped));
        for code in [libc::CLD_STOPPED, libc::CLD_TRAPPED] {
            let stopped = status(code, 19);
            assert!(libc::WIFSTOPPED(stopped) && libc::WSTOPSIG(stopped) == 19);
        }
        assert!(libc::WIFCONTINUED(status(libc::CLD_CONTINUED, 18)));
    }

    #[test]
    fn looking_for_no_child_is_an_error() {
        let nobody = Whom { idtype: libc::P_PID, id: i32::MAX.unsigned_abs() };
        assert_eq!(look(nobody, libc::WEXITED), Err(libc::ECHILD));
        assert_eq!(look(nobody, 0), Err(libc::EINVAL));
        assert_eq!(wait_blocking(nobody, libc::WEXITED), -libc::ECHILD);
    }
}
