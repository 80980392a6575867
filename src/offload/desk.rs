//! Tasks for threads that the binding brings: those that no other thread may carry out, and that
//! can be broken off.
//!
//! A task works on memory of whoever has handed it in. So its owner waits for its end, whatever
//! happens, and a task that is broken off is waited for as well.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::{IDLE_SECONDS, Inbox, lock};
use crate::op::OpKey;

/// What is to be done.
pub trait Task: Send + Sync {
    /// Carries it out. Once, by a thread that serves at the desk.
    fn run(&self);
    /// Asks it to end early. By another thread, while `run` has begun and not been left.
    fn cancel(&self);
}

/// How a task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was carried out.
    Done,
    /// It was carried out, and asked to end early meanwhile.
    Cancelled,
    /// It was not begun.
    Withdrawn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Queued,
    Running { cancelled: bool },
    Over(End),
}

/// A task that was handed in.
#[derive(Debug)]
pub struct Job<T> {
    task: T,
    inbox: Arc<Inbox>,
    key: OpKey,
    phase: Mutex<Phase>,
    over: Condvar,
}

impl<T: Task> Job<T> {
    /// How it has ended; `None` as long as it hasn't. Afterwards nobody uses the task's memory.
    pub fn end(&self) -> Option<End> {
        match *lock(&self.phase) {
            Phase::Over(end) => Some(end),
            Phase::Queued | Phase::Running { .. } => None,
        }
    }

    /// Blocks the calling thread until it has ended.
    pub fn wait(&self) {
        let mut phase = lock(&self.phase);
        while !matches!(*phase, Phase::Over(_)) {
            phase = self.over.wait(phase).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Breaks off what has begun. The lock is held meanwhile: the worker stays where it is.
    fn break_off(&self) {
        let mut phase = lock(&self.phase);
        if matches!(*phase, Phase::Running { .. }) {
            *phase = Phase::Running { cancelled: true };
            self.task.cancel();
        }
    }

    /// Ends it where it has not begun.
    fn withdraw(&self) {
        let mut phase = lock(&self.phase);
        if *phase == Phase::Queued {
            *phase = Phase::Over(End::Withdrawn);
            drop(phase);
            self.announce();
        }
    }

    /// Carries it out; how it has ended. `None`: the thread is to leave, and has not begun it.
    fn run(&self, leaving: &AtomicBool) -> Option<End> {
        let mut phase = lock(&self.phase);
        if let Phase::Over(end) = *phase {
            return Some(end);
        }
        // Looked at under the lock that breaking off takes: it comes before this, or finds it begun.
        if leaving.load(Ordering::Acquire) {
            return None;
        }
        *phase = Phase::Running { cancelled: false };
        drop(phase);
        self.task.run();
        // Whoever breaks it off holds the lock until that is done.
        let mut phase = lock(&self.phase);
        let end = match *phase {
            Phase::Running { cancelled: true } => End::Cancelled,
            _ => End::Done,
        };
        *phase = Phase::Over(end);
        drop(phase);
        self.announce();
        Some(end)
    }

    fn announce(&self) {
        self.over.notify_all();
        self.inbox.post(self.key, 0);
    }
}

/// Where tasks wait for the threads that serve.
#[derive(Debug)]
pub struct Desk<T> {
    state: Mutex<State<T>>,
    work: Condvar,
}

#[derive(Debug)]
struct State<T> {
    jobs: VecDeque<Arc<Job<T>>>,
    idle: usize,
}

/// A serving thread's place. Others make it leave by it.
#[derive(Debug)]
pub struct Seat<T> {
    leaving: AtomicBool,
    /// What it is at.
    job: Mutex<Option<Arc<Job<T>>>>,
}

/// Why a thread has stopped serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// For some time there was nothing to do.
    Idle,
    /// It was asked to, or its last task was broken off: what that has left behind in the thread
    /// is for the binding to clear away.
    Asked,
}

impl<T: Task> Default for Seat<T> {
    fn default() -> Self {
        Self { leaving: AtomicBool::new(false), job: Mutex::new(None) }
    }
}

impl<T: Task> Default for Desk<T> {
    fn default() -> Self {
        let state = State { jobs: VecDeque::new(), idle: 0 };
        Self { state: Mutex::new(state), work: Condvar::new() }
    }
}

impl<T: Task> Desk<T> {
    /// Hands a task in. When it has ended, the local op ends with 0.
    pub fn hand_in(&self, task: T, inbox: Arc<Inbox>, key: OpKey) -> Arc<Job<T>> {
        let (phase, over) = (Mutex::new(Phase::Queued), Condvar::new());
        let job = Arc::new(Job { task, inbox, key, phase, over });
        lock(&self.state).jobs.push_back(job.clone());
        self.work.notify_one();
        job
    }

    /// Whether there are more tasks than threads that wait for one.
    pub fn is_short(&self) -> bool {
        let state = lock(&self.state);
        state.jobs.len() > state.idle
    }

    /// Whether there is any task that nobody has begun.
    pub fn has_jobs(&self) -> bool {
        !lock(&self.state).jobs.is_empty()
    }

    /// Takes a task back: one that has not begun ends at once, another is broken off and ends when
    /// its thread has let go of it.
    pub fn take_back(&self, job: &Arc<Job<T>>) {
        lock(&self.state).jobs.retain(|other| !Arc::ptr_eq(other, job));
        job.withdraw();
        job.break_off();
    }

