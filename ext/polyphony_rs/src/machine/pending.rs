//! Who waits for what: for people who look at a server that hangs.

use rb_sys::VALUE;

use super::{Machine, Role};
use crate::clock;
use crate::errors::Outcome;
use crate::ruby::method::{define, method};
use crate::ruby::{NIL, typed, value};

/// One wait, without Ruby objects but the fiber.
struct Row {
    fiber: VALUE,
    op: &'static str,
    fd: Option<i32>,
    since: u64,
}

impl Machine {
    /// The waits of parked fibers, those for an op first. The fibers in it are kept by the
    /// machine as long as they wait: nothing runs before the caller has put them into an Array.
    fn waits(&self) -> Vec<Row> {
        let state = self.state().borrow();
        let mut rows: Vec<Row> = state
            .driver
            .ops()
            .pending()
            .filter(|op| matches!(op.data.role, Role::Wake | Role::Join(_) | Role::Line(_)))
            .filter(|op| op.data.fiber != NIL)
            .map(|op| Row { fiber: op.data.fiber, op: op.name, fd: op.fd, since: op.since })
            .collect();
        rows.extend(state.yielding.iter().map(|(fiber, since)| Row {
            fiber: *fiber,
            op: "yield",
            fd: None,
            since: *since,
        }));
        rows
    }
}

/// `[fiber, op, fd, seconds]` of each wait.
fn waits(this: VALUE) -> Outcome {
    let rows = Machine::any(this)?.waits();
    let now = clock::now();
    let list = value::array();
    // First the fibers, which Rust's memory does not keep.
    for row in &rows {
        value::push(list, row.fiber);
    }
    for (index, row) in rows.iter().enumerate() {
        // Less than a quarter of a million years.
        #[allow(clippy::cast_precision_loss)]
        let seconds = now.saturating_sub(row.since) as f64 / 1e9;
        let fd = row.fd.map_or(NIL, |fd| value::integer(i64::from(fd)));
        let op = value::call(value::utf8(row.op), c"to_sym", &[])?;
        let fields = [value::at(list, index), op, fd, value::float(seconds)];
        value::set_at(list, index, value::array_of(&fields));
    }
    Ok(list)
}

/// The fibers that wait for an op, or in `yield`.
fn pending_fibers(this: VALUE) -> Outcome {
    let fibers: Vec<VALUE> = Machine::any(this)?.waits().into_iter().map(|row| row.fiber).collect();
    value::call(value::array_of(&fibers), c"to_set", &[])
}

fn is_initialized(this: VALUE) -> Outcome {
    Ok(value::boolean(typed::get::<Machine>(this).is_some()))
}

pub(super) fn init(class: VALUE) {
    define(class, c"__waits__", method!(waits, 0));
    define(class, c"__initialized__?", method!(is_initialized, 0));
    define(class, c"pending_fibers", method!(pending_fibers, 0));
}
