//! Machines whose fibers are run by a loop that is none of ours.
//!
//! Whoever parks in such a machine switches to the loop's fiber, and to nobody else. The loop has
//! the machine take in what is ready, or wait for it, and then gives every fiber its turn. It runs
//! fibers for reasons of its own as well, and may transfer to one that is parked in here.

use rb_sys::VALUE;

use super::Machine;
use super::park::{Resume, Turn};
use crate::errors::{Outcome, Raise};
use crate::ruby::{NIL, fiber, value};

impl Machine {
    /// A machine for a loop that runs in `loop_fiber`.
    pub(crate) fn create_hosted(loop_fiber: VALUE) -> Outcome {
        let object = Self::create()?;
        let machine = Self::of(object)?;
        machine.root.set(loop_fiber);
        machine.host.set(loop_fiber);
        Ok(object)
    }

    /// Whether somebody else's loop runs the fibers; it keeps their time, too.
    pub(crate) fn is_hosted(&self) -> bool {
        self.host.get() != NIL
    }

    /// Suspends the running fiber until something is transferred to it. `Unblock`: not by the
    /// machine.
    pub(super) fn park_in_host(&self, me: VALUE) -> Outcome<Resume> {
        if me == self.host.get() {
            return Err(Raise::fiber_error("the event loop's own fiber can't wait"));
        }
        let came_back = fiber::transfer(self.host.get(), &[]);
        let turn = self.take_turn(me);
        came_back?;
        Ok(turn.unwrap_or(Resume::Unblock))
    }

    /// Gives their turns to fibers with something to go on with; how many had one. The loop's
    /// fiber.
    pub(crate) fn give_turns(&self) -> Outcome<usize> {
        let mut given = 0;
        while let Some(turn) = self.pop_turn() {
            given += 1;
            self.give_turn(&turn)?;
        }
        Ok(given)
    }

    fn give_turn(&self, turn: &Turn) -> Outcome<()> {
        if !fiber::alive(turn.fiber) {
            return Ok(());
        }
        let came_back = match turn.resume {
            // Put off while an op of its was being cancelled. By now it may wait for something
            // that the machine knows nothing of.
            Resume::Value(exception) if value::is_exception(exception) => {
                fiber::raise(turn.fiber, exception)
            }
            resume => {
                self.resumed.set(Some((turn.fiber, resume)));
                fiber::transfer(turn.fiber, &[])
            }
        };
        self.resumed.set(None);
        came_back.map(drop)
    }

    /// Waits until a fiber has something to go on with, for so many nanoseconds at most, or until
    /// another thread wakes the loop.
    pub(crate) fn wait_in_host(&self, limit: Option<u64>) -> Outcome<()> {
        self.wait(fiber::current(), limit).map(drop)
    }

    /// Ends the wait of the loop, from any thread; whether it waited.
    pub(crate) fn wake_host(&self) -> bool {
        self.wake_if_waiting();
        self.waiting.get()
    }
}
