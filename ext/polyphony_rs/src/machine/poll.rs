//! Readiness: `poll` and `select`.

use std::os::fd::RawFd;

use polyphony_core::net::poll_now;
use polyphony_core::op::{OpKey, Poll, PollMultishot, Progress};
use rb_sys::VALUE;

use super::files::fd_of;
use super::{Interruption, Machine, OnInterrupt, Role, Waited};
use crate::errors::{Outcome, Raise, check, integer_or_errno};
use crate::ruby::buffer::Loan;
use crate::ruby::method::{define, method};
use crate::ruby::value;

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
        // SAFETY: the op points to nothing.
        let key =
            unsafe { self.submit_anyway(Poll { fd, events: event_mask(events) }, Loan::NONE) }?;
        if let Some(deadline) = deadline {
            self.state().borrow_mut().driver.set_deadline(key, deadline);
        }
        match self.wait_for(key, OnInterrupt::Abandon) {
            Waited::Done(result) if check(result)? & wanted(events) == 0 => {
                self.wait_for_change(fd, events, deadline)
            }
            Waited::Done(result) => check(result),
            Waited::TimedOut => {
                self.abandon(key);
                Ok(0)
            }
            Waited::Interrupted(interruption, _) => interruption.conclude().map(|_| 0),
        }
    }

    /// The kernel reports that the peer sends no more, asked for or not, and a poll for room to
    /// write would always be over at once. A multishot one reports it once.
    fn wait_for_change(&self, fd: RawFd, events: i16, deadline: Option<u64>) -> Outcome<i32> {
        // SAFETY: the op points to nothing.
        let key = unsafe {
            self.submit_anyway(PollMultishot { fd, events: event_mask(events) }, Loan::NONE)
        }?;
        if let Some(deadline) = deadline {
            self.state().borrow_mut().driver.set_deadline(key, deadline);
        }
        let outcome = loop {
            match self.wait_for(key, OnInterrupt::Abandon) {
                Waited::Done(result) if result >= 0 && result & wanted(events) == 0 => {}
                Waited::Done(result) => break check(result),
                Waited::TimedOut => break Ok(0),
                Waited::Interrupted(interruption, _) => {
                    break interruption.conclude().map(|_| 0);
                }
            }
        };
        self.abandon(key);
        outcome
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
        let mut keys: Vec<OpKey> = Vec::with_capacity(interests.len());
        for (fd, events) in interests {
            let op = Poll { fd: *fd, events: event_mask(*events) };
            // SAFETY: the op points to nothing.
            match unsafe { self.submit_anyway(op, Loan::NONE) } {
                Ok(key) => keys.push(key),
                Err(raise) => {
                    keys.iter().for_each(|key| self.abandon(*key));
                    return Err(raise);
                }
            }
        }
        let timer = deadline.map(|deadline| self.start_local("select", Some(deadline), Role::Wake));
        let outcome = self.first_of(&mut keys, interests, timer);
        keys.iter().copied().chain(timer).for_each(|key| self.abandon(key));
        outcome
    }

    fn first_of(
        &self,
        keys: &mut [OpKey],
        interests: &[(RawFd, i16)],
        timer: Option<OpKey>,
    ) -> Outcome<Readiness> {
        loop {
            if let Some(interruption) = self.park_interruptible() {
                return Ok(Readiness::Interrupted(interruption));
            }
            let mut ready = vec![0; keys.len()];
            for ((key, interest), events) in keys.iter_mut().zip(interests).zip(&mut ready) {
                let Progress::Result(completion, last) = self.take(*key) else { continue };
                let came = check(completion.result)? & wanted(interest.1);
                *events = i16::try_from(came).unwrap_or(i16::MAX);
                if last && came == 0 {
                    // See `wait_for_change`.
                    let op = PollMultishot { fd: interest.0, events: event_mask(interest.1) };
                    // SAFETY: the op points to nothing.
                    *key = unsafe { self.submit_anyway(op, Loan::NONE) }?;
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

/// The bits of a poll's result that mean something to who asked for `events`.
pub(crate) fn wanted(events: i16) -> i32 {
    i32::from(events | libc::POLLERR | libc::POLLHUP | libc::POLLNVAL)
}

/// Events of poll(2) as a poll op takes them.
pub(crate) fn event_mask(events: i16) -> u32 {
    u32::from(events as u16)
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
    let events = value::int32(mask, "mask")? as u32;
    // SAFETY: the op points to nothing.
    let key = unsafe { machine.submit(Poll { fd: fd_of(fd)?, events }, Loan::NONE) }?;
    let always = u32::from((libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) as u16);
    machine.conclude(key, OnInterrupt::Abandon, |result| {
        integer_or_errno(if result < 0 { result } else { result & (events | always) as i32 })
    })
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
