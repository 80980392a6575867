//! Worker threads for blocking libc calls and CPU work, reporting back to a ring's owner.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fork;
use crate::op::OpKey;
use crate::ring::wake::Waker;

/// Most worker threads in the process. Jobs beyond that wait their turn.
pub const MAX_WORKERS: usize = 16;
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

struct Pool {
    generation: u32,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    workers: usize,
    idle: usize,
}

static POOL: AtomicPtr<Pool> = AtomicPtr::new(std::ptr::null_mut());

/// The process' pool. A forked child, where no worker lives and the lock may be held for ever,
/// makes one of its own and leaves the parent's alone.
fn pool() -> &'static Pool {
    fork::watch();
    let generation = fork::generation();
    let current = POOL.load(Ordering::Acquire);
    // SAFETY: pools are leaked, so the pointer is null or valid for ever.
    let existing = unsafe { current.as_ref() };
    if let Some(pool) = existing.filter(|pool| pool.generation == generation) {
        return pool;
    }
    let fresh =
        Box::leak(Box::new(Pool { generation, state: Mutex::default(), work: Condvar::new() }));
    match POOL.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => fresh,
        // SAFETY: as above; another thread was first.
        Err(other) => unsafe { &*other },
    }
}

/// Runs a job on a worker thread. Signals never interrupt workers. A panic in a job is
/// swallowed with it: what the job was to report is then never reported, so jobs don't panic.
pub fn run(job: impl FnOnce() + Send + 'static) {
    let pool = pool();
    let mut state = lock(&pool.state);
    state.jobs.push_back(Box::new(job));
    if state.idle < state.jobs.len() && state.workers < MAX_WORKERS {
        state.workers += 1;
        drop(state);
        spawn_worker(pool);
    } else {
        drop(state);
    }
    pool.work.notify_one();
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

    #[test]
    fn more_jobs_than_workers_all_run() {
        let (sender, receiver) = mpsc::channel();
        for i in 0..MAX_WORKERS * 4 {
            let sender = sender.clone();
            run(move || sender.send(i).expect("receiver lives"));
        }
        drop(sender);
        let mut seen: Vec<_> = receiver.iter().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..MAX_WORKERS * 4).collect::<Vec<_>>());
    }

    #[test]
    fn the_inbox_hands_over_once() {
        let inbox = Inbox::new(Waker::new().expect("eventfd"));
        let key = OpKey::from_user_data(5);
        inbox.post(key, 1);
        inbox.post(key, 2);
        assert_eq!(inbox.take(), [(key, 1), (key, 2)]);
        assert_eq!(inbox.take(), []);
    }
}
