//! What Ruby asks about a fiber's place in the tree, and changes of it.

use rb_sys::VALUE;

use super::{known, wait};
use crate::errors::{Outcome, Raise};
use crate::machine::Machine;
use crate::machine::node::{self, Kind, Mark};
use crate::machine::spun::{self, Spun};
use crate::polyphony::current_machine;
use crate::ruby::method::{define, method};
use crate::ruby::{FALSE, NIL, fiber, frames, value};

/// Marks that Ruby may ask for and set, by name.
const MARKS: [(&str, Mark); 5] = [
    ("started", Mark::Started),
    ("asked", Mark::Asked),
    ("heard", Mark::Heard),
    ("graceful", Mark::Graceful),
    ("supervises", Mark::Supervises),
];

/// `children`: eldest first.
fn children(this: VALUE) -> Outcome {
    Ok(Spun::of(this).map_or_else(value::array, node::children))
}

/// `__children__?`: whether there are any.
fn has_children(this: VALUE) -> Outcome {
    Ok(value::boolean(Spun::of(this).is_some_and(|spun| spun.node().has_children())))
}

/// `parent`, nil for a thread's root.
fn parent(this: VALUE) -> Outcome {
    let parent = Spun::of(this).and_then(|spun| node::linked(spun.node().parent()));
    Ok(parent.map_or(NIL, Spun::fiber))
}

fn tag(this: VALUE) -> Outcome {
    Ok(Spun::of(this).map_or(NIL, |spun| spun.node().tag()))
}

fn set_tag(this: VALUE, tag: VALUE) -> Outcome {
    known::spun(this)?.1.node().set_tag(tag);
    Ok(tag)
}

/// `__kind__`: :root, :spun, or nil.
fn kind(this: VALUE) -> Outcome {
    Ok(match Spun::of(this).map(|spun| spun.node().kind()) {
        Some(Kind::Root) => value::symbol(c"root"),
        Some(Kind::Spun) => value::symbol(c"spun"),
        Some(Kind::Stranger) | None => NIL,
    })
}

fn named(name: VALUE) -> Outcome<Mark> {
    let name = value::text(value::symbol_name(name), "mark")?;
    let found = MARKS.iter().find(|(text, _)| *text == name);
    found.map(|(_, mark)| *mark).ok_or_else(|| Raise::argument_error("no such mark"))
}

/// `__marked__?(name)`
fn is_marked(this: VALUE, name: VALUE) -> Outcome {
    let mark = named(name)?;
    Ok(value::boolean(Spun::of(this).is_some_and(|spun| spun.node().has(mark))))
}

/// `__mark__(name, set)`
fn set_mark(this: VALUE, name: VALUE, set: VALUE) -> Outcome {
    let mark = named(name)?;
    let node = known::spun(this)?.1.node();
    if value::truthy(set) {
        node.set(mark)
    } else {
        node.clear(mark)
    }
    Ok(set)
}

/// `__accepts__`: notes that it does, if the tree may know it.
fn accepts(this: VALUE) -> Outcome {
    if let Some(spun) = Spun::of(this) {
        spun.node().set(Mark::Accepts);
    }
    Ok(NIL)
}

/// `__serve__(serving)`: what the fibers that it starts from now on are handlers of, nil for none;
/// what that was before.
fn serve(this: VALUE, serving: VALUE) -> Outcome {
    // In a thread that has no machine yet, the first of them will bring it one.
    Ok(spun::existing_or_new(this)?.1.node().serve(serving))
}

/// `__errand__`: what it is a handler of, nil for none.
fn errand(this: VALUE) -> Outcome {
    Ok(Spun::of(this).map_or(NIL, |spun| spun.node().errand()))
}

/// `__place__`: path, line and label of the place that started it.
fn place(this: VALUE) -> Outcome {
    let Some(spun) = Spun::of(this) else { return Ok(NIL) };
    let (frame, line) = spun.node().place();
    if frame == NIL {
        return Ok(NIL);
    }
    let (path, label) = frames::describe(frame);
    Ok(value::array_of(&[path, value::integer(i64::from(line)), label]))
}

