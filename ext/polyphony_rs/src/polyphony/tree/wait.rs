//! Waiting for fibers: all of them, or the first.

use rb_sys::VALUE;

use super::exceptions::Meaning;
use super::{exceptions, known, life};
use crate::errors::{Outcome, Raise};
use crate::machine::node::{self, Kind, Mark, Node};
use crate::machine::spun::Spun;
use crate::machine::{Interruption, Machine, OnInterrupt, Role, Waited};
use crate::polyphony::current_machine;
use crate::ruby::method::{Args, define, define_singleton, method};
use crate::ruby::{NIL, fiber, value};

/// The fibers that are waited for: the record of one, or an Array of ours of several.
#[derive(Clone, Copy)]
enum Fibers {
    One(&'static Spun),
    All(VALUE),
}

/// What ends the wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Each of them has ended, or one has failed.
    AllOrFailure,
    /// Each of them has ended.
    All,
    /// One of them has ended.
    First,
}

impl Fibers {
    /// Fibers given one by one, or as one Array.
    fn of(args: Args) -> Outcome<Self> {
        let given = match args.all() {
            [list] if value::is_array(*list) => *list,
            given => value::array_of(given),
        };
        let records = value::hidden_array();
        for index in 0..value::array_len(given) {
            value::push(records, awaitable(value::at(given, index))?.0);
        }
        Ok(Self::All(records))
    }

    fn len(self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::All(records) => value::array_len(records),
        }
    }

    fn each(self) -> impl Iterator<Item = &'static Spun> {
        (0..self.len()).filter_map(move |index| match self {
            Self::One(spun) => Some(spun),
            Self::All(records) => node::linked(value::at(records, index)),
        })
    }

    fn running(self) -> impl Iterator<Item = &'static Spun> {
        self.each().filter(|spun| !spun.is_done())
    }

    fn failed(self) -> Option<&'static Spun> {
        let failed = |node: &Node| node.has(Mark::Failed) && !node.has(Mark::Settled);
        self.each().find(|spun| spun.is_done() && failed(spun.node()))
    }

    fn are_over(self, until: Until) -> bool {
        match until {
            Until::First => self.each().any(Spun::is_done),
            Until::All => self.running().next().is_none(),
            Until::AllOrFailure => self.running().next().is_none() || self.failed().is_some(),
        }
    }

    /// The machine that lets the caller wait: that of the first of them where it is this thread's,
    /// which takes no look at the running fiber.
    fn machine(self) -> Outcome<(VALUE, &'static Machine)> {
        if let Some(spun) = self.each().next() {
            if let Ok(machine) = Machine::of(spun.machine()) {
                return Ok((spun.machine(), machine));
            }
        }
        let own = current_machine()?;
        Machine::of(own).map(|machine| (own, machine))
    }

    /// Waits for them; meanwhile their exceptions are the caller's, not their parents'. A plain
    /// value that the caller is scheduled with doesn't end the wait.
    fn wait(self, until: Until) -> Outcome<()> {
        if self.len() == 0 || self.are_over(until) {
            return Ok(());
        }
        let (object, machine) = self.machine()?;
        self.each().for_each(|spun| spun.node().await_begins());
        let ended = loop {
            let ended = self.wait_once(object, machine, until);
            if ended.is_err() || self.are_over(until) {
                break ended;
            }
        };
        self.each().for_each(|spun| spun.node().await_ends());
        if ended.is_err() {
            // The caller never gets what has come up in the meantime.
            self.each().filter(|spun| spun.is_done()).for_each(life::pass_on);
        }
        ended
    }

    fn wait_once(self, object: VALUE, machine: &Machine, until: Until) -> Outcome<()> {
        let count = if until == Until::First { 1 } else { self.running().count() };
        let key = machine.start_local("join", None, Role::Join(count));
        machine.count_op();
        for spun in self.running() {
            match until {
                Until::AllOrFailure => spun.listen_for_failure(object, key),
                Until::All | Until::First => spun.listen(object, key),
            }
        }
        let waited = machine.wait_for(key, OnInterrupt::Abandon);
        self.running().for_each(|spun| spun.forget(object, key));
        match waited {
            Waited::Interrupted(Interruption::Raise(raise), _) => Err(raise),
            Waited::Interrupted(Interruption::Value(_), _) | Waited::Done(_) | Waited::TimedOut => {
                Ok(())
            }
        }
    }

    /// Waits for all: their values, or the first failure.
    fn values(self) -> Outcome {
        self.wait(Until::AllOrFailure)?;
        if let Some(failed) = self.failed() {
            return self.fail(failed);
        }
        let values = value::array_with_capacity(self.len());
        self.each().for_each(|spun| value::push(values, spun.result()));
        Ok(values)
    }

    /// Keeps the fibers no longer. A word that the GC takes for a reference to the Array may stay
    /// on the stack for long.
    fn forget(self) {
        if let Self::All(records) = self {
            value::clear_array(records);
        }
    }

    /// Ends those that still run, waits for them, and raises what one of them has failed with.
    fn fail(self, failed: &Spun) -> Outcome {
        if self.running().next().is_some() {
            let exception = exceptions::terminate()?;
            for spun in self.running() {
                ask(spun, exception)?;
            }
            self.wait(Until::All)?;
        }
        self.each().for_each(|spun| spun.node().set(Mark::Told));
        Err(Raise::Exception(failed.result()))
    }
}

