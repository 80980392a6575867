//! Handlers of signals, and whatever else an interrupt asks for, in the middle of a wait: they run in
//! the fiber that waits, and may wait themselves.

use rb_sys::VALUE;

use super::Machine;
use super::park::Resume;
use super::runqueue::{Entry, Kind};
use crate::errors::Outcome;
use crate::ruby::{NIL, thread};

/// Interrupts that are being handled in a wait.
#[derive(Clone, Copy)]
pub(super) struct Handling {
    /// Whose wait it is; the handlers run in this fiber.
    fiber: VALUE,
    /// A handler has parked: entries may have been taken that were not for it.
    parked: bool,
    /// It was unblocked meanwhile, which a wait of a handler's has taken.
    unblocked: bool,
}

impl Machine {
    /// A handler of signals lets others run: what it interrupted has to look at its ops again.
    pub(super) fn park_in_handler(&self) {
        let parked = |handling| Handling { parked: true, ..handling };
        self.handling.set(self.handling.get().map(parked));
    }

    /// An unblocked fiber that is in a handler of signals was unblocked for what the handler has
    /// interrupted, or for what it waits for itself; nobody can tell.
    pub(super) fn unblocked_in_handler(&self, me: VALUE) {
        if let Some(handling) = self.handling.get().filter(|handling| handling.fiber == me) {
            self.handling.set(Some(Handling { unblocked: true, ..handling }));
        }
    }

    /// Whether interrupts of a wait are being handled.
    pub(crate) fn is_handling(&self) -> bool {
        self.handling.get().is_some()
    }

    /// Runs what interrupts ask for in the middle of a wait; whether the caller should look at its
    /// ops, as a handler may have taken its turn.
    pub(super) fn handle_interrupts(&self, me: VALUE) -> Outcome<bool> {
        let handling = Handling { fiber: me, parked: false, unblocked: false };
        let outer = self.handling.replace(Some(handling));
        let interrupted = thread::check_interrupts();
        let handled = self.handling.replace(outer).unwrap_or(handling);
        if handled.unblocked {
            let entry = Entry { fiber: me, value: NIL, kind: Kind::Unblock };
            self.state.borrow_mut().queues.schedule_first(entry);
        }
        if let Err(raise) = interrupted {
            self.interrupt(me, raise)?;
        }
        Ok(handled.parked)
    }

    /// In a handler of signals that runs on the way into a turn, that turn is still to come.
    pub(super) fn give_turn_back(&self, me: VALUE, outer: Option<Resume>) {
        if let Some(outer) = outer {
            self.resumed.set(Some((me, outer)));
        }
    }
}
