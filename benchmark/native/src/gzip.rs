//! The codec of the core with plain reads and writes, to be compared with gzip, pigz and gunzip.

use crate::{Failure, options::Options, sys};
use polyphony_core::codec::{
    Codec, Decoder, Encoder, Format, Header, Level, Parallel, Pump, Work, Worked,
};
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Instant;

const BUFFER_BYTES: usize = 128 * 1024;

pub fn compress(options: Options) -> Result<(), Failure> {
    let level = Level::new(options.get("level", 6)?).ok_or("--level: 0 to 9")?;
    let threads: NonZeroUsize = options.get("threads", NonZeroUsize::MIN)?;
    let header = Header::default();
    if threads.get() == 1 {
        let encoder = Box::new(Encoder::gzip(&header, level));
        return measure(options, Pump::serial(Codec::Encoder(encoder), BUFFER_BYTES), None);
    }
    let parallel = Box::new(Parallel::gzip(&header, level, threads));
    measure(options, Pump::parallel(parallel, BUFFER_BYTES), Some(Workers::new(threads)))
}

pub fn decompress(options: Options) -> Result<(), Failure> {
    let decoder = Box::new(Decoder::new(Format::Gzip, None));
    measure(options, Pump::serial(Codec::Decoder(decoder), BUFFER_BYTES), None)
}

/// Runs the pump between the files that the options name.
fn measure(options: Options, mut pump: Pump, workers: Option<Workers>) -> Result<(), Failure> {
    let mut input = File::open(options.get("input", String::new())?)?;
    let mut output = File::create(options.get("output", String::new())?)?;
    let (start, cpu) = (Instant::now(), sys::own_cpu_ns());
    let (mut read, mut at_work) = (0, 0);
    while pump.outcome().is_none() {
        let mut idle = true;
        if let Some(mut buffer) = pump.take_buffer() {
            let count = input.read(&mut buffer)?;
            read += count;
            pump.was_read(buffer, count);
            idle = false;
        }
        while let Some(work) = pump.take_work() {
            match &workers {
                None => pump.was_worked(work.run()),
                Some(workers) => {
                    workers.work.send(work)?;
                    at_work += 1;
                }
            }
        }
        while let Some(piece) = pump.take_output() {
            let count = output.write(piece.as_ref())?;
            pump.was_written(piece, count);
            idle = false;
        }
        // Waits for a worker only where there is nothing else to do.
        if let (true, Some(workers)) = (idle && at_work > 0, &workers) {
            pump.was_worked(workers.done.recv()?);
            at_work -= 1;
        }
    }
    pump.outcome().ok_or("no outcome")??;
    let (wall, cpu) = (start.elapsed().as_nanos(), sys::own_cpu_ns() - cpu);
    let written = pump.written();
    println!(r#"{{"read":{read},"written":{written},"wall_ns":{wall},"cpu_ns":{cpu}}}"#);
    Ok(())
}

/// Threads that compute until the pump is dropped.
struct Workers {
    work: mpsc::Sender<Work>,
    done: mpsc::Receiver<Worked>,
}

impl Workers {
    fn new(threads: NonZeroUsize) -> Self {
        let (work, inbox) = mpsc::channel::<Work>();
        let (outbox, done) = mpsc::channel();
        let inbox = Arc::new(Mutex::new(inbox));
        for _ in 0..threads.get() {
            let (inbox, outbox) = (Arc::clone(&inbox), outbox.clone());
            thread::spawn(move || {
                loop {
                    let Ok(Ok(work)) = inbox.lock().map(|inbox| inbox.recv()) else { return };
                    if outbox.send(work.run()).is_err() {
                        return;
                    }
                }
            });
        }
        Self { work, done }
    }
}
