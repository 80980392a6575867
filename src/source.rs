//! What kind of thing a descriptor reads from.

use std::os::fd::RawFd;

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
