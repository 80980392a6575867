//! Worker threads for blocking libc calls and CPU work, reporting back to a ring's owner.
//!
//! The two kinds have workers of their own: a slow name server doesn't keep streams from being
//! compressed, nor do those keep names from being looked up. For tasks that only a thread of the
//! binding's may carry out, there is a [desk].

pub mod desk;

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fork;
use crate::op::OpKey;
use crate::ring::wake::Waker;

/// Most workers in the process for jobs that block. Those beyond that wait their turn.
pub const MAX_BLOCKING: usize = 16;
/// How long an idle worker stays, in seconds.
const IDLE_SECONDS: u64 = 2;

type Job = Box<dyn FnOnce() + Send>;

/// Ends of local ops reported by workers.
#[derive(Debug)]
pub struct Inbox {
    filled: AtomicBool,
    mail: Mutex<Mail>,
}

#[derive(Debug)]
struct Mail {
    entries: Vec<(OpKey, i32)>,
    /// `None`: the ring is closed.
    waker: Option<Waker>,
}

impl Inbox {
    pub(crate) fn new(waker: Waker) -> Arc<Self> {
        let mail = Mail { entries: Vec::new(), waker: Some(waker) };
        Arc::new(Self { filled: AtomicBool::new(false), mail: Mutex::new(mail) })
    }

    /// Reports the end of a local op and wakes the owner. From any thread.
    pub fn post(&self, key: OpKey, result: i32) {
        let mut mail = lock(&self.mail);
        mail.entries.push((key, result));
        self.filled.store(true, Ordering::Release);
        if let Some(waker) = &mail.waker {
            waker.wake();
        }
    }

    /// The ring is closed: nobody is woken any more.
    pub(crate) fn close(&self) {
        lock(&self.mail).waker = None;
    }

    pub(crate) fn take(&self) -> Vec<(OpKey, i32)> {
        if !self.filled.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        std::mem::take(&mut lock(&self.mail).entries)
    }
}

/// What a job's time goes by with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Waiting for something: at most [`MAX_BLOCKING`] at once.
    Blocking,
    /// Computing: at most one for each core.
    Computing,
}

/// Where a job leaves its value.
#[derive(Debug)]
pub struct Slot<T>(Arc<Mutex<Option<T>>>);

impl<T> Slot<T> {
    /// The value, once the job has reported; `None` also where it has panicked.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        lock(&self.0).take()
    }
}

/// Reports when it is dropped: at a job's end, whichever it is.
struct Report {
    inbox: Arc<Inbox>,
    key: OpKey,
}

impl Drop for Report {
    fn drop(&mut self) {
        self.inbox.post(self.key, 0);
    }
}

/// Runs a job on a worker thread. When it is over the local op ends with 0, and the job's value is
/// in the slot.
pub fn run<T: Send + 'static>(
    kind: Kind,
    inbox: Arc<Inbox>,
    key: OpKey,
    job: impl FnOnce() -> T + Send + 'static,
) -> Slot<T> {
    let slot = Arc::new(Mutex::new(None));
    let (value, report) = (slot.clone(), Report { inbox, key });
    pools().of(kind).run(Box::new(move || {
        let _report = report;
        *lock(&value) = Some(job());
    }));
    Slot(slot)
}

/// The number of cores that the process may use.
#[must_use]
pub fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

struct Pools {
    generation: u32,
    blocking: Pool,
    computing: Pool,
}

struct Pool {
    /// Most workers.
    limit: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    workers: usize,
    idle: usize,
}

static POOLS: AtomicPtr<Pools> = AtomicPtr::new(std::ptr::null_mut());

/// The process' pools. A forked child, where no worker lives and the locks may be held for ever,
/// makes some of its own and leaves the parent's alone.
fn pools() -> &'static Pools {
    fork::watch();
    let generation = fork::generation();
    let current = POOLS.load(Ordering::Acquire);
    // SAFETY: pools are leaked, so the pointer is null or valid for ever.
    let existing = unsafe { current.as_ref() };
    if let Some(pools) = existing.filter(|pools| pools.generation == generation) {
        return pools;
    }
    let fresh = Box::leak(Box::new(Pools {
        generation,
        blocking: Pool::new(MAX_BLOCKING),
        computing: Pool::new(cores().get()),
    }));
    match POOLS.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => fresh,
        // SAFETY: as above; another thread was first.
        Err(other) => unsafe { &*other },
    }
}

impl Pools {
    fn of(&'static self, kind: Kind) -> &'static Pool {
        match kind {
            Kind::Blocking => &self.blocking,
            Kind::Computing => &self.computing,
        }
    }
}

impl Pool {
    fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), work: Condvar::new() }
    }

    /// Signals never interrupt workers. A panic ends the job only.
    fn run(&'static self, job: Job) {
        let mut state = lock(&self.state);
        state.jobs.push_back(job);
        if state.idle < state.jobs.len() && state.workers < self.limit {
            state.workers += 1;
            drop(state);
            spawn_worker(self);
        } else {
            drop(state);
        }
        self.work.notify_one();
    }
}

