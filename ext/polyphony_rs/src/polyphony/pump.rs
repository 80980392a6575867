//! Driving pumps: one parked fiber, each pump with at most two ops in flight.
//!
//! An end that can't block is moved by `splice(2)` itself, and polled through the ring when it
//! would have to wait; the others are spliced by the ring (on a kernel worker thread). A file's
//! bytes that are in memory go straight to a socket, past the pipe.

use polyphony_core::op::Splice;
use polyphony_core::splice::calls::{self, Kind, Next};
use polyphony_core::splice::{Cached, LARGE_PIPE, Pipe, Plan, Pump, SMALL_PIPE, WINDOW};
use rb_sys::VALUE;

use super::ends::{End, Supply};
use super::flight::{Flight, Landed, Side, Stopped};
use super::moves;
use super::unparked::Unparked;
use crate::errors::Outcome;
use crate::machine::op_len;
use crate::ruby::buffer::Loan;
use crate::ruby::{NIL, io, value};

/// One direction of a transfer under way, with its pipe.
pub(super) struct Transfer {
    pump: Pump,
    from: End,
    to: End,
    /// Made when the first byte goes into it.
    pipe: Option<Pipe>,
    /// Ruby may have read bytes of the source ahead: they go into the pipe before any other.
    ahead: bool,
    /// Of the source, if that is a file.
    cached: Cached,
    flights: [Option<Flight>; 2],
    /// Pass the source's EOF on to another connection.
    half_close: bool,
    finished: bool,
}

