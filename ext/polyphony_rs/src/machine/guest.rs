//! Machines whose waits are left to a scheduler that is none of ours.
//!
//! A fiber of such a scheduler must not wait in a ring: the scheduler's other fibers would stand
//! still. It borrows a small machine that serves it alone. The kernel announces completions by the
//! machine's eventfd, and for that the fiber waits as for any IO, by the scheduler's `io_wait`.

use polyphony_core::ring::RingConfig;
use rb_sys::VALUE;

use super::Machine;
use crate::errors::Outcome;
use crate::ruby::{FALSE, NIL, fiber, io, thread, value};

/// SQEs of its ring: a transfer has four ops in flight at most.
const ENTRIES: u32 = 16;
/// Machines that a thread keeps for the next transfers.
const KEPT: usize = 4;
/// Where a thread keeps them.
const IDLE: &std::ffi::CStr = c"@__um_guests";

impl Machine {
    /// Runs `body` with a machine that only the running fiber uses, and that waits by the thread's
    /// scheduler.
    pub(crate) fn with_guest(body: impl FnOnce(&'static Self) -> Outcome) -> Outcome {
        let idle = idle_machines()?;
        let object = match take_idle(idle)? {
            Some(object) => object,
            None => create_guest()?,
        };
        let machine = Self::of(object)?;
        machine.root.set(fiber::current());
        let outcome = body(machine);
        machine.end_visit(object, idle);
        // Alive up to here, whatever the compiler makes of it.
        std::hint::black_box(object);
        outcome
    }

    /// Whether its waits are the scheduler's.
    pub(crate) fn is_guest(&self) -> bool {
        self.bell.get() != NIL
    }

    /// Waits until the kernel has announced something.
    pub(super) fn wait_for_bell(&self) -> Outcome<()> {
        io::wait(self.bell.get(), libc::POLLIN)?;
        self.state.borrow().driver.forget_wakes();
        Ok(())
    }

    /// Lets the scheduler's other fibers run.
    pub(crate) fn let_scheduler_run(&self) -> Outcome<()> {
        // SAFETY: the module is a constant of the VM.
        let kernel = unsafe { rb_sys::rb_mKernel };
        value::call(kernel, c"sleep", &[value::integer(0)])?;
        self.poll()
    }

    /// Keeps the machine for another transfer, unless there are enough, or something is left that
    /// would reach the next one.
    fn end_visit(&self, object: VALUE, idle: VALUE) {
        // Hands cancels to the kernel: polls would hold on to what they poll. An error would come
        // up at the next wait again.
        let usable = self.check_usable().is_ok() && self.poll().is_ok();
        let is_clean = usable && self.state.borrow().runnable() == 0;
        if is_clean && value::array_len(idle) < KEPT {
            value::push(idle, object);
        } else if usable {
            self.close_ring();
        }
    }
}

/// The running thread's list.
fn idle_machines() -> Outcome {
    let name = value::intern(IDLE);
    match thread::local(name) {
        NIL => {
            let list = value::array();
            thread::set_local(name, list)?;
            Ok(list)
        }
        list => Ok(list),
    }
}

/// One that exists in this process.
fn take_idle(idle: VALUE) -> Outcome<Option<VALUE>> {
    while value::array_len(idle) > 0 {
        let object = value::pop(idle);
        if Machine::any(object)?.survives_fork() {
            return Ok(Some(object));
        }
    }
    Ok(None)
}

fn create_guest() -> Outcome {
    let config = RingConfig { entries: ENTRIES, ..RingConfig::default() };
    let object = Machine::with_config(&config, ENTRIES)?;
    let machine = Machine::of(object)?;
    machine.state.borrow().driver.announce()?;
    // SAFETY: the class is a constant of the VM.
    let class = unsafe { rb_sys::rb_cIO };
    let bell = value::call(class, c"for_fd", &[value::integer(i64::from(machine.wake_fd))])?;
    // The machine closes it.
    value::call(bell, c"autoclose=", &[FALSE])?;
    machine.bell.set(bell);
    Ok(object)
}