/// `__monitors__`: who is told of its end; nil for nobody.
fn monitors(this: VALUE) -> Outcome {
    Ok(Spun::of(this).map_or(NIL, |spun| spun.node().monitors()))
}

/// `__monitors__ = list`
fn set_monitors(this: VALUE, list: VALUE) -> Outcome {
    if list != NIL && !value::is_array(list) {
        return Err(Raise::type_error("an Array is needed"));
    }
    known::spun(this)?.1.node().set_monitors(list);
    Ok(list)
}

/// `__ask__(exception)`: schedules what ends it, unless such a thing is on its way.
fn ask(this: VALUE, exception: VALUE) -> Outcome {
    wait::ask(known::spun(this)?.1, exception)?;
    Ok(this)
}

/// `schedule(value = nil)`, for fibers that no machine runs too: those of this thread are meant.
fn schedule_with(this: VALUE, with: VALUE, first: bool) -> Outcome {
    match known::spun(this) {
        Ok((_, spun)) => node::schedule(spun, with, first)?,
        Err(_) if fiber::is_initialized(this) => {
            let machine = current_machine()?;
            let machine = Machine::of(machine)?;
            if first {
                machine.schedule_first(this, with);
            } else {
                machine.schedule(this, with);
            }
        }
        Err(raise) => return Err(raise),
    }
    Ok(this)
}

/// `__schedule__(value, first)`
fn schedule(this: VALUE, with: VALUE, first: VALUE) -> Outcome {
    schedule_with(this, with, value::truthy(first))
}

/// `attach_to(parent)`: makes it a child of another fiber of the thread.
fn attach_to(this: VALUE, parent: VALUE) -> Outcome {
    let (record, spun) = known::living(this)?;
    let (parent_record, parent) = known::living(parent)?;
    if spun.node().kind() != Kind::Spun {
        return Err(Raise::fiber_error("the thread's root fiber has no parent"));
    }
    let mut above = Some(parent);
    while let Some(fiber) = above {
        if fiber.fiber() == this {
            return Err(Raise::fiber_error("a fiber can't be its own ancestor"));
        }
        above = node::linked(fiber.node().parent());
    }
    node::detach(spun);
    node::attach(record, spun, parent_record, parent);
    spun.node().take_errand();
    Ok(this)
}

/// `__runnable__?`: whether it is on the runqueue.
fn is_runnable(this: VALUE) -> Outcome {
    let Some(spun) = Spun::of(this).filter(|spun| spun.machine() != NIL) else { return Ok(FALSE) };
    Ok(value::boolean(Machine::any(spun.machine())?.will_run(this)))
}

/// `snooze`
fn snooze(_this: VALUE) -> Outcome {
    let machine = current_machine()?;
    Machine::of(machine)?.snooze()
}

/// `suspend`
fn suspend(_this: VALUE) -> Outcome {
    let machine = current_machine()?;
    Machine::of(machine)?.suspend()
}

pub(super) fn init() {
    let class = fiber::class();
    define(class, c"children", method!(children, 0));
    define(class, c"__children__?", method!(has_children, 0));
    define(class, c"parent", method!(parent, 0));
    define(class, c"tag", method!(tag, 0));
    define(class, c"tag=", method!(set_tag, 1));
    define(class, c"attach_to", method!(attach_to, 1));
    define(class, c"__kind__", method!(kind, 0));
    define(class, c"__marked__?", method!(is_marked, 1));
    define(class, c"__mark__", method!(set_mark, 2));
    define(class, c"__accepts__", method!(accepts, 0));
    define(class, c"__serve__", method!(serve, 1));
    define(class, c"__errand__", method!(errand, 0));
    define(class, c"__place__", method!(place, 0));
    define(class, c"__monitors__", method!(monitors, 0));
    define(class, c"__monitors__=", method!(set_monitors, 1));
    define(class, c"__ask__", method!(ask, 1));
    define(class, c"__schedule__", method!(schedule, 2));
    define(class, c"__runnable__?", method!(is_runnable, 0));
    // SAFETY: the module is a constant of the VM.
    let kernel = unsafe { rb_sys::rb_mKernel };
    define(kernel, c"snooze", method!(snooze, 0));
    define(kernel, c"suspend", method!(suspend, 0));
}
