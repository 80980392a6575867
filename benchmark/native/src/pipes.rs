//! The raw pair of syscalls under every benchmark of pipes: write and read of 1 KB.

use crate::messages::{MESSAGE_BYTES, messages};
use crate::{Failure, options::Options, sys};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Instant;

const WARMUP_ROUNDS: usize = 200;

type Write = fn(RawFd, &[u8]) -> std::io::Result<usize>;
type Read = fn(RawFd, &mut [u8]) -> std::io::Result<usize>;

pub fn run(options: Options) -> Result<(), Failure> {
    let kind: String = options.get("kind", "pipe".to_owned())?;
    let pairs: usize = options.get("pairs", 50)?;
    let rounds: usize = options.get("messages", 2000)?;
    let (make, write, read): (fn() -> _, Write, Read) = match kind.as_str() {
        "pipe" => (sys::pipe, sys::write, sys::read),
        "socket" => (sys::socketpair, sys::send, sys::recv),
        _ => return Err("--kind: pipe or socket".into()),
    };
    let pairs = (0..pairs).map(|_| make()).collect::<Result<Vec<_>, _>>()?;
    let messages = messages();

    pass(&pairs, &messages, WARMUP_ROUNDS.min(rounds), write, read)?;
    let (start, cpu) = (Instant::now(), sys::own_cpu_ns());
    pass(&pairs, &messages, rounds, write, read)?;
    let (wall, cpu) = (start.elapsed().as_nanos(), sys::own_cpu_ns() - cpu);

    let count = pairs.len() * rounds;
    println!(r#"{{"messages":{count},"wall_ns":{wall},"cpu_ns":{cpu}}}"#);
    Ok(())
}

/// `rounds` messages through each pair, one in flight, every byte compared.
fn pass(
    pairs: &[(OwnedFd, OwnedFd)],
    messages: &[[u8; MESSAGE_BYTES]],
    rounds: usize,
    write: Write,
    read: Read,
) -> Result<(), Failure> {
    let mut buffer = [0; MESSAGE_BYTES];
    for round in 0..rounds {
        for (index, (reader, writer)) in pairs.iter().enumerate() {
            let message = &messages[(index + round) % messages.len()];
            if write(writer.as_raw_fd(), message)? != MESSAGE_BYTES {
                return Err("short write".into());
            }
            let mut filled = 0;
            while filled < MESSAGE_BYTES {
                match read(reader.as_raw_fd(), &mut buffer[filled..])? {
                    0 => return Err("unexpected EOF".into()),
                    bytes => filled += bytes,
                }
            }
            if buffer != *message {
                return Err(format!("pair {index}: message {round} differs").into());
            }
        }
    }
    Ok(())
}
