//! `gets` and `readline` in a thread's root fiber. They set the caller's `$_`, and only a native
//! method, which has no such variable of its own, can hand that on.

use std::ffi::CStr;

use rb_sys::VALUE;

use crate::errors::{Outcome, Raise};
use crate::ruby::method::{Args, call_super, define, method};
use crate::ruby::{NIL, value};
use crate::scheduler;

/// `gets(...)`
fn gets(this: VALUE, args: Args) -> Outcome {
    line(this, c"gets", args)
}

/// `readline(...)`
fn readline(this: VALUE, args: Args) -> Outcome {
    line(this, c"readline", args)
}

fn line(this: VALUE, method: &CStr, args: Args) -> Outcome {
    if !scheduler::is_overlooked()? {
        return call_super(args);
    }
    let rule = value::class_at(c"Polyphony::RootFiber")?;
    let args = value::array_of(args.all());
    let line = value::call(rule, c"line", &[this, value::symbol(method), args]);
    match &line {
        Ok(line) => set_last_line(*line),
        Err(Raise::Exception(exception)) if value::is_eof(*exception) => set_last_line(NIL),
        Err(_) => {}
    }
    line
}

/// Sets `$_` of the method that has called the running one.
fn set_last_line(line: VALUE) {
    // SAFETY: nil or a String; the frame is that of the nearest method in Ruby.
    unsafe { rb_sys::rb_lastline_set(line) };
}

pub(super) fn init(polyphony: VALUE) {
    let lines = value::define_module(polyphony, c"Lines");
    define(lines, c"gets", method!(gets, -1));
    define(lines, c"readline", method!(readline, -1));
}
