//! Descriptors that Ruby is about to close, in whichever thread: what waits on one ends.

use std::os::fd::RawFd;
use std::time::Duration;

use polyphony_core::op::OpKey;
use rb_sys::VALUE;

use super::{Machine, State, Waiter, registry};
use crate::errors::Outcome;
use crate::ruby::buffer::Loan;
use crate::ruby::method::{define, define_singleton, method};
use crate::ruby::{NIL, fiber, io, nogvl, read_buffer};

/// How often, and how long each time, a thread lets those of other machines have the kernel let go
/// of what it closes. They need a part of the first time, unless they compute.
const PATIENCE: usize = 100;
const PAUSE: Duration = Duration::from_micros(200);

impl Machine {
    /// A descriptor is about to be closed: ops on it end with EBADF, whichever machine's they are,
    /// and loops that go on with it find out. Those of this thread have let go of the file when this
    /// comes back, so that the other side is told of the close at once; so have those of others,
    /// unless their threads are kept from it for long. Whether there were any.
    ///
    /// A worker of the kernel finds its descriptors when it begins: a splice that has not begun would
    /// find the next file with the number. So the others are waited for. What their fibers begin
    /// meanwhile, as it isn't closed yet, is told as well: nobody runs behind the last look.
    pub(crate) fn announce_close(fd: RawFd) -> Outcome<bool> {
        let has_unsent = |machine: &Self| machine.state().borrow().driver.has_unsent_cancels();
        let mut any = false;
        for round in 0.. {
            for machine in registry::machines_here() {
                any |= machine.let_go_of(fd)?;
            }
            let mut others = registry::machines_here().filter(|machine| !machine.is_of_thread());
            if round == PATIENCE || !any || !others.any(has_unsent) {
                break;
            }
            nogvl::compute(|| std::thread::sleep(PAUSE));
        }
        Ok(any)
    }

    fn let_go_of(&self, fd: RawFd) -> Outcome<bool> {
        let is_here = self.is_of_thread();
        let State { driver, queues, .. } = &mut *self.state().borrow_mut();
        if !driver.is_usable() {
            return Ok(false);
        }
        if is_here {
            return Ok(driver.cancel_fd(fd, queues)?);
        }
        let any = driver.cancel_fd_from_outside(fd, self.waiting.get(), queues)?;
        if let Some(waker) = driver.waker().filter(|_| any) {
            waker.wake();
        }
        Ok(any)
    }

    /// Whether any machine has an op on a descriptor.
    fn is_used(fd: RawFd) -> bool {
        registry::machines_here().any(|machine| machine.is_waited_for(fd))
    }

    /// Whether a fiber waits for an op on a descriptor.
    fn is_waited_for(&self, fd: RawFd) -> bool {
        let state = self.state().borrow();
        let ops = state.driver.ops();
        ops.on_fd(fd).into_iter().filter_map(|key| ops.data(key)).any(|waiter| waiter.fiber != NIL)
    }

    /// Starts an op of the running fiber's that is over when a descriptor is closed.
    pub(crate) fn hear_close(&self, fd: RawFd) -> OpKey {
        let waiter = Waiter::new(fiber::current(), Loan::NONE);
        self.state().borrow_mut().driver.start_local_on("transfer", fd, waiter)
    }

    /// Whether an op of a fiber's ends because its descriptor was closed.
    pub(crate) fn ends_by_close(&self, fiber: VALUE) -> bool {
        let state = self.state().borrow();
        let ops = state.driver.ops();
        fiber != NIL && ops.closed().any(|waiter| waiter.fiber == fiber)
    }
}

/// `UringMachine.closing(io)`: an open IO is about to be closed, with the IO that carries its write
/// side. Whoever waits for something on them waits no more.
fn closing(_class: VALUE, io: VALUE) -> Outcome {
    let fd = io::descriptor(io)?;
    // Others may run before it is closed: what Ruby holds back is written first, and other threads'
    // machines are waited for.
    if !io::is_sync(io) || Machine::is_used(fd) {
        io::note_closing(io);
    }
    if Machine::announce_close(fd)? {
        // The kernel may not be done with it: another thread's ring acts when that one is woken.
        read_buffer::outlive_close(io);
    }
    let other = io::write_side(io);
    if other != io && !io::is_closed(other) {
        Machine::announce_close(io::descriptor(other)?)?;
    }
    Ok(NIL)
}

/// `machine.__let_go__(io)`: lets the fibers run that wait for an IO which is about to be closed,
/// until none does any more. For a root fiber, in which core's `close` would hold them up while it
/// waits for them.
fn let_go(this: VALUE, io: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let fd = io::descriptor(io)?;
    io::note_closing(io);
    while machine.is_waited_for(fd) {
        machine.snooze()?;
    }
    Ok(NIL)
}

pub(super) fn init(class: VALUE) {
    define_singleton(class, c"closing", method!(closing, 1));
    define(class, c"__let_go__", method!(let_go, 1));
}
