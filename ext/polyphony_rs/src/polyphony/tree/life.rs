//! A fiber's life: its block, its children's end, its own.

use std::sync::atomic::{AtomicU64, Ordering};

use rb_sys::VALUE;

use super::exceptions::{self, Meaning};
use crate::errors::{Outcome, Raise};
use crate::machine::Machine;
use crate::machine::node::{self, Kind, Mark, Node};
use crate::machine::spun::Spun;
use crate::ruby::value::truthy;
use crate::ruby::{NIL, fiber, typed, value};

/// `Polyphony::Ending`: what is seldom needed.
static ENDING: AtomicU64 = AtomicU64::new(0);

/// How a round of a fiber's block ended.
enum Round {
    Last(Outcome),
    /// The block runs once more, with a value.
    Again(VALUE),
}

/// The life of a spun fiber, up to the end of its children.
pub(crate) fn live(spun: &Spun, body: VALUE, argument: VALUE) -> Outcome {
    let node = spun.node();
    let mut argument = argument;
    loop {
        node.set(Mark::Started);
        match conclude(spun, run_block(spun, body, argument)) {
            Round::Last(outcome) => return settle(spun, outcome),
            Round::Again(with) => argument = with,
        }
        [Mark::Asked, Mark::Pending, Mark::Graceful].into_iter().for_each(|mark| node.clear(mark));
    }
}

/// Runs the block; what the fiber was scheduled with before its start comes first.
fn run_block(spun: &Spun, body: VALUE, argument: VALUE) -> Outcome {
    match spun.node().take_early() {
        None => fiber::call_proc(body, argument),
        Some(early) if value::is_exception(early) => {
            spun.node().clear(Mark::Pending);
            exceptions::interjected(early).unwrap_or(Err(Raise::Exception(early)))?;
            fiber::call_proc(body, argument)
        }
        Some(early) => fiber::call_proc(body, early),
    }
}

/// A fiber ends when its children have ended, and with what came up meanwhile.
fn conclude(spun: &Spun, ended: Outcome) -> Round {
    let node = spun.node();
    let unsettled = node.has_children() || node.has(Mark::Heard);
    if ended.is_ok() && !unsettled {
        return Round::Last(ended);
    }
    let mut ended = ended;
    let here = Machine::any(spun.machine()).is_ok_and(Machine::survives_fork);
    if unsettled && here && !matches!(ended, Err(Raise::Jump(_))) {
        match call_ending(c"of_children", &[spun.fiber()]) {
            Ok(NIL) => {}
            // A failure stands: somebody has to see it.
            Ok(exception) if exceptions::is_restart(exception) && has_failed(&ended) => {}
            Ok(exception) | Err(Raise::Exception(exception)) => {
                ended = Err(Raise::Exception(exception));
            }
            Err(raise) => ended = Err(raise),
        }
    }
    match ended {
        Err(Raise::Exception(exception)) if node.kind() == Kind::Spun => {
            match exceptions::meaning(exception) {
                Meaning::End(value) => Round::Last(Ok(value)),
                Meaning::Again(value) => Round::Again(value),
                Meaning::Failure => Round::Last(ended),
            }
        }
        ended => Round::Last(ended),
    }
}

/// The failure of a handler ends its connection, and nobody who accepts others: what is left of it.
/// It is done here, where the fiber may still wait.
fn settle(spun: &Spun, ended: Outcome) -> Outcome {
    let node = spun.node();
    let Err(Raise::Exception(exception)) = ended else { return ended };
    let here = Machine::any(spun.machine()).is_ok_and(Machine::survives_fork);
    let parent = living_parent(spun);
    let gathers = parent.is_some_and(|parent| parent.node().has(Mark::Gathers));
    if !here || node.is_awaited_beside(gathers) || is_told(spun, parent) {
        return ended;
    }
    match is_settled(node, exception, spun.fiber()) {
        Ok(settled) => {
            if settled {
                [Mark::Told, Mark::Settled].into_iter().for_each(|mark| node.set(mark));
            }
            ended
        }
        // An end that somebody wanted meanwhile.
        Err(Raise::Exception(other)) => match exceptions::meaning(other) {
            Meaning::End(value) => Ok(value),
            Meaning::Again(_) => ended,
            Meaning::Failure => Err(Raise::Exception(other)),
        },
        Err(raise) => Err(raise),
    }
}

