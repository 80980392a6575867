//! `spin`.

use rb_sys::VALUE;

use super::known;
use crate::errors::{Outcome, Raise};
use crate::machine::Machine;
use crate::machine::node::{self, Mark};
use crate::machine::spun::{self, Spun, Uncaught};
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, fiber, value};

/// Starts a fiber as a child of another one.
fn start(parent: (VALUE, &'static Spun), tag: VALUE, body: VALUE) -> Outcome<&'static Spun> {
    let (parent_record, parent) = parent;
    let machine = Machine::of(parent.machine())?;
    // Ruby may handle an interrupt in here; a fiber that was made before it never starts.
    let (record, spun) = spun::create(parent.machine(), body, fiber::class(), Uncaught::Keep)?;
    let node = spun.node();
    node.set_tag(tag);
    node.take_errand_of(parent.node());
    node.remember_caller();
    node::attach(record, spun, parent_record, parent);
    if parent.node().has(Mark::Supervises) {
        node.set_monitors(value::array_of(&[parent.fiber()]));
    }
    machine.schedule_start(spun.fiber(), NIL);
    Ok(spun)
}

/// The block of the running method as a Proc. As ever, its absence is an ArgumentError.
fn block() -> Outcome {
    if value::block_given() { value::block() } else { Err(Raise::argument_error("no block given")) }
}

/// `spin(tag = nil) { }`
fn spin(_this: VALUE, args: Args) -> Outcome {
    let tag = args.expect(0, 1)?.get(0);
    let body = block()?;
    Ok(start(known::parent()?, tag, body)?.fiber())
}

/// `fiber.spin(tag = nil) { }`
fn spin_in(this: VALUE, args: Args) -> Outcome {
    let tag = args.expect(0, 1)?.get(0);
    let body = block()?;
    if this == fiber::current() {
        return Ok(start(known::parent()?, tag, body)?.fiber());
    }
    Ok(start(known::living(this)?, tag, body)?.fiber())
}

/// `fiber.__again__(value)`: a fiber that takes the place of one that has ended.
fn again(this: VALUE, with: VALUE) -> Outcome {
    let (_, ended) = known::spun(this)?;
    let old = ended.node();
    let parent = match node::linked(old.parent()).filter(|parent| !parent.is_done()) {
        Some(parent) => (old.parent(), parent),
        None => known::parent()?,
    };
    let spun = start(parent, old.tag(), ended.body())?;
    spun.node().take_place_of(old);
    if with != NIL {
        spun.node().set_early(with);
    }
    Ok(spun.fiber())
}

pub(super) fn init() {
    // SAFETY: the module is a constant of the VM.
    let kernel = unsafe { rb_sys::rb_mKernel };
    define(kernel, c"spin", method!(spin, -1));
    define(fiber::class(), c"spin", method!(spin_in, -1));
    define(fiber::class(), c"__again__", method!(again, 1));
}
