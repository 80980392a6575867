//! Echo load: N connections, each with one 64-byte message in flight, every reply compared.
//!
//! A run is: connect all, warm up, measure for some seconds or requests, take in what is still
//! in flight, close. CPU time of the server is read from its CPU clock at both ends of the
//! measured part.

use crate::{Failure, options::Options, sys, sys::Epoll};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

pub const OPTIONS: &[&str] =
    &["port", "connections", "seconds", "requests", "warmup", "server-pid"];

const MESSAGE_BYTES: usize = 64;
/// Without any reply for so long, the run has failed.
const STALL_MS: i32 = 5000;
/// No run goes on longer than this, whatever was asked for.
const LONGEST: Duration = Duration::from_secs(120);
/// Latencies kept; requests beyond that are counted but not kept.
const LATENCIES: usize = 20_000_000;

/// A connection and the message that it waits for.
struct Connection {
    stream: TcpStream,
    id: u64,
    sequence: u64,
    expected: [u8; MESSAGE_BYTES],
    reply: [u8; MESSAGE_BYTES + 1],
    filled: usize,
    sent_at: Instant,
    waiting: bool,
}

impl Connection {
    fn open(port: u16, id: u64) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            id,
            sequence: 0,
            expected: [0; MESSAGE_BYTES],
            reply: [0; MESSAGE_BYTES + 1],
            filled: 0,
            sent_at: Instant::now(),
            waiting: false,
        })
    }

    /// Sends the next message.
    fn send(&mut self, now: Instant) -> Result<(), Failure> {
        self.sequence += 1;
        self.expected = message(self.id, self.sequence);
        (self.filled, self.sent_at, self.waiting) = (0, now, true);
        match sys::send(self.stream.as_raw_fd(), &self.expected)? {
            MESSAGE_BYTES => Ok(()),
            short => Err(format!("connection {}: only {short} bytes sent", self.id).into()),
        }
    }

    /// Takes in what has come; true when the whole reply is there and right.
    fn receive(&mut self) -> Result<bool, Failure> {
        let fd = self.stream.as_raw_fd();
        match sys::recv(fd, &mut self.reply[self.filled..]) {
            Ok(0) => return Err(format!("connection {}: closed by the server", self.id).into()),
            Ok(bytes) => self.filled += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if self.filled < MESSAGE_BYTES {
            return Ok(false);
        }
        if !self.waiting || self.reply[..self.filled] != self.expected {
            return Err(format!("connection {}: wrong reply {}", self.id, self.sequence).into());
        }
        self.waiting = false;
        Ok(true)
    }
}

