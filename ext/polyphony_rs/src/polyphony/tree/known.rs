//! Whose child a new fiber is, and what else is known of a fiber.

use std::sync::atomic::{AtomicU64, Ordering};

use rb_sys::VALUE;

use crate::errors::{Outcome, Raise};
use crate::machine::Machine;
use crate::machine::node;
use crate::machine::spun::{self, Spun};
use crate::ruby::{NIL, TRUE, fiber, value};

static POLYPHONY: AtomicU64 = AtomicU64::new(0);

/// The record of the fiber whose children the running one starts: its own, as a rule.
pub(super) fn parent() -> Outcome<(VALUE, &'static Spun)> {
    let me = fiber::current();
    match Spun::with_record(me).filter(|(_, spun)| runs(spun)) {
        Some(known) => Ok(planted(known)),
        None => enter(me),
    }
}

/// The tree knows a fiber from the first child on.
fn planted(known: (VALUE, &'static Spun)) -> (VALUE, &'static Spun) {
    if !known.1.node().is_known() {
        node::plant(known.1);
    }
    known
}

/// Whether a machine of this thread and process runs the fiber.
fn runs(spun: &Spun) -> bool {
    spun.machine() != NIL
        && Machine::any(spun.machine()).is_ok_and(|machine| machine.check_usable().is_ok())
}

/// The first fiber of a thread (or of a forked child), or one that no machine runs: nobody would
/// wait at its end, so the fibers that it starts are children of the thread's main fiber. Under
/// another scheduler than ours each fiber stands for itself.
fn enter(me: VALUE) -> Outcome<(VALUE, &'static Spun)> {
    value::call(POLYPHONY.load(Ordering::Relaxed), c"enter_thread", &[])?;
    if crate::scheduler::is_foreign()? {
        return root(me, Machine::of_thread()?);
    }
    main()
}

/// The running thread's main fiber, which is known from now on.
fn main() -> Outcome<(VALUE, &'static Spun)> {
    let object = match crate::scheduler::current_machine()? {
        Some(machine) => machine,
        None => Machine::of_thread()?,
    };
    let machine = Machine::of(object)?;
    root(node::root_of(machine).unwrap_or_else(fiber::current), object)
}

/// Makes a fiber the root of a tree, unless it is one already.
fn root(of: VALUE, machine: VALUE) -> Outcome<(VALUE, &'static Spun)> {
    let (record, spun) = spun::existing_or_new(of)?;
    if spun.machine() != machine || !spun.node().is_known() {
        spun.set_machine(machine);
        node::plant(spun);
    }
    Ok((record, spun))
}

/// `Polyphony.main_fiber`: the fiber that the running thread began with.
fn main_fiber(_module: VALUE) -> Outcome {
    main().map(|(_, spun)| spun.fiber())
}

/// `Fiber#main?`: true, or nil.
fn is_main(this: VALUE) -> Outcome {
    let Some(spun) = Spun::of(this).filter(|spun| spun.node().is_known()) else { return Ok(NIL) };
    let main = node::root_of(Machine::any(spun.machine())?);
    Ok(if main == Some(this) { TRUE } else { NIL })
}

/// `Fiber#thread`: the one that runs it.
fn thread(this: VALUE) -> Outcome {
    match Spun::of(this).filter(|spun| spun.machine() != NIL) {
        Some(spun) => Ok(Machine::any(spun.machine())?.thread()),
        None => Ok(NIL),
    }
}

/// The record of a fiber that can be waited for.
pub(super) fn spun(target: VALUE) -> Outcome<(VALUE, &'static Spun)> {
    if !value::is_fiber(target) {
        return Err(Raise::type_error("a Fiber is needed"));
    }
    Spun::with_record(target)
        .filter(|(_, spun)| spun.machine() != NIL)
        .ok_or_else(|| Raise::type_error("a fiber made by spin is needed"))
}

/// The record of a fiber that may get children: one that has not ended, of this thread.
pub(super) fn living(target: VALUE) -> Outcome<(VALUE, &'static Spun)> {
    match Spun::with_record(target) {
        Some((_, spun)) if spun.is_done() => Err(Raise::fiber_error("the fiber has ended")),
        Some(known) if runs(known.1) => Ok(planted(known)),
        Some((_, spun)) if spun.machine() != NIL => {
            Err(Raise::fiber_error("the fiber belongs to another thread"))
        }
        _ => Err(Raise::type_error("a fiber made by spin is needed")),
    }
}

pub(super) fn init(polyphony: VALUE) {
    use crate::ruby::method::{define, define_singleton, method};
    POLYPHONY.store(polyphony, Ordering::Relaxed);
    define_singleton(polyphony, c"main_fiber", method!(main_fiber, 0));
    define(fiber::class(), c"main?", method!(is_main, 0));
    define(fiber::class(), c"thread", method!(thread, 0));
}
