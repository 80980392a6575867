//! Accepting connections.
//!
//! A connection is taken from its socket in the moment in which it is handed out: until then a
//! fiber only waits for there to be one. So a loop that is left, interrupted or busy in its block
//! has none that others (fibers, threads, processes that share the socket) could serve, and there
//! is no moment in which an interruption could cut a client.
//!
//! A listening socket that is shut down ends what waits for its connections, and so does closing
//! its descriptor: EBADF.

use std::os::fd::RawFd;

use polyphony_core::op::{Accept, AwaitConnection, Op, OpKey, Progress};
use polyphony_core::{net, sys};
use rb_sys::VALUE;

use super::acceptors::Place;
use super::each::Strays;
use super::files::fd_of;
use super::queue::Queue;
use super::runqueue::{Entry, Kind};
use super::{Machine, Role, State};
use crate::clock;
use crate::errors::{Outcome, Raise, check};
use crate::ruby::buffer::Loan;
use crate::ruby::method::{define, method};
use crate::ruby::{NIL, fiber, value};

/// Most fibers that are runnable when a connection is looked for without letting them run: what a
/// burst of connections saves in switches. More of them would keep connections from others who
/// share the socket and have nothing to do.
const AHEAD: usize = 4;

/// How connections are accepted.
#[derive(Clone, Copy)]
pub(crate) struct Accepting {
    /// `SOCK_NONBLOCK` or 0.
    pub(crate) flags: i32,
    pub(crate) strays: Strays,
    /// How long it may take until one comes.
    pub(crate) seconds: Option<f64>,
}

/// What a wait for a connection ends with.
pub(crate) enum Accepted {
    Connection(RawFd),
    /// By a value scheduled into the fiber.
    Interrupted(VALUE),
}

/// Why it is time to look for a connection.
enum Came {
    /// What the kernel said of the socket.
    Result(i32),
    /// The fiber may be the first in line.
    Turn,
    Interrupted(VALUE),
}

fn accept(this: VALUE, fd: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let known = machine.know(fd_of(fd)?);
    let accepting = Accepting { flags: 0, strays: Strays::End, seconds: None };
    match machine.next_connection(accepting, &|| machine.descriptor_of(known))? {
        Accepted::Connection(fd) => Ok(value::integer(i64::from(fd))),
        Accepted::Interrupted(value) => Ok(value),
    }
}

/// Yields each connection's descriptor until the socket is shut down.
fn accept_each(this: VALUE, fd: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let fd = fd_of(fd)?;
    value::check_block()?;
    machine.accept_each(fd, |fd| value::yield_to_block(value::integer(i64::from(fd))))
}

/// Pushes each connection's descriptor to a queue until the socket is shut down.
fn accept_into_queue(this: VALUE, fd: VALUE, queue: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let fd = fd_of(fd)?;
    let queue = Queue::to_change(queue)?;
    machine.accept_each(fd, |fd| {
        queue.push(value::integer(i64::from(fd)));
        Ok(NIL)
    })
}

impl Machine {
    /// Calls `each` with each connection's descriptor until the socket is shut down. EINVAL for one
    /// that doesn't listen to begin with.
    fn accept_each(&self, fd: RawFd, mut each: impl FnMut(RawFd) -> Outcome) -> Outcome {
        let known = self.know(fd);
        let accepting = Accepting { flags: 0, strays: Strays::GoOn, seconds: None };
        // The kernel's answer is the same for both, and a TCP socket has forgotten afterwards that
        // it ever listened.
        let listens = net::is_listening(fd);
        loop {
            match self.next_connection(accepting, &|| self.descriptor_of(known)) {
                Ok(Accepted::Connection(fd)) => each(fd)?,
                Ok(Accepted::Interrupted(value)) => return Ok(value),
                Err(Raise::Errno(libc::EINVAL)) if listens => return Ok(NIL),
                Err(raise) => return Err(raise),
            };
        }
    }

    /// Takes the next connection of the socket whose descriptor `fd` knows. It is asked again after
    /// each wait, as the socket may have been closed meanwhile. EINVAL once that was shut down.
    pub(crate) fn next_connection(
        &self,
        accepting: Accepting,
        fd: &impl Fn() -> Outcome<RawFd>,
    ) -> Outcome<Accepted> {
        self.check_usable()?;
        let socket = fd()?;
        let place = self.state.borrow_mut().acceptors.join(socket);
        let accepted = self.connection(place, accepting, fd);
        let next = self.state.borrow_mut().acceptors.leave(place);
        next.into_iter().for_each(|turn| self.complete_local(turn, 0));
        accepted
    }

