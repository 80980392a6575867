//! `sleep`, `timeout`, `periodically`.

use rb_sys::VALUE;

use super::{Interruption, Machine, OnInterrupt, Role, Waited};
use crate::clock;
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{define, method};
use crate::ruby::{NIL, value};

impl Machine {
    /// Parks until `deadline` (`None`: for ever). What it was interrupted with, if it was.
    pub(crate) fn sleep_until(&self, deadline: Option<u64>) -> Option<Interruption> {
        let key = self.start_local("sleep", deadline, Role::Wake);
        self.count_op();
        match self.wait_for(key, OnInterrupt::Abandon) {
            Waited::Interrupted(interruption, _) => Some(interruption),
            Waited::Done(_) | Waited::TimedOut => None,
        }
    }

    /// Runs `body`; past `deadline` the fiber is interrupted with `value` at its next (or
    /// present) wait. Once the body has ended nothing comes late.
    pub(crate) fn with_timeout(
        &self,
        deadline: u64,
        value: VALUE,
        body: impl FnOnce() -> Outcome,
    ) -> Outcome {
        let key = self.start_local("timeout", Some(deadline), Role::Timeout(value));
        self.count_op();
        let result = body();
        self.abandon(key);
        result
    }
}

fn sleep(this: VALUE, duration: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let seconds = value::seconds(duration)?.unwrap_or(0.0);
    let deadline = (seconds > 0.0).then(|| clock::after(seconds));
    match machine.sleep_until(deadline) {
        None => Ok(value::float(seconds)),
        Some(interruption) => interruption.conclude(),
    }
}

fn timeout(this: VALUE, duration: VALUE, exception: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    if !value::block_given() {
        return Err(Raise::local_jump_error("no block given"));
    }
    let seconds = value::seconds(duration)?
        .ok_or_else(|| Raise::type_error("timeout must be a number of seconds"))?;
    machine.with_timeout(clock::after(seconds), exception, value::yield_nothing)
}

/// Turns of an interval, without drift: each deadline follows from the one before.
fn periodically(this: VALUE, interval: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    if !value::block_given() {
        return Err(Raise::local_jump_error("no block given"));
    }
    let seconds = value::seconds(interval)?
        .ok_or_else(|| Raise::type_error("interval must be a number of seconds"))?;
    if seconds.is_nan() || seconds <= 0.0 {
        return Err(Raise::argument_error("interval must be positive"));
    }
    let interval = clock::nanoseconds(seconds).max(1);
    let mut deadline = clock::now();
    loop {
        deadline = deadline.saturating_add(interval);
        match machine.sleep_until(Some(deadline)) {
            None => {}
            Some(Interruption::Value(_)) => return Ok(NIL),
            Some(Interruption::Raise(raise)) => return Err(raise),
        }
        value::yield_nothing()?;
    }
}

pub(super) fn init(class: VALUE) {
    define(class, c"sleep", method!(sleep, 1));
    define(class, c"timeout", method!(timeout, 2));
    define(class, c"periodically", method!(periodically, 1));
}
