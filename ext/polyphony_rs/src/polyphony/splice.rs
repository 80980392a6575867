//! `IO.splice` and `IO.double_splice`.

use polyphony_core::splice::Plan;
use polyphony_core::splice::calls::Kind;
use rb_sys::VALUE;

use super::ends::End;
use super::meter::Meter;
use super::{copy, moves, transfer};
use crate::errors::{Outcome, Raise};
use crate::machine::Machine;
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
    let (from, to) = (End::source(args.get(0))?, End::destination(args.get(1))?);
    moves::with_machine(|machine| match len {
        Some(0) => Ok(value::integer(0)),
        Some(len @ 1..) => once(machine, from, to, moves::as_len(len.unsigned_abs())),
        Some(len) => {
            let plan = Plan { chunk: moves::as_len(len.unsigned_abs()), limit: None };
            transfer::run(machine, (from, to), plan, false)
        }
        None => {
            let plan = Plan { chunk: DEFAULT_CHUNK, limit: None };
            transfer::run(machine, (from, to), plan, false)
        }
    })
}

/// One move.
fn once(machine: &Machine, from: End, to: End, len: usize) -> Outcome {
    let mut meter = Meter::new();
    let outcome = one_move(machine, (&from, &to), len, &mut meter)
        .and_then(|ended| if ended { from.reached_eof() } else { Ok(()) });
    meter.conclude(outcome)
}

/// Whether it came to EOF. What Ruby has read ahead is a move of its own.
fn one_move(
    machine: &Machine,
    (from, to): (&End, &End),
    len: usize,
    meter: &mut Meter,
) -> Outcome<bool> {
    copy::read_ahead(machine, (from, to), Some(len as u64), meter)?;
    if meter.moved > 0 {
        return Ok(false);
    }
    if !from.is_pipe() && !to.is_pipe() {
        return copy::once(machine, (from, to), len, meter);
    }
    let mut cached = moves::cached(machine, from);
    let moved = moves::splice(machine, from, to, len, &mut cached)?;
    if from.kind == Kind::File {
        machine.state().borrow_mut().sighting = cached.sighting();
    }
    match moved.bytes {
        Err(libc::EINVAL) => copy::once(machine, (from, to), len, meter),
        Err(errno) => moved.then.and(Err(Raise::Errno(errno))),
        Ok(bytes) => {
            meter.moved = bytes as u64;
            moved.then.and_then(|()| meter.tell(bytes as u64))?;
            Ok(bytes == 0)
        }
    }
}

/// `IO.double_splice(src, dest, len = nil, half_close: true)`
///
/// To EOF: the total. Negative `len`: size of a move; positive: most bytes in total. From a
/// socket to another socket the EOF is passed on.
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
    let (from, to) = (End::source(args.get(0))?, End::destination(args.get(1))?);
    let chunk = match len {
        Some(len @ ..0) => moves::as_len(len.unsigned_abs()),
        _ => usize::MAX,
    };
    let plan = Plan { chunk, limit: len.and_then(|len| u64::try_from(len).ok()) };
    moves::with_machine(|machine| transfer::run(machine, (from, to), plan, half_close))
}

pub(super) fn init(io: VALUE) {
    define_singleton(io, c"splice", method!(splice, -1));
    define_singleton(io, c"double_splice", method!(double_splice, -1));
}
