//! The arguments of the four methods.

use std::ffi::CStr;
use std::num::NonZeroUsize;
use std::time::{SystemTime, UNIX_EPOCH};

use polyphony_core::codec::{Header, Level, MAX_TEXT};
use polyphony_core::offload;
use rb_sys::VALUE;

use crate::errors::{Outcome, Raise};
use crate::ruby::method::{Args, has_keywords};
use crate::ruby::{FALSE, NIL, value};

/// Bytes of each of the four buffers of a stream that is compressed.
const ENCODING_BUFFER: usize = 64 * 1024;
/// Bytes of each of the two that a stream is decompressed from. That is so fast that handing it to
/// a thread counts: fewer and larger pieces.
const DECODING_BUFFER: usize = 96 * 1024;
/// Most of them.
const MAX_BUFFER: usize = 16 * 1024 * 1024;

const ENCODING: [&CStr; 4] = [c"level", c"buffer_size", c"threads", c"sync"];
const DECODING: [&CStr; 2] = [c"buffer_size", c"max_output"];
const HEADER: [&CStr; 3] = [c"orig_name", c"mtime", c"comment"];

/// What is given beside source and destination.
pub(super) struct Options {
    pub(super) level: Level,
    pub(super) buffer_size: usize,
    /// More than one core may work on the stream: as many as are there, up to this.
    pub(super) threads: Option<NonZeroUsize>,
    /// Whether what was read is put out before the source is waited for; nil: when it is silent.
    pub(super) sync: Option<bool>,
    pub(super) max_output: Option<u64>,
    /// A Hash, or nil.
    pub(super) info: VALUE,
}

/// Which options there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Encoding,
    Decoding,
}

impl Options {
    /// Source, destination and options. `has_info`: a Hash about the header may be given as well;
    /// what it says of one to be written may be among the keywords.
    pub(super) fn parse(args: Args, kind: Kind, has_info: bool) -> Outcome<(VALUE, VALUE, Self)> {
        let (args, keywords) = if has_keywords() { args.keywords() } else { (args, None) };
        let args = args.expect(2, if has_info { 3 } else { 2 })?;
        let mut info = args.get(2);
        if info != NIL && !value::is_hash(info) {
            return Err(Raise::type_error("info must be a Hash"));
        }
        let known: &[&CStr] = if kind == Kind::Encoding { &ENCODING } else { &DECODING };
        let lookup = |name: &CStr| keywords.map_or(NIL, |hash| value::lookup(hash, name));
        if let Some(keywords) = keywords {
            if kind == Kind::Encoding && has_info && info == NIL {
                check_all(keywords, known, &HEADER)?;
                info = keywords;
            } else {
                check_all(keywords, known, &[])?;
            }
        }
        let options = Self {
            level: level(lookup(c"level"))?,
            buffer_size: buffer_size(lookup(c"buffer_size"), kind)?,
            threads: threads(lookup(c"threads"))?,
            sync: sync(lookup(c"sync"))?,
            max_output: positive(lookup(c"max_output"), "max_output")?,
            info,
        };
        Ok((args.get(0), args.get(1), options))
    }

    /// The header to be written.
    pub(super) fn header(&self) -> Outcome<Header> {
        let given = |name| if self.info == NIL { NIL } else { value::lookup(self.info, name) };
        Ok(Header {
            name: text(given(c"orig_name"), "orig_name")?,
            comment: text(given(c"comment"), "comment")?,
            mtime: mtime(given(c"mtime"))?,
            text: false,
        })
    }
}

fn check_all(keywords: VALUE, known: &[&CStr], more: &[&CStr]) -> Outcome<()> {
    value::check_keywords(keywords, &[known, more].concat())
}

fn level(level: VALUE) -> Outcome<Level> {
    if level == NIL {
        return Ok(Level::default());
    }
    match value::int64(level, "level")? {
        // Zlib's name for the usual one.
        -1 => Ok(Level::default()),
        level => u8::try_from(level)
            .ok()
            .and_then(Level::new)
            .ok_or_else(|| Raise::argument_error("level must be 0 to 9")),
    }
}

fn positive(number: VALUE, what: &str) -> Outcome<Option<u64>> {
    match number {
        NIL => Ok(None),
        number => super::super::moves::positive(number, what).map(|number| Some(number as u64)),
    }
}

fn buffer_size(size: VALUE, kind: Kind) -> Outcome<usize> {
    match positive(size, "buffer_size")?.map(usize::try_from) {
        None if kind == Kind::Decoding => Ok(DECODING_BUFFER),
        None => Ok(ENCODING_BUFFER),
        Some(Ok(size @ ..=MAX_BUFFER)) => Ok(size),
        Some(_) => Err(Raise::argument_error(format!("buffer_size must be up to {MAX_BUFFER}"))),
    }
}

fn threads(threads: VALUE) -> Outcome<Option<NonZeroUsize>> {
    let threads = positive(threads, "threads")?.filter(|threads| *threads > 1);
    let threads = threads.map(|threads| usize::try_from(threads).unwrap_or(usize::MAX));
    Ok(threads.and_then(NonZeroUsize::new).map(|threads| threads.min(offload::cores())))
}

fn sync(sync: VALUE) -> Outcome<Option<bool>> {
    match sync {
        NIL => Ok(None),
        crate::ruby::TRUE => Ok(Some(true)),
        FALSE => Ok(Some(false)),
        _ => Err(Raise::type_error("sync must be true, false or nil")),
    }
}

/// A text of a header.
fn text(text: VALUE, what: &str) -> Outcome<Option<Vec<u8>>> {
    if text == NIL {
        return Ok(None);
    }
    if !value::is_string(text) {
        return Err(Raise::type_error(format!("{what} must be a String")));
    }
    let bytes = value::bytes_of(text);
    if bytes.contains(&0) {
        return Err(Raise::argument_error(format!("{what} contains a null byte")));
    }
    if bytes.len() > MAX_TEXT {
        return Err(Raise::argument_error(format!("{what} is longer than {MAX_TEXT} bytes")));
    }
    Ok(Some(bytes))
}

/// Seconds since 1970; nil is now, false is 0: not known.
fn mtime(mtime: VALUE) -> Outcome<u32> {
    let seconds = match mtime {
        FALSE => return Ok(0),
        NIL => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            return Ok(u32::try_from(now.as_secs()).unwrap_or(0));
        }
        time if value::is_time(time) => value::call(time, c"to_i", &[])?,
        number => number,
    };
    if !value::is_integer(seconds) {
        return Err(Raise::type_error("mtime must be a Time, an Integer, false or nil"));
    }
    let seconds = value::int64(seconds, "mtime")?;
    u32::try_from(seconds).map_err(|_| Raise::range_error("mtime is out of range"))
}
