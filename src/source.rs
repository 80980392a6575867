//! What kind of thing a descriptor reads from.

use std::os::fd::RawFd;

use crate::net;
use crate::sys::{check, errno};

/// How what is read from a descriptor comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// At once and at positions: regular files, disks.
    File,
    /// As a stream, when somebody writes it.
    Pipe,
    /// As a stream, from a socket.
    Stream,
    /// As messages, from a socket: what doesn't fit the buffer of its turn is lost.
    Messages,
    /// Anything else that may have to be waited for: a tty, an eventfd, inotify. Many of these
    /// insist on a minimal size of the buffer.
    Device,
}

impl Source {
    /// # Errors
    /// The errno, EBADF.
    pub fn of(fd: RawFd) -> Result<Self, i32> {
        // SAFETY: all zeroes is a valid stat, and it lives across the call.
        let mode = unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            check(libc::fstat(fd, &raw mut stat))?;
            stat.st_mode & libc::S_IFMT
        };
        Ok(match mode {
            libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR => Self::File,
            libc::S_IFIFO => Self::Pipe,
            libc::S_IFSOCK => Self::of_socket(fd)?,
            _ => Self::Device,
        })
    }

    /// # Errors
    /// The errno, EBADF or ENOTSOCK.
    pub fn of_socket(fd: RawFd) -> Result<Self, i32> {
        let mut kind = 0i32;
        #[allow(clippy::cast_possible_truncation)] // four
        let mut len = size_of::<i32>() as libc::socklen_t;
        // SAFETY: four bytes are there to be written, as `len` says.
        let result = unsafe {
            let kind = (&raw mut kind).cast();
            libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_TYPE, kind, &raw mut len)
        };
        match (result, kind) {
            (0, libc::SOCK_STREAM) => Ok(Self::Stream),
            (0, _) => Ok(Self::Messages),
            _ => Err(errno()),
        }
    }

    /// Whether 0 bytes, which a read from a descriptor of this kind has given, were its end. A
    /// message may be empty, and others come behind it: that is the end only where nothing can come
    /// any more, and nothing is left.
    #[must_use]
    pub fn is_end(self, fd: RawFd) -> bool {
        self != Self::Messages || (net::is_shut_down(fd) && !has_bytes(fd))
    }
}

/// The same for any descriptor. To be asked behind a read that gave 0 bytes only: it takes some
/// system calls. What can't be told is an end.
#[must_use]
pub fn is_end(fd: RawFd) -> bool {
    Source::of(fd).map_or(true, |source| source.is_end(fd))
}

/// Whether bytes of a socket are there to be read.
fn has_bytes(fd: RawFd) -> bool {
    let mut count: libc::c_int = 0;
    // SAFETY: a number is written to `count`.
    let result = unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut count) };
    result == 0 && count > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net;
    use std::os::fd::AsRawFd;

    #[test]
    fn kinds_are_told_apart() {
        let [reader, writer] = net::pipe(0).expect("pipe");
        let socket = |kind| net::socket(libc::AF_UNIX, kind, 0).expect("socket");
        let fds = [
            (reader, Source::Pipe),
            (writer, Source::Pipe),
            (socket(libc::SOCK_STREAM), Source::Stream),
            (socket(libc::SOCK_DGRAM), Source::Messages),
            (socket(libc::SOCK_SEQPACKET), Source::Messages),
        ];
        for (fd, source) in fds {
            assert_eq!(Source::of(fd), Ok(source));
            crate::sys::close(fd).expect("close");
        }
        let open = |path| std::fs::File::open(path).expect("file");
        assert_eq!(Source::of(open("/proc/self/exe").as_raw_fd()), Ok(Source::File));
        assert_eq!(Source::of(open("/").as_raw_fd()), Ok(Source::File));
        assert_eq!(Source::of(open("/dev/zero").as_raw_fd()), Ok(Source::Device));
    }

    /// What a read gives, and whether that is the end where it is nothing.
    fn read(fd: RawFd) -> (usize, bool) {
        let mut bytes = [0; 8];
        let count = net::recv_now(fd, &mut bytes).expect("something is there, or the end");
        (count, count == 0 && is_end(fd))
    }

    #[test]
    fn an_empty_datagram_is_no_end() {
        let [near, far] = net::socketpair(libc::AF_UNIX, libc::SOCK_DGRAM, 0).expect("pair");
        for bytes in [&b""[..], b"x", b""] {
            net::send_now(far, bytes).expect("sent");
        }
        assert_eq!([read(near), read(near), read(near)], [(0, false), (1, false), (0, false)]);
        net::shutdown(near, libc::SHUT_RD).expect("shut down");
        assert!(is_end(near));
        for fd in [near, far] {
            crate::sys::close(fd).expect("close");
        }
    }

    #[test]
    fn packets_end_with_their_sender_and_behind_the_last_one() {
        let [near, far] = net::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0).expect("pair");
        for bytes in [&b""[..], b"", b"x"] {
            net::send_now(far, bytes).expect("sent");
        }
        crate::sys::close(far).expect("close");
        assert_eq!([read(near), read(near), read(near)], [(0, false), (0, false), (1, false)]);
        assert_eq!(read(near), (0, true));
        crate::sys::close(near).expect("close");
    }

    #[test]
    fn nothing_from_anything_else_is_the_end() {
        let [reader, writer] = net::pipe(0).expect("pipe");
        assert!(is_end(reader) && is_end(-1));
        let [near, far] = net::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0).expect("pair");
        assert!(is_end(near));
        for fd in [reader, writer, near, far] {
            crate::sys::close(fd).expect("close");
        }
    }

    #[test]
    fn what_is_none_is_an_error() {
        assert_eq!(Source::of(-1), Err(libc::EBADF));
        assert_eq!(Source::of_socket(-1), Err(libc::EBADF));
        let [reader, writer] = net::pipe(0).expect("pipe");
        assert_eq!(Source::of_socket(reader), Err(libc::ENOTSOCK));
        for fd in [reader, writer] {
            crate::sys::close(fd).expect("close");
        }
    }
}
