//! A stream where a machine lets its fiber wait: reading, computing and writing at the same time,
//! by one fiber.

use polyphony_core::op::{OpKey, Progress, Read, Write};
use polyphony_core::source;

use super::super::ends::End;
use super::super::flight::{Flight, Landed, Side, Stopped};
use super::super::unparked::Unparked;
use super::Transfer;
use super::stream::Held;
use crate::errors::Outcome;
use crate::machine::{CURRENT_POSITION, op_len, value_of};

/// Less input than this is worked on at once: handing it to a thread would take longer.
const INLINE: usize = 2048;

/// What is in flight for a stream, but for what workers do.
struct Run<'a> {
    unparked: &'a mut Unparked,
    held: Held,
    flights: [Option<Flight>; 2],
    /// Runs out when the source is silent for long.
    silence: Option<OpKey>,
    /// Something was read that no flush has put out.
    fresh: bool,
}

/// Runs to the stream's end. Nothing is in flight afterwards but work that nobody waits for.
pub(super) fn run(unparked: &mut Unparked, transfer: &mut Transfer, held: Held) -> Outcome<()> {
    let ends = [transfer.from.end(), transfer.to.end()];
    let ends: Vec<&End> = ends.into_iter().flatten().collect();
    unparked.hear(&ends);
    drop(ends);
    let mut run = Run { unparked, held, flights: [None, None], silence: None, fresh: false };
    let outcome = run.go_on(transfer);
    run.close();
    outcome
}

