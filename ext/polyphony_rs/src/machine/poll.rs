//! Readiness: `poll` and `select`.

use std::os::fd::RawFd;

use polyphony_core::net::poll_now;
use polyphony_core::op::{OpKey, Poll, Progress};
use rb_sys::VALUE;

use super::files::fd_of;
use super::watch::{Seen, Watch, Watched};
use super::{Interruption, Machine, Role};
use crate::errors::{Outcome, Raise, check, integer_or_errno};
use crate::ruby::buffer::Loan;
use crate::ruby::method::{define, method};
use crate::ruby::{NIL, value};

/// Events for which select reports a descriptor, by list.
pub(crate) const READABLE: i16 = libc::POLLIN | libc::POLLHUP | libc::POLLERR;
pub(crate) const WRITABLE: i16 = libc::POLLOUT | libc::POLLERR;
pub(crate) const EXCEPTIONAL: i16 = libc::POLLPRI;

/// How a wait for readiness ended.
pub(crate) enum Readiness {
    /// Events by position in the list that was asked about; 0 for those not ready.
    Ready(Vec<i16>),
    TimedOut,
    Interrupted(Interruption),
}

impl Machine {
    /// Waits for events on one descriptor: those that came; 0 past the deadline, or when the
    /// fiber was scheduled with a plain value.
    pub(crate) fn wait_for_events(
        &self,
        fd: RawFd,
        events: i16,
        deadline: Option<u64>,
    ) -> Outcome<i32> {
        match self.wait_for_watch(self.watch(fd, events, deadline)?)? {
            Watched::Result(result) => check(result),
            Watched::TimedOut => Ok(0),
            Watched::Interrupted(interruption) => interruption.conclude().map(|_| 0),
        }
    }

    /// Waits until at least one descriptor is ready.
    ///
    /// Whatever is ready at once is found by one poll(2) that doesn't wait. The poll ops of the
    /// others are dropped as soon as one has completed.
    pub(crate) fn wait_ready(
        &self,
        interests: &[(RawFd, i16)],
        deadline: Option<u64>,
    ) -> Outcome<Readiness> {
        let ready = ready_now(interests)?;
        if ready.iter().any(|events| *events != 0) {
            self.count_op();
            return Ok(Readiness::Ready(ready));
        }
        let mut watches: Vec<Watch> = Vec::with_capacity(interests.len());
        let abandon = |watches: &[Watch]| {
            watches.iter().for_each(|watch| self.abandon(watch.key()));
        };
        for (fd, events) in interests {
            match self.watch(*fd, *events, None) {
                Ok(watch) => watches.push(watch),
                Err(raise) => {
                    abandon(&watches);
                    return Err(raise);
                }
            }
        }
        let timer = deadline.map(|deadline| self.start_local("select", Some(deadline), Role::Wake));
        let outcome = self.first_of(&mut watches, timer);
        abandon(&watches);
        timer.into_iter().for_each(|timer| self.abandon(timer));
        outcome
    }

    fn first_of(&self, watches: &mut [Watch], timer: Option<OpKey>) -> Outcome<Readiness> {
        loop {
            if let Some(interruption) = self.park_interruptible() {
                return Ok(Readiness::Interrupted(interruption));
            }
            let mut ready = vec![0; watches.len()];
            for (watch, events) in watches.iter_mut().zip(&mut ready) {
                if let Seen::Result(result) = watch.take(self)? {
                    *events = i16::try_from(check(result)?).unwrap_or(i16::MAX);
                }
            }
            if ready.iter().any(|events| *events != 0) {
                return Ok(Readiness::Ready(ready));
            }
            let elapsed = |timer| matches!(self.take(timer), Progress::Result(..));
            if timer.is_some_and(elapsed) {
                return Ok(Readiness::TimedOut);
            }
        }
    }
}

/// Events that are there now, by position; EBADF where a descriptor is none.
pub(crate) fn ready_now(interests: &[(RawFd, i16)]) -> Outcome<Vec<i16>> {
    let mut fds: Vec<_> = interests
        .iter()
        .map(|(fd, events)| libc::pollfd { fd: *fd, events: *events, revents: 0 })
        .collect();
    poll_now(&mut fds)?;
    if fds.iter().any(|fd| fd.revents & libc::POLLNVAL != 0 || fd.fd < 0) {
        return Err(Raise::Errno(libc::EBADF));
    }
    Ok(fds.iter().map(|fd| fd.revents).collect())
}

/// `poll(fd, mask)`: the events that are there.
fn poll(this: VALUE, fd: VALUE, mask: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let op = Poll { fd: fd_of(fd)?, events: value::int32(mask, "mask")? as u32 };
    // SAFETY: the op points to nothing.
    let key = unsafe { machine.submit(op, Loan::NONE) }?;
    match machine.wait_for_watch(Watch::of(machine, key, op))? {
        Watched::Result(result) => integer_or_errno(result),
        Watched::TimedOut => Ok(NIL),
        Watched::Interrupted(interruption) => interruption.conclude(),
    }
}

/// `select(readable, writable, exceptional)`: the descriptors that are ready.
fn select(this: VALUE, readable: VALUE, writable: VALUE, exceptional: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let mut interests = Vec::new();
    let mut ends = [0; 3];
    let lists = [(readable, READABLE), (writable, WRITABLE), (exceptional, EXCEPTIONAL)];
    for (end, (list, events)) in ends.iter_mut().zip(lists) {
        if !value::is_array(list) {
            return Err(Raise::type_error("select takes Arrays of descriptors"));
        }
        for index in 0..value::array_len(list) {
            interests.push((fd_of(value::at(list, index))?, events));
        }
        *end = interests.len();
    }
    let ready = if interests.is_empty() {
        Vec::new()
    } else {
        match machine.wait_ready(&interests, None)? {
            Readiness::Ready(ready) => ready,
            Readiness::TimedOut => vec![0; interests.len()],
            Readiness::Interrupted(interruption) => return interruption.conclude(),
        }
    };
    let mut start = 0;
    let lists = ends.map(|end| {
        let list = value::array();
        for index in start..end {
            if ready[index] != 0 {
                value::push(list, value::integer(i64::from(interests[index].0)));
            }
        }
        start = end;
        list
    });
    Ok(value::array_of(&lists))
}

pub(super) fn init(class: VALUE) {
    define(class, c"poll", method!(poll, 2));
    define(class, c"select", method!(select, 3));
}