    /// Takes back all that has not begun: nobody is left who would.
    pub fn take_back_all(&self) {
        let jobs = std::mem::take(&mut lock(&self.state).jobs);
        jobs.iter().for_each(|job| job.withdraw());
    }

    /// Has the calling thread carry out tasks.
    pub fn serve(&self, seat: &Seat<T>) -> Left {
        let mut state = lock(&self.state);
        loop {
            if seat.leaving.load(Ordering::Acquire) {
                return Left::Asked;
            }
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                *lock(&seat.job) = Some(job.clone());
                let end = job.run(&seat.leaving);
                *lock(&seat.job) = None;
                if end == Some(End::Cancelled) {
                    return Left::Asked;
                }
                state = lock(&self.state);
                if end.is_none() {
                    state.jobs.push_front(job);
                }
                continue;
            }
            state.idle += 1;
            let (guard, timeout) = self
                .work
                .wait_timeout(state, Duration::from_secs(IDLE_SECONDS))
                .unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() {
                return Left::Idle;
            }
        }
    }

    /// Has a serving thread leave: what it is at is broken off. From any thread.
    pub fn dismiss(&self, seat: &Seat<T>) {
        seat.leaving.store(true, Ordering::Release);
        let job = lock(&seat.job).clone();
        if let Some(job) = job {
            job.break_off();
        }
        // One that is about to wait has the lock; one that waits is woken.
        drop(lock(&self.state));
        self.work.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::wake::Waker;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Runs until it is told to end, or cancelled.
    struct Told {
        begun: Sender<()>,
        told: Mutex<Receiver<()>>,
        tell: Mutex<Sender<()>>,
    }

    impl Task for Told {
        fn run(&self) {
            let _ = self.begun.send(());
            let _ = lock(&self.told).recv();
        }

        fn cancel(&self) {
            let _ = lock(&self.tell).send(());
        }
    }

    struct Set {
        desk: Arc<Desk<Told>>,
        inbox: Arc<Inbox>,
        begun: (Sender<()>, Receiver<()>),
    }

    impl Set {
        fn new() -> Self {
            let inbox = Inbox::new(Waker::new().expect("eventfd"));
            Self { desk: Arc::default(), inbox, begun: channel() }
        }

        fn hand_in(&self, key: u64) -> Arc<Job<Told>> {
            let (tell, told) = channel();
            let task = Told {
                begun: self.begun.0.clone(),
                told: Mutex::new(told),
                tell: Mutex::new(tell),
            };
            self.desk.hand_in(task, self.inbox.clone(), OpKey::from_user_data(key))
        }

        fn serve(&self) -> (Arc<Seat<Told>>, std::thread::JoinHandle<Left>) {
            let (desk, seat) = (self.desk.clone(), Arc::<Seat<Told>>::default());
            let thread = std::thread::spawn({
                let seat = seat.clone();
                move || desk.serve(&seat)
            });
            (seat, thread)
        }

        fn wait_until_begun(&self) {
            self.begun.1.recv().expect("it has begun");
        }
    }

    #[test]
    fn a_task_that_was_carried_out_is_done_and_reported() {
        let set = Set::new();
        let job = set.hand_in(5);
        assert_eq!(job.end(), None);
        job.task.cancel(); // its own way to end
        let (seat, thread) = set.serve();
        job.wait();
        assert_eq!(job.end(), Some(End::Done));
        set.desk.dismiss(&seat);
        assert_eq!(thread.join().expect("thread"), Left::Asked);
        assert_eq!(set.inbox.take(), [(OpKey::from_user_data(5), 0)]);
    }

    #[test]
    fn one_that_has_begun_is_broken_off_and_its_thread_leaves() {
        let set = Set::new();
        let job = set.hand_in(5);
        let (_, thread) = set.serve();
        set.wait_until_begun();
        set.desk.take_back(&job);
        assert_eq!(thread.join().expect("thread"), Left::Asked);
        assert_eq!(job.end(), Some(End::Cancelled));
        assert_eq!(set.inbox.take(), [(OpKey::from_user_data(5), 0)]);
    }

    #[test]
    fn one_that_has_not_begun_is_withdrawn_and_never_run() {
        let set = Set::new();
        let (first, second) = (set.hand_in(1), set.hand_in(2));
        set.desk.take_back(&first);
        assert_eq!((first.end(), second.end()), (Some(End::Withdrawn), None));
        set.desk.take_back_all();
        assert_eq!((second.end(), set.desk.has_jobs()), (Some(End::Withdrawn), false));
        assert!(set.begun.1.try_recv().is_err());
        assert_eq!(set.inbox.take().len(), 2);
    }

    #[test]
    fn a_thread_that_is_dismissed_breaks_off_its_task_and_leaves_the_others() {
        let set = Set::new();
        let (first, second) = (set.hand_in(1), set.hand_in(2));
        let (seat, thread) = set.serve();
        set.wait_until_begun();
        set.desk.dismiss(&seat);
        assert_eq!(thread.join().expect("thread"), Left::Asked);
        assert_eq!((first.end(), second.end()), (Some(End::Cancelled), None));
        assert!(set.desk.is_short());
    }

    #[test]
    fn one_that_waits_is_woken_to_leave() {
        let set = Set::new();
        let (seat, thread) = set.serve();
        while lock(&set.desk.state).idle == 0 {
            std::thread::yield_now();
        }
        let job = set.hand_in(1);
        assert!(!set.desk.is_short());
        job.task.cancel();
        job.wait();
        set.desk.dismiss(&seat);
        assert_eq!(thread.join().expect("thread"), Left::Asked);
    }
}
