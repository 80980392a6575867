//! `UM::OperationWorkers`: threads of Ruby's that carry out blocking operations without the GVL,
//! while the fibers that have called for them wait.
//!
//! They have to be threads of Ruby's: it looks for its record of the running thread when an
//! operation begins, and an operation may come back for the GVL.
//!
//! Invariants:
//!
//! * An operation works on its fiber's stack. So the fiber doesn't leave the hook before the worker
//!   has let go, whatever happens; and one that nobody resumes any more is kept alive meanwhile.
//! * A worker that was interrupted in an operation goes back to Ruby before the next one, which
//!   ends the signals that Ruby sends it.
//! * Tasks are handed in, and threads leave, under the GVL: none is handed in behind the back of the
//!   last one that leaves.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use polyphony_core::offload::desk::{Desk, End, Job, Left, Seat, Task};
use rb_sys::VALUE;

use crate::errors::{Kind, Outcome, Raise};
use crate::machine::Machine;
use crate::ruby::method::{define, method};
use crate::ruby::typed::{self, DataType, Typed};
use crate::ruby::versions::BlockingOperation;
use crate::ruby::{FALSE, NIL, TRUE, fiber, nogvl, thread, value};

struct Workers {
    /// Most threads.
    limit: usize,
    desk: Arc<Desk<BlockingOperation>>,
    threads: RefCell<Vec<VALUE>>,
    /// Those in the hook.
    fibers: RefCell<Vec<VALUE>>,
}

static TYPE: DataType<Workers> = DataType::new();

impl Typed for Workers {
    const NAME: &'static std::ffi::CStr = c"UringMachine::OperationWorkers";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        for values in [&self.threads, &self.fibers] {
            values.borrow().iter().copied().for_each(typed::mark);
        }
    }
}

impl Task for BlockingOperation {
    fn run(&self) {
        // SAFETY: the hook is left when the job is over. `serve` runs in a thread of Ruby's without
        // the GVL.
        unsafe { self.execute() };
    }

    fn cancel(&self) {
        // SAFETY: as above; and the desk keeps the worker inside of `serve` until this has returned.
        unsafe { BlockingOperation::cancel(self) };
    }
}

impl Workers {
    fn of(object: VALUE) -> Outcome<&'static Self> {
        typed::get(object).ok_or_else(|| Raise::um_error("uninitialized workers"))
    }

    /// How many threads there are. One that was killed from outside may not have had its say.
    fn count(&self) -> usize {
        let threads = self.threads.borrow().clone();
        let alive = |thread: &VALUE| value::call(*thread, c"alive?", &[]).is_ok_and(value::truthy);
        let ended: Vec<VALUE> = threads.into_iter().filter(|thread| !alive(thread)).collect();
        let mut threads = self.threads.borrow_mut();
        threads.retain(|thread| !ended.contains(thread));
        threads.len()
    }

    /// Starts another thread where one is wanted.
    fn hire(&self, this: VALUE) -> Outcome<()> {
        if self.desk.is_short() && self.count() < self.limit {
            let thread = value::call(this, c"hire", &[])?;
            self.threads.borrow_mut().push(thread);
        }
        Ok(())
    }

    /// The running thread serves no more.
    fn dismiss_current(&self) {
        let me = thread::current();
        self.threads.borrow_mut().retain(|thread| *thread != me);
        if self.count() == 0 {
            self.desk.take_back_all();
        }
    }

    /// Hands an operation in, and waits until it is over.
    fn see_through(
        &self,
        this: VALUE,
        machine: &Machine,
        operation: BlockingOperation,
    ) -> Outcome<Option<End>> {
        let (key, inbox) = machine.start_reported();
        let job = self.desk.hand_in(operation, inbox, key);
        let mut outcome = self.hire(this);
        if outcome.is_err() {
            self.desk.take_back(&job);
        }
        // No worker is in a forked child: nobody writes to its copy of the stack, and a lock that
        // one holds is never released.
        let here = || machine.survives_fork();
        let waited = machine.await_report(key, || {
            if here() {
                self.desk.take_back(&job);
            }
        });
        outcome = outcome.and(waited);
        if here() {
            self.insist(&job);
        }
        let end = if here() { job.end() } else { None };
        match (outcome, end) {
            // There is no thread to be had: Ruby carries the operation out itself.
            (Err(raise), Some(End::Withdrawn)) if raise.is_a(Kind::Thread) => {
                Ok(Some(End::Withdrawn))
            }
            (Err(raise), _) => Err(raise),
            (Ok(()), end) => Ok(end),
        }
    }

    /// Where the fiber could not wait in the machine, the thread waits.
    fn insist(&self, job: &Arc<Job<BlockingOperation>>) {
        while job.end().is_none() {
            self.desk.take_back(job);
            // What is raised comes second to what the fiber was to end with.
            let _ = nogvl::block(|| job.wait());
        }
    }
}

/// `new(limit)`
fn initialize(this: VALUE, limit: VALUE) -> Outcome {
    let limit = usize::try_from(value::int32(limit, "limit")?).unwrap_or(1);
    let (threads, fibers) = (RefCell::default(), RefCell::default());
    typed::put(this, Workers { limit, desk: Arc::default(), threads, fibers });
    Ok(this)
}

/// `carry_out(machine, operation)`: true once it was carried out; false where nobody can be had who
/// would; nil for what is no operation of this kind.
fn carry_out(this: VALUE, machine: VALUE, operation: VALUE) -> Outcome {
    let workers = Workers::of(this)?;
    let machine = Machine::of(machine)?;
    let Some(operation) = BlockingOperation::of(operation) else { return Ok(NIL) };
    let me = fiber::current();
    workers.fibers.borrow_mut().push(me);
    let seen = workers.see_through(this, machine, operation);
    workers.fibers.borrow_mut().retain(|fiber| *fiber != me);
    match seen? {
        Some(End::Done) => Ok(TRUE),
        Some(End::Withdrawn) => Ok(FALSE),
        // By somebody who has ended its thread: Ruby would take what is no result for one.
        Some(End::Cancelled) | None => Err(Raise::um_error("the thread of an operation was ended")),
    }
}

/// `serve`: carries operations out until for some time there are none.
fn serve(this: VALUE) -> Outcome {
    let workers = Workers::of(this)?;
    let outcome = serve_at(&workers.desk);
    workers.dismiss_current();
    outcome
}

fn serve_at(desk: &Desk<BlockingOperation>) -> Outcome {
    loop {
        let seat = Seat::default();
        let left = Cell::new(Left::Asked);
        nogvl::serve(|| left.set(desk.serve(&seat)), || desk.dismiss(&seat));
        match left.get() {
            Left::Asked => thread::check_interrupts()?,
            Left::Idle if desk.has_jobs() => NIL,
            Left::Idle => return Ok(NIL),
        };
    }
}

/// Defines the class's methods.
pub(crate) fn init(class: VALUE) {
    typed::define_allocator::<Workers>(class);
    define(class, c"initialize", method!(initialize, 1));
    define(class, c"carry_out", method!(carry_out, 2));
    define(class, c"serve", method!(serve, 0));
}