/// The record of a fiber that the caller may wait for.
fn awaitable(target: VALUE) -> Outcome<(VALUE, &'static Spun)> {
    let known = known::spun(target)?;
    if target == fiber::current() {
        return Err(Raise::fiber_error("a fiber can't wait for itself"));
    }
    Ok(known)
}

/// Asks a fiber to end; not once more where that is still on its way.
pub(super) fn ask(spun: &Spun, exception: VALUE) -> Outcome<()> {
    let node = spun.node();
    if node.has(Mark::Pending) || spun.is_done() {
        return Ok(());
    }
    node.set(Mark::Asked);
    if node.kind() == Kind::Spun && !node.has(Mark::Started) {
        // It needs no stack to end on.
        if let Meaning::End(value) = exceptions::meaning(exception) {
            return spun.end_unstarted(value);
        }
    }
    node.set(Mark::Pending);
    node::schedule(spun, exception, false)
}

/// `Fiber.await(*fibers)`
fn await_all(_class: VALUE, args: Args) -> Outcome {
    let fibers = Fibers::of(args)?;
    let values = fibers.values();
    fibers.forget();
    values
}

/// `Fiber.select(*fibers)`: the first to end, and its value.
fn select(_class: VALUE, args: Args) -> Outcome {
    let fibers = Fibers::of(args)?;
    let ended =
        fibers.wait(Until::First).and_then(|()| match fibers.each().find(|spun| spun.is_done()) {
            Some(spun) => Ok(value::array_of(&[spun.fiber(), value_of(spun)?])),
            None => Ok(NIL),
        });
    // Another one may have failed in the same moment.
    fibers.each().filter(|spun| spun.is_done()).for_each(life::pass_on);
    fibers.forget();
    ended
}

/// `fiber.await`
fn await_one(this: VALUE) -> Outcome {
    let (record, spun) = awaitable(this)?;
    if !spun.is_done() {
        Fibers::One(spun).wait(Until::All)?;
    }
    // It is what keeps `spun`.
    std::hint::black_box(record);
    value_of(spun)
}

fn value_of(spun: &Spun) -> Outcome {
    if !spun.node().has(Mark::Failed) || !spun.node().is_known() {
        return Ok(spun.result());
    }
    spun.node().set(Mark::Told);
    Err(Raise::Exception(spun.result()))
}

/// `fiber.__wait_for_children__`: until all of them have ended. What one of them has failed with;
/// nil where none has.
fn wait_for_children(this: VALUE) -> Outcome {
    let (_, spun) = known::spun(this)?;
    let fibers = Fibers::All(node::child_records(spun));
    spun.node().set(Mark::Gathers);
    let ended = fibers.wait(Until::All);
    spun.node().clear(Mark::Gathers);
    let failed = fibers.failed();
    if ended.is_ok() {
        fibers.each().for_each(|spun| spun.node().set(Mark::Told));
    }
    fibers.forget();
    ended.map(|()| failed.map_or(NIL, Spun::result))
}

pub(super) fn init() {
    let class = fiber::class();
    define(class, c"__wait_for_children__", method!(wait_for_children, 0));
    define_singleton(class, c"await", method!(await_all, -1));
    define_singleton(class, c"join", method!(await_all, -1));
    define_singleton(class, c"select", method!(select, -1));
    for name in [c"await", c"join", c"value"] {
        define(class, name, method!(await_one, 0));
    }
}
