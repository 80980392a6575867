//! `IO.splice` and `IO.double_splice`.

use polyphony_core::splice::Plan;
use polyphony_core::splice::calls::Kind;
use rb_sys::VALUE;

use super::ends::End;
use super::meter::Meter;
use super::unparked::{Unparked, with_machine};
use super::{copy, moves, transfer};
use crate::errors::Outcome;
use crate::ruby::method::{Args, define_singleton, method};
use crate::ruby::{FALSE, NIL, value};

/// Most bytes of one splice where the caller named no size.
const DEFAULT_CHUNK: usize = 1024 * 1024;

/// `IO.splice(src, dest, len = nil)`
///
/// Positive: one move of at most `len` bytes, 0 at EOF. Negative: to EOF in moves of at most
/// `-len` bytes; without it, to EOF.
fn splice(_class: VALUE, args: Args) -> Outcome {
    let args = args.expect(2, 3)?;
    let len = match args.get(2) {
        NIL => None,
        given => Some(value::int64(given, "length")?),
    };
    with_machine(|unparked| {
        let from = End::source(unparked, args.get(0))?;
        let to = End::destination(unparked, args.get(1))?;
        let chunk = match len {
            Some(0) => return Ok(value::integer(0)),
            Some(len @ 1..) => {
                return once(unparked, (from, to), moves::as_len(len.unsigned_abs()));
            }
            Some(len) => moves::as_len(len.unsigned_abs()),
            None => DEFAULT_CHUNK,
        };
        transfer::run(unparked, (from, to), Plan { chunk, limit: None }, false)
    })
}

/// One move.
fn once(unparked: &mut Unparked, (from, to): (End, End), len: usize) -> Outcome {
    unparked.hear(&[&from, &to]);
    let mut meter = Meter::new();
    let outcome = one_move(unparked, (&from, &to), len, &mut meter)
        .and_then(|ended| if ended { from.reached_eof(unparked) } else { Ok(()) });
    meter.conclude(outcome)
}

/// Whether it came to EOF. What Ruby has read ahead is a move of its own.
fn one_move(
    unparked: &mut Unparked,
    (from, to): (&End, &End),
    len: usize,
    meter: &mut Meter,
) -> Outcome<bool> {
    copy::read_ahead(unparked, (from, to), Some(len as u64), meter)?;
    if meter.moved > 0 {
        return Ok(false);
    }
    if !from.is_pipe() && !to.is_pipe() {
        return copy::once(unparked, (from, to), len, meter);
    }
    let mut cached = unparked.cached(from);
    let moved = moves::splice(unparked, (from, to), len, &mut cached)?;
    if from.kind == Kind::File {
        unparked.remember(cached.sighting());
    }
    match moved.bytes {
        Err(libc::EINVAL) => copy::once(unparked, (from, to), len, meter),
        Err(errno) => moved.then.and(Err(moves::failure(errno, (from, to)))),
        Ok(bytes) => {
            meter.moved = bytes as u64;
            moved.then.and_then(|()| meter.tell(unparked, bytes as u64))?;
            Ok(bytes == 0)
        }
    }
}

/// `IO.double_splice(src, dest, len = nil, half_close: true)`
///
/// To EOF: the total. Negative `len`: size of a move; positive: most bytes in total. From a
/// connection to another one (sockets, SSLSockets) the EOF is passed on.
fn double_splice(_class: VALUE, args: Args) -> Outcome {
    let (args, keywords) = args.keywords();
    let args = args.expect(2, 3)?;
    if let Some(keywords) = keywords {
        value::check_keywords(keywords, &[c"half_close"])?;
    }
    let half_close =
        keywords.is_none_or(|keywords| value::lookup(keywords, c"half_close") != FALSE);
    let len = match args.get(2) {
        NIL => None,
        given => Some(value::int64(given, "length")?),
    };
    let chunk = match len {
        Some(len @ ..0) => moves::as_len(len.unsigned_abs()),
        _ => usize::MAX,
    };
    let plan = Plan { chunk, limit: len.and_then(|len| u64::try_from(len).ok()) };
    with_machine(|unparked| {
        let from = End::source(unparked, args.get(0))?;
        let to = End::destination(unparked, args.get(1))?;
        transfer::run(unparked, (from, to), plan, half_close)
    })
}

pub(super) fn init(io: VALUE) {
    define_singleton(io, c"splice", method!(splice, -1));
    define_singleton(io, c"double_splice", method!(double_splice, -1));
}
