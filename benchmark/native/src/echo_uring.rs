//! TCP echo with io_uring in one thread: a one-shot recv and a send per request, one enter for
//! all that is ready.

use crate::{Failure, options::Options, stop, stop::Stop};
use io_uring::{IoUring, cqueue, opcode, squeue, types::Fd};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const BUFFER_BYTES: usize = 1024;
const RING_ENTRIES: u32 = 1024;

/// What a completion is about: the upper half of its user_data, above the descriptor.
const ACCEPT: u64 = 0;
const RECV: u64 = 1;
const SEND: u64 = 2;
const STOP: u64 = 3;

/// A connection has one op in flight at any time, and ends only when that one has completed.
struct Connection {
    socket: OwnedFd,
    buffer: Box<[u8; BUFFER_BYTES]>,
    filled: usize,
    sent: usize,
}

struct Server {
    ring: IoUring,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    requests: u64,
}

pub fn run(options: Options) -> Result<(), Failure> {
    let stop = Stop::new()?;
    let listener = stop::listen(&options)?;
    let ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .build(RING_ENTRIES)?;
    let mut server = Server { ring, listener, connections: Vec::new(), requests: 0 };
    for fd in stop.fds() {
        let poll = opcode::PollAdd::new(Fd(fd), libc::POLLIN as u32).build();
        server.push(&poll.user_data(STOP << 32))?;
    }
    server.push_accept()?;
    server.serve()?;
    stop::report(server.requests);
    // Receives are still in flight: end without freeing what the kernel may write to.
    std::process::exit(0)
}

impl Server {
    fn serve(&mut self) -> Result<(), Failure> {
        let mut completions: Vec<cqueue::Entry> = Vec::new();
        loop {
            match self.ring.submit_and_wait(1) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                    return Err(error.into());
                }
                _ => {}
            }
            completions.extend(self.ring.completion());
            for completion in completions.drain(..) {
                let (kind, fd) = (completion.user_data() >> 32, completion.user_data() as u32);
                match kind {
                    STOP => return Ok(()),
                    ACCEPT => self.accepted(completion.result())?,
                    RECV => self.received(fd as usize, completion.result())?,
                    _ => self.sent(fd as usize, completion.result())?,
                }
            }
        }
    }

    fn accepted(&mut self, result: i32) -> Result<(), Failure> {
        let slot = usize::try_from(result).map_err(|_| "accept failed")?;
        // SAFETY: the kernel has just made this descriptor for us.
        let socket = unsafe { OwnedFd::from_raw_fd(result) };
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, || None);
        }
        let buffer = Box::new([0; BUFFER_BYTES]);
        self.connections[slot] = Some(Connection { socket, buffer, filled: 0, sent: 0 });
        self.push_recv(slot)?;
        self.push_accept()
    }

    fn received(&mut self, slot: usize, result: i32) -> Result<(), Failure> {
        let Some(connection) = &mut self.connections[slot] else { return Ok(()) };
        match usize::try_from(result) {
            Ok(bytes) if bytes > 0 => {
                self.requests += 1;
                (connection.filled, connection.sent) = (bytes, 0);
                self.push_send(slot)
            }
            _ => {
                self.connections[slot] = None;
                Ok(())
            }
        }
    }

    fn sent(&mut self, slot: usize, result: i32) -> Result<(), Failure> {
        let Some(connection) = &mut self.connections[slot] else { return Ok(()) };
        let Ok(bytes) = usize::try_from(result) else {
            self.connections[slot] = None;
            return Ok(());
        };
        connection.sent += bytes;
        if connection.sent < connection.filled {
            self.push_send(slot)
        } else {
            self.push_recv(slot)
        }
    }

    fn push_accept(&mut self) -> Result<(), Failure> {
        let fd = self.listener.as_raw_fd();
        let (address, length) = (std::ptr::null_mut(), std::ptr::null_mut());
        let accept = opcode::Accept::new(Fd(fd), address, length).flags(libc::SOCK_CLOEXEC);
        self.push(&accept.build().user_data(ACCEPT << 32))
    }

    fn push_recv(&mut self, slot: usize) -> Result<(), Failure> {
        let Some(connection) = &mut self.connections[slot] else { return Ok(()) };
        let (fd, buffer) = (connection.socket.as_raw_fd(), &mut connection.buffer);
        let recv = opcode::Recv::new(Fd(fd), buffer.as_mut_ptr(), BUFFER_BYTES as u32).build();
        self.push(&recv.user_data(tag(RECV, fd)))
    }

    fn push_send(&mut self, slot: usize) -> Result<(), Failure> {
        let Some(connection) = &self.connections[slot] else { return Ok(()) };
        let (fd, rest) =
            (connection.socket.as_raw_fd(), &connection.buffer[connection.sent..connection.filled]);
        let send = opcode::Send::new(Fd(fd), rest.as_ptr(), rest.len() as u32)
            .flags(libc::MSG_NOSIGNAL)
            .build();
        self.push(&send.user_data(tag(SEND, fd)))
    }

    /// Queues an entry, submitting what is there when the queue is full.
    fn push(&mut self, entry: &squeue::Entry) -> Result<(), Failure> {
        // SAFETY: buffers are boxed and stay in `connections` until their op has completed.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.ring.submit()?;
        }
        Ok(())
    }
}

fn tag(kind: u64, fd: RawFd) -> u64 {
    kind << 32 | u64::from(fd as u32)
}
