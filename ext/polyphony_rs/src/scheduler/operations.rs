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
//! * An operation may take the GVL in its worker, and raise there: a jump leaves it. It is caught
//!   where the stretch without the GVL was entered; no frame in between owns anything, as what the
//!   worker is at lies in its seat.
//! * Tasks are handed in, and threads leave, under the GVL: none is handed in behind the back of the
//!   last one that leaves.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use polyphony_core::offload::desk::{Desk, End, Job, Left, Ran, Seat, Task};
use polyphony_core::op::OpKey;
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
    flights: RefCell<Vec<Flight>>,
}

/// An operation between its fiber and a worker. A fiber may have several: its signal handlers run
/// in it.
struct Flight {
    job: Arc<Job<BlockingOperation>>,
    fiber: VALUE,
    operation: VALUE,
    /// What has made a jump out of it.
    failure: VALUE,
}

impl Flight {
    fn mark(&self) {
        // The worker has the fiber's stack until then, whether or not anybody knows the fiber.
        if self.job.end().is_none() {
            typed::mark(self.fiber);
            typed::mark(self.operation);
        }
        typed::mark(self.failure);
    }
}

static TYPE: DataType<Workers> = DataType::new();

impl Typed for Workers {
    const NAME: &'static std::ffi::CStr = c"UringMachine::OperationWorkers";

    fn data_type() -> &'static DataType<Self> {
        &TYPE
    }

    fn mark(&self) {
        self.threads.borrow().iter().copied().for_each(typed::mark);
        self.flights.borrow().iter().for_each(Flight::mark);
    }
}

