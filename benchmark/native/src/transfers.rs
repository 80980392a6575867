//! Transfers by plain system calls, and what they move bytes to: baselines of `transfers.rb`.

use crate::{Failure, options::Options, stop::Stop, sys};
use std::fs::File;
use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Instant;

const PIPE_BYTES: libc::c_int = 1 << 20;

/// Prints the port, and runs `serve` on each connection in a thread until told to stop; then the
/// CPU time.
fn listen(
    port: u16,
    serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
) -> Result<(), Failure> {
    let stop = Stop::new()?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!(r#"{{"port":{}}}"#, listener.local_addr()?.port());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    sys::poll(&stop.fds().into_iter().map(|fd| (fd, libc::POLLIN)).collect::<Vec<_>>())?;
    println!(r#"{{"cpu_ns":{}}}"#, sys::own_cpu_ns());
    Ok(())
}

/// Discards what comes, sending as many bytes meanwhile as it was told.
pub fn sink(options: Options) -> Result<(), Failure> {
    let answer: u64 = options.get("answer", 0)?;
    listen(options.get("port", 0)?, move |stream| {
        let sending = stream.try_clone()?;
        let sender = std::thread::spawn(move || pour_into(&sending, answer));
        discard(&stream)?;
        sender.join().unwrap_or(Ok(()))
    })
}

/// Sends so many bytes to a port, and discards what comes back: time from first to last byte.
pub fn pour(options: Options) -> Result<(), Failure> {
    let stream = TcpStream::connect(("127.0.0.1", options.get("port", 0)?))?;
    let bytes: u64 = options.get("bytes", 1 << 30)?;
    let start = Instant::now();
    let sending = stream.try_clone()?;
    let sender = std::thread::spawn(move || pour_into(&sending, bytes));
    let back = discard(&stream)?;
    sender.join().map_err(|_| "the sender is gone")??;
    println!(r#"{{"wall_ns":{},"back":{back}}}"#, start.elapsed().as_nanos());
    Ok(())
}

fn pour_into(mut stream: &TcpStream, mut bytes: u64) -> io::Result<()> {
    let block = vec![7u8; 256 * 1024];
    while bytes > 0 {
        let len = usize::try_from(bytes).unwrap_or(usize::MAX).min(block.len());
        stream.write_all(&block[..len])?;
        bytes -= len as u64;
    }
    stream.shutdown(Shutdown::Write)
}

/// Reads to EOF without copying: bytes.
fn discard(stream: &TcpStream) -> io::Result<u64> {
    let mut total = 0;
    loop {
        match sys::recv_discard(stream.as_raw_fd(), 1 << 20)? {
            0 => return Ok(total),
            bytes => total += bytes as u64,
        }
    }
}

/// A proxy by splice(2): a thread for each connection, which polls both sockets.
pub fn splice_proxy(options: Options) -> Result<(), Failure> {
    let to: u16 = options.get("to", 0)?;
    listen(options.get("port", 0)?, move |near| {
        let far = TcpStream::connect(("127.0.0.1", to))?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let mut ways = [Way::new(&near, &far)?, Way::new(&far, &near)?];
        loop {
            let mut moved = false;
            for way in &mut ways {
                moved |= way.advance()?;
            }
            if ways.iter().all(|way| way.done) {
                return Ok(());
            }
            if !moved {
                sys::poll(&ways.iter().filter_map(Way::wanted).collect::<Vec<_>>())?;
            }
        }
    })
}

struct Way<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    pipe: (OwnedFd, OwnedFd),
    held: usize,
    ended: bool,
    done: bool,
}

impl<'a> Way<'a> {
    fn new(from: &'a TcpStream, to: &'a TcpStream) -> io::Result<Self> {
        let pipe = sys::pipe()?;
        sys::set_pipe_size(pipe.1.as_raw_fd(), PIPE_BYTES);
        Ok(Self { from, to, pipe, held: 0, ended: false, done: false })
    }

    /// Moves what can be moved; whether anything was.
    fn advance(&mut self) -> io::Result<bool> {
        let mut moved = false;
        if !self.ended && self.held == 0 {
            match moved_of(sys::splice(self.from.as_raw_fd(), self.pipe.1.as_raw_fd(), 1 << 20))? {
                None => {}
                Some(0) => self.ended = true,
                Some(bytes) => (self.held, moved) = (self.held + bytes, true),
            }
        }
        if self.held > 0 {
            let out = sys::splice(self.pipe.0.as_raw_fd(), self.to.as_raw_fd(), self.held);
            if let Some(bytes) = moved_of(out)? {
                (self.held, moved) = (self.held - bytes, true);
            }
        }
        if self.ended && self.held == 0 && !self.done {
            self.done = true;
            moved = true;
            self.to.shutdown(Shutdown::Write)?;
        }
        Ok(moved)
    }

    fn wanted(&self) -> Option<(RawFd, i16)> {
        match (self.held, self.ended) {
            (1.., _) => Some((self.to.as_raw_fd(), libc::POLLOUT)),
            (0, false) => Some((self.from.as_raw_fd(), libc::POLLIN)),
            (0, true) => None,
        }
    }
}

fn moved_of(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        other => other.map(Some),
    }
}

/// Sends a file to a port by sendfile(2).
pub fn send_file(options: Options) -> Result<(), Failure> {
    let path: String = options.get("file", String::new())?;
    let file = File::open(path)?;
    let stream = TcpStream::connect(("127.0.0.1", options.get("port", 0)?))?;
    let (start, cpu) = (Instant::now(), sys::own_cpu_ns());
    let mut total = 0;
    loop {
        match sys::sendfile(file.as_raw_fd(), stream.as_raw_fd(), 0x7fff_f000)? {
            0 => break,
            bytes => total += bytes,
        }
    }
    print_cost(total, start, cpu);
    Ok(())
}

/// A file to a pipe and on to a port (or the null device), in pieces: two splice(2) for each.
pub fn splice_loop(options: Options) -> Result<(), Failure> {
    let path: String = options.get("file", String::new())?;
    let chunk: usize = options.get("chunk", 65536)?;
    let file = File::open(path)?;
    let destination: OwnedFd = match options.get("port", 0u16)? {
        0 => File::create("/dev/null")?.into(),
        port => TcpStream::connect(("127.0.0.1", port))?.into(),
    };
    let (reader, writer) = sys::pipe()?;
    let (start, cpu) = (Instant::now(), sys::own_cpu_ns());
    let mut total = 0;
    loop {
        let mut held = sys::splice(file.as_raw_fd(), writer.as_raw_fd(), chunk)?;
        if held == 0 {
            break;
        }
        total += held;
        while held > 0 {
            held -= sys::splice(reader.as_raw_fd(), destination.as_raw_fd(), held)?;
        }
    }
    print_cost(total, start, cpu);
    Ok(())
}

fn print_cost(bytes: usize, start: Instant, cpu: i128) {
    let (wall, cpu) = (start.elapsed().as_nanos(), sys::own_cpu_ns() - cpu);
    println!(r#"{{"bytes":{bytes},"wall_ns":{wall},"cpu_ns":{cpu}}}"#);
}
