//! Small syscalls that never wait, and errno.

use std::os::fd::RawFd;

/// The calling native thread, as pthreads name it. A later thread may get the name of one that has
/// ended, and is then told by the kernel (EEXIST) that the ring is not its own.
#[must_use]
pub fn thread_token() -> libc::pthread_t {
    // SAFETY: always succeeds.
    unsafe { libc::pthread_self() }
}

/// The calling thread's errno.
#[must_use]
pub fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Sets the calling thread's errno, for libraries that report by it.
pub fn set_errno(errno: i32) {
    // SAFETY: the place is the thread's own.
    unsafe { *libc::__errno_location() = errno };
}

/// The C library's words for an errno.
#[must_use]
pub fn error_text(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    // Rust adds the number.
    text.split(" (os error").next().unwrap_or_default().to_string()
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

/// Why no descriptor can be had, EMFILE or ENFILE first of all. Nothing where one can.
#[must_use]
pub fn descriptor_shortage() -> Option<i32> {
    // SAFETY: no pointers.
    match check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) }) {
        Ok(fd) => {
            // Nobody else knows it.
            let _ = close(fd);
            None
        }
        Err(errno) => Some(errno),
    }
}

/// Turns the result of a syscall into a `Result` with the errno.
///
/// # Errors
/// The calling thread's errno when `result` is negative.
pub fn check(result: i32) -> Result<i32, i32> {
    if result < 0 { Err(errno()) } else { Ok(result) }
}

/// Writes what can be written without waiting: `pwritev2(RWF_NOWAIT)` at the descriptor's own
/// position.
///
/// # Safety
/// `len` bytes at `ptr` are readable.
///
/// # Errors
/// EAGAIN where it would have to wait, EOPNOTSUPP where the file can't tell, and what `write(2)`
/// says otherwise.
pub unsafe fn write_now(fd: RawFd, ptr: *const u8, len: usize) -> Result<usize, i32> {
    let iov = libc::iovec { iov_base: ptr.cast_mut().cast(), iov_len: len };
    // SAFETY: passed on from this function's own contract.
    let written = unsafe { libc::pwritev2(fd, &raw const iov, 1, -1, libc::RWF_NOWAIT) };
    usize::try_from(written).map_err(|_| errno())
}

/// [`write_now`], and a plain `write(2)` where the file can't tell whether it would wait (a tty, a
/// regular file) but says that it is ready.
///
/// # Safety
/// `len` bytes at `ptr` are readable.
///
/// # Errors
/// EAGAIN where it is not ready, and what `write(2)` says otherwise.
pub unsafe fn write_if_ready(fd: RawFd, ptr: *const u8, len: usize) -> Result<usize, i32> {
    // SAFETY: passed on from this function's own contract.
    match unsafe { write_now(fd, ptr, len) } {
        Err(libc::EOPNOTSUPP) => {}
        written => return written,
    }
    let mut ready = [libc::pollfd { fd, events: libc::POLLOUT, revents: 0 }];
    match crate::net::poll_now(&mut ready) {
        // SAFETY: as above.
        Ok(1) => usize::try_from(unsafe { libc::write(fd, ptr.cast(), len) }).map_err(|_| errno()),
        _ => Err(libc::EAGAIN),
    }
}

/// Whether the descriptor has positions: pipes, sockets and ttys have none, and the ring ignores
/// an offset given for them.
#[must_use]
pub fn is_seekable(fd: RawFd) -> bool {
    // SAFETY: no pointers.
    unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) >= 0 }
}

/// Whether the path is a FIFO, as far as is known without asking a remote file system.
#[must_use]
pub fn is_fifo(path: &std::ffi::CStr) -> bool {
    // SAFETY: the path and the result live across the call; all zeroes is a valid statx.
    unsafe {
        let mut result: libc::statx = std::mem::zeroed();
        let flags = libc::AT_STATX_DONT_SYNC;
        libc::statx(libc::AT_FDCWD, path.as_ptr(), flags, libc::STATX_TYPE, &raw mut result) == 0
            && libc::mode_t::from(result.stx_mode) & libc::S_IFMT == libc::S_IFIFO
    }
}

