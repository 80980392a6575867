//! `Polyphony::Mutex`: a mutex of the machine's that belongs to a fiber, with Ruby's methods.

use rb_sys::VALUE;

use super::current_machine;
use crate::errors::{Outcome, Raise};
use crate::machine::line::Holder;
use crate::machine::mutex::{self, Mutex};
use crate::ruby::method::{define, method};
use crate::ruby::{fiber, value};

impl Mutex {
    fn is_mine(&self) -> bool {
        self.holder() == fiber::current()
    }
}

/// A plain value that is scheduled into the fiber meanwhile is no reason to go on without it.
fn lock(this: VALUE) -> Outcome {
    let mutex = Mutex::of(this)?;
    if mutex.is_mine() {
        return Err(Raise::thread_error("deadlock; this fiber has the mutex already"));
    }
    let machine = current_machine()?;
    while mutex.lock(Holder::current(machine), machine, this)?.is_some() {}
    Ok(this)
}

fn try_lock(this: VALUE) -> Outcome {
    let machine = current_machine()?;
    Ok(value::boolean(Mutex::of(this)?.try_lock(Holder::current(machine))))
}

fn unlock(this: VALUE) -> Outcome {
    let mutex = Mutex::of(this)?;
    if !mutex.is_mine() {
        return Err(Raise::thread_error("this fiber hasn't got the mutex"));
    }
    mutex.unlock_mine();
    Ok(this)
}

/// `synchronize { }`: the value of the block. The fiber may have it already.
fn synchronize(this: VALUE) -> Outcome {
    let mutex = Mutex::of(this)?;
    value::check_block()?;
    if mutex.is_mine() {
        return value::yield_nothing();
    }
    lock(this)?;
    let result = value::yield_nothing();
    mutex.unlock_mine();
    result
}

/// `locked?`: the fiber that has it, or nil.
fn locked(this: VALUE) -> Outcome {
    Ok(Mutex::of(this)?.holder())
}

fn is_owned(this: VALUE) -> Outcome {
    Ok(value::boolean(Mutex::of(this)?.is_mine()))
}

/// Defines the class; the rest of it is in `lib/polyphony/mutex.rb`.
pub(super) fn init(polyphony: VALUE) {
    let class = mutex::define_class(polyphony);
    define(class, c"lock", method!(lock, 0));
    define(class, c"try_lock", method!(try_lock, 0));
    define(class, c"unlock", method!(unlock, 0));
    define(class, c"synchronize", method!(synchronize, 0));
    define(class, c"locked?", method!(locked, 0));
    define(class, c"owned?", method!(is_owned, 0));
}
