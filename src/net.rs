//! Addresses, and the socket calls that never wait.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::ptr::null_mut;

use crate::sys::{self, check, errno};

/// Bytes of a socket option that is a number.
#[allow(clippy::cast_possible_truncation)] // four
const OPTION_LEN: libc::socklen_t = size_of::<libc::c_int>() as libc::socklen_t;

/// A socket address as the kernel takes it.
#[derive(Clone, Copy)]
pub struct SockAddr {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl std::fmt::Debug for SockAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SockAddr(family {}, {} bytes)", self.storage.ss_family, self.len)
    }
}

impl SockAddr {
    /// The address of a numeric IPv4 or IPv6 host (an IPv6 one may carry `%scope`), or `None`
    /// where `host` is no number.
    #[must_use]
    pub fn parse(host: &str, port: u16) -> Option<Self> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Some(SocketAddr::new(ip, port).into());
        }
        // Only the socket address parser of the standard library knows scopes.
        format!("[{host}]:{port}").parse::<SocketAddr>().ok().map(Into::into)
    }

    /// Pointer to the address; valid as long as `self` stays where it is.
    #[must_use]
    pub fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    /// `AF_*`.
    #[must_use]
    pub fn family(&self) -> i32 {
        i32::from(self.storage.ss_family)
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> libc::socklen_t {
        self.len
    }

    /// Whether the address has no bytes (it never has).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn from_raw<A>(raw: &A) -> Self {
        const { assert!(size_of::<A>() <= size_of::<libc::sockaddr_storage>()) };
        // SAFETY: all zeroes is a valid sockaddr_storage.
        let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
        // SAFETY: the assertion above says that it fits; both are plain data.
        unsafe { (&raw mut storage).cast::<A>().copy_from_nonoverlapping(raw, 1) };
        #[allow(clippy::cast_possible_truncation)] // at most size_of::<sockaddr_storage>()
        Self { storage, len: size_of::<A>() as libc::socklen_t }
    }
}

impl From<SocketAddr> for SockAddr {
    #[allow(clippy::cast_possible_truncation)] // address families fit a sa_family_t
    fn from(addr: SocketAddr) -> Self {
        match addr {
            SocketAddr::V4(v4) => Self::from_raw(&libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            }),
            SocketAddr::V6(v6) => Self::from_raw(&libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            }),
        }
    }
}

/// `socket(2)`, close-on-exec.
///
/// # Errors
/// The errno.
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Result<RawFd, i32> {
    // SAFETY: no pointers.
    check(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) })
}

/// `socketpair(2)`, close-on-exec.
///
/// # Errors
/// The errno.
pub fn socketpair(domain: i32, kind: i32, protocol: i32) -> Result<[RawFd; 2], i32> {
    let mut fds = [0; 2];
    // SAFETY: two descriptors are written to `fds`.
    check(unsafe {
        libc::socketpair(domain, kind | libc::SOCK_CLOEXEC, protocol, fds.as_mut_ptr())
    })?;
    Ok(fds)
}

/// `pipe2(2)`, close-on-exec; `flags` may add `O_NONBLOCK`.
///
/// # Errors
/// The errno.
pub fn pipe(flags: i32) -> Result<[RawFd; 2], i32> {
    let mut fds = [0; 2];
    // SAFETY: two descriptors are written to `fds`.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), flags | libc::O_CLOEXEC) })?;
    Ok(fds)
}

/// `bind(2)`.
///
/// # Errors
/// The errno.
pub fn bind(fd: RawFd, addr: &SockAddr) -> Result<i32, i32> {
    // SAFETY: the address lives across the call.
    check(unsafe { libc::bind(fd, addr.as_ptr(), addr.len()) })
}

/// `listen(2)`, and `O_NONBLOCK`: a call that takes a connection never waits then.
///
/// # Errors
/// The errno.
pub fn listen(fd: RawFd, backlog: i32) -> Result<i32, i32> {
    // SAFETY: no pointers.
    let listening = check(unsafe { libc::listen(fd, backlog) })?;
    sys::set_nonblocking(fd)?;
    Ok(listening)
}

