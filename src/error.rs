//! Why a ring could not be had, in words that say what to do about it.

use std::fmt;

/// What kept the kernel from giving out a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// `kernel.io_uring_disabled` forbids it (1: to the unprivileged, 2: to everybody).
    Sysctl(u8),
    /// The syscall is refused although the sysctl allows it: a seccomp filter or an LSM.
    Seccomp,
    /// The kernel has no io_uring, or a filter answers as if it had none.
    NoSyscall,
    /// Locked memory ran out, even for the smallest ring; the limit in bytes.
    Memlock(u64),
    /// Too many open files, of the process (EMFILE) or of the whole system (ENFILE): no matter of
    /// io_uring's.
    Descriptors,
    /// The kernel is older than the floor that this crate needs (Linux 6.1).
    TooOld,
    /// Anything else; the errno tells.
    Other,
}

/// A ring could not be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetupError {
    /// The errno of the last attempt.
    pub errno: i32,
    /// The cause found behind it.
    pub cause: Cause,
}

impl SetupError {
    /// Finds the cause behind an errno of `io_uring_setup`.
    #[must_use]
    pub fn diagnose(errno: i32) -> Self {
        let cause = match errno {
            libc::EPERM | libc::EACCES => match sysctl_level() {
                Some(level @ 1..) => Cause::Sysctl(level),
                _ => Cause::Seccomp,
            },
            libc::ENOSYS => Cause::NoSyscall,
            libc::ENOMEM => Cause::Memlock(crate::sys::memlock_limit()),
            libc::EMFILE | libc::ENFILE => Cause::Descriptors,
            libc::EINVAL => Cause::TooOld,
            _ => Cause::Other,
        };
        Self { errno, cause }
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cause != Cause::Descriptors {
            write!(f, "io_uring is not available: ")?;
        }
        match self.cause {
            Cause::Sysctl(level) => write!(
                f,
                "kernel.io_uring_disabled is {level}; to allow it: sysctl -w kernel.io_uring_disabled=0"
            ),
            Cause::Seccomp => write!(
                f,
                "a security filter refuses it (containers do by default); run the container with \
                 --security-opt seccomp=PROFILE where PROFILE allows io_uring_setup, \
                 io_uring_enter and io_uring_register"
            ),
            Cause::NoSyscall => write!(
                f,
                "this kernel has no io_uring, or a filter hides it; Linux 6.1 or newer is needed"
            ),
            Cause::Memlock(limit) => write!(
                f,
                "not enough lockable memory (limit {limit} bytes); raise it with: ulimit -l unlimited"
            ),
            Cause::Descriptors if self.errno == libc::ENFILE => write!(
                f,
                "no descriptor is left in the system for a ring; raise its limit with: \
                 sysctl -w fs.file-max=1000000"
            ),
            Cause::Descriptors => write!(
                f,
                "no descriptor is left for a ring: the process has too many open files; raise its \
                 limit with: ulimit -n 65536"
            ),
            Cause::TooOld => write!(f, "the kernel is too old; Linux 6.1 or newer is needed"),
            Cause::Other => write!(f, "errno {}", self.errno),
        }
    }
}

impl std::error::Error for SetupError {}

fn sysctl_level() -> Option<u8> {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

/// An op could not be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// The submission queue is full, and the ring was opened to say so.
    Full,
    /// The kernel's errno: a full queue could not be submitted.
    Errno(i32),
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the submission queue is full: submit first"),
            Self::Errno(errno) => write!(f, "errno {errno}"),
        }
    }
}

impl std::error::Error for SubmitError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_names_a_cure_or_the_errno() {
        for errno in [libc::ENOSYS, libc::ENOMEM, libc::EINVAL, libc::EIO] {
            let text = SetupError::diagnose(errno).to_string();
            assert!(text.starts_with("io_uring is not available: "), "{text}");
            assert!(text.len() > 40 || text.contains("errno"), "{text}");
        }
    }

    #[test]
    fn a_limit_on_descriptors_is_no_lack_of_io_uring() {
        for (errno, cure) in [(libc::EMFILE, "ulimit -n"), (libc::ENFILE, "fs.file-max")] {
            let text = SetupError::diagnose(errno).to_string();
            assert!(!text.contains("not available") && text.contains(cure), "{text}");
        }
    }

    #[test]
    fn eperm_without_the_sysctl_is_a_filter() {
        let expected = match sysctl_level() {
            Some(level @ 1..) => Cause::Sysctl(level),
            _ => Cause::Seccomp,
        };
        assert_eq!(SetupError::diagnose(libc::EPERM).cause, expected);
    }
}
