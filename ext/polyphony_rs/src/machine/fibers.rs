//! Making fibers run: `spin`, `schedule`, `snooze`, `yield`, `switch`, `terminate`, `wakeup`.

use rb_sys::VALUE;

use super::runqueue::{Entry, Kind};
use super::spun::{self, Uncaught};
use super::{Interruption, Machine};
use crate::errors::{Outcome, Raise};
use crate::ruby::method::{Args, define, method};
use crate::ruby::{NIL, fiber, value};

impl Machine {
    /// A fiber for `body`, runnable at once, but not run before the caller waits.
    pub(crate) fn spin(this: VALUE, body: VALUE, argument: VALUE, class: VALUE) -> Outcome {
        let machine = Self::of(this)?;
        let (_, spun) = spun::create(this, body, class, Uncaught::Keep)?;
        machine.schedule_start(spun.fiber(), argument);
        Ok(spun.fiber())
    }

    /// A fiber for `body`, run at once up to its first wait; what it fails with is reported.
    pub(crate) fn spin_now(this: VALUE, body: VALUE, scheduler: VALUE) -> Outcome {
        let machine = Self::of(this)?;
        let (_, spun) = spun::create(this, body, fiber::class(), Uncaught::Report(scheduler))?;
        machine.start_now(spun.fiber(), NIL)?;
        Ok(spun.fiber())
    }

    /// Lets the others run; comes back behind them.
    pub(crate) fn snooze(&self) -> Outcome {
        self.schedule(fiber::current(), NIL);
        self.yield_turn()
    }

    /// Parks until scheduled: the value it is scheduled with, or its exception.
    pub(crate) fn yield_turn(&self) -> Outcome {
        loop {
            match self.park_interruptible() {
                None => {}
                Some(Interruption::Value(value)) => return Ok(value),
                Some(Interruption::Raise(raise)) => return Err(raise),
            }
        }
    }

    /// Whether a fiber is on the runqueue.
    pub(crate) fn will_run(&self, fiber: VALUE) -> bool {
        let state = self.state().borrow();
        let runs = |entry: &Entry| match entry.kind {
            Kind::Op(key) => state.driver.ops().data(key).is_some_and(|op| op.fiber == fiber),
            _ => entry.fiber == fiber,
        };
        state.queues.run.iter().any(runs)
    }

    /// The same, but the root fiber also comes back when nothing is left to wait for.
    pub(crate) fn suspend(&self) -> Outcome {
        if fiber::current() != self.root() {
            return self.yield_turn();
        }
        let outer = self.idle_watcher.replace(self.root());
        let outcome = loop {
            match self.park_interruptible() {
                None if self.has_work() => {}
                None => break Ok(NIL),
                Some(interruption) => break interruption.conclude(),
            }
        };
        self.idle_watcher.set(outer);
        outcome
    }
}

fn spin(this: VALUE, args: Args) -> Outcome {
    let args = args.expect(0, 2)?;
    let body = value::block()?;
    let class = match args.get(1) {
        NIL => fiber::class(),
        class if fiber::is_fiber_class(class) => class,
        _ => return Err(Raise::type_error("class must be Fiber or a subclass of it")),
    };
    Machine::spin(this, body, args.get(0), class)
}

/// `prepare { … }`: a fiber that is not runnable, for `start`.
fn prepare(this: VALUE) -> Outcome {
    Machine::of(this)?;
    let (_, spun) = spun::prepare(this, value::block()?, fiber::class(), Uncaught::Keep)?;
    Ok(spun.fiber())
}

/// Runs a fiber that was prepared, or spun and has not had its first turn yet, at once, up to its
/// first wait.
fn start(this: VALUE, fresh: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    check_fiber(fresh)?;
    let argument = argument_of_start(machine, this, fresh).ok_or_else(|| {
        Raise::um_error("this fiber is none of this machine, or is started already")
    })?;
    machine.start_now(fresh, argument)?;
    Ok(this)
}

/// What a fiber that was not started yet begins with.
fn argument_of_start(machine: &Machine, object: VALUE, fresh: VALUE) -> Option<VALUE> {
    spun::Spun::of(fresh).filter(|spun| spun.machine() == object && !spun.is_done())?;
    let state = &mut *machine.state().borrow_mut();
    let was_prepared = state.fibers.insert(fresh);
    if was_prepared { Some(NIL) } else { state.queues.take_start(fresh) }
}

