//! Waiting for fibers to end: `join`, `await` and `await_any`.
//!
//! Fibers are kept in an Array while a fiber waits for them: in Rust memory they would neither
//! be kept alive nor stay in place.

use polyphony_core::op::OpKey;
use rb_sys::VALUE;

use super::fibers::flatten;
use super::spun::Spun;
use super::{Machine, OnInterrupt, Role, Waited};
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, fiber, value};

/// The spun fibers behind the arguments; procs are spun first.
fn fibers_of(this: VALUE, args: Args) -> Outcome {
    let fibers = flatten(args)?;
    for index in 0..value::array_len(fibers) {
        let target = value::at(fibers, index);
        if value::is_proc(target) {
            let spun = Machine::spin(this, target, NIL, fiber::class())?;
            value::set_at(fibers, index, spun);
        } else if !value::is_fiber(target) || Spun::of(target).is_none() {
            return Err(Raise::type_error("fibers made by spin, or procs, are needed"));
        }
    }
    Ok(fibers)
}

fn each_spun(fibers: VALUE) -> impl Iterator<Item = &'static Spun> {
    (0..value::array_len(fibers)).filter_map(move |index| Spun::of(value::at(fibers, index)))
}

impl Machine {
    /// Waits until `key`, which listens to all fibers, is completed by one that has ended.
    fn wait_for_first(&self, this: VALUE, fibers: VALUE, key: OpKey) -> Outcome {
        for index in 0..value::array_len(fibers) {
            let target = value::at(fibers, index);
            if Spun::of(target).is_some_and(Spun::is_done) {
                return Ok(target);
            }
        }
        if value::array_len(fibers) == 0 {
            return Ok(NIL);
        }
        each_spun(fibers).for_each(|spun| spun.listen(this, key));
        match self.wait_for(key, OnInterrupt::Abandon) {
            Waited::Interrupted(interruption, _) => interruption.conclude(),
            Waited::Done(_) | Waited::TimedOut => {
                let ended = (0..value::array_len(fibers)).map(|index| value::at(fibers, index));
                let first = ended.into_iter().find(|f| Spun::of(*f).is_some_and(Spun::is_done));
                Ok(first.unwrap_or(NIL))
            }
        }
    }
}

/// Waits until all fibers have ended, on whichever threads they run: the value of a plain
/// interruption if one came.
fn wait_for_all(this: VALUE, fibers: VALUE) -> Outcome<Option<VALUE>> {
    let machine = Machine::of(this)?;
    let running = each_spun(fibers).filter(|spun| !spun.is_done()).count();
    if running == 0 {
        return Ok(None);
    }
    let key = machine.start_local("join", None, Role::Join(running));
    machine.count_op();
    each_spun(fibers).filter(|spun| !spun.is_done()).for_each(|spun| spun.listen(this, key));
    match machine.wait_for(key, OnInterrupt::Abandon) {
        Waited::Done(_) | Waited::TimedOut => Ok(None),
        Waited::Interrupted(interruption, _) => {
            each_spun(fibers).for_each(|spun| spun.forget(this, key));
            interruption.conclude().map(Some)
        }
    }
}

fn result_of(fiber: VALUE) -> VALUE {
    Spun::of(fiber).and_then(Spun::outcome).unwrap_or(NIL)
}

/// `join(*fibers)`: their results; that of the only one where one was given.
fn join(this: VALUE, args: Args) -> Outcome {
    let fibers = fibers_of(this, args)?;
    if let Some(value) = wait_for_all(this, fibers)? {
        return Ok(value);
    }
    if matches!(args.all(), [one] if value::is_fiber(*one) || value::is_proc(*one)) {
        return Ok(result_of(value::at(fibers, 0)));
    }
    let results = value::array();
    for index in 0..value::array_len(fibers) {
        value::push(results, result_of(value::at(fibers, index)));
    }
    Ok(results)
}

/// `await(*fibers)`: how many there were.
fn await_all(this: VALUE, args: Args) -> Outcome {
    let fibers = fibers_of(this, args)?;
    if let Some(value) = wait_for_all(this, fibers)? {
        return Ok(value);
    }
    Ok(value::integer(i64::try_from(value::array_len(fibers)).unwrap_or(i64::MAX)))
}

/// `await_any(*fibers)`: the first fiber found to have ended, waiting for one to end.
fn await_any(this: VALUE, args: Args) -> Outcome {
    let machine = Machine::of(this)?;
    let fibers = fibers_of(this, args)?;
    let key = machine.start_local("join", None, Role::Wake);
    let first = machine.wait_for_first(this, fibers, key);
    machine.abandon(key);
    each_spun(fibers).for_each(|spun| spun.forget(this, key));
    first
}

pub(super) fn init(class: VALUE) {
    define(class, c"join", method!(join, -1));
    define(class, c"await", method!(await_all, -1));
    define(class, c"await_any", method!(await_any, -1));
}
