//! The raw write under the benchmark of mutexes: 1 KB to one of several places of a file.

use crate::messages::{MESSAGE_BYTES, messages};
use crate::{Failure, options::Options, sys};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

/// Writers of a file in turn, each with a place of its own.
const WRITERS: usize = 10;
const WARMUP_ROUNDS: usize = 20;

pub fn run(options: Options) -> Result<(), Failure> {
    let count: usize = options.get("files", 50)?;
    let rounds: usize = options.get("messages", 200)?;
    let directory: String = options.get("directory", "/tmp".to_owned())?;
    let files = (0..count).map(|_| sys::unnamed_file(&directory)).collect::<Result<Vec<_>, _>>()?;
    let messages = messages();

    pass(&files, &messages, WARMUP_ROUNDS.min(rounds))?;
    let (start, cpu) = (Instant::now(), sys::own_cpu_ns());
    pass(&files, &messages, rounds)?;
    let (wall, cpu) = (start.elapsed().as_nanos(), sys::own_cpu_ns() - cpu);

    let count = files.len() * WRITERS * rounds;
    println!(r#"{{"messages":{count},"wall_ns":{wall},"cpu_ns":{cpu}}}"#);
    Ok(())
}

/// `rounds` messages of each writer to each file.
fn pass(files: &[OwnedFd], messages: &[[u8; MESSAGE_BYTES]], rounds: usize) -> Result<(), Failure> {
    for round in 0..rounds {
        for writer in 0..WRITERS {
            let message = &messages[(writer + round) % messages.len()];
            for file in files {
                let offset = writer * MESSAGE_BYTES;
                if sys::pwrite(file.as_raw_fd(), message, offset)? != MESSAGE_BYTES {
                    return Err("short write".into());
                }
            }
        }
    }
    Ok(())
}
