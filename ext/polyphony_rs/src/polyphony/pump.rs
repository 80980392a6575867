//! Driving pumps: one parked fiber, each pump with at most two ops in flight.
//!
//! An end that can't block is moved by `splice(2)` itself, and polled through the ring when it
//! would have to wait; the others are spliced by the ring (on a kernel worker thread). A file's
//! bytes that are in memory go straight to a socket, past the pipe.

use std::os::fd::RawFd;

use polyphony_core::net;
use polyphony_core::op::Splice;
use polyphony_core::splice::calls::{self, Kind, Next};
use polyphony_core::splice::{Cached, LARGE_PIPE, Pipe, Plan, Pump, WINDOW};
use rb_sys::VALUE;

use super::ends::End;
use super::flight::{Flight, Landed, Side, Stopped};
use super::moves;
use crate::errors::{Outcome, Raise};
use crate::machine::{Machine, op_len};
use crate::ruby::NIL;
use crate::ruby::buffer::Loan;

/// One direction of a transfer under way, with its pipe.
pub(super) struct Transfer {
    pump: Pump,
    from: End,
    to: End,
    /// Made when the first byte goes into it.
    pipe: Option<Pipe>,
    /// Of the source, if that is a file.
    cached: Cached,
    flights: [Option<Flight>; 2],
    /// Pass the source's EOF on to a socket.
    half_close: bool,
    finished: bool,
}

