//! TCP echo with epoll in one thread: one recv and one send per request.

use crate::{Failure, options::Options, stop, stop::Stop, sys, sys::Epoll};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

const BUFFER_BYTES: usize = 1024;
const LISTENER: u64 = u64::MAX;
const STOP: u64 = u64::MAX - 1;

/// The listener and its connections, by descriptor.
struct Server {
    epoll: Epoll,
    listener: TcpListener,
    connections: Vec<Option<TcpStream>>,
    requests: u64,
}

pub fn run(options: Options) -> Result<(), Failure> {
    let stop = Stop::new()?;
    let listener = stop::listen(&options)?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new()?;
    epoll.add(listener.as_raw_fd(), LISTENER)?;
    for fd in stop.fds() {
        epoll.add(fd, STOP)?;
    }
    let mut server = Server { epoll, listener, connections: Vec::new(), requests: 0 };
    server.serve()?;
    stop::report(server.requests);
    Ok(())
}

impl Server {
    fn serve(&mut self) -> Result<(), Failure> {
        let mut ready = Vec::new();
        loop {
            self.epoll.wait(&mut ready, -1)?;
            for &token in &ready {
                match token {
                    STOP => return Ok(()),
                    LISTENER => self.accept()?,
                    fd => self.echo(usize::try_from(fd)?),
                }
            }
        }
    }

    fn accept(&mut self) -> Result<(), Failure> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nonblocking(true)?;
            let fd = usize::try_from(stream.as_raw_fd())?;
            self.epoll.add(stream.as_raw_fd(), fd as u64)?;
            if self.connections.len() <= fd {
                self.connections.resize_with(fd + 1, || None);
            }
            self.connections[fd] = Some(stream);
        }
    }

    /// One recv and one send; a connection that has ended or failed is closed.
    fn echo(&mut self, fd: usize) {
        let Some(stream) = &self.connections[fd] else { return };
        let raw = stream.as_raw_fd();
        let mut buffer = [0; BUFFER_BYTES];
        let alive = match sys::recv(raw, &mut buffer) {
            Ok(0) => false,
            Ok(bytes) => {
                self.requests += 1;
                sys::send_all(raw, &buffer[..bytes]).is_ok()
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        if !alive {
            self.connections[fd] = None;
        }
    }
}
