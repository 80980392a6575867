//! How the echo servers start and end: the port as their first line of output, a summary as the
//! last one, after SIGTERM, SIGINT or the end of stdin.

use crate::{Failure, options::Options, sys};
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Listens on loopback and prints the port.
pub fn listen(options: &Options) -> Result<TcpListener, Failure> {
    sys::raise_open_files();
    let listener = TcpListener::bind(("127.0.0.1", options.get("port", 0)?))?;
    sys::set_backlog(listener.as_raw_fd(), BACKLOG)?;
    println!(r#"{{"port":{}}}"#, listener.local_addr()?.port());
    Ok(listener)
}

/// What tells a server to end.
pub struct Stop {
    signals: OwnedFd,
}

impl Stop {
    pub fn new() -> Result<Self, Failure> {
        Ok(Self { signals: sys::stop_signals()? })
    }

    /// Descriptors that are readable when it is time.
    pub fn fds(&self) -> Vec<RawFd> {
        let mut fds = vec![self.signals.as_raw_fd()];
        if sys::stdin_is_stream() {
            fds.push(libc::STDIN_FILENO);
        }
        fds
    }
}

/// The last line of a server; whoever started it may be gone by now.
pub fn report(requests: u64) {
    let line = format!(r#"{{"requests":{requests},"cpu_ns":{}}}"#, sys::own_cpu_ns());
    let _ = writeln!(std::io::stdout(), "{line}");
}
