//! Driving pumps: one parked fiber, each pump with at most two ops in flight.
//!
//! An end that can't block is moved by `splice(2)` itself, and polled through the ring when it
//! would have to wait; the others are spliced by the ring (on a kernel worker thread).

use std::os::fd::RawFd;

use polyphony_core::op::{OpKey, Poll, Progress, Splice};
use polyphony_core::splice::{LARGE_PIPE, Plan, Pump};
use polyphony_core::{net, sys};

use super::ends::End;
use crate::errors::{Outcome, Raise};
use crate::machine::{Machine, OnInterrupt, event_mask, op_len};
use crate::ruby::buffer::Loan;

/// What an op in flight stands for.
#[derive(Clone, Copy)]
enum Flight {
    /// Waiting until the end is ready.
    Poll(OpKey),
    /// Moving bytes.
    Move(OpKey),
}

impl Flight {
    fn key(self) -> OpKey {
        match self {
            Self::Poll(key) | Self::Move(key) => key,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    In,
    Out,
}

/// One direction of a transfer under way, with its pipe.
pub(super) struct Transfer {
    pump: Pump,
    from: End,
    to: End,
    pipe: [RawFd; 2],
    flights: [Option<Flight>; 2],
    /// Pass the source's EOF on to a socket.
    half_close: bool,
    finished: bool,
}

impl Transfer {
    pub(super) fn new(from: End, to: End, plan: Plan, half_close: bool) -> Outcome<Self> {
        let pipe = net::pipe(libc::O_NONBLOCK)?;
        let pump = Pump::new(plan);
        let half_close = half_close && from.fd != to.fd;
        Ok(Self { pump, from, to, pipe, flights: [None, None], half_close, finished: false })
    }

    pub(super) fn moved(&self) -> u64 {
        self.pump.moved()
    }

    pub(super) fn source_ended(&self) -> bool {
        self.pump.source_ended()
    }

    /// Does all that can be done without waiting; whether anything was.
    fn advance(&mut self, machine: &Machine) -> Outcome<bool> {
        let mut progress = self.collect(machine)?;
        progress |= self.step(machine, Side::In)?;
        progress |= self.step(machine, Side::Out)?;
        if self.pump.wants_larger_pipe() {
            self.pump.set_capacity(sys::set_pipe_size(self.pipe[1], LARGE_PIPE));
            progress = true;
        }
        if self.pump.is_done() && !self.finished {
            self.finish(machine)?;
            progress = true;
        }
        Ok(progress)
    }

    fn finish(&mut self, machine: &Machine) -> Outcome<()> {
        self.finished = true;
        let passes_on = self.half_close && self.pump.source_ended();
        if passes_on && sys::is_socket(self.from.fd) && sys::is_socket(self.to.fd) {
            machine.count_op();
            match net::shutdown(self.to.fd, libc::SHUT_WR) {
                // The other side is gone already, or it is no connection.
                Ok(_) | Err(libc::ENOTCONN | libc::EOPNOTSUPP) => {}
                Err(errno) => return Err(Raise::Errno(errno)),
            }
        }
        Ok(())
    }

    /// Takes in what the ops in flight have brought.
    fn collect(&mut self, machine: &Machine) -> Outcome<bool> {
        let mut progress = false;
        for side in [Side::In, Side::Out] {
            let Some(flight) = self.flights[side as usize] else { continue };
            let result = match machine.take(flight.key()) {
                Progress::Result(completion, _) => completion.result,
                Progress::Gone => -libc::ECANCELED,
                Progress::Pending | Progress::TimedOut => continue,
            };
            self.flights[side as usize] = None;
            progress = true;
            match flight {
                Flight::Poll(_) if result < 0 => return Err(Raise::Errno(-result)),
                Flight::Poll(_) => {}
                Flight::Move(_) => self.report(machine, side, outcome_of(result))?,
            }
        }
        Ok(progress)
    }

    /// Tries the next move of a side; whether there was any.
    fn step(&mut self, machine: &Machine, side: Side) -> Outcome<bool> {
        if self.flights[side as usize].is_some() {
            return Ok(false);
        }
        let (wanted, end) = match side {
            Side::In => (self.pump.wants_in(), self.from),
            Side::Out => (self.pump.wants_out(), self.to),
        };
        let Some(len) = wanted else { return Ok(false) };
        let (from, to) = match side {
            Side::In => (self.from.fd, self.pipe[1]),
            Side::Out => (self.pipe[0], self.to.fd),
        };
        if end.direct {
            let moved = sys::splice_now(from, to, len);
            machine.count_op();
            let progress = moved.is_ok();
            self.report(machine, side, moved)?;
            return Ok(progress);
        }
        let op = Splice { from, to, len: op_len(len) };
        // SAFETY: the op points to nothing; the pipe stays open until the op has ended.
        let key = unsafe { machine.submit_anyway(op, Loan::NONE) }?;
        self.flights[side as usize] = Some(Flight::Move(key));
        Ok(false)
    }

    fn report(&mut self, machine: &Machine, side: Side, moved: Result<usize, i32>) -> Outcome<()> {
        match (side, moved) {
            (Side::In, Ok(bytes)) => self.pump.moved_in(bytes),
            (Side::Out, Ok(bytes)) => self.pump.moved_out(bytes),
            (Side::In, Err(libc::EAGAIN)) => {
                if self.pump.would_wait() {
                    self.poll(machine, side, self.from.fd, libc::POLLIN)?;
                }
            }
            (Side::Out, Err(libc::EAGAIN)) => {
                self.poll(machine, side, self.to.fd, libc::POLLOUT)?;
            }
            (_, Err(libc::EINTR)) => {}
            (_, Err(errno)) => return Err(Raise::Errno(errno)),
        }
        Ok(())
    }

    fn poll(&mut self, machine: &Machine, side: Side, fd: RawFd, events: i16) -> Outcome<()> {
        let op = Poll { fd, events: event_mask(events) };
        // SAFETY: the op points to nothing.
        let key = unsafe { machine.submit_anyway(op, Loan::NONE) }?;
        self.flights[side as usize] = Some(Flight::Poll(key));
        Ok(())
    }

    /// Ends what is in flight, waiting for moves: the pipe must not be closed under them.
    pub(super) fn close(mut self, machine: &Machine) {
        for flight in self.flights.iter_mut().filter_map(Option::take) {
            let how = match flight {
                Flight::Poll(_) => OnInterrupt::Abandon,
                Flight::Move(_) => OnInterrupt::AwaitCancel,
            };
            machine.stop(flight.key(), how);
        }
        for fd in self.pipe {
            // Nobody else knows these descriptors.
            let _ = sys::close(fd);
        }
    }
}

fn outcome_of(result: i32) -> Result<usize, i32> {
    usize::try_from(result).map_err(|_| -result)
}

/// Runs transfers side by side until all are done. The fiber parks when none can advance.
pub(super) fn run(machine: &Machine, transfers: &mut [Transfer]) -> Outcome<()> {
    loop {
        let mut progress = false;
        for transfer in transfers.iter_mut() {
            progress |= transfer.advance(machine)?;
        }
        if transfers.iter().all(|transfer| transfer.finished) {
            return Ok(());
        }
        if progress {
            if !machine.may_go_on() {
                machine.snooze()?;
            }
            continue;
        }
        if let Some(interruption) = machine.park_interruptible() {
            // A plain value is no reason to stop.
            interruption.conclude()?;
        }
    }
}
