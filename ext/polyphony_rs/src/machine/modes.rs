//! Modes of a machine: profile, test, sidecar.

use rb_sys::VALUE;

use super::Machine;
use crate::clock;
use crate::errors::Outcome;
use crate::ruby::method::{define, method};
use crate::ruby::{NIL, value};

/// Where time goes, in nanoseconds.
pub(super) struct Profile {
    /// When the mode was switched on.
    since: u64,
    /// Time spent waiting for completions.
    waited: u64,
}

impl Profile {
    fn new() -> Self {
        Self { since: clock::now(), waited: 0 }
    }

    /// Time that the thread had for running fibers, and time that it waited.
    pub(super) fn times(&self) -> (u64, u64) {
        let all = clock::now().saturating_sub(self.since);
        (all.saturating_sub(self.waited), self.waited)
    }
}

impl Machine {
    /// A wait begins: when, in profile mode.
    pub(super) fn begin_wait(&self) -> Option<u64> {
        self.state().borrow().profile.as_ref().map(|_| clock::now())
    }

    pub(super) fn end_wait(&self, begun: Option<u64>) {
        if let (Some(profile), Some(begun)) = (&mut self.state().borrow_mut().profile, begun) {
            profile.waited += clock::now().saturating_sub(begun);
        }
    }
}

fn is_profile_mode(this: VALUE) -> Outcome {
    Ok(value::boolean(Machine::any(this)?.state().borrow().profile.is_some()))
}

/// `profile_mode = bool`: the times begin anew.
fn set_profile_mode(this: VALUE, on: VALUE) -> Outcome {
    let profile = value::truthy(on).then(Profile::new);
    Machine::of(this)?.state().borrow_mut().profile = profile;
    Ok(on)
}

fn set_test_mode(this: VALUE, on: VALUE) -> Outcome {
    Machine::of(this)?.test_mode.set(value::truthy(on));
    Ok(on)
}

fn is_sqpoll_mode(this: VALUE) -> Outcome {
    Ok(value::boolean(Machine::any(this)?.state().borrow().driver.is_sqpoll()))
}

fn is_sidecar_mode(this: VALUE) -> Outcome {
    Ok(value::boolean(Machine::any(this)?.state().borrow().driver.has_sidecar()))
}

fn start_sidecar(this: VALUE) -> Outcome {
    Machine::of(this)?.state().borrow_mut().driver.start_sidecar()?;
    Ok(this)
}

fn stop_sidecar(this: VALUE) -> Outcome {
    Machine::of(this)?.state().borrow_mut().driver.stop_sidecar();
    Ok(this)
}

/// Whether the running thread is the machine's own.
fn is_mine(this: VALUE) -> Outcome {
    Ok(value::boolean(Machine::of(this).is_ok()))
}

/// `mark(number)`: a place to stop at in a debugger.
fn mark(this: VALUE, number: VALUE) -> Outcome {
    Machine::any(this)?;
    if number != NIL {
        value::int32(number, "number")?;
    }
    Ok(this)
}

pub(super) fn init(class: VALUE) {
    define(class, c"profile_mode?", method!(is_profile_mode, 0));
    define(class, c"profile_mode=", method!(set_profile_mode, 1));
    define(class, c"test_mode=", method!(set_test_mode, 1));
    define(class, c"sqpoll_mode?", method!(is_sqpoll_mode, 0));
    define(class, c"sidecar_mode?", method!(is_sidecar_mode, 0));
    define(class, c"sidecar_start", method!(start_sidecar, 0));
    define(class, c"sidecar_stop", method!(stop_sidecar, 0));
    define(class, c"__mine__?", method!(is_mine, 0));
    define(class, c"mark", method!(mark, 1));
}
