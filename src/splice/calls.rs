//! The calls that move bytes within the kernel, where they don't wait.

use std::os::fd::RawFd;
use std::ptr::null_mut;

use super::cached::FileStat;
use crate::sys::{errno, is_nonblocking, stat};

/// The number of the devices that are made of memory.
const MEMORY_MAJOR: libc::c_uint = 1;

/// What kind of end a descriptor is to a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file with positions and pages in memory: reading may wait for its disk.
    File,
    /// A pipe: `SPLICE_F_NONBLOCK` is enough.
    Pipe,
    /// A socket; whether it has `O_NONBLOCK`, as it waits without, whatever the call says.
    Socket {
        /// `O_NONBLOCK` is set.
        nonblocking: bool,
    },
    /// `/dev/null`, `/dev/zero` and their like, behind which there is nothing to wait for.
    Memory,
    /// A tty, another device, an eventfd …: it may wait.
    Other,
}

impl Kind {
    /// What a descriptor is ([`Kind::Other`] for what is none), and which file.
    #[must_use]
    pub fn of(fd: RawFd) -> (Self, Option<FileStat>) {
        let Some(stat) = stat(fd) else { return (Self::Other, None) };
        let kind = match stat.st_mode & libc::S_IFMT {
            libc::S_IFREG | libc::S_IFBLK => return (Self::File, FileStat::new(&stat)),
            libc::S_IFIFO => Self::Pipe,
            libc::S_IFSOCK => Self::Socket { nonblocking: is_nonblocking(fd) },
            libc::S_IFCHR if libc::major(stat.st_rdev) == MEMORY_MAJOR => Self::Memory,
            _ => Self::Other,
        };
        (kind, None)
    }

    /// Whether [`splice_now`] never waits on it, as source and as destination.
    #[must_use]
    pub fn is_direct(self) -> bool {
        matches!(self, Self::Pipe | Self::Memory | Self::Socket { nonblocking: true })
    }

    /// Whether it is a socket.
    #[must_use]
    pub fn is_socket(self) -> bool {
        matches!(self, Self::Socket { .. })
    }
}

/// What follows the bytes of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing that is known of: a socket sends what it has.
    Unknown,
    /// More at once: a socket may keep a segment that is not full.
    More,
}

/// `splice(2)` that doesn't wait on ends of which [`Kind::is_direct`] is true.
///
/// # Errors
/// EAGAIN where it would have to wait.
pub fn splice_now(from: RawFd, to: RawFd, len: usize, next: Next) -> Result<usize, i32> {
    let more = if next == Next::More { libc::SPLICE_F_MORE } else { 0 };
    let flags = libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE | more;
    // SAFETY: no offsets are passed.
    let moved = unsafe { libc::splice(from, null_mut(), to, null_mut(), len, flags) };
    usize::try_from(moved).map_err(|_| errno())
}

/// `tee(2)` that doesn't wait.
///
/// # Errors
/// EAGAIN where it would have to wait, EINVAL where an end is no pipe.
pub fn tee_now(from: RawFd, to: RawFd, len: usize) -> Result<usize, i32> {
    // SAFETY: no pointers.
    let copied = unsafe { libc::tee(from, to, len, libc::SPLICE_F_NONBLOCK) };
    usize::try_from(copied).map_err(|_| errno())
}

/// `sendfile(2)` from the file's own position. It waits for the file's disk, and for a socket
/// without `O_NONBLOCK`.
///
/// # Errors
/// EAGAIN where the socket takes nothing.
pub fn send_file(from: RawFd, to: RawFd, len: usize) -> Result<usize, i32> {
    // SAFETY: no offset is passed.
    let sent = unsafe { libc::sendfile(to, from, null_mut(), len) };
    usize::try_from(sent).map_err(|_| errno())
}

/// Sends what the socket takes, as a part of what may follow. A broken connection is EPIPE, never
/// SIGPIPE.
///
/// # Errors
/// EAGAIN where it takes nothing, and what `send(2)` says otherwise.
pub fn send_now(fd: RawFd, bytes: &[u8], next: Next) -> Result<usize, i32> {
    let more = if next == Next::More { libc::MSG_MORE } else { 0 };
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | more;
    // SAFETY: the slice is valid for the call and its length is passed.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| errno())
}

/// `read(2)` from a pipe of our own, which has `O_NONBLOCK`. (A pipe that was spliced refuses
/// `RWF_NOWAIT`.)
///
/// # Errors
/// EAGAIN where it is empty.
pub fn read_pipe(reader: RawFd, bytes: &mut [u8]) -> Result<usize, i32> {
    // SAFETY: the slice is valid for the call and its length is passed.
    let read = unsafe { libc::read(reader, bytes.as_mut_ptr().cast(), bytes.len()) };
    usize::try_from(read).map_err(|_| errno())
}

/// `write(2)` to a pipe of our own, which has `O_NONBLOCK`.
///
/// # Errors
/// EAGAIN where it is full.
pub fn write_pipe(writer: RawFd, bytes: &[u8]) -> Result<usize, i32> {
    // SAFETY: the slice is valid for the call and its length is passed.
    let written = unsafe { libc::write(writer, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written).map_err(|_| errno())
}

/// Asks for a pipe of `bytes`; what it has now. The per-user limit refuses quietly.
#[must_use]
pub fn set_pipe_size(fd: RawFd, bytes: usize) -> usize {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: no pointers.
    let size = unsafe {
        match libc::fcntl(fd, libc::F_SETPIPE_SZ, bytes) {
            refused if refused < 0 => libc::fcntl(fd, libc::F_GETPIPE_SZ),
            size => size,
        }
    };
    usize::try_from(size).unwrap_or(0)
}

/// Sets a file's position back by so many bytes; whether it has one.
#[must_use]
pub fn step_back(fd: RawFd, bytes: usize) -> bool {
    let Ok(bytes) = libc::off_t::try_from(bytes) else { return false };
    // SAFETY: no pointers.
    unsafe { libc::lseek(fd, -bytes, libc::SEEK_CUR) >= 0 }
}
