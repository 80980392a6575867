//! Waiting for bytes.

use polyphony_core::stream::{Answer, Ask, Found};
use rb_sys::VALUE;

use super::UmIo;
use crate::errors::{Outcome, Raise};
use crate::machine::line::{Place, Turned};
use crate::machine::ssl::Connection;
use crate::machine::{Interruption, Machine, State, Waiter};
use crate::ruby::buffer::Loan;
use crate::ruby::{NIL, fiber};

/// What a reader gets, or what it was interrupted with.
pub(super) type Read<T> = Result<T, Interruption>;

/// An IO that the running fiber reads, and nobody else meanwhile.
pub(super) struct Reader {
    pub(super) io: &'static UmIo,
    pub(super) machine: &'static Machine,
}

/// Reads from an IO, after those who came before.
pub(super) fn read_in_turn(this: VALUE, body: impl FnOnce(&Reader) -> Read<VALUE>) -> Outcome {
    in_turn(this, |reader| {
        reader.io.check_not_amid_reply()?;
        body(reader)
    })
}

/// The same, also amid a reply.
pub(super) fn in_turn(this: VALUE, body: impl FnOnce(&Reader) -> Read<VALUE>) -> Outcome {
    let io = UmIo::of(this)?;
    let machine = io.machine()?;
    let read = io.enter(this).and_then(|()| {
        let read = body(&Reader { io, machine });
        io.leave();
        read
    });
    match read {
        Ok(value) => Ok(value),
        Err(interruption) => interruption.conclude(),
    }
}

impl UmIo {
    /// Makes the running fiber the one that reads, when its turn has come.
    fn enter(&self, this: VALUE) -> Read<()> {
        let me = fiber::current();
        match self.reader.get() {
            NIL => self.reader.set(me),
            reader if reader == me => {
                return Err(
                    Raise::um_error("deadlock: this fiber reads from this IO already").into()
                );
            }
            _ => {
                // All who read are of one thread: its end leaves nobody in line.
                let place = Place { object: this, pass_on: |_| {} };
                let turned = self.line.wait(self.machine, "read", place)?;
                if let Turned::Interrupted(interruption, _) = turned {
                    if self.reader.get() == me {
                        self.leave();
                    }
                    return Err(interruption);
                }
            }
        }
        Ok(())
    }

    /// Hands over to the next in line, so that nobody overtakes those who wait.
    fn leave(&self) {
        self.reader.set(self.line.call_next().map_or(NIL, |holder| holder.fiber));
    }
}

impl Reader {
    /// Waits for what was asked for; `None` where there is no such thing.
    pub(super) fn find(&self, ask: Ask) -> Read<Option<Found>> {
        loop {
            let answer =
                self.io.with_stream(self.machine, |stream, buffers| stream.look(ask, buffers))?;
            match answer {
                Answer::Ready(found) => return Ok(Some(found)),
                Answer::Nothing => return Ok(None),
                Answer::NeedMore(count) => self.fill(count)?,
            }
        }
    }

    /// Waits until something has come, `count` bytes as a rule.
    pub(super) fn fill(&self, count: usize) -> Read<()> {
        if self.io.socket != NIL {
            return self.fill_from_tls();
        }
        let waiter = Waiter::new(fiber::current(), Loan::NONE);
        let settled = self.io.with_inlet(self.machine, |inlet, State { driver, .. }| {
            // Ended while nobody waited.
            if inlet.settle(driver) {
                return Ok(true);
            }
            let me = waiter.fiber;
            let key = inlet.op(driver, waiter)?;
            if let Some(waiter) = driver.ops_mut().data_mut(key) {
                waiter.fiber = me;
            }
            if let Some((stream, buffers)) = driver.stream(inlet.stream()) {
                stream.make_room(buffers);
                stream.set_awaited(Some(count));
            }
            Ok(false)
        });
        if settled.map_err(|error: polyphony_core::error::SubmitError| Raise::from(error))? {
            return Ok(());
        }
        let interruption = self.machine.park_interruptible();
        self.io.with_inlet(self.machine, |inlet, State { driver, .. }| {
            if let Some((stream, _)) = driver.stream(inlet.stream()) {
                stream.set_awaited(None);
            }
            inlet.settle(driver);
            if let Some(key) = inlet.key() {
                if let Some(waiter) = driver.ops_mut().data_mut(key) {
                    waiter.fiber = NIL;
                }
            }
        });
        interruption.map_or(Ok(()), Err)
    }

    fn fill_from_tls(&self) -> Read<()> {
        let connection = Connection::open(self.io.machine, self.io.socket)?;
        let chunk = connection.read_chunk()?;
        self.io.with_stream(self.machine, |stream, _| match chunk {
            Some(bytes) => stream.feed_bytes(bytes),
            None => stream.end(),
        })?;
        Ok(())
    }
}
