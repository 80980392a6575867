//! Thin safe wrappers over the syscalls used here.

use libc::c_int;
use std::io::{self, Error};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

/// The error of the last call where `value` says that there was one.
fn check(value: isize) -> io::Result<usize> {
    usize::try_from(value).map_err(|_| Error::last_os_error())
}

/// Takes ownership of two descriptors that the kernel has just made.
fn own_pair(fds: [c_int; 2]) -> (OwnedFd, OwnedFd) {
    // SAFETY: both were returned by the kernel a moment ago and belong to nobody else.
    unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) }
}

/// A pipe: read end, write end.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for the two descriptors.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) } as isize)?;
    Ok(own_pair(fds))
}

/// A pair of connected Unix stream sockets.
pub fn socketpair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    // SAFETY: `fds` has room for the two descriptors.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) } as isize)?;
    Ok(own_pair(fds))
}

/// One write(2).
pub fn write(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and the length are those of one slice.
    check(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) })
}

/// One read(2).
pub fn read(fd: RawFd, bytes: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer and the length are those of one slice.
    check(unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) })
}

/// One pwrite(2).
pub fn pwrite(fd: RawFd, bytes: &[u8], offset: usize) -> io::Result<usize> {
    let offset = libc::off_t::try_from(offset).map_err(Error::other)?;
    // SAFETY: the pointer and the length are those of one slice.
    check(unsafe { libc::pwrite(fd, bytes.as_ptr().cast(), bytes.len(), offset) })
}

/// A file in `directory` that has no name and goes with its descriptor.
pub fn unnamed_file(directory: &str) -> io::Result<OwnedFd> {
    let file =
        std::fs::OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(directory)?;
    Ok(file.into())
}

/// One send(2) without SIGPIPE.
pub fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and the length are those of one slice.
    check(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) })
}

/// One recv(2).
pub fn recv(fd: RawFd, bytes: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer and the length are those of one slice.
    check(unsafe { libc::recv(fd, bytes.as_mut_ptr().cast(), bytes.len(), 0) })
}

/// One recv(2) that drops what has come (TCP only).
pub fn recv_discard(fd: RawFd, bytes: usize) -> io::Result<usize> {
    // SAFETY: with MSG_TRUNC nothing is written.
    check(unsafe { libc::recv(fd, std::ptr::null_mut(), bytes, libc::MSG_TRUNC) })
}

/// One splice(2).
pub fn splice(from: RawFd, to: RawFd, bytes: usize) -> io::Result<usize> {
    let (none, flags) = (std::ptr::null_mut(), libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK);
    // SAFETY: no offsets are passed.
    check(unsafe { libc::splice(from, none, to, none, bytes, flags) })
}

/// One sendfile(2).
pub fn sendfile(from: RawFd, to: RawFd, bytes: usize) -> io::Result<usize> {
    // SAFETY: no offset is passed.
    check(unsafe { libc::sendfile(to, from, std::ptr::null_mut(), bytes) })
}

/// Asks for a pipe of so many bytes; one that is refused stays as it is.
pub fn set_pipe_size(fd: RawFd, bytes: c_int) {
    // SAFETY: no memory is passed.
    unsafe { libc::fcntl(fd, libc::F_SETPIPE_SZ, bytes) };
}

/// Waits until one of the descriptors is ready.
pub fn poll(wanted: &[(RawFd, i16)]) -> io::Result<()> {
    let mut fds: Vec<_> = wanted
        .iter()
        .map(|(fd, events)| libc::pollfd { fd: *fd, events: *events, revents: 0 })
        .collect();
    // SAFETY: the list lives through the call and its length is passed.
    check(unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, -1) } as isize).map(drop)
}

/// Sends all of `bytes`, waiting for room where a non-blocking socket has none.
pub fn send_all(fd: RawFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match send(fd, bytes) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_writable(fd)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait_writable(fd: RawFd) -> io::Result<()> {
    let mut entry = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one entry, and the count says one.
    check(unsafe { libc::poll(&raw mut entry, 1, -1) } as isize).map(drop)
}

/// Sets the accept queue of a listening socket (allowed again after the first listen).
pub fn set_backlog(fd: RawFd, backlog: c_int) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::listen(fd, backlog) } as isize).map(drop)
}

/// A descriptor that becomes readable when SIGTERM or SIGINT comes; both are blocked from now on.
pub fn stop_signals() -> io::Result<OwnedFd> {
    // SAFETY: a sigset_t is plain data; sigemptyset fills it before it is used.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` lives through the calls; a null old set is allowed.
    let fd = unsafe {
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    check(fd as isize)?;
    // SAFETY: signalfd has just made it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether stdin is a pipe or a socket, so that its EOF means something.
pub fn stdin_is_stream() -> bool {
    // SAFETY: a stat buffer is plain data and fstat fills it.
    let mode = unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::fstat(libc::STDIN_FILENO, &raw mut stat) == 0 { stat.st_mode } else { 0 }
    };
    matches!(mode & libc::S_IFMT, libc::S_IFIFO | libc::S_IFSOCK)
}

/// CPU time of this process in nanoseconds, as getrusage counts it (user and system).
pub fn own_cpu_ns() -> i128 {
    // SAFETY: an rusage is plain data and getrusage fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let ns = |t: libc::timeval| i128::from(t.tv_sec) * 1_000_000_000 + i128::from(t.tv_usec) * 1000;
    ns(usage.ru_utime) + ns(usage.ru_stime)
}

/// CPU time of another process, all its threads, in nanoseconds: its scheduler clock. No help
/// of that process is needed, so any server can be measured in the same way.
pub fn cpu_ns_of(pid: i32) -> io::Result<i128> {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: `clock` lives through the call.
    let error = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    if error != 0 {
        return Err(Error::from_raw_os_error(error));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives through the call.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) } as isize)?;
    Ok(i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec))
}

/// Raises the soft limit of open files as far as allowed.
pub fn raise_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` lives through both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// An epoll instance, level-triggered.
pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        check(fd as isize)?;
        // SAFETY: epoll_create1 has just made it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Reports `fd` as `token` whenever it is readable.
    pub fn add(&self, fd: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        let epoll = self.0.as_raw_fd();
        // SAFETY: `event` lives through the call, which copies it.
        let result = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        check(result as isize).map(drop)
    }

    /// Waits, and puts the tokens of what is readable into `ready`; empty after `timeout_ms`.
    pub fn wait(&self, ready: &mut Vec<u64>, timeout_ms: c_int) -> io::Result<()> {
        const BATCH: usize = 256;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
        ready.clear();
        let epoll = self.0.as_raw_fd();
        // SAFETY: `events` has room for BATCH entries.
        let count =
            unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), BATCH as c_int, timeout_ms) };
        let count = match check(count as isize) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            other => other?,
        };
        ready.extend(events[..count].iter().map(|event| event.u64));
        Ok(())
    }
}