/// 64 bytes that no other connection and no other request has.
fn message(id: u64, sequence: u64) -> [u8; MESSAGE_BYTES] {
    let mut bytes = [0; MESSAGE_BYTES];
    let mut state = (id << 40 ^ sequence).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    bytes[..8].copy_from_slice(&id.to_le_bytes());
    bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
    for word in bytes[16..].chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// When to stop measuring.
struct Goal {
    warmup: Duration,
    measured: Duration,
    requests: u64,
}

/// What was measured between the end of the warm-up and the goal.
struct Window {
    elapsed: Duration,
    latencies: Vec<u32>,
    requests: u64,
    server_cpu: i128,
    client_cpu: i128,
}

struct Load {
    epoll: Epoll,
    connections: Vec<Connection>,
    server_pid: i32,
    ready: Vec<u64>,
}

pub fn run(options: Options) -> Result<(), Failure> {
    sys::raise_open_files();
    let port = options.get("port", 0)?;
    let count: u64 = options.get("connections", 50)?;
    let requests = options.get("requests", 0)?;
    let seconds: f64 =
        if requests > 0 { LONGEST.as_secs_f64() } else { options.get("seconds", 2.0)? };
    let goal = Goal {
        warmup: Duration::try_from_secs_f64(options.get("warmup", 0.5)?)?,
        measured: Duration::try_from_secs_f64(seconds)?.min(LONGEST),
        requests,
    };
    let mut load = Load {
        epoll: Epoll::new()?,
        connections: (0..count).map(|id| Connection::open(port, id)).collect::<Result<_, _>>()?,
        server_pid: options.get("server-pid", 0)?,
        ready: Vec::new(),
    };
    let window = load.run(&goal)?;
    report(count, window);
    Ok(())
}

impl Load {
    fn run(&mut self, goal: &Goal) -> Result<Window, Failure> {
        for (token, connection) in self.connections.iter_mut().enumerate() {
            self.epoll.add(connection.stream.as_raw_fd(), token as u64)?;
            connection.send(Instant::now())?;
        }
        self.warm_up(goal.warmup)?;
        let window = self.measure(goal)?;
        self.finish()?;
        Ok(window)
    }

    fn warm_up(&mut self, time: Duration) -> Result<(), Failure> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.turn(true, |_| {})?;
        }
        Ok(())
    }

    fn measure(&mut self, goal: &Goal) -> Result<Window, Failure> {
        let mut latencies = Vec::with_capacity(1 << 20);
        let mut requests = 0;
        let (client_cpu, server_cpu) = (sys::own_cpu_ns(), self.server_cpu()?);
        let start = Instant::now();
        while start.elapsed() < goal.measured && (goal.requests == 0 || requests < goal.requests) {
            self.turn(true, |latency| {
                requests += 1;
                if latencies.len() < LATENCIES {
                    latencies.push(u32::try_from(latency.as_nanos()).unwrap_or(u32::MAX));
                }
            })?;
        }
        let elapsed = start.elapsed();
        let server_cpu = self.server_cpu()? - server_cpu;
        let client_cpu = sys::own_cpu_ns() - client_cpu;
        Ok(Window { elapsed, latencies, requests, server_cpu, client_cpu })
    }

    /// Takes in the replies that are still due, so that each message sent was verified.
    fn finish(&mut self) -> Result<(), Failure> {
        while self.connections.iter().any(|connection| connection.waiting) {
            self.turn(false, |_| {})?;
        }
        Ok(())
    }

    /// One wait and what it brought; `again`: each reply is followed by the next message.
    fn turn(&mut self, again: bool, mut replied: impl FnMut(Duration)) -> Result<(), Failure> {
        self.epoll.wait(&mut self.ready, STALL_MS)?;
        if self.ready.is_empty() {
            return Err(format!("no reply for {STALL_MS} ms").into());
        }
        for &token in &self.ready {
            let connection = &mut self.connections[usize::try_from(token)?];
            if connection.receive()? {
                let now = Instant::now();
                replied(now - connection.sent_at);
                if again {
                    connection.send(now)?;
                }
            }
        }
        Ok(())
    }

    fn server_cpu(&self) -> Result<i128, Failure> {
        if self.server_pid > 0 { Ok(sys::cpu_ns_of(self.server_pid)?) } else { Ok(0) }
    }
}

fn report(connections: u64, mut window: Window) {
    let latencies = &mut window.latencies;
    latencies.sort_unstable();
    let percentile = |percent: usize| match latencies.len() {
        0 => 0.0,
        count => f64::from(latencies[(count * percent / 100).min(count - 1)]) / 1000.0,
    };
    let (requests, seconds) = (window.requests, window.elapsed.as_secs_f64());
    let per_request = |ns: i128| ns as f64 / 1000.0 / requests.max(1) as f64;
    println!(
        concat!(
            r#"{{"connections":{},"requests":{},"seconds":{:.4},"rps":{:.0},"#,
            r#""p50_us":{:.1},"p99_us":{:.1},"max_us":{:.1},"#,
            r#""server_cpu_us":{:.3},"client_cpu_us":{:.3},"errors":0}}"#
        ),
        connections,
        requests,
        seconds,
        requests as f64 / seconds,
        percentile(50),
        percentile(99),
        percentile(100),
        per_request(window.server_cpu),
        per_request(window.client_cpu),
    );
}
