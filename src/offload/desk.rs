//! Tasks for threads that the binding brings: those that no other thread may carry out, and that
//! can be broken off.
//!
//! A task works on memory of whoever has handed it in. So its owner waits for its end, whatever
//! happens, and a task that is broken off is waited for as well.
//!
//! What a thread is at lies in its seat, and in no frame of its stack: the binding carries it out
//! between [`Desk::begin`] and [`Desk::finish`], and may leave that stretch by a jump.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::{IDLE_SECONDS, Inbox, lock};
use crate::op::OpKey;

/// What is to be done.
pub trait Task: Send + Sync {
    /// Asks it to end early. By another thread, between the beginning and the end. Whether what it
    /// does had begun: then it has some result.
    fn cancel(&self) -> bool;
}

/// How a task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was carried out.
    Done,
    /// It was asked to end early, and has ended with some result.
    Interrupted,
    /// It was begun, and has no result.
    Void,
    /// It was not begun.
    Withdrawn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Queued,
    /// And whether it was asked to end early: what [`Task::cancel`] has said.
    Running {
        cancelled: Option<bool>,
    },
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
        if let Phase::Running { cancelled } = *phase {
            let begun = self.task.cancel();
            *phase = Phase::Running { cancelled: Some(begun || cancelled == Some(true)) };
        }
    }

    /// Whether it was asked to end early and has not ended. Afterwards nobody is about to ask it.
    fn is_broken_off(&self) -> bool {
        matches!(*lock(&self.phase), Phase::Running { cancelled: Some(_) })
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

    /// Begins it. `Some`: that can't be, and whether the thread is to leave.
    fn begin(&self, leaving: &AtomicBool) -> Option<Instead> {
        let mut phase = lock(&self.phase);
        if matches!(*phase, Phase::Over(_)) {
            return Some(Instead::Next);
        }
        // Looked at under the lock that breaking off takes: it comes before this, or finds it begun.
        if leaving.load(Ordering::Acquire) {
            return Some(Instead::Leave);
        }
        *phase = Phase::Running { cancelled: None };
        None
    }

    /// Ends it; whether it was asked to end early. Whoever asks holds the lock until that is done.
    fn finish(&self, ran: Ran) -> bool {
        let mut phase = lock(&self.phase);
        let cancelled = match *phase {
            Phase::Running { cancelled } => cancelled,
            Phase::Queued | Phase::Over(_) => None,
        };
        *phase = Phase::Over(match (ran, cancelled) {
            (Ran::Through, _) => End::Done,
            (Ran::Short, Some(true)) => End::Interrupted,
            (Ran::Short | Ran::Out, _) => End::Void,
        });
        drop(phase);
        self.announce();
        cancelled.is_some()
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

/// How the binding has come back from a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It was carried out.
    Through,
    /// It was cut short.
    Short,
    /// It was left by a jump.
    Out,
}

/// What is done in place of a task.
enum Instead {
    Next,
    Leave,
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

impl<T: Task> Seat<T> {
    /// What the thread is at.
    pub fn job(&self) -> Option<Arc<Job<T>>> {
        lock(&self.job).clone()
    }

    /// Whether what the thread is at was asked to end early.
    pub fn is_broken_off(&self) -> bool {
        self.job().is_some_and(|job| job.is_broken_off())
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

    /// Takes back all that has not begun: nobody may be left who would.
    pub fn take_back_all(&self) {
        let jobs = std::mem::take(&mut lock(&self.state).jobs);
        jobs.iter().for_each(|job| job.withdraw());
    }

    /// Waits for a task and begins it, for the calling thread to carry out. It is in the seat, and
    /// its address good, until [`Desk::finish`]. `Err`: there is none, and why.
    pub fn begin(&self, seat: &Seat<T>) -> Result<*const T, Left> {
        let mut state = lock(&self.state);
        loop {
            if seat.leaving.load(Ordering::Acquire) {
                return Err(Left::Asked);
            }
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                *lock(&seat.job) = Some(job.clone());
                let Some(instead) = job.begin(&seat.leaving) else {
                    return Ok(std::ptr::from_ref(&job.task));
                };
                *lock(&seat.job) = None;
                state = lock(&self.state);
                if matches!(instead, Instead::Leave) {
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
                return Err(Left::Idle);
            }
        }
    }

    /// Ends what the thread is at. Whether it was asked to end early: then the thread is to leave.
    pub fn finish(&self, seat: &Seat<T>, ran: Ran) -> bool {
        let job = lock(&seat.job).take();
        job.is_some_and(|job| job.finish(ran))
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
        told: Mutex<Receiver<bool>>,
        tell: Mutex<Sender<bool>>,
    }

    impl Told {
        fn run(&self) -> Ran {
            let _ = self.begun.send(());
            if lock(&self.told).recv() == Ok(true) { Ran::Through } else { Ran::Short }
        }

        /// Lets it end by itself.
        fn end(&self) {
            let _ = lock(&self.tell).send(true);
        }
    }

    impl Task for Told {
        fn cancel(&self) -> bool {
            lock(&self.tell).send(false).is_ok()
        }
    }

    fn serve(desk: &Desk<Told>, seat: &Seat<Told>) -> Left {
        loop {
            if let Err(left) = desk.begin(seat) {
                return left;
            }
            let ran = seat.job().map_or(Ran::Out, |job| job.task.run());
            if desk.finish(seat, ran) {
                return Left::Asked;
            }
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
                move || serve(&desk, &seat)
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
        job.task.end();
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
        assert_eq!(job.end(), Some(End::Interrupted));
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
        assert_eq!((first.end(), second.end()), (Some(End::Interrupted), None));
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
        job.task.end();
        job.wait();
        set.desk.dismiss(&seat);
        assert_eq!(thread.join().expect("thread"), Left::Asked);
    }

    #[test]
    fn one_that_was_left_by_a_jump_is_void_and_its_seat_free() {
        let set = Set::new();
        let (jumped, cancelled) = (set.hand_in(1), set.hand_in(2));
        let seat = Seat::default();
        assert!(set.desk.begin(&seat).is_ok());
        assert!(!set.desk.finish(&seat, Ran::Out));
        assert_eq!((jumped.end(), seat.job().is_none()), (Some(End::Void), true));
        assert!(set.desk.begin(&seat).is_ok());
        set.desk.take_back(&cancelled);
        assert!(seat.is_broken_off());
        assert!(set.desk.finish(&seat, Ran::Out));
        assert_eq!((cancelled.end(), seat.is_broken_off()), (Some(End::Void), false));
    }

    #[test]
    fn one_that_is_done_all_the_same_is_done() {
        let set = Set::new();
        let job = set.hand_in(1);
        let seat = Seat::default();
        assert!(set.desk.begin(&seat).is_ok());
        set.desk.take_back(&job);
        assert!(set.desk.finish(&seat, Ran::Through));
        assert_eq!(job.end(), Some(End::Done));
    }
}