/// `shutdown(2)`.
///
/// # Errors
/// The errno.
pub fn shutdown(fd: RawFd, how: i32) -> Result<i32, i32> {
    // SAFETY: no pointers.
    check(unsafe { libc::shutdown(fd, how) })
}

/// An option of a socket that is a number.
///
/// # Errors
/// The errno.
pub fn getsockopt(fd: RawFd, level: i32, option: i32) -> Result<i32, i32> {
    let mut value: libc::c_int = 0;
    let mut len = OPTION_LEN;
    // SAFETY: the value lives across the call and its length is passed.
    check(unsafe { libc::getsockopt(fd, level, option, (&raw mut value).cast(), &raw mut len) })?;
    Ok(value)
}

/// Whether connections can be accepted from a socket: it listens, and was not shut down.
#[must_use]
pub fn is_listening(fd: RawFd) -> bool {
    // One of the Unix family still says that it listens when it was shut down.
    listens(fd) && !is_shut_down(fd)
}

/// Whether a socket was made to listen, by its own word.
#[must_use]
pub fn listens(fd: RawFd) -> bool {
    getsockopt(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN) == Ok(1)
}

/// Whether nothing more can come in on a socket, but for what has come in already.
pub(crate) fn is_shut_down(fd: RawFd) -> bool {
    let mut fds = [libc::pollfd { fd, events: libc::POLLRDHUP, revents: 0 }];
    poll_now(&mut fds).is_ok() && fds[0].revents & libc::POLLRDHUP != 0
}

/// Whether a descriptor is a socket.
#[must_use]
pub fn is_socket(fd: RawFd) -> bool {
    getsockopt(fd, libc::SOL_SOCKET, libc::SO_TYPE).is_ok()
}

/// Takes a connection that waits already: `accept4(2)`, close-on-exec. `flags`: `SOCK_NONBLOCK` or 0.
///
/// # Errors
/// EAGAIN where there is none and the socket doesn't block, and what `accept4(2)` says otherwise.
pub fn accept_now(fd: RawFd, flags: i32) -> Result<RawFd, i32> {
    // SAFETY: no address is asked for.
    check(unsafe { libc::accept4(fd, null_mut(), null_mut(), flags | libc::SOCK_CLOEXEC) })
}

/// Sets an option that is a number.
///
/// # Errors
/// The errno.
pub fn setsockopt(fd: RawFd, level: i32, option: i32, value: i32) -> Result<i32, i32> {
    // SAFETY: the value lives across the call and its length is passed.
    check(unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), OPTION_LEN) })
}

/// Receives what is there: `recv(2)` with `MSG_DONTWAIT`. 0 when the peer has shut down.
///
/// # Errors
/// EAGAIN where nothing is there, and what `recv(2)` says otherwise.
pub fn recv_now(fd: RawFd, into: &mut [u8]) -> Result<usize, i32> {
    // SAFETY: the slice is valid for the call and its length is passed.
    let got = unsafe { libc::recv(fd, into.as_mut_ptr().cast(), into.len(), libc::MSG_DONTWAIT) };
    usize::try_from(got).map_err(|_| errno())
}

/// Sends what the socket takes: `send(2)` with `MSG_DONTWAIT`. A broken connection is EPIPE, never
/// SIGPIPE.
///
/// # Errors
/// EAGAIN where it takes nothing, and what `send(2)` says otherwise.
pub fn send_now(fd: RawFd, bytes: &[u8]) -> Result<usize, i32> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the slice is valid for the call and its length is passed.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| errno())
}

/// Polls without waiting: the events that are there among `events` (and POLLERR, POLLHUP,
/// POLLNVAL).
///
/// # Errors
/// The errno.
pub fn poll_now(fds: &mut [libc::pollfd]) -> io::Result<usize> {
    // SAFETY: the slice is valid for the call and its length is passed.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, 0) };
    usize::try_from(ready).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_hosts_of_both_families_parse() {
        assert_eq!(SockAddr::parse("127.0.0.1", 80).expect("v4").len(), 16);
        assert_eq!(SockAddr::parse("::1", 80).expect("v6").len(), 28);
        assert_eq!(SockAddr::parse("fe80::1%1", 80).expect("scoped").len(), 28);
        assert!(SockAddr::parse("localhost", 80).is_none());
        assert!(SockAddr::parse("", 80).is_none());
    }
}
