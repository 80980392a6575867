//! Exceptions that mean something to a fiber beyond being raised in it.

use rb_sys::VALUE;

use crate::errors::Outcome;
use crate::ruby::NIL;
use crate::ruby::typed::{self, Class};
use crate::ruby::value::{self, Name, kind_of};

static MOVE_ON: Class = Class::new();
static TERMINATE: Class = Class::new();
static RESTART: Class = Class::new();
static INTERJECTION: Class = Class::new();
static VALUE_OF: Name = Name::new(c"@value");
static SOURCE: Name = Name::new(c"@__source_fiber");

/// What an exception makes of the fiber that it has ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    /// The end that somebody wanted, with a value.
    End(VALUE),
    /// Its block runs once more, with a value.
    Again(VALUE),
    /// A failure.
    Failure,
}

pub(super) fn meaning(exception: VALUE) -> Meaning {
    let is = |class: &Class| kind_of(exception, class.get());
    if is(&MOVE_ON) || is(&TERMINATE) {
        Meaning::End(value::ivar(exception, VALUE_OF.id()))
    } else if is(&RESTART) {
        Meaning::Again(value::ivar(exception, VALUE_OF.id()))
    } else {
        Meaning::Failure
    }
}

pub(super) fn is_restart(exception: VALUE) -> bool {
    matches!(meaning(exception), Meaning::Again(_))
}

/// A new `Polyphony::Terminate`.
pub(super) fn terminate() -> Outcome {
    value::instance(TERMINATE.get(), &[])
}

/// Runs what was interjected into the running fiber, if that is what the exception stands for.
pub(crate) fn interjected(exception: VALUE) -> Option<Outcome> {
    kind_of(exception, INTERJECTION.get()).then(|| value::call(exception, c"invoke", &[]))
}

/// Notes in which fiber an exception came up, the first time that it ends one.
pub(super) fn note_source(exception: VALUE, fiber: VALUE) {
    if value::ivar(exception, SOURCE.id()) == NIL {
        // A frozen one can't be told.
        let _ = value::set_ivar(exception, SOURCE.id(), fiber);
    }
}

pub(super) fn init(polyphony: VALUE) {
    // SAFETY: the class is a constant of the VM.
    let exception = unsafe { rb_sys::rb_eException };
    let base = typed::define_subclass_under(polyphony, c"BaseException", exception);
    MOVE_ON.define_subclass_under(polyphony, c"MoveOn", base);
    TERMINATE.define_subclass_under(polyphony, c"Terminate", base);
    RESTART.define_subclass_under(polyphony, c"Restart", base);
    INTERJECTION.define_subclass_under(polyphony, c"Interjection", base);
}
