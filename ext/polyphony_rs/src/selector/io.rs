//! Waiting for the kernel. The first argument of each of these is the fiber that waits, which is
//! the one that calls.

use rb_sys::VALUE;

use super::Selector;
use crate::errors::{Outcome, Raise, check};
use crate::machine::{Machine, Resume, Seen};
use crate::ruby::method::{Args, define, method};
use crate::ruby::{FALSE, TRUE, fiber, io, value};
use crate::scheduler::{self, Order, Request};

/// The order of the numbers is the selector's own, whatever Ruby's is.
static AT_POSITION: Order = Order::new(4, 2, 3, 0);
static POSITIONED: Order = Order::new(5, 3, 4, 2);

/// The machine, for a fiber that waits.
fn machine_for(this: VALUE, waiter: VALUE) -> Outcome<&'static Machine> {
    if waiter != fiber::current() {
        return Err(Raise::argument_error("a fiber waits for itself"));
    }
    Selector::of(this)?.machine()
}

/// `io_wait(fiber, io, events)`: the events that are there; false when somebody else transfers to
/// the fiber, as Async does when its time is up.
fn io_wait(this: VALUE, waiter: VALUE, io: VALUE, events: VALUE) -> Outcome {
    let machine = machine_for(this, waiter)?;
    let fd = io::descriptor_or_unwind(io::convert(io)?);
    let wanted = scheduler::events(events)?;
    let mut watch = machine.watch(fd, wanted, None)?;
    let outcome = loop {
        match machine.park() {
            Ok(Resume::Op) => match watch.take(machine) {
                Ok(Seen::Nothing | Seen::TimedOut) => {}
                Ok(Seen::Result(result)) => {
                    return Ok(scheduler::ready_events(check(result)?, i32::from(wanted)));
                }
                Err(raise) => break Err(raise),
            },
            Ok(_) => break Ok(FALSE),
            Err(raise) => break Err(raise),
        }
    };
    machine.abandon(watch.key());
    outcome
}

/// `io_read(fiber, io, buffer, length, offset = 0)`
fn io_read(this: VALUE, args: Args) -> Outcome {
    let machine = machine_for(this, args.get(0))?;
    scheduler::read(machine, &Request::parse(args.after(1), &AT_POSITION)?)
}

/// `io_pread(fiber, io, buffer, from, length, offset = 0)`
fn io_pread(this: VALUE, args: Args) -> Outcome {
    let machine = machine_for(this, args.get(0))?;
    scheduler::pread(machine, &Request::parse(args.after(1), &POSITIONED)?)
}

/// `io_write(fiber, io, buffer, length, offset = 0)`
fn io_write(this: VALUE, args: Args) -> Outcome {
    let machine = machine_for(this, args.get(0))?;
    scheduler::write(machine, &Request::parse(args.after(1), &AT_POSITION)?)
}

/// `io_pwrite(fiber, io, buffer, from, length, offset = 0)`
fn io_pwrite(this: VALUE, args: Args) -> Outcome {
    let machine = machine_for(this, args.get(0))?;
    scheduler::pwrite(machine, &Request::parse(args.after(1), &POSITIONED)?)
}

/// `io_close(fd)`: closed in fact when it returns.
fn io_close(this: VALUE, fd: VALUE) -> Outcome {
    Selector::of(this)?.machine()?.close(value::int32(fd, "fd")?)?;
    Ok(TRUE)
}

/// `process_wait(fiber, pid, flags)`: a Process::Status.
fn process_wait(this: VALUE, waiter: VALUE, pid: VALUE, flags: VALUE) -> Outcome {
    scheduler::wait_for_process(machine_for(this, waiter)?, pid, flags)
}

pub(super) fn init(class: VALUE) {
    define(class, c"io_wait", method!(io_wait, 3));
    define(class, c"io_read", method!(io_read, -1));
    define(class, c"io_pread", method!(io_pread, -1));
    define(class, c"io_write", method!(io_write, -1));
    define(class, c"io_pwrite", method!(io_pwrite, -1));
    define(class, c"io_close", method!(io_close, 1));
    define(class, c"process_wait", method!(process_wait, 3));
}