    fn connection(
        &self,
        place: Place,
        accepting: Accepting,
        fd: &impl Fn() -> Outcome<RawFd>,
    ) -> Outcome<Accepted> {
        let deadline = accepting.seconds.map(clock::after);
        let mut may_wait = self.should_wait(place) && net::listens(fd()?);
        loop {
            let mut ended = false;
            if may_wait {
                match self.await_connection(place, deadline, accepting.strays, fd)? {
                    Came::Result(result) => ended = AwaitConnection::may_be_end(check(result)?),
                    Came::Turn => {}
                    Came::Interrupted(value) => return Ok(Accepted::Interrupted(value)),
                }
            } else {
                self.count_op();
            }
            may_wait = true;
            let fd = match fd() {
                // First shut down, then closed.
                Err(_) if ended => return Err(Raise::Errno(libc::EINVAL)),
                fd => fd?,
            };
            match self.accept_now(Accept { fd, flags: accepting.flags })? {
                Ok(connection) => return Ok(Accepted::Connection(connection)),
                // A Unix socket that was shut down just has nothing, for ever.
                Err(libc::EAGAIN) if ended && !net::is_listening(fd) => {
                    return Err(Raise::Errno(libc::EINVAL));
                }
                // Somebody else was faster, or the client has left.
                Err(libc::EAGAIN | libc::EINTR | libc::ECONNABORTED) => {}
                Err(errno) => return Err(Raise::Errno(errno)),
            }
        }
    }

    /// Whether others should run before the next connection is looked for: those who are in line
    /// for it, and fibers that are runnable, when they are more than a few. What this fiber is to
    /// be interrupted with comes first as well.
    fn should_wait(&self, place: Place) -> bool {
        let me = fiber::current();
        let is_in_the_way = {
            let State { driver, queues, acceptors, .. } = &*self.state.borrow();
            let is_mine = |entry: &Entry| match entry.kind {
                Kind::Op(key) => driver.ops().data(key).is_some_and(|waiter| waiter.fiber == me),
                _ => entry.fiber == me,
            };
            let run = &queues.run;
            !acceptors.is_first(place) || run.iter().nth(AHEAD).is_some() || run.iter().any(is_mine)
        };
        is_in_the_way || !self.may_go_on()
    }

    /// Waits for a connection, or to be the first in line for one.
    fn await_connection(
        &self,
        place: Place,
        deadline: Option<u64>,
        strays: Strays,
        fd: &impl Fn() -> Outcome<RawFd>,
    ) -> Outcome<Came> {
        let is_first = self.state.borrow().acceptors.is_first(place);
        let key = if is_first {
            let op = AwaitConnection { fd: fd()? };
            // SAFETY: the op points to nothing.
            unsafe { self.submit_anyway(op, Loan::NONE) }?
        } else {
            let turn = self.start_local(AwaitConnection::NAME, None, Role::Wake);
            self.state.borrow_mut().acceptors.await_turn(place, turn);
            turn
        };
        if let Some(deadline) = deadline {
            self.state.borrow_mut().driver.set_deadline(key, deadline);
        }
        let came = self.watch_for_connection(key, strays, fd);
        self.abandon(key);
        match came? {
            Came::Result(0) if !is_first => Ok(Came::Turn),
            came => Ok(came),
        }
    }

    fn watch_for_connection(
        &self,
        key: OpKey,
        strays: Strays,
        fd: &impl Fn() -> Outcome<RawFd>,
    ) -> Outcome<Came> {
        loop {
            if let Some(value) = self.interruption(self.park()?, strays)? {
                return Ok(Came::Interrupted(value));
            }
            match self.take(key) {
                Progress::Result(completion, _) if completion.result == -libc::ETIME => {
                    return Err(Raise::io_timeout());
                }
                Progress::TimedOut => return Err(Raise::io_timeout()),
                Progress::Result(completion, _) => {
                    if completion.result < 0 {
                        // Where it was closed, that may have a name of its own.
                        fd()?;
                    }
                    return Ok(Came::Result(completion.result));
                }
                Progress::Gone => return Ok(Came::Result(-libc::ECANCELED)),
                // Whoever closes an IO wakes those who wait for it.
                Progress::Pending => drop(fd()?),
            }
        }
    }

    /// A connection that waits already, or the errno: EAGAIN where there is none.
    fn accept_now(&self, op: Accept) -> Outcome<Result<RawFd, i32>> {
        if sys::is_nonblocking(op.fd) {
            return Ok(net::accept_now(op.fd, op.flags));
        }
        // The call would wait, the ring's operation doesn't: it is cancelled in the same breath.
        // SAFETY: the op points to nothing.
        let key = unsafe { self.submit_anyway(op, Loan::NONE) }?;
        self.cancel(key);
        // An error would come up at the next wait again.
        let _ = self.poll();
        Ok(match self.await_last(key) {
            Some(connection @ 0..) => Ok(connection),
            Some(result) if result != -libc::ECANCELED => Err(-result),
            Some(_) | None => Err(libc::EAGAIN),
        })
    }
}

pub(super) fn init(class: VALUE) {
    define(class, c"accept", method!(accept, 1));
    define(class, c"accept_each", method!(accept_each, 1));
    define(class, c"accept_into_queue", method!(accept_into_queue, 2));
}