fn spawn_worker(pool: &'static Pool) {
    let signals = block_signals();
    let spawned =
        std::thread::Builder::new().name("polyphony-offload".into()).spawn(move || work(pool));
    restore_signals(&signals);
    if spawned.is_err() {
        // Out of threads. With no other worker the job is done here, late rather than never.
        let mut state = lock(&pool.state);
        state.workers -= 1;
        let job = if state.workers == 0 { state.jobs.pop_front() } else { None };
        drop(state);
        if let Some(job) = job {
            job();
        }
    }
}

fn work(pool: &Pool) {
    let mut state = lock(&pool.state);
    loop {
        if let Some(job) = state.jobs.pop_front() {
            drop(state);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            // A ring's owner that wants the core would have to wait until the scheduler's next tick.
            std::thread::yield_now();
            state = lock(&pool.state);
            continue;
        }
        state.idle += 1;
        let (guard, timeout) = pool
            .work
            .wait_timeout(state, Duration::from_secs(IDLE_SECONDS))
            .unwrap_or_else(PoisonError::into_inner);
        state = guard;
        state.idle -= 1;
        if timeout.timed_out() && state.jobs.is_empty() {
            state.workers -= 1;
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the locks guard is valid after each statement that changes it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn block_signals() -> libc::sigset_t {
    // SAFETY: both sets are live locals; all zeroes is a valid sigset_t.
    unsafe {
        let mut all = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        before
    }
}

fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: the set comes from `block_signals`.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn inbox() -> Arc<Inbox> {
        Inbox::new(Waker::new().expect("eventfd"))
    }

    #[test]
    fn more_jobs_than_workers_all_run() {
        let (sender, receiver) = mpsc::channel();
        for kind in [Kind::Blocking, Kind::Computing] {
            for i in 0..MAX_BLOCKING * 4 {
                let sender = sender.clone();
                let job =
                    move || sender.send((kind == Kind::Computing, i)).expect("receiver lives");
                let _ = run(kind, inbox(), OpKey::from_user_data(1), job);
            }
        }
        drop(sender);
        let mut seen: Vec<_> = receiver.iter().collect();
        seen.sort_unstable();
        let all = |kind| (0..MAX_BLOCKING * 4).map(move |i| (kind, i));
        assert!(seen.into_iter().eq(all(false).chain(all(true))));
    }

    #[test]
    fn blocked_jobs_keep_none_from_computing() {
        let (unblock, blocked) = mpsc::channel::<()>();
        let blocked = Arc::new(Mutex::new(blocked));
        for _ in 0..MAX_BLOCKING * 2 {
            let blocked = blocked.clone();
            let job = move || lock(&blocked).recv().is_ok();
            let _ = run(Kind::Blocking, inbox(), OpKey::from_user_data(1), job);
        }
        let (sender, receiver) = mpsc::channel();
        let job = move || sender.send(7);
        let _ = run(Kind::Computing, inbox(), OpKey::from_user_data(1), job);
        assert_eq!(receiver.recv(), Ok(7));
        drop(unblock);
    }

    /// Waits for a report.
    fn reported(inbox: &Inbox) -> Vec<(OpKey, i32)> {
        std::iter::repeat_with(|| {
            std::thread::yield_now();
            inbox.take()
        })
        .find(|entries| !entries.is_empty())
        .unwrap_or_default()
    }

    #[test]
    fn a_value_is_there_when_its_job_has_reported() {
        let (inbox, key) = (inbox(), OpKey::from_user_data(5));
        let slot = run(Kind::Computing, inbox.clone(), key, || vec![1, 2]);
        assert_eq!(reported(&inbox), [(key, 0)]);
        assert_eq!(slot.take(), Some(vec![1, 2]));
        assert_eq!(slot.take(), None);
    }

    #[test]
    fn a_job_that_panics_reports_as_well() {
        let (inbox, key) = (inbox(), OpKey::from_user_data(5));
        let slot = run::<()>(Kind::Blocking, inbox.clone(), key, || {
            std::panic::resume_unwind(Box::new("no message"))
        });
        assert_eq!(reported(&inbox), [(key, 0)]);
        assert_eq!(slot.take(), None);
    }

    #[test]
    fn the_inbox_hands_over_once() {
        let inbox = inbox();
        let key = OpKey::from_user_data(5);
        inbox.post(key, 1);
        inbox.post(key, 2);
        assert_eq!(inbox.take(), [(key, 1), (key, 2)]);
        assert_eq!(inbox.take(), []);
    }
}
