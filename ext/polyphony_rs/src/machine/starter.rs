//! Starters: fibers whose only work is to start spun fibers, so that those give their stacks
//! back when they end.
//!
//! Ruby returns the stack of a fiber to its pool at once only where the fiber that has *resumed*
//! it sees it end; that of a fiber that was transferred to stays until the GC frees the object
//! (10,000 empty fibers: 280 MB against 39, and 9 µs each against 3). So a spun fiber is resumed
//! by a starter. It parks by transferring away, as all do, and its starter stays behind it,
//! suspended, until it ends: then control comes back to the starter, which goes on with the
//! runqueue like any parking fiber, or waits among the idle ones for the next fiber to start.
//!
//! A starter behind a parked fiber costs a stack. Their number is bounded; beyond it, fibers are
//! started by a transfer, and the GC returns their stacks.

use std::os::raw::c_int;
use std::sync::atomic::{AtomicU64, Ordering};

use rb_sys::VALUE;

use super::park::{Resume, Turn};
use super::runqueue::{Entry, Kind};
use super::{Machine, State};
use crate::errors::{Outcome, Raise};
use crate::ruby::method::guard;
use crate::ruby::{NIL, fiber, typed};

/// Most starters of a machine: fibers with a starter behind them, at one time.
const MAX_STARTERS: usize = 128;

/// What starters do, as a Proc. The only one: a function that becomes a Proc in a fiber whose body is
/// a function as well is given that body's special variables (`$~`) along, and from 4.0 on Ruby looks
/// at them, long after the frame that they were in has gone.
static BODY: AtomicU64 = AtomicU64::new(0);

/// Makes it; during initialisation.
pub(super) fn init() {
    let body = fiber::body(Some(starter_body));
    typed::keep(body);
    BODY.store(body, Ordering::Relaxed);
}

/// The starters of a machine.
#[derive(Default)]
pub(super) struct Starters {
    idle: Vec<VALUE>,
    count: usize,
}

impl Starters {
    pub(super) fn mark(&self) {
        self.idle.iter().copied().for_each(typed::mark);
    }
}

impl Machine {
    /// Switches to a fiber that was not started yet. Comes back as from a transfer.
    pub(super) fn start(&self, fiber: VALUE, argument: VALUE) -> Outcome {
        let starter = self.state.borrow_mut().starters.idle.pop();
        let Some(starter) = starter else { return fiber::transfer(fiber, &[argument]) };
        let assigned = Some((fiber, argument));
        self.assigned.set(assigned);
        // The machine's own object, for one that begins: it outlives its fibers, as they are on its
        // runqueue.
        match fiber::transfer(starter, &[self.object.get()]) {
            // There was no stack for the starter: it has to be done without.
            Err(Raise::Exception(error))
                if fiber::is_switch_error(error) && self.assigned.get() == assigned =>
            {
                self.assigned.set(None);
                self.state.borrow_mut().starters.idle.push(starter);
                fiber::transfer(fiber, &[argument])
            }
            came_back => came_back,
        }
    }

    /// Makes a starter where the next turn will want one. Not when that turn has been taken: Ruby
    /// may handle an interrupt here, and the turn would be lost with what that raises.
    pub(super) fn prepare_start(&self, me: VALUE) -> Outcome<()> {
        {
            let state = &mut *self.state.borrow_mut();
            let starts = matches!(state.queues.run.front(), Some(Entry { kind: Kind::Start, .. }));
            let starters = &mut state.starters;
            if !starts || !starters.idle.is_empty() || starters.count >= MAX_STARTERS {
                return Ok(());
            }
            starters.count += 1;
        }
        let made = fiber::new_of(fiber::class(), BODY.load(Ordering::Relaxed));
        match made {
            Ok(starter) => {
                self.state.borrow_mut().starters.idle.push(starter);
                Ok(())
            }
            Err(raise) => {
                self.state.borrow_mut().starters.count -= 1;
                match raise {
                    // No memory for its stack: it has to be done without.
                    Raise::Exception(error) if fiber::is_switch_error(error) => Ok(()),
                    raise => self.interrupt(me, raise),
                }
            }
        }
    }

    /// The life of a starter. It ends where the root fiber waits for control by other means than
    /// the machine's (it has called `Fiber#raise`, or resumed another fiber): Ruby then passes
    /// control on to it, or to the fiber that it has resumed.
    fn run_starter(&self, me: VALUE) -> Outcome<()> {
        loop {
            if let Some((fiber, argument)) = self.assigned.take() {
                self.resume_to_end(me, fiber, argument)?;
                if !self.root_parked.get() {
                    return Ok(());
                }
                continue;
            }
            let turn = match self.next_turn(me) {
                Ok(turn) => turn,
                Err(raise) => {
                    self.interrupt(me, raise)?;
                    continue;
                }
            };
            if turn.start {
                self.resumed.set(Some((turn.fiber, turn.resume)));
                self.assigned.set(Some((turn.fiber, turn.argument())));
                continue;
            }
            self.state.borrow_mut().starters.idle.push(me);
            match self.switch_to(me, turn) {
                Ok(_) => self.no_longer_idle(me),
                Err(raise) => {
                    self.no_longer_idle(me);
                    self.interrupt(me, raise)?;
                }
            }
        }
    }

    /// A starter that runs is not idle, also where nobody has picked it (the switch failed).
    fn no_longer_idle(&self, me: VALUE) {
        let State { starters, .. } = &mut *self.state.borrow_mut();
        if starters.idle.last() == Some(&me) {
            starters.idle.pop();
        } else {
            starters.idle.retain(|starter| *starter != me);
        }
    }

    /// Resumes a fiber; comes back when it has ended.
    fn resume_to_end(&self, me: VALUE, fiber: VALUE, argument: VALUE) -> Outcome<()> {
        let mut ended = fiber::resume(fiber, argument);
        loop {
            match ended {
                Ok(_) => {}
                // It never started: it was killed before, say, or there is no stack for it.
                Err(Raise::Exception(exception)) if fiber::is_switch_error(exception) => {
                    self.fail_to_start(fiber, exception);
                    return Ok(());
                }
                Err(raise) => self.interrupt(me, raise)?,
            }
            if !fiber::alive(fiber) || self.take_turn(fiber).is_some() {
                return Ok(());
            }
            // It called Fiber.yield, with nobody but a starter to yield to.
            let error = Raise::fiber_error("attempt to yield on a not resumed fiber");
            ended = fiber::raise(fiber, error.into_exception().unwrap_or(NIL));
        }
    }
}

unsafe extern "C" fn starter_body(
    machine: VALUE,
    _data: VALUE,
    _argc: c_int,
    _argv: *const VALUE,
    _block: VALUE,
) -> VALUE {
    guard(|| {
        let machine = Machine::any(machine)?;
        let ended = machine.run_starter(fiber::current());
        machine.state.borrow_mut().starters.count -= 1;
        ended.map(|()| NIL)
    })
}

impl Turn {
    /// What the fiber is switched to with.
    pub(super) fn argument(&self) -> VALUE {
        match self.resume {
            Resume::Value(value) => value,
            _ => NIL,
        }
    }
}
