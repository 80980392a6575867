//! gzip, pigz and Python's zlib read what is written here, and the other way round. A tool that
//! isn't installed is left out; gzip is always there.

use std::io::Write;
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::thread;

use super::*;

const PYTHON_GZIP: &str = "import gzip,sys
sys.stdout.buffer.write(gzip.compress(sys.stdin.buffer.read()))";
const PYTHON_GUNZIP: &str = "import gzip,sys
sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";
const PYTHON_DEFLATE: &str = "import zlib,sys
sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read()))";
const PYTHON_INFLATE: &str = "import zlib,sys
sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))";

/// What a program makes of `input`; `None`: it isn't installed.
fn filter(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = match command.spawn() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && program != "gzip" => {
            return None;
        }
        child => child.expect("a program"),
    };
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("output");
    writer.join().expect("no panic").expect("all input is read");
    assert!(output.status.success(), "{program} {arguments:?}");
    Some(output.stdout)
}

const COMPRESSORS: &[(&str, &[&str], Format)] = &[
    ("gzip", &["-1"], Format::Gzip),
    ("gzip", &["-9"], Format::Gzip),
    ("pigz", &["-p2"], Format::Gzip),
    ("pigz", &["-z"], Format::Zlib),
    ("python3", &["-c", PYTHON_GZIP], Format::Gzip),
    ("python3", &["-c", PYTHON_DEFLATE], Format::Zlib),
];

const DECOMPRESSORS: &[(&str, &[&str], Format)] = &[
    ("gzip", &["-d"], Format::Gzip),
    ("pigz", &["-d"], Format::Gzip),
    ("pigz", &["-dz"], Format::Zlib),
    ("python3", &["-c", PYTHON_GUNZIP], Format::Gzip),
    ("python3", &["-c", PYTHON_INFLATE], Format::Zlib),
];

#[test]
fn theirs_is_read_here() {
    for sample in [Vec::new(), text(3 * BLOCK), noise(BLOCK)] {
        for (program, arguments, format) in COMPRESSORS {
            let Some(stream) = filter(program, arguments, &sample) else { continue };
            assert!(decode(*format, &stream) == Ok(sample.clone()), "{program} {arguments:?}");
        }
    }
}

#[test]
fn ours_is_read_there() {
    let threads = NonZeroUsize::MIN;
    for sample in [Vec::new(), text(3 * BLOCK), noise(BLOCK)] {
        for (program, arguments, format) in DECOMPRESSORS {
            let parallel = match format {
                Format::Gzip => Parallel::gzip(&Header::default(), Level::default(), threads),
                Format::Zlib => Parallel::zlib(Level::default(), threads),
            };
            let pump = Pump::parallel(Box::new(parallel), 4096);
            let (stream, outcome) = pump::run(pump, &sample, 4096);
            outcome.expect("any input is good");
            for stream in [stream, encode(*format, &sample)] {
                let Some(output) = filter(program, arguments, &stream) else { continue };
                assert!(output == sample, "{program} {arguments:?}");
            }
        }
    }
}

#[test]
fn the_name_that_gzip_writes_and_reads() {
    let folder = std::env::temp_dir().join(format!("polyphony-codec-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("a name.txt");
    std::fs::write(&file, b"data").expect("a file");
    let run = |arguments: &[&str]| {
        let output = Command::new("gzip").args(arguments).arg(&file).output().expect("gzip");
        assert!(output.status.success());
        output.stdout
    };
    let stream = run(&["-c", "-N"]);
    let decoder = Decoder::new(Format::Gzip, None).keeping_header();
    let (decoder, result) = decode_in_pieces(decoder, &stream, &[3], &[3]);
    assert_eq!(result, Ok(b"data".to_vec()));
    let header = decoder.header().expect("it has come");
    assert_eq!(header.name.as_deref(), Some(&b"a name.txt"[..]));
    assert!(header.mtime > 1_700_000_000);

    let header = Header { name: Some(b"of ours.txt".to_vec()), ..header.clone() };
    let mut encoder = Encoder::gzip(&header, Level::default());
    let stream = encode_in_pieces(&mut encoder, b"data", &[4], &[100], Flush::Finish);
    let file = folder.join("x.gz");
    std::fs::write(&file, stream).expect("a file");
    let output = Command::new("gzip").args(["-d", "-N"]).arg(&file).output().expect("gzip");
    assert!(output.status.success());
    assert_eq!(std::fs::read(folder.join("of ours.txt")).expect("its name"), b"data");
    std::fs::remove_dir_all(&folder).expect("our folder");
}
