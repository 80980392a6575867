//! A thread beside the ring's owner that waits for completions in its place.
//!
//! The owner then sleeps on a futex, which the thread wakes. The thread waits for an eventfd that
//! the kernel signals whenever the owner has something to take (polling the ring's descriptor is
//! not enough: completions that wait for the owner's next enter don't show there), and for the
//! eventfd that other threads wake the owner with: where one eventfd is to signal another, the
//! kernel does it late (20 ms on 6.18), and then never again. Entering the ring is the owner's
//! alone. It costs two more switches between threads for each wait, and is
//! there for programs that ask for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use super::wait::Outcome;
use super::wake::Waker;

/// The owner has something else to do.
const IDLE: u32 = 0;
/// The owner sleeps, or is about to.
const WAITING: u32 = 1;
/// There is something to drain.
const READY: u32 = 2;
/// The thread is to end.
const STOPPED: u32 = 3;

/// The word that both sleep on. Shared by the owner and the thread.
#[derive(Debug, Default)]
pub struct Signal(AtomicU32);

impl Signal {
    /// Sleeps until completions are there or the time is up; may end early, as interrupted. Owner
    /// only.
    pub(super) fn wait(&self, timeout_ns: Option<u64>) -> Outcome {
        self.0.store(WAITING, Ordering::Release);
        self.wake();
        let slept = self.sleep_while(WAITING, timeout_ns);
        let seen = self.0.swap(IDLE, Ordering::AcqRel);
        match slept {
            _ if seen == READY => Outcome::Ready,
            Err(libc::ETIMEDOUT) => Outcome::TimedOut,
            _ => Outcome::Interrupted,
        }
    }

    fn sleep_while(&self, value: u32, timeout_ns: Option<u64>) -> Result<(), i32> {
        let timeout = timeout_ns.map(super::wait::timespec);
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the word and the time outlive the call.
        let result =
            unsafe { libc::syscall(libc::SYS_futex, self.0.as_ptr(), operation, value, timeout) };
        if result < 0 { Err(crate::sys::errno()) } else { Ok(()) }
    }

    fn wake(&self) {
        let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the word lives; both sides may sleep on it, so all are woken.
        unsafe { libc::syscall(libc::SYS_futex, self.0.as_ptr(), operation, i32::MAX) };
    }

    fn set(&self, value: u32) {
        self.0.store(value, Ordering::Release);
        self.wake();
    }
}

/// The thread, and what it takes to end it.
#[derive(Debug)]
pub struct Sidecar {
    signal: Arc<Signal>,
    completions: Waker,
    end: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Sidecar {
    /// Starts a thread that wakes the owner when the kernel signals `completions`, or another
    /// thread `wakes`, which the owner resets.
    ///
    /// # Errors
    /// Out of descriptors or threads.
    pub fn start(completions: Waker, wakes: Waker) -> io::Result<Self> {
        let signal = Arc::new(Signal::default());
        let end = Waker::new()?;
        let (theirs, all) = (signal.clone(), [completions.clone(), wakes, end.clone()]);
        let thread = std::thread::Builder::new()
            .name("um-sidecar".into())
            .spawn(move || run(&theirs, &all))?;
        Ok(Self { signal, completions, end, thread: Some(thread) })
    }

    /// Makes the owner's present or next wait return.
    pub fn wake(&self) {
        self.completions.wake();
    }

    pub(super) fn signal(&self) -> Arc<Signal> {
        self.signal.clone()
    }

    /// In a forked child, which has no such thread.
    pub fn forget(mut self) {
        // Neither joined nor detached: the handle names a thread of the parent.
        if let Some(thread) = self.thread.take() {
            #[allow(clippy::mem_forget)]
            std::mem::forget(thread);
        }
    }
}

impl Drop for Sidecar {
    /// Ends the thread and waits for that.
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.signal.set(STOPPED);
        self.end.wake();
        // It can't panic; should it have, there is nothing to do about it.
        let _ = thread.join();
    }
}

fn run(signal: &Signal, all: &[Waker; 3]) {
    block_signals();
    let [completions, ..] = all;
    loop {
        match signal.0.load(Ordering::Acquire) {
            STOPPED => return,
            WAITING => {
                let mut fds = all.each_ref().map(|waker| libc::pollfd {
                    fd: waker.as_raw_fd(),
                    events: libc::POLLIN,
                    revents: 0,
                });
                // SAFETY: an array of three, which outlives the call.
                unsafe { libc::poll(fds.as_mut_ptr(), 3, -1) };
                completions.reset();
                let seen = Ordering::AcqRel;
                if signal.0.compare_exchange(WAITING, READY, seen, Ordering::Acquire).is_ok() {
                    signal.wake();
                } else {
                    // The owner has left without seeing these: they are for its next wait.
                    completions.wake();
                }
            }
            other => {
                // EAGAIN and EINTR: look again.
                let _ = signal.sleep_while(other, None);
            }
        }
    }
}

/// Signals are for the program's own threads.
fn block_signals() {
    // SAFETY: a set that sigfillset initialises; blocking signals in this thread only.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn start() -> (Waker, Sidecar) {
        let [completions, wakes] = [(); 2].map(|()| Waker::new().expect("eventfd"));
        let sidecar = Sidecar::start(completions.clone(), wakes).expect("thread");
        (completions, sidecar)
    }

    /// A late wake of the wait before may end this one early.
    fn wait(sidecar: &Sidecar, timeout_ns: u64) -> Outcome {
        loop {
            match sidecar.signal().wait(Some(timeout_ns)) {
                Outcome::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    #[test]
    fn a_wait_ends_when_the_descriptor_is_ready() {
        let (eventfd, sidecar) = start();
        let other = eventfd.clone();
        let waker = std::thread::spawn(move || other.wake());
        assert_eq!(wait(&sidecar, 60 * SECOND), Outcome::Ready);
        waker.join().expect("thread");
    }

    #[test]
    fn what_comes_between_two_waits_ends_the_second() {
        let (eventfd, sidecar) = start();
        assert_eq!(wait(&sidecar, SECOND / 1000), Outcome::TimedOut);
        eventfd.wake();
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(wait(&sidecar, 60 * SECOND), Outcome::Ready);
    }

    #[test]
    fn a_wait_times_out_and_the_thread_ends() {
        let (_, sidecar) = start();
        assert_eq!(wait(&sidecar, SECOND / 1000), Outcome::TimedOut);
        drop(sidecar);
    }

    #[test]
    fn a_thousand_waits() {
        let (eventfd, sidecar) = start();
        for _ in 0..1000 {
            eventfd.wake();
            assert_eq!(wait(&sidecar, 60 * SECOND), Outcome::Ready);
        }
    }
}