impl Task for BlockingOperation {
    fn cancel(&self) -> bool {
        // SAFETY: the hook is left when the job is over, and the desk keeps the worker in this job
        // until this has returned.
        unsafe { BlockingOperation::cancel(*self) }
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

    /// The running thread serves no more. What waits gets another one; where none is to be had, and
    /// at the end of the program, which waits for its threads, that is for those who have called.
    fn dismiss_current(&self, this: VALUE) {
        let me = thread::current();
        self.threads.borrow_mut().retain(|thread| *thread != me);
        if self.desk.has_jobs() && (thread::is_main_ending() || self.hire(this).is_err()) {
            self.desk.take_back_all();
        }
    }

    /// Hands an operation in, and waits until it is over. `None` in a forked child.
    fn see_through(
        &self,
        this: VALUE,
        machine: &Machine,
        operation: BlockingOperation,
        object: VALUE,
    ) -> Outcome<Option<End>> {
        loop {
            let (key, inbox) = machine.start_reported();
            let job = self.desk.hand_in(operation, inbox, key);
            self.flights.borrow_mut().push(Flight {
                job: job.clone(),
                fiber: fiber::current(),
                operation: object,
                failure: NIL,
            });
            let outcome = self.wait_for(this, machine, &job, key);
            let failure = self.forget(&job);
            let end = if machine.survives_fork() { job.end() } else { None };
            match (outcome, end) {
                // There is no thread to be had: Ruby carries the operation out itself.
                (Err(raise), Some(End::Withdrawn)) if raise.is_a(Kind::Thread) => {
                    return Ok(Some(End::Withdrawn));
                }
                (Err(raise), _) => return Err(raise),
                // A worker has left.
                (Ok(()), Some(End::Withdrawn)) => {}
                (Ok(()), Some(End::Void)) if failure != NIL => {
                    return Err(Raise::Exception(failure));
                }
                (Ok(()), end) => return Ok(end),
            }
        }
    }

    fn wait_for(
        &self,
        this: VALUE,
        machine: &Machine,
        job: &Arc<Job<BlockingOperation>>,
        key: OpKey,
    ) -> Outcome<()> {
        let hired = self.hire(this);
        if hired.is_err() {
            self.desk.take_back(job);
        }
        // No worker is in a forked child: nobody writes to its copy of the stack, and a lock that
        // one holds is never released.
        let here = || machine.survives_fork();
        let cancel = || {
            if here() {
                self.desk.take_back(job);
            }
        };
        let is_done = || {
            here() && {
                self.insist(job);
                job.end() == Some(End::Done)
            }
        };
        let waited = machine.await_report(key, cancel, is_done);
        if here() {
            self.insist(job);
        }
        hired.and(waited)
    }

    /// A fiber has got its operation back; what has made a jump out of it.
    fn forget(&self, job: &Arc<Job<BlockingOperation>>) -> VALUE {
        let mut flights = self.flights.borrow_mut();
        let at = flights.iter().position(|flight| Arc::ptr_eq(&flight.job, job));
        at.map_or(NIL, |at| flights.swap_remove(at).failure)
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
    let (threads, flights) = (RefCell::default(), RefCell::default());
    typed::put(this, Workers { limit, desk: Arc::default(), threads, flights });
    Ok(this)
}

/// `carry_out(machine, operation)`: true once it was carried out; false where nobody can be had who
/// would; nil for what is no operation of this kind.
fn carry_out(this: VALUE, machine: VALUE, object: VALUE) -> Outcome {
    let workers = Workers::of(this)?;
    let machine = Machine::of(machine)?;
    let Some(operation) = BlockingOperation::of(object) else { return Ok(NIL) };
    let end = workers.see_through(this, machine, operation, object)?;
    std::hint::black_box(object);
    match end {
        Some(End::Done) => Ok(TRUE),
        Some(End::Withdrawn) => Ok(FALSE),
        // The program or the thread ends, and with it the workers: so does the fiber.
        Some(_) if thread::is_dying() => value::call(fiber::current(), c"kill", &[]),
        // Somebody has woken or ended the worker. Ruby finds what a signal leaves behind, and raises
        // or goes on as it does in a thread that was interrupted itself.
        Some(End::Interrupted) => Ok(TRUE),
        // It would take what is no result for one.
        Some(End::Void) => Err(Raise::Errno(libc::EINTR)),
        None => Err(Raise::um_error("an operation is not carried out in a forked child")),
    }
}

/// `serve`: carries operations out until for some time there are none.
fn serve(this: VALUE) -> Outcome {
    let workers = Workers::of(this)?;
    let outcome = workers.serve();
    workers.dismiss_current(this);
    outcome
}

type Place = Seat<BlockingOperation>;

/// Where a worker finds its seat, as an address.
const SEAT: &std::ffi::CStr = c"@__um_seat";

/// Whether the running thread carries out an operation that was broken off.
pub(super) fn is_broken_off() -> bool {
    let noted = value::fixnum(thread::local(value::intern(SEAT)));
    let Some(address) = noted.and_then(|address| usize::try_from(address).ok()) else {
        return false;
    };
    // SAFETY: the running thread has noted it, and takes it back before the seat is gone.
    let seat = unsafe { &*(std::ptr::with_exposed_provenance::<Place>(address)) };
    seat.is_broken_off()
}

/// Carries operations out, without the GVL. A jump may leave it: it owns nothing.
fn work(desk: &Desk<BlockingOperation>, seat: &Place) -> Left {
    loop {
        let operation = match desk.begin(seat) {
            Ok(operation) => operation,
            Err(left) => return left,
        };
        // SAFETY: the desk keeps it until it is finished, and its fiber stays in the hook as long.
        // This is a thread of Ruby's without the GVL, and `nogvl::serve` has the protect.
        let through = unsafe { (*operation).execute() };
        if desk.finish(seat, if through { Ran::Through } else { Ran::Short }) {
            return Left::Asked;
        }
    }
}

impl Workers {
    fn serve(&self) -> Outcome {
        loop {
            let seat = Place::default();
            let address = std::ptr::from_ref(&seat).expose_provenance();
            let noted = i64::try_from(address).map_or(NIL, value::from_fixnum);
            thread::set_local(value::intern(SEAT), noted)?;
            let left = Cell::new(Left::Asked);
            let desk: &Desk<BlockingOperation> = &self.desk;
            let served = nogvl::serve(|| left.set(work(desk, &seat)), || desk.dismiss(&seat));
            let noted = thread::set_local(value::intern(SEAT), NIL);
            match served {
                Err(raise) => self.jumped(&seat, raise)?,
                Ok(()) => {
                    // Left in the seat by a panic.
                    self.desk.finish(&seat, Ran::Out);
                }
            }
            noted?;
            match left.get() {
                Left::Asked => thread::check_interrupts()?,
                Left::Idle if self.desk.has_jobs() => NIL,
                Left::Idle => return Ok(NIL),
            };
        }
    }

    /// What an operation has raised in its worker is its fiber's. Else the worker ends.
    fn jumped(&self, seat: &Place, raise: Raise) -> Outcome<()> {
        let (failure, jump) = match raise {
            Raise::Exception(exception) => (exception, None),
            raise => (NIL, Some(raise)),
        };
        if let Some(job) = seat.job() {
            let mut flights = self.flights.borrow_mut();
            let flight = flights.iter_mut().find(|flight| Arc::ptr_eq(&flight.job, &job));
            if let Some(flight) = flight {
                flight.failure = failure;
            }
        }
        self.desk.finish(seat, Ran::Out);
        // Ends the signals of one that was broken off, as the end of any such stretch does.
        let quiet = nogvl::block(|| ());
        jump.map_or(quiet, Err)
    }
}

/// Defines the class's methods.
pub(crate) fn init(class: VALUE) {
    typed::define_allocator::<Workers>(class);
    define(class, c"initialize", method!(initialize, 1));
    define(class, c"carry_out", method!(carry_out, 2));
    define(class, c"serve", method!(serve, 0));
}