impl Run<'_> {
    fn go_on(&mut self, transfer: &mut Transfer) -> Outcome<()> {
        loop {
            let mut progress = self.collect(transfer)?;
            progress |= self.compute();
            progress |= self.write(transfer)?;
            progress |= self.read(transfer)?;
            self.unparked.run(|| transfer.report(self.held))?;
            if transfer.has_ended(self.held) {
                return Ok(());
            }
            if progress {
                self.unparked.take_turns_after(0)?;
                continue;
            }
            self.expect_silence(transfer);
            self.unparked.park()?;
        }
    }

    /// Takes in what ops and workers have brought.
    fn collect(&mut self, transfer: &Transfer) -> Outcome<bool> {
        let mut progress = self.collect_work()?;
        for (side, end) in [(Side::In, transfer.from.end()), (Side::Out, transfer.to.end())] {
            if let Some(end) = end {
                progress |= self.collect_flight(side, end)?;
            }
        }
        if let Some(key) = self.silence {
            if !matches!(self.unparked.take(key), Progress::Pending) {
                self.end_silence();
                self.fresh = false;
                self.held.flush();
                progress = true;
            }
        }
        Ok(progress)
    }

    fn collect_work(&self) -> Outcome<bool> {
        let mut lost = None;
        let progress = self.held.with(|parts| {
            let before = parts.working.len();
            for (key, slot) in std::mem::take(&mut parts.working) {
                match self.unparked.take(key) {
                    Progress::Pending | Progress::TimedOut => parts.working.push((key, slot)),
                    Progress::Result(..) | Progress::Gone => match value_of(&slot) {
                        Ok(worked) => parts.pump.was_worked(worked),
                        Err(raise) => lost = Some(raise),
                    },
                }
            }
            parts.working.len() < before
        });
        lost.map_or(Ok(progress.unwrap_or(false)), Err)
    }

    fn collect_flight(&mut self, side: Side, end: &End) -> Outcome<bool> {
        let Some(flight) = &mut self.flights[side as usize] else { return Ok(false) };
        let Some(landed) = flight.take(self.unparked)? else { return Ok(false) };
        self.flights[side as usize] = None;
        let moved = match landed {
            Landed::Ready(Err(errno)) => return Err(end.failure(errno)),
            Landed::Ready(Ok(())) => Err(libc::EINTR),
            Landed::Moved(moved) => moved,
        };
        match moved {
            // An empty datagram: another one may come.
            Ok(0) if side == Side::In && !source::is_end(end.fd(self.unparked)?.number()) => {
                self.submit(side, end)?;
            }
            Ok(count) => self.moved(side, count),
            // Once more.
            Err(libc::EINTR) => self.submit(side, end)?,
            // Some kernels don't wait on a descriptor that has O_NONBLOCK.
            Err(libc::EAGAIN) => {
                let watch = self.unparked.watch(end, side.events())?;
                self.flights[side as usize] = Some(Flight::Poll(watch));
            }
            Err(errno) => return Err(end.failure(errno)),
        }
        Ok(true)
    }

    fn moved(&mut self, side: Side, count: usize) {
        match side {
            Side::In => {
                self.end_silence();
                self.fresh = count > 0;
                self.held.was_read(count);
            }
            Side::Out => self.held.was_written(count),
        }
    }

    /// Works on little, and has workers do the rest; whether anything was done.
    fn compute(&self) -> bool {
        let mut progress = false;
        while let Some(work) = self.held.with(|parts| parts.pump.take_work()).flatten() {
            if work.len() < INLINE {
                let worked = work.run();
                self.held.with(|parts| parts.pump.was_worked(worked));
                progress = true;
            } else {
                let job = self.unparked.offload(move || work.run());
                self.held.with(|parts| parts.working.push(job));
            }
        }
        progress
    }

    /// Begins a write, or makes one that needs no ring; whether it was made.
    fn write(&mut self, transfer: &Transfer) -> Outcome<bool> {
        if self.flights[Side::Out as usize].is_some() {
            return Ok(false);
        }
        let Some(bytes) = self.held.take_output() else { return Ok(false) };
        if let Some(end) = transfer.to.end() {
            self.submit(Side::Out, end)?;
            return Ok(false);
        }
        // SAFETY: the piece stays in the stream until it is written.
        let count = self.unparked.run(|| unsafe { transfer.to.take(bytes) })?;
        self.held.was_written(count);
        Ok(true)
    }

    /// Begins a read, or makes one that needs no ring; whether it was made.
    fn read(&mut self, transfer: &mut Transfer) -> Outcome<bool> {
        if self.flights[Side::In as usize].is_some() {
            return Ok(false);
        }
        let Some(max) = self.held.take_buffer() else { return Ok(false) };
        if !self.unparked.run(|| transfer.from.refill(max))? {
            if let Some(end) = transfer.from.end() {
                self.flush_if_synchronous(transfer);
                self.submit(Side::In, end)?;
            }
            return Ok(false);
        }
        self.fresh = self.held.was_supplied(&mut transfer.from) > 0;
        self.flush_if_synchronous(transfer);
        Ok(true)
    }

    /// Before the source may be waited for.
    fn flush_if_synchronous(&mut self, transfer: &Transfer) {
        if self.fresh && transfer.is_synchronous() {
            self.fresh = false;
            self.held.flush();
        }
    }

    /// Queues a move between an end and the stream's buffer.
    fn submit(&mut self, side: Side, end: &End) -> Outcome<()> {
        let held = self.held;
        let (fd, deadline) = (end.fd(self.unparked)?.number(), end.deadline()?);
        let key = match side {
            Side::In => {
                let buffer = held.with(|parts| {
                    parts.reading.as_mut().map(|buffer| (buffer.as_mut_ptr(), buffer.len()))
                });
                let Some((ptr, len)) = buffer.flatten() else { return Ok(()) };
                let op = Read { fd, ptr, len: op_len(len), offset: CURRENT_POSITION };
                // SAFETY: the loan keeps the stream, which keeps the buffer until the op has ended.
                unsafe { self.unparked.submit(op, held.loan()) }?
            }
            Side::Out => {
                let Some(bytes) = held.take_output() else { return Ok(()) };
                let (ptr, len) = (bytes.cast::<u8>(), op_len(bytes.len()));
                let op = Write { fd, ptr, len, offset: CURRENT_POSITION };
                // SAFETY: as above.
                unsafe { self.unparked.submit(op, held.loan()) }?
            }
        };
        self.unparked.set_deadline(key, deadline);
        self.flights[side as usize] = Some(Flight::Move(key));
        Ok(())
    }

    /// Has the fiber woken should the source be silent for long.
    fn expect_silence(&mut self, transfer: &Transfer) {
        let reading = self.flights[Side::In as usize].is_some();
        if reading && self.fresh && self.silence.is_none() && transfer.waits_for_silence() {
            self.silence = Some(self.unparked.start_timer("silence", super::SILENCE));
        }
    }

    fn end_silence(&mut self) {
        if let Some(key) = self.silence.take() {
            self.unparked.abandon(key);
        }
    }

    /// Ends what is in flight. What was written all the same counts.
    fn close(&mut self) {
        self.end_silence();
        for side in [Side::Out, Side::In] {
            let Some(flight) = self.flights[side as usize].take() else { continue };
            match (side, flight.stop(self.unparked)) {
                (Side::Out, Stopped::Moved(Ok(count))) => self.held.was_written(count),
                (_, Stopped::Left) => self.held.leave(),
                (_, Stopped::Moved(_) | Stopped::Poll) => {}
            }
        }
        let working = self.held.with(|parts| std::mem::take(&mut parts.working));
        for (key, _) in working.into_iter().flatten() {
            self.unparked.abandon(key);
        }
    }
}
