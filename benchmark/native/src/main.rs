//! Native programs that the Ruby benchmarks compare with and are driven by.
//!
//! `polyphony-bench COMMAND [--name value ...]`; every command prints its result as one line of
//! JSON on stdout. `benchmark/README.md` lists the commands and their options.

mod echo_epoll;
mod echo_uring;
mod files;
mod gzip;
mod load;
mod messages;
mod options;
mod pipes;
mod stop;
mod sys;
mod transfers;

use options::Options;
use std::process::ExitCode;

/// What any command may fail with: a text for the user.
type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "usage: polyphony-bench COMMAND [--name value ...]
  pipes       --kind pipe|socket --pairs 50 --messages 2000
  files       --files 50 --messages 200 --directory /tmp
  gzip        --input FILE --output FILE [--level 6] [--threads 1]
  gunzip      --input FILE --output FILE
  echo-epoll  --port 0
  echo-uring  --port 0
  load        --port PORT [--connections 50] [--seconds 2] [--requests 0] [--warmup 0.5] [--server-pid 0]
  sink          --port 0 [--answer 0]
  pour          --port PORT [--bytes 1073741824]
  splice-proxy  --port 0 --to PORT
  send-file     --port PORT --file PATH
  splice-loop   --file PATH [--chunk 65536]";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let outcome = match command.as_str() {
        "pipes" => Options::parse(words, &["kind", "pairs", "messages"]).and_then(pipes::run),
        "files" => Options::parse(words, &["files", "messages", "directory"]).and_then(files::run),
        "gzip" => {
            Options::parse(words, &["input", "output", "level", "threads"]).and_then(gzip::compress)
        }
        "gunzip" => Options::parse(words, &["input", "output"]).and_then(gzip::decompress),
        "echo-epoll" => Options::parse(words, &["port"]).and_then(echo_epoll::run),
        "echo-uring" => Options::parse(words, &["port"]).and_then(echo_uring::run),
        "load" => Options::parse(words, load::OPTIONS).and_then(load::run),
        "sink" => Options::parse(words, &["port", "answer"]).and_then(transfers::sink),
        "pour" => Options::parse(words, &["port", "bytes"]).and_then(transfers::pour),
        "splice-proxy" => Options::parse(words, &["port", "to"]).and_then(transfers::splice_proxy),
        "send-file" => Options::parse(words, &["port", "file"]).and_then(transfers::send_file),
        "splice-loop" => Options::parse(words, &["file", "chunk", "port"]).and_then(transfers::splice_loop),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
