//! A fiber's place in Polyphony's tree: who started it, whom it has started, and what it was asked.
//!
//! It is part of the fiber's record, and the links are those records: to start a fiber, and to take
//! it out at its end, allocates nothing and looks nothing up. Children are a list from the eldest
//! to the youngest.

use std::cell::Cell;
use std::os::raw::c_int;

use rb_sys::VALUE;

use super::Machine;
use super::spun::Spun;
use crate::errors::Outcome;
use crate::ruby::{NIL, fiber, frames, typed, value};

/// What kind of member of the tree a fiber is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// None: the machine runs it, and the tree knows nothing of it.
    Stranger,
    /// The fiber that a thread began with, or one that stands for it: it is nobody's child.
    Root,
    /// It was started by `spin`.
    Spun,
}

/// What has been asked of a fiber, or happened to it.
#[derive(Clone, Copy, Debug)]
#[repr(u16)]
pub(crate) enum Mark {
    /// Its block has begun.
    Started = 1,
    /// An exception of a child was scheduled into it: it may not have come up before the end.
    Heard = 1 << 1,
    /// It ended with an exception.
    Failed = 1 << 2,
    /// Somebody has got that exception.
    Told = 1 << 3,
    /// It was asked to end.
    Asked = 1 << 4,
    /// That is still on its way.
    Pending = 1 << 5,
    /// It may take its time for that.
    Graceful = 1 << 6,
    /// It watches the fibers that it starts.
    Supervises = 1 << 7,
    /// It has accepted a connection, by core's `accept`.
    Accepts = 1 << 8,
    /// It waits for the end of its children, as it ends itself.
    Gathers = 1 << 9,
    /// It was a handler, and its failure is over with its connection.
    Settled = 1 << 10,
}

/// A fiber's place in the tree. Links are records of fibers, or nil.
pub(crate) struct Node {
    kind: Cell<Kind>,
    marks: Cell<u16>,
    line: Cell<c_int>,
    /// The place that started it: a frame of the VM, and its line.
    frame: Cell<VALUE>,
    parent: Cell<VALUE>,
    eldest: Cell<VALUE>,
    youngest: Cell<VALUE>,
    elder: Cell<VALUE>,
    younger: Cell<VALUE>,
    tag: Cell<VALUE>,
    /// What it was scheduled with before its start.
    early: Cell<Option<VALUE>>,
    /// An Array of the fibers that are told of its end; nil where there is none.
    monitors: Cell<VALUE>,
    /// A `Polyphony::Serving`: the connection that it serves in a loop's block now. Fibers that it
    /// starts are handlers of that.
    serves: Cell<VALUE>,
    /// The same for one that is a handler: what it was started for.
    errand: Cell<VALUE>,
    /// How many fibers wait for its end, and get its exception.
    awaited: Cell<u32>,
}

impl Node {
    pub(super) fn new() -> Self {
        Self {
            kind: Cell::new(Kind::Stranger),
            marks: Cell::new(0),
            line: Cell::new(0),
            frame: Cell::new(NIL),
            parent: Cell::new(NIL),
            eldest: Cell::new(NIL),
            youngest: Cell::new(NIL),
            elder: Cell::new(NIL),
            younger: Cell::new(NIL),
            tag: Cell::new(NIL),
            early: Cell::new(None),
            monitors: Cell::new(NIL),
            serves: Cell::new(NIL),
            errand: Cell::new(NIL),
            awaited: Cell::new(0),
        }
    }

    pub(super) fn mark(&self) {
        let links = [&self.parent, &self.eldest, &self.youngest, &self.elder, &self.younger];
        links.into_iter().for_each(|link| typed::mark(link.get()));
        typed::mark(self.frame.get());
        typed::mark(self.tag.get());
        typed::mark(self.early.get().unwrap_or(NIL));
        [&self.monitors, &self.serves, &self.errand]
            .into_iter()
            .for_each(|it| typed::mark(it.get()));
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind.get()
    }

    pub(crate) fn is_known(&self) -> bool {
        self.kind.get() != Kind::Stranger
    }

    pub(crate) fn has(&self, mark: Mark) -> bool {
        self.marks.get() & mark as u16 != 0
    }

    pub(crate) fn set(&self, mark: Mark) {
        self.marks.set(self.marks.get() | mark as u16);
    }

    pub(crate) fn clear(&self, mark: Mark) {
        self.marks.set(self.marks.get() & !(mark as u16));
    }

    pub(crate) fn tag(&self) -> VALUE {
        self.tag.get()
    }

    pub(crate) fn set_tag(&self, tag: VALUE) {
        self.tag.set(tag);
    }

    pub(crate) fn monitors(&self) -> VALUE {
        self.monitors.get()
    }

    pub(crate) fn set_monitors(&self, monitors: VALUE) {
        self.monitors.set(monitors);
    }

    /// Sets the connection that it serves, nil for none: what it was before.
    pub(crate) fn serve(&self, serving: VALUE) -> VALUE {
        self.serves.replace(serving)
    }

    pub(crate) fn errand(&self) -> VALUE {
        self.errand.get()
    }

    /// It is no handler any more.
    pub(crate) fn take_errand(&self) -> VALUE {
        self.errand.replace(NIL)
    }