/// Has a handler's failure end its connection. What the program's own code for that raises goes on
/// in its place.
fn is_settled(node: &Node, exception: VALUE, fiber: VALUE) -> Outcome<bool> {
    match node.take_errand() {
        NIL => Ok(false),
        serving => value::call(serving, c"settle", &[exception, fiber]).map(truthy),
    }
}

/// Whether the fiber's monitors tell its parent.
fn is_told(spun: &Spun, parent: Option<&Spun>) -> bool {
    parent.is_some_and(|parent| includes(spun.node().monitors(), parent.fiber()))
}

fn has_failed(ended: &Outcome) -> bool {
    matches!(ended, Err(Raise::Exception(exception))
        if matches!(exceptions::meaning(*exception), Meaning::Failure))
}

/// A fiber has ended: its parent has one child less, and those are told who are to know.
pub(crate) fn leave(spun: &Spun) {
    let node = spun.node();
    if !node.is_known() {
        return;
    }
    node::detach(spun);
    if node.has_children() {
        adopt_children(spun);
    }
    if node.has(Mark::Failed) {
        exceptions::note_source(spun.result(), spun.fiber());
    }
    if node.monitors() != NIL {
        let _ = call_ending(c"tell", &[spun.fiber(), node.monitors(), spun.result()]);
    }
    pass_on(spun);
}

/// It was killed, and didn't wait for its children: they go to the thread's root.
fn adopt_children(spun: &Spun) {
    let Ok(machine) = Machine::any(spun.machine()) else { return };
    let Some((record, root)) = node::root_of(machine).and_then(Spun::with_record) else { return };
    let children = node::children(spun);
    for index in 0..value::array_len(children) {
        if let Some((child, own)) = Spun::with_record(value::at(children, index)) {
            node::detach(own);
            node::attach(child, own, record, root);
        }
    }
}

/// What has ended a fiber goes to its parent, where nobody else gets it.
pub(super) fn pass_on(spun: &Spun) {
    let node = spun.node();
    let open = node.has(Mark::Failed) && !node.has(Mark::Told) && !node.is_awaited();
    if !open || node.kind() != Kind::Spun {
        return;
    }
    node.set(Mark::Told);
    let Some(parent) = living_parent(spun) else { return };
    if is_told(spun, Some(parent)) {
        return;
    }
    let mut exception = match is_settled(node, spun.result(), spun.fiber()) {
        Ok(true) => return,
        Err(Raise::Exception(other)) => other,
        Ok(false) | Err(_) => spun.result(),
    };
    let accepts = parent.node().has(Mark::Accepts);
    if accepts || parent.node().kind() == Kind::Root {
        let asked = [spun.fiber(), exception, value::boolean(accepts)];
        match call_ending(c"settled?", &asked) {
            Ok(settled) if truthy(settled) => return,
            // A signal, while that was reported: it is the signal that the parent has to see.
            Err(Raise::Exception(other)) => exception = other,
            Ok(_) | Err(_) => {}
        }
    }
    parent.node().set(Mark::Heard);
    let _ = node::schedule(parent, exception, true);
}

fn living_parent(spun: &Spun) -> Option<&'static Spun> {
    let parent = node::linked(spun.node().parent()).filter(|parent| !parent.is_done());
    parent.or_else(|| {
        let machine = Machine::any(spun.machine()).ok()?;
        Spun::of(node::root_of(machine)?)
    })
}

fn includes(list: VALUE, item: VALUE) -> bool {
    list != NIL && (0..value::array_len(list)).any(|index| value::at(list, index) == item)
}

fn call_ending(method: &std::ffi::CStr, args: &[VALUE]) -> Outcome {
    value::call(ENDING.load(Ordering::Relaxed), method, args)
}

pub(super) fn init(polyphony: VALUE) {
    ENDING.store(typed::define_module_under(polyphony, c"Ending"), Ordering::Relaxed);
}