/// Reads what is there without waiting: `preadv2(RWF_NOWAIT)` at the descriptor's own position.
///
/// # Safety
/// `len` bytes at `ptr` are writable.
///
/// # Errors
/// EAGAIN where it would have to wait, EOPNOTSUPP where the file can't tell.
pub unsafe fn read_now(fd: RawFd, ptr: *mut u8, len: usize) -> Result<usize, i32> {
    let iov = libc::iovec { iov_base: ptr.cast(), iov_len: len };
    // SAFETY: passed on from this function's own contract.
    let read = unsafe { libc::preadv2(fd, &raw const iov, 1, -1, libc::RWF_NOWAIT) };
    usize::try_from(read).map_err(|_| errno())
}

/// `pidfd_open(2)`.
///
/// # Errors
/// ESRCH for a pid that is not there.
pub fn pidfd_open(pid: i32) -> Result<RawFd, i32> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    RawFd::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(errno)
}

/// `pidfd_send_signal(2)`.
///
/// # Errors
/// ESRCH when the process has ended and was waited for, EBADF for what is no pidfd.
pub fn pidfd_send_signal(fd: RawFd, signal: i32) -> Result<(), i32> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: without a siginfo_t the kernel makes one.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, no_info, 0) };
    if sent == 0 { Ok(()) } else { Err(errno()) }
}

/// How many bytes the process may lock, by its limit (`RLIM_INFINITY`: all).
pub(crate) fn memlock_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid out pointer for the duration of the call.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    limit.rlim_cur
}

/// Whether the process is one of root's, to which some limits don't apply.
pub(crate) fn is_root() -> bool {
    // SAFETY: no arguments, and it always succeeds.
    unsafe { libc::geteuid() == 0 }
}

/// Whether orphaned descendants become children of this process.
///
/// # Errors
/// The errno.
pub fn set_child_subreaper(on: bool) -> Result<(), i32> {
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, libc::c_ulong::from(on), 0, 0, 0) })
        .map(drop)
}

/// Major and minor version of the running kernel. For reports: what it can do is asked by
/// [`crate::ring::Capabilities`].
#[must_use]
pub fn kernel_version() -> Option<(u32, u32)> {
    // SAFETY: all zeroes is a valid utsname, and it lives across the call.
    let name = unsafe {
        let mut name: libc::utsname = std::mem::zeroed();
        check(libc::uname(&raw mut name)).ok()?;
        name
    };
    // SAFETY: the kernel has put a NUL behind it.
    parse_version(unsafe { std::ffi::CStr::from_ptr(name.release.as_ptr()) }.to_str().ok()?)
}

/// The first two numbers of a release such as `6.1.0-13-amd64`.
fn parse_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether the byte at a file's position can be read without waiting for its disk.
#[must_use]
pub fn can_read_now(fd: RawFd, position: u64) -> bool {
    let mut byte = 0u8;
    let iov = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let Ok(position) = libc::off_t::try_from(position) else { return false };
    // SAFETY: the byte lives across the call.
    unsafe { libc::preadv2(fd, &raw const iov, 1, position, libc::RWF_NOWAIT) == 1 }
}

/// Whether a file's bytes are nowhere but in memory (tmpfs, memfd).
#[must_use]
#[allow(clippy::unnecessary_cast)] // both are of other types with other C libraries
pub fn lives_in_memory(fd: RawFd) -> bool {
    // SAFETY: all zeroes is a valid statfs, and it lives across the call.
    unsafe {
        let mut stat: libc::statfs = std::mem::zeroed();
        libc::fstatfs(fd, &raw mut stat) == 0 && stat.f_type as i64 == libc::TMPFS_MAGIC as i64
    }
}

/// Bytes of a page of memory.
#[must_use]
pub fn page_size() -> u64 {
    // SAFETY: no pointers.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// What is known of a descriptor; `None` for what is none.
pub(crate) fn stat(fd: RawFd) -> Option<libc::stat> {
    // SAFETY: all zeroes is a valid stat, and it lives across the call.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::fstat(fd, &raw mut stat) == 0).then_some(stat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_two_numbers() {
        assert_eq!(parse_version("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(parse_version("6.18-rc2"), Some((6, 18)));
        assert_eq!(parse_version("7.0"), Some((7, 0)));
        for odd in ["", "6", "6.", ".1", "six.one", "99999999999.1"] {
            assert_eq!(parse_version(odd), None, "{odd}");
        }
    }
}