impl Transfer {
    pub(super) fn new(
        unparked: &Unparked,
        from: End,
        to: End,
        plan: Plan,
        half_close: bool,
    ) -> Self {
        Self {
            pump: Pump::new(plan),
            from,
            to,
            pipe: None,
            ahead: true,
            cached: unparked.cached(&from),
            flights: [None, None],
            half_close,
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
    fn advance(&mut self, unparked: &mut Unparked) -> Outcome<bool> {
        let mut progress = self.collect(unparked)?;
        progress |= match self.step_past(unparked)? {
            Some(progress) => progress,
            None => self.step(unparked, Side::In)?,
        };
        progress |= self.step(unparked, Side::Out)?;
        if let Some(pipe) = self.pipe.as_mut().filter(|_| self.pump.wants_larger_pipe()) {
            self.pump.set_capacity(pipe.grow(LARGE_PIPE));
            progress = true;
        }
        if self.pump.is_done() && !self.finished {
            self.finish(unparked)?;
            progress = true;
        }
        Ok(progress)
    }

    fn finish(&mut self, unparked: &mut Unparked) -> Outcome<()> {
        self.finished = true;
        if self.half_close && self.pump.source_ended() {
            self.to.pass_end_on(unparked, &self.from)?;
        }
        Ok(())
    }

    /// Takes in what the ops in flight have brought.
    fn collect(&mut self, unparked: &mut Unparked) -> Outcome<bool> {
        let mut progress = false;
        for side in [Side::In, Side::Out] {
            let Some(flight) = &mut self.flights[side as usize] else { continue };
            let Some(landed) = flight.take(unparked)? else { continue };
            self.flights[side as usize] = None;
            progress = true;
            match landed {
                Landed::Ready(ready) => ready.map_err(|errno| self.end(side).failure(errno))?,
                Landed::Moved(moved) => self.report(unparked, side, moved)?,
            }
        }
        Ok(progress)
    }

    /// Tries the next move of a side; whether there was any.
    fn step(&mut self, unparked: &mut Unparked, side: Side) -> Outcome<bool> {
        if self.flights[side as usize].is_some() {
            return Ok(false);
        }
        let (wanted, end) = match side {
            Side::In => (self.pump.wants_in(), self.from),
            Side::Out => (self.pump.wants_out(), self.to),
        };
        let Some(len) = wanted else { return Ok(false) };
        if side == Side::In && self.ahead {
            return self.step_ahead(len);
        }
        let may_go_past = self.may_go_past();
        let pipe = self.pipe()?;
        let (reader, writer) = (pipe.reader(), pipe.writer());
        let fd = end.fd(unparked)?;
        let (from, to, direct) = match side {
            // What is in memory goes past the pipe, where it can.
            Side::In if may_go_past => (fd.number(), writer, None),
            Side::In => {
                let ready = moves::ready((&end, fd), &mut self.cached, len.min(WINDOW));
                (fd.number(), writer, ready)
            }
            Side::Out => (reader, fd.number(), end.is_direct().then_some(len)),
        };
        if let Some(len) = direct {
            let moved = calls::splice_now(from, to, len, Next::Unknown);
            unparked.count_op();
            let progress = moved.is_ok();
            self.report(unparked, side, moved)?;
            return Ok(progress);
        }
        let deadline = end.deadline()?;
        let op = Splice { from, to, len: op_len(len) };
        // SAFETY: the op points to nothing; the pipe stays open until the op has ended.
        let key = unsafe { unparked.submit(op, Loan::NONE) }?;
        unparked.set_deadline(key, deadline);
        self.flights[side as usize] = Some(Flight::Move(key));
        Ok(false)
    }

    /// Moves into the pipe what Ruby has read ahead; whether there was anything.
    fn step_ahead(&mut self, len: usize) -> Outcome<bool> {
        let held = self.from.read_ahead()?;
        if held == 0 {
            self.ahead = false;
            // Now the source itself may be looked at.
            return Ok(true);
        }
        let writer = self.pipe()?.writer();
        // Each write takes pages of its own: no more of them than fit.
        let bytes = self.from.take_ahead(held.min(len).min(SMALL_PIPE))?;
        let taken = value::string_len(bytes);
        match calls::write_pipe(writer, &value::bytes_of(bytes)) {
            Ok(written) => {
                self.pump.moved_ahead(written);
                if let Some(io) = self.from.io().filter(|_| written < taken) {
                    io::give_back(io, value::substring(bytes, written..taken));
                }
            }
            Err(errno) => {
                self.from.io().into_iter().for_each(|io| io::give_back(io, bytes));
                if errno != libc::EAGAIN {
                    return Err(self.from.failure(errno));
                }
                // Its slots are taken: something has to go out first.
                return Ok(!self.pump.would_wait());
            }
        }
        Ok(true)
    }

    /// The pipe, which is made when it is wanted.
    fn pipe(&mut self) -> Outcome<&Pipe> {
        let made = match self.pipe.take() {
            Some(pipe) => pipe,
            None => {
                let mut pipe = Pipe::new()?;
                if self.from.kind == Kind::File {
                    // Each move waits for a worker: the larger, the better.
                    self.pump.set_capacity(pipe.grow(LARGE_PIPE));
                }
                pipe
            }
        };
        Ok(self.pipe.insert(made))
    }

    /// Moves bytes of a file straight to a socket; whether there were any. `None`: that can't be
    /// done at present.
    fn step_past(&mut self, unparked: &mut Unparked) -> Outcome<Option<bool>> {
        if self.ahead || !self.may_go_past() {
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
        let (from, to) = (self.from.fd(unparked)?.number(), self.to.fd(unparked)?.number());
        let Some(len) = self.cached.ready(from, len.min(WINDOW)) else { return Ok(None) };
        unparked.count_op();
        match calls::send_file(from, to, len) {
            Ok(bytes) => {
                self.cached.moved(bytes);
                self.pump.moved_past(bytes);
            }
            Err(libc::EAGAIN) => {
                self.cached.forget();
                self.poll(unparked, Side::Out)?;
                return Ok(Some(false));
            }
            Err(libc::EINTR) => {}
            // A file that has no pages, a socket that takes none.
            Err(libc::EINVAL | libc::ENOSYS) => return Ok(None),
            Err(errno) => return Err(moves::failure(errno, (&self.from, &self.to))),
        }
        Ok(Some(true))
    }

    /// Whether it is a file that goes to a socket which never waits.
    fn may_go_past(&self) -> bool {
        self.from.kind == Kind::File && self.to.kind.is_socket() && self.to.is_direct()
    }

    fn report(
        &mut self,
        unparked: &mut Unparked,
        side: Side,
        moved: Result<usize, i32>,
    ) -> Outcome<()> {
        match (side, moved) {
            // An empty datagram is no end.
            (Side::In, Ok(0)) if !self.from.has_ended(unparked)? => {}
            (Side::In, Ok(bytes)) => {
                self.cached.moved(bytes);
                self.pump.moved_in(bytes);
            }
            (Side::Out, Ok(bytes)) => self.pump.moved_out(bytes),
            (Side::In, Err(libc::EAGAIN)) => {
                if self.pump.would_wait() {
                    self.poll(unparked, side)?;
                }
            }
            (Side::Out, Err(libc::EAGAIN)) => self.poll(unparked, side)?,
            (_, Err(libc::EINTR)) => {}
            (side, Err(errno)) => return Err(self.end(side).failure(errno)),
        }
        Ok(())
    }

    fn end(&self, side: Side) -> &End {
        match side {
            Side::In => &self.from,
            Side::Out => &self.to,
        }
    }

    fn poll(&mut self, unparked: &mut Unparked, side: Side) -> Outcome<()> {
        let watch = unparked.watch(self.end(side), side.events())?;
        self.flights[side as usize] = Some(Flight::Poll(watch));
        Ok(())
    }

    /// Ends what is in flight, waiting for moves: the pipe must not be closed under them. What was
    /// taken from the source and is still in the pipe goes back to it; where it can't take it, it
    /// comes back as a String. nil where there is nothing.
    pub(super) fn close(&mut self, unparked: &mut Unparked) -> VALUE {
        for side in [Side::In, Side::Out] {
            let Some(flight) = self.flights[side as usize].take() else { continue };
            match (side, flight.stop(unparked)) {
                (Side::In, Stopped::Moved(Ok(bytes))) => self.pump.moved_in(bytes),
                (Side::Out, Stopped::Moved(Ok(bytes))) => self.pump.moved_out(bytes),
                _ => {}
            }
        }
        let Some(pipe) = self.pipe.take().filter(|_| self.pump.buffered() > 0) else { return NIL };
        let (left, ahead) = (self.pump.buffered(), self.pump.ahead());
        if !self.from.takes_back() {
            return moves::contents(&pipe, left);
        }
        if self.from.kind == Kind::File {
            self.from.take_back(unparked, Supply::Source, left - ahead, || NIL);
            self.from.take_back(unparked, Supply::Ahead, ahead, || moves::contents(&pipe, ahead));
        } else {
            let all = || moves::contents(&pipe, left);
            self.from.take_back(unparked, Supply::Source, left, all);
        }
        NIL
    }
}

/// Runs transfers side by side until all are done. The fiber parks when none can advance.
pub(super) fn run(
    unparked: &mut Unparked,
    transfers: &mut [Transfer],
    mut tell: impl FnMut(&mut Unparked, &[Transfer]) -> Outcome<()>,
) -> Outcome<()> {
    loop {
        let (mut progress, before) = (false, moved(transfers));
        for transfer in transfers.iter_mut() {
            progress |= transfer.advance(unparked)?;
        }
        tell(unparked, transfers)?;
        if transfers.iter().all(|transfer| transfer.finished) {
            return Ok(());
        }
        if progress {
            unparked.take_turns_after(moved(transfers) - before)?;
            continue;
        }
        unparked.park()?;
    }
}

fn moved(transfers: &[Transfer]) -> u64 {
    transfers.iter().map(Transfer::moved).sum()
}
