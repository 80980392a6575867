//! Ruby bindings of polyphony-core: `UringMachine`, its `Fiber::Scheduler`, and the native parts
//! of Polyphony.

#![allow(missing_docs)] // the init function that magnus generates has none

mod clock;
mod constants;
mod errors;
mod machine;
mod polyphony;
mod ruby;
mod scheduler;
mod selector;
mod um_io;

use magnus::rb_sys::AsRawValue;
use magnus::{Error, ExceptionClass, Module, RClass, Ruby};

/// Called by Ruby when the library is loaded.
///
/// # Errors
/// What defining classes may raise.
#[magnus::init(name = "polyphony_rs")]
pub fn init(ruby: &Ruby) -> Result<(), Error> {
    ruby::declare_ractor_safe();
    ruby::init();
    let um = ruby.define_class("UringMachine", ruby.class_object())?;
    let error: ExceptionClass = um.define_error("Error", ruby.exception_standard_error())?;
    let terminate = um.define_error("Terminate", ruby.exception_exception())?;
    let unsupported = um.define_error("UnsupportedError", error)?;
    errors::init(error.as_raw(), unsupported.as_raw(), terminate.as_raw());
    ruby::fiber::init();
    ruby::frames::init();
    let thread: RClass = ruby.class_object().const_get("Thread")?;
    constants::init(um.as_raw());
    machine::init(um.as_raw(), thread.as_raw());
    um_io::init(um.as_raw());
    let scheduler = um.define_class("FiberScheduler", ruby.class_object())?;
    scheduler::init(scheduler.as_raw());
    let workers = um.define_class("OperationWorkers", ruby.class_object())?;
    scheduler::init_workers(workers.as_raw());
    let selector = um.define_class("Selector", ruby.class_object())?;
    selector::init(selector.as_raw());
    let io: RClass = ruby.class_object().const_get("IO")?;
    let polyphony = ruby.define_module("Polyphony")?;
    polyphony::init(io.as_raw(), polyphony.as_raw());
    Ok(())
}
