//! `IO.gzip`, `gunzip`, `deflate` and `inflate`: compression from any source to any destination.

mod by_machine;
mod by_ruby;
mod faults;
mod options;
mod sink;
mod source;
mod stream;

use polyphony_core::codec::{Codec, CodecError, Decoder, Encoder, Format, Header, Parallel, Pump};
use rb_sys::VALUE;

use super::ends::End;
use super::host::Host;
use super::meter::Meter;
use super::unparked::{self, Unparked};
use crate::errors::Outcome;
use crate::ruby::method::{Args, define_singleton, method};
use crate::ruby::{NIL, value};
use options::{Kind, Options};
use sink::Sink;
use source::Source;
use stream::Held;

/// A source that has said nothing for so many seconds gets what it has said put out.
const SILENCE: f64 = 0.05;
/// Smallest buffer for a source whose size is known; how much comes out of it isn't.
const SMALL_BUFFER: usize = 4096;
/// About what a codec has beside the buffers.
const CODEC: usize = 400 * 1024;

/// What a stream's fiber has in its frame: values, and nothing that has to be freed.
struct Transfer {
    from: Source,
    to: Sink,
    kind: Kind,
    sync: Option<bool>,
    /// A Hash that wants to know what a header says; nil once it does.
    asks: VALUE,
    meter: Meter,
    outcome: Option<Result<(), CodecError>>,
}

impl Transfer {
    /// Whether a flush is due when the source is silent.
    fn waits_for_silence(&self) -> bool {
        self.kind == Kind::Encoding && self.sync.is_none() && self.from.may_be_silent()
    }

    /// Whether what was read goes out at once.
    fn is_synchronous(&self) -> bool {
        self.sync == Some(true)
    }

    /// Tells the caller's Hash and block what is known by now.
    fn report(&mut self, held: Held) -> Outcome<()> {
        if self.asks != NIL {
            self.tell_header(held)?;
        }
        self.meter.report(held.written())
    }

    fn tell_header(&mut self, held: Held) -> Outcome<()> {
        let Some(header) = held.with(|parts| parts.pump.header().cloned()).flatten() else {
            return Ok(());
        };
        let hash = std::mem::replace(&mut self.asks, NIL);
        let text = |text: &Option<Vec<u8>>| text.as_ref().map_or(NIL, |text| value::text_of(text));
        value::try_store(hash, c"orig_name", text(&header.name))?;
        value::try_store(hash, c"mtime", value::time(i64::from(header.mtime))?)?;
        value::try_store(hash, c"comment", text(&header.comment))
    }

    /// Whether the codec has come to an end, and all that was good is written.
    fn has_ended(&mut self, held: Held) -> bool {
        self.outcome = held.with(|parts| parts.pump.outcome()).flatten();
        self.outcome.is_some()
    }
}

/// `IO.gzip(src, dest, info = nil, level:, buffer_size:, threads:, sync:)`
fn gzip(_class: VALUE, args: Args) -> Outcome {
    let (from, to, options) = Options::parse(args, Kind::Encoding, true)?;
    let header = options.header()?;
    encode((from, to), &options, Format::Gzip, header)
}

/// `IO.deflate(src, dest, level:, buffer_size:, threads:, sync:)`
fn deflate(_class: VALUE, args: Args) -> Outcome {
    let (from, to, options) = Options::parse(args, Kind::Encoding, false)?;
    encode((from, to), &options, Format::Zlib, Header::default())
}

/// `IO.gunzip(src, dest, info = nil, buffer_size:, max_output:)`
fn gunzip(_class: VALUE, args: Args) -> Outcome {
    let (from, to, options) = Options::parse(args, Kind::Decoding, true)?;
    if options.info != NIL {
        value::refuse_frozen(options.info)?;
    }
    decode((from, to), &options, Format::Gzip)
}

/// `IO.inflate(src, dest, buffer_size:, max_output:)`
fn inflate(_class: VALUE, args: Args) -> Outcome {
    let (from, to, options) = Options::parse(args, Kind::Decoding, false)?;
    decode((from, to), &options, Format::Zlib)
}

fn encode(ends: (VALUE, VALUE), options: &Options, format: Format, header: Header) -> Outcome {
    let level = options.level;
    run(ends, options, (Kind::Encoding, format), move |buffer_size| {
        match (format, options.threads) {
            (Format::Gzip, None) => {
                let encoder = Encoder::gzip(&header, level);
                Pump::serial(Codec::Encoder(Box::new(encoder)), buffer_size)
            }
            (Format::Zlib, None) => {
                Pump::serial(Codec::Encoder(Box::new(Encoder::zlib(level))), buffer_size)
            }
            (Format::Gzip, Some(threads)) => {
                Pump::parallel(Box::new(Parallel::gzip(&header, level, threads)), buffer_size)
            }
            (Format::Zlib, Some(threads)) => {
                Pump::parallel(Box::new(Parallel::zlib(level, threads)), buffer_size)
            }
        }
    })
}

fn decode(ends: (VALUE, VALUE), options: &Options, format: Format) -> Outcome {
    run(ends, options, (Kind::Decoding, format), |buffer_size| {
        let mut decoder = Decoder::new(format, options.max_output);
        if options.info != NIL {
            decoder = decoder.keeping_header();
        }
        Pump::serial(Codec::Decoder(Box::new(decoder)), buffer_size)
    })
}

fn run(
    ends: (VALUE, VALUE),
    options: &Options,
    kind: (Kind, Format),
    pump: impl FnOnce(usize) -> Pump,
) -> Outcome {
    match Host::current()? {
        Host::Machine(machine) => {
            unparked::with(machine, |unparked| stream(ends, options, kind, pump, Some(unparked)))
        }
        Host::Ruby => stream(ends, options, kind, pump, None),
    }
}

fn stream(
    (from, to): (VALUE, VALUE),
    options: &Options,
    (kind, format): (Kind, Format),
    pump: impl FnOnce(usize) -> Pump,
    mut unparked: Option<&mut Unparked>,
) -> Outcome {
    let mut transfer = Transfer {
        from: Source::new(from, unparked.as_deref_mut())?,
        to: Sink::new(to, unparked.as_deref_mut())?,
        kind,
        sync: options.sync,
        asks: if kind == Kind::Decoding { options.info } else { NIL },
        meter: Meter::new(),
        outcome: None,
    };
    let mut buffer_size = options.buffer_size;
    if let Some(size) = transfer.from.size() {
        buffer_size = buffer_size.min(size.max(SMALL_BUFFER));
    }
    let held = Held::new(8 * buffer_size + CODEC, || pump(buffer_size))?;
    let outcome = match unparked {
        Some(unparked) => by_machine::run(unparked, &mut transfer, held),
        None => by_ruby::run(&mut transfer, held),
    };
    transfer.meter.moved = held.written();
    held.free();
    let outcome = outcome.and_then(|()| match transfer.outcome {
        Some(Err(error)) => Err(faults::raise(error, format)),
        _ => transfer.from.end().map_or(Ok(()), End::let_close),
    });
    transfer.meter.conclude(outcome)
}

pub(super) fn init(io: VALUE) {
    define_singleton(io, c"gzip", method!(gzip, -1));
    define_singleton(io, c"gunzip", method!(gunzip, -1));
    define_singleton(io, c"deflate", method!(deflate, -1));
    define_singleton(io, c"inflate", method!(inflate, -1));
}