impl Transfer {
    pub(super) fn new(machine: &Machine, from: End, to: End, plan: Plan, half_close: bool) -> Self {
        Self {
            pump: Pump::new(plan),
            from,
            to,
            pipe: None,
            cached: moves::cached(machine, &from),
            flights: [None, None],
            half_close: half_close && from.fd != to.fd,
            finished: false,
        }
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
        progress |= match self.step_past(machine)? {
            Some(progress) => progress,
            None => self.step(machine, Side::In)?,
        };
        progress |= self.step(machine, Side::Out)?;
        if let Some(pipe) = self.pipe.as_mut().filter(|_| self.pump.wants_larger_pipe()) {
            self.pump.set_capacity(pipe.grow(LARGE_PIPE));
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
        if passes_on && self.from.kind.is_socket() && self.to.kind.is_socket() {
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
            let Some(flight) = &mut self.flights[side as usize] else { continue };
            let Some(landed) = flight.take(machine)? else { continue };
            self.flights[side as usize] = None;
            progress = true;
            match landed {
                Landed::Ready(ready) => ready?,
                Landed::Moved(moved) => self.report(machine, side, moved)?,
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
        let (reader, writer) = self.pipe()?;
        let (from, to, direct) = match side {
            // What is in memory goes past the pipe, where it can.
            Side::In if self.may_go_past() => (end.fd, writer, None),
            Side::In => {
                let ready = moves::ready(&end, &mut self.cached, len.min(WINDOW));
                (end.fd, writer, ready)
            }
            Side::Out => (reader, end.fd, end.kind.is_direct().then_some(len)),
        };
        if let Some(len) = direct {
            let moved = calls::splice_now(from, to, len, Next::Unknown);
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

    /// Where bytes come out of the pipe, and where they go in.
    fn pipe(&mut self) -> Outcome<(RawFd, RawFd)> {
        let pipe = match &mut self.pipe {
            Some(pipe) => pipe,
            None => {
                let pipe = self.pipe.insert(Pipe::new()?);
                if self.from.kind == Kind::File {
                    // Each move waits for a worker: the larger, the better.
                    self.pump.set_capacity(pipe.grow(LARGE_PIPE));
                }
                pipe
            }
        };
        Ok((pipe.reader(), pipe.writer()))
    }

    /// Moves bytes of a file straight to a socket; whether there were any. `None`: that can't be
    /// done at present.
    fn step_past(&mut self, machine: &Machine) -> Outcome<Option<bool>> {
        if !self.may_go_past() {
            return Ok(None);
        }
        match self.flights {
            [None, None] => {}
            // Nothing goes into the pipe while the socket is waited for: it would have to go that way.
            [None, Some(Flight::Poll(_))] if self.pump.buffered() == 0 => {
                return Ok(Some(false));
            }
            _ => return Ok(None),
        }
        let Some(len) = self.pump.wants_past() else { return Ok(None) };
        let Some(len) = self.cached.ready(self.from.fd, len.min(WINDOW)) else { return Ok(None) };
        machine.count_op();
        match calls::send_file(self.from.fd, self.to.fd, len) {
            Ok(bytes) => {
                self.cached.moved(bytes);
                self.pump.moved_past(bytes);
            }
            Err(libc::EAGAIN) => {
                self.cached.forget();
                self.poll(machine, Side::Out, self.to.fd)?;
                return Ok(Some(false));
            }
            Err(libc::EINTR) => {}
            // A file that has no pages, a socket that takes none.
            Err(libc::EINVAL | libc::ENOSYS) => return Ok(None),
            Err(errno) => return Err(Raise::Errno(errno)),
        }
        Ok(Some(true))
    }

    /// Whether it is a file that goes to a socket which never waits.
    fn may_go_past(&self) -> bool {
        self.from.kind == Kind::File && self.to.kind.is_socket() && self.to.kind.is_direct()
    }

    fn report(&mut self, machine: &Machine, side: Side, moved: Result<usize, i32>) -> Outcome<()> {
        match (side, moved) {
            (Side::In, Ok(bytes)) => {
                self.cached.moved(bytes);
                self.pump.moved_in(bytes);
            }
            (Side::Out, Ok(bytes)) => self.pump.moved_out(bytes),
            (Side::In, Err(libc::EAGAIN)) => {
                if self.pump.would_wait() {
                    self.poll(machine, side, self.from.fd)?;
                }
            }
            (Side::Out, Err(libc::EAGAIN)) => self.poll(machine, side, self.to.fd)?,
            (_, Err(libc::EINTR)) => {}
            (_, Err(errno)) => return Err(Raise::Errno(errno)),
        }
        Ok(())
    }

    fn poll(&mut self, machine: &Machine, side: Side, fd: RawFd) -> Outcome<()> {
        let watch = machine.watch(fd, side.events(), None)?;
        self.flights[side as usize] = Some(Flight::Poll(watch));
        Ok(())
    }

    /// Ends what is in flight, waiting for moves: the pipe must not be closed under them. What
    /// was taken from the source and is still in the pipe comes back as a String, but for a file:
    /// that is set back. nil where there is nothing.
    pub(super) fn close(&mut self, machine: &Machine) -> VALUE {
        for side in [Side::In, Side::Out] {
            let Some(flight) = self.flights[side as usize].take() else { continue };
            match (side, flight.stop(machine)) {
                (Side::In, Stopped::Moved(Ok(bytes))) => self.pump.moved_in(bytes),
                (Side::Out, Stopped::Moved(Ok(bytes))) => self.pump.moved_out(bytes),
                _ => {}
            }
        }
        let Some(pipe) = self.pipe.take() else { return NIL };
        match self.pump.buffered() {
            0 => NIL,
            left if self.from.rewind(left) => NIL,
            left => moves::contents(&pipe, left),
        }
    }
}

/// Runs transfers side by side until all are done. The fiber parks when none can advance.
pub(super) fn run(
    machine: &Machine,
    transfers: &mut [Transfer],
    mut tell: impl FnMut(&[Transfer]) -> Outcome<()>,
) -> Outcome<()> {
    loop {
        let (mut progress, before) = (false, moved(transfers));
        for transfer in transfers.iter_mut() {
            progress |= transfer.advance(machine)?;
        }
        tell(transfers)?;
        if transfers.iter().all(|transfer| transfer.finished) {
            return Ok(());
        }
        if progress {
            moves::take_turns_after(machine, moved(transfers) - before)?;
            continue;
        }
        if let Some(interruption) = machine.park_interruptible() {
            // A plain value is no reason to stop.
            interruption.conclude()?;
        }
    }
}

fn moved(transfers: &[Transfer]) -> u64 {
    transfers.iter().map(Transfer::moved).sum()
}
