//! RESP: `resp_read`, `resp_write`, `resp_encode`.

mod attributes;
mod build;
mod read;
mod write;

use polyphony_core::proto::resp::Limits;
use rb_sys::VALUE;

pub(super) use build::Reply;

use super::UmIo;
use crate::errors::{Outcome, Raise};
use crate::ruby::method::Args;
use crate::ruby::{NIL, typed, value};

/// `UM::IO::RESPError`: an error that the peer has answered with.
static ERROR: typed::Class = typed::Class::new();

impl UmIo {
    /// What is known of the reply that is being read.
    fn reply(&self) -> &Reply {
        match self.reply.get() {
            Some(reply) => reply,
            None => {
                // Unwinds when memory runs out only; nothing is owned here.
                let stack = value::hidden_array();
                self.reply.get_or_init(|| Box::new(Reply::new(stack)))
            }
        }
    }

    /// Whether `resp_read` was interrupted when it had taken some of a reply: what comes next is
    /// the rest of it.
    pub(super) fn is_amid_reply(&self) -> bool {
        self.reply.get().is_some_and(|reply| !reply.is_at_start())
    }

    /// An error amid a reply, for all who read anything else.
    pub(super) fn check_not_amid_reply(&self) -> Outcome<()> {
        if self.is_amid_reply() {
            return Err(Raise::um_error(
                "in the middle of a RESP reply: go on with resp_read, or drop it with clear",
            ));
        }
        Ok(())
    }

    pub(super) fn drop_reply(&self) {
        if let Some(reply) = self.reply.get() {
            reply.clear();
        }
    }
}

/// `max_nesting:`, `max_string:`, `max_line:`, over the defaults.
fn limits(args: Args) -> Outcome<Limits> {
    let (positional, keywords) = args.keywords();
    positional.expect(0, 0)?;
    let Limits { nesting, string, line } = Limits::default();
    let Some(keywords) = keywords else { return Ok(Limits::default()) };
    value::check_keywords(keywords, &[c"max_nesting", c"max_string", c"max_line"])?;
    let limit = |name, default| match value::lookup(keywords, name) {
        NIL => Ok(default),
        given => crate::machine::length(given, "limit"),
    };
    Ok(Limits {
        nesting: limit(c"max_nesting", nesting)?,
        string: limit(c"max_string", string)?,
        line: limit(c"max_line", line)?,
    })
}

/// Defines the methods of `UM::IO`.
pub(super) fn init(class: VALUE) {
    ERROR.define_error_under(class, c"RESPError");
    read::init(class);
    write::init(class);
}