    /// A child of a fiber that serves a connection is a handler of that.
    pub(crate) fn take_errand_of(&self, parent: &Self) {
        self.errand.set(parent.serves.get());
    }

    /// What it is to begin with instead of what it was started with.
    pub(crate) fn set_early(&self, value: VALUE) {
        self.early.set(Some(value));
    }

    pub(crate) fn take_early(&self) -> Option<VALUE> {
        self.early.take()
    }

    /// Notes the place that calls the running method.
    pub(crate) fn remember_caller(&self) {
        let (frame, line) = frames::caller();
        self.frame.set(frame);
        self.line.set(line);
    }

    /// What is known of one that has ended holds for its successor.
    pub(crate) fn take_place_of(&self, old: &Self) {
        self.frame.set(old.frame.get());
        self.line.set(old.line.get());
        self.monitors.set(old.monitors.get());
        self.errand.set(old.errand.get());
    }

    /// The frame that started it, nil for a root; and its line.
    pub(crate) fn place(&self) -> (VALUE, c_int) {
        (self.frame.get(), self.line.get())
    }

    /// Between this and [`Node::await_ends`], its exception goes to the caller.
    pub(crate) fn await_begins(&self) {
        self.awaited.set(self.awaited.get() + 1);
    }

    pub(crate) fn await_ends(&self) {
        self.awaited.set(self.awaited.get() - 1);
    }

    pub(crate) fn is_awaited(&self) -> bool {
        self.awaited.get() > 0
    }

    /// Whether anybody does but its parent at its own end, who `gathers`.
    pub(crate) fn is_awaited_beside(&self, gathers: bool) -> bool {
        self.awaited.get() > u32::from(gathers)
    }

    pub(crate) fn has_children(&self) -> bool {
        self.eldest.get() != NIL
    }

    /// The parent's record; nil for a root.
    pub(crate) fn parent(&self) -> VALUE {
        self.parent.get()
    }
}

/// The record behind a link.
pub(crate) fn linked(record: VALUE) -> Option<&'static Spun> {
    if record == NIL { None } else { typed::get(record) }
}

/// Makes a record that of a root: without a parent, and with none of the children that it had
/// before a fork.
pub(crate) fn plant(spun: &Spun) {
    let node = spun.node();
    node.kind.set(Kind::Root);
    node.set(Mark::Started);
    for link in [&node.parent, &node.eldest, &node.youngest, &node.elder, &node.younger] {
        link.set(NIL);
    }
}

/// Makes a fiber the youngest child of another one.
pub(crate) fn attach(record: VALUE, spun: &Spun, parent_record: VALUE, parent: &Spun) {
    let (node, parent) = (spun.node(), parent.node());
    node.kind.set(Kind::Spun);
    node.parent.set(parent_record);
    node.elder.set(parent.youngest.get());
    match linked(parent.youngest.get()) {
        Some(elder) => elder.node().younger.set(record),
        None => parent.eldest.set(record),
    }
    parent.youngest.set(record);
}

/// Takes a fiber out of its parent's children; it still knows the parent.
pub(crate) fn detach(spun: &Spun) {
    let node = spun.node();
    let Some(parent) = linked(node.parent.get()) else { return };
    let (elder, younger) = (node.elder.replace(NIL), node.younger.replace(NIL));
    match linked(elder) {
        Some(elder) => elder.node().younger.set(younger),
        None => parent.node().eldest.set(younger),
    }
    match linked(younger) {
        Some(younger) => younger.node().elder.set(elder),
        None => parent.node().youngest.set(elder),
    }
}

/// The children of a fiber, eldest first: an Array of fibers.
pub(crate) fn children(spun: &Spun) -> VALUE {
    let list = value::array();
    each_child(spun, |_, child| value::push(list, child.fiber()));
    list
}

/// The same as an Array of their records, which no program can find.
pub(crate) fn child_records(spun: &Spun) -> VALUE {
    let list = value::hidden_array();
    each_child(spun, |record, _| value::push(list, record));
    list
}

fn each_child(spun: &Spun, visit: impl Fn(VALUE, &Spun)) {
    let mut record = spun.node().eldest.get();
    while let Some(child) = linked(record) {
        visit(record, child);
        record = child.node().younger.get();
    }
}

/// An exception comes up in the running fiber: what was on its way is there.
pub(super) fn arrived(fiber: VALUE) {
    if let Some(spun) = Spun::of(fiber) {
        spun.node().clear(Mark::Pending);
    }
}

/// Schedules a fiber with a value, on its own machine; one that has not begun begins with it.
pub(crate) fn schedule(spun: &Spun, with: VALUE, first: bool) -> Outcome<()> {
    let node = spun.node();
    if spun.is_done() {
        return Ok(());
    }
    if node.kind() == Kind::Spun && !node.has(Mark::Started) {
        node.set_early(with);
        return Ok(());
    }
    let machine = Machine::any(spun.machine())?;
    // In a forked child, the fibers of the parent are gone.
    if machine.survives_fork() {
        if first {
            machine.schedule_first(spun.fiber(), with);
            machine.wake_if_waiting();
        } else {
            machine.schedule(spun.fiber(), with);
        }
    }
    Ok(())
}

/// The fiber that stands for the machine's thread, if it can still be reached.
pub(crate) fn root_of(machine: &Machine) -> Option<VALUE> {
    Some(machine.root()).filter(|root| fiber::alive(*root))
}
