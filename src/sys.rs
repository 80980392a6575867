//! Small syscalls that never wait, and errno.

use std::os::fd::RawFd;

/// The calling thread's errno.
#[must_use]
pub fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Closes a descriptor. EINTR counts as closed, as Linux has released it by then.
///
/// # Errors
/// The errno, EBADF first of all.
pub fn close(fd: RawFd) -> Result<(), i32> {
    // SAFETY: no pointers; closing a descriptor that somebody else owns is the caller's decision.
    if unsafe { libc::close(fd) } == 0 {
        return Ok(());
    }
    match errno() {
        libc::EINTR => Ok(()),
        errno => Err(errno),
    }
}

/// Turns the result of a syscall into a `Result` with the errno.
///
/// # Errors
/// The calling thread's errno when `result` is negative.
pub fn check(result: i32) -> Result<i32, i32> {
    if result < 0 { Err(errno()) } else { Ok(result) }
}