/// Runs the block in the running fiber as the body of `fiber` (for schedulers of one's own).
fn run(this: VALUE, of: VALUE) -> Outcome {
    Machine::of(this)?;
    if !value::is_fiber(of) {
        return Err(Raise::type_error("a Fiber is needed"));
    }
    let body = value::block()?;
    let spun = spun::adopt(this, of)?;
    spun::run(of, spun, || fiber::call_proc(body, NIL))?;
    Ok(of)
}

fn schedule(this: VALUE, target: VALUE, with: VALUE) -> Outcome {
    let machine = Machine::any(this)?;
    check_fiber(target)?;
    if !machine.survives_fork() {
        return Err(Raise::um_error("this machine was made before a fork"));
    }
    machine.schedule(target, with);
    Ok(this)
}

fn snooze(this: VALUE) -> Outcome {
    Machine::of(this)?.snooze()
}

/// Parks until scheduled, and shows as pending meanwhile.
fn yield_turn(this: VALUE) -> Outcome {
    let machine = Machine::of(this)?;
    let me = fiber::current();
    {
        let state = &mut *machine.state().borrow_mut();
        state.yielding.insert(me, state.driver.now());
    }
    let outcome = machine.yield_turn();
    machine.state().borrow_mut().yielding.remove(&me);
    outcome
}

/// Parks until scheduled.
fn switch(this: VALUE) -> Outcome {
    Machine::of(this)?.yield_turn()
}

/// Schedules `UM::Terminate` into each fiber that has not ended.
fn terminate(this: VALUE, args: Args) -> Outcome {
    let machine = Machine::of(this)?;
    let module = value::call(this, c"class", &[])?;
    let exception = value::call(module, c"const_get", &[value::symbol(c"TERMINATE_EXCEPTION")])?;
    let targets = flatten(args)?;
    for index in 0..value::array_len(targets) {
        let target = value::at(targets, index);
        check_fiber(target)?;
        if fiber::alive(target) {
            machine.schedule(target, exception);
        }
    }
    Ok(this)
}

/// TypeError for what is no fiber, or one that was allocated and not initialized.
fn check_fiber(target: VALUE) -> Outcome<()> {
    if value::is_fiber(target) && fiber::is_initialized(target) {
        return Ok(());
    }
    Err(Raise::type_error("a Fiber is needed"))
}

/// Fibers given one by one, or as one Enumerable: an Array of our own, which keeps them.
pub(super) fn flatten(args: Args) -> Outcome {
    let given = args.all();
    let [only] = given else { return Ok(value::array_of(given)) };
    if value::is_fiber(*only) || value::is_proc(*only) {
        return Ok(value::array_of(given));
    }
    let error = || Raise::type_error("fibers, procs or an Enumerable of them are needed");
    if *only == NIL || !value::responds_to(*only, c"to_a") {
        return Err(error());
    }
    let items = value::call(*only, c"to_a", &[])?;
    if !value::is_array(items) {
        return Err(error());
    }
    Ok(value::copy_of(items))
}

/// From any thread: a waiting machine looks at its runqueue.
fn wakeup(this: VALUE) -> Outcome {
    Machine::any(this)?.wake_if_waiting();
    Ok(NIL)
}

fn fiber_set(this: VALUE) -> Outcome {
    let fibers: Vec<_> = Machine::any(this)?.state().borrow().fibers.iter().copied().collect();
    let array = value::array_of(&fibers);
    value::call(array, c"to_set", &[])
}

pub(super) fn init(class: VALUE) {
    define(class, c"spin", method!(spin, -1));
    define(class, c"prepare", method!(prepare, 0));
    define(class, c"start", method!(start, 1));
    define(class, c"run", method!(run, 1));
    define(class, c"schedule", method!(schedule, 2));
    define(class, c"snooze", method!(snooze, 0));
    define(class, c"yield", method!(yield_turn, 0));
    define(class, c"switch", method!(switch, 0));
    define(class, c"terminate", method!(terminate, -1));
    define(class, c"wakeup", method!(wakeup, 0));
    define(class, c"fiber_set", method!(fiber_set, 0));
}
