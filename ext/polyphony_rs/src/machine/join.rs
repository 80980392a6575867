//! Waiting for fibers to end: `join` and `await`.

use rb_sys::VALUE;

use super::fibers::flatten;
use super::spun::Spun;
use super::{Machine, OnInterrupt, Role, Waited};
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, fiber, value};

impl Machine {
    /// Waits until a fiber has ended, on whichever thread it runs. What the wait was interrupted
    /// with, if it was.
    pub(crate) fn wait_for_end(&self, this: VALUE, of: &Spun) -> Option<super::Interruption> {
        if of.is_done() {
            return None;
        }
        let key = self.start_local(None, Role::Wake);
        of.listen(this, key);
        match self.wait_for(key, OnInterrupt::Abandon) {
            Waited::Interrupted(interruption, _) => {
                of.forget(key);
                Some(interruption)
            }
            Waited::Done(_) | Waited::TimedOut => None,
        }
    }
}

/// The spun fibers behind the arguments; procs are spun first.
fn fibers_of(this: VALUE, args: Args) -> Outcome<Vec<VALUE>> {
    let mut fibers = flatten(args)?;
    for target in &mut fibers {
        if value::is_proc(*target) {
            *target = Machine::spin(this, *target, NIL, fiber::class())?;
        } else if !value::is_fiber(*target) || Spun::of(*target).is_none() {
            return Err(Raise::type_error("fibers made by spin, or procs, are needed"));
        }
    }
    Ok(fibers)
}

/// Waits for all fibers; the interruption's value if a plain one came.
fn wait_for_all(this: VALUE, fibers: &[VALUE]) -> Outcome<Option<VALUE>> {
    let machine = Machine::of(this)?;
    for target in fibers {
        let Some(spun) = Spun::of(*target) else { continue };
        match machine.wait_for_end(this, spun) {
            None => {}
            Some(super::Interruption::Value(value)) => return Ok(Some(value)),
            Some(super::Interruption::Raise(raise)) => return Err(raise),
        }
    }
    Ok(None)
}

fn result_of(fiber: VALUE) -> VALUE {
    Spun::of(fiber).and_then(Spun::outcome).unwrap_or(NIL)
}

fn join(this: VALUE, args: Args) -> Outcome {
    let fibers = fibers_of(this, args)?;
    // The fibers are in Rust memory from here on: an Array keeps them alive across the waits.
    let keep = value::array_of(&fibers);
    if let Some(value) = wait_for_all(this, &fibers)? {
        return Ok(value);
    }
    let single = matches!(args.all(), [one] if value::is_fiber(*one) || value::is_proc(*one));
    if single {
        return Ok(result_of(fibers[0]));
    }
    let results: Vec<_> = fibers.iter().map(|fiber| result_of(*fiber)).collect();
    let results = value::array_of(&results);
    std::hint::black_box(keep);
    Ok(results)
}

fn await_all(this: VALUE, args: Args) -> Outcome {
    let fibers = fibers_of(this, args)?;
    let keep = value::array_of(&fibers);
    if let Some(value) = wait_for_all(this, &fibers)? {
        return Ok(value);
    }
    std::hint::black_box(keep);
    Ok(value::integer(i64::try_from(fibers.len()).unwrap_or(i64::MAX)))
}

/// `await_any(*fibers)`: the first fiber found to have ended, waiting for one to end.
fn await_any(this: VALUE, args: Args) -> Outcome {
    let machine = Machine::of(this)?;
    let fibers = fibers_of(this, args)?;
    let keep = value::array_of(&fibers);
    let key = machine.start_local(None, Role::Wake);
    let first = loop {
        let ended = fibers.iter().find(|fiber| Spun::of(**fiber).is_some_and(Spun::is_done));
        if ended.is_some() || fibers.is_empty() {
            break Ok(ended.copied().unwrap_or(NIL));
        }
        for spun in fibers.iter().filter_map(|fiber| Spun::of(*fiber)) {
            spun.listen(this, key);
        }
        match machine.wait_for(key, OnInterrupt::Abandon) {
            Waited::Interrupted(interruption, _) => break interruption.conclude(),
            Waited::Done(_) | Waited::TimedOut => {}
        }
    };
    machine.abandon(key);
    for spun in fibers.iter().filter_map(|fiber| Spun::of(*fiber)) {
        spun.forget(key);
    }
    std::hint::black_box(keep);
    first
}

pub(super) fn init(class: VALUE) {
    define(class, c"await_any", method!(await_any, -1));
    define(class, c"join", method!(join, -1));
    define(class, c"await", method!(await_all, -1));
}
