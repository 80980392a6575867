//! Entering the kernel, and taking in what it and others have done.

use std::io;

use super::{Driver, Sink, streams};
use crate::op::{self, Completion, OpKey};
use crate::ring::Cqe;
use crate::ring::wake::Waker;

impl<T> Driver<T> {
    /// Hands queued SQEs to the kernel and lets it post what is ready, without waiting and only
    /// if there is something to gain.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn enter(&mut self) -> io::Result<()> {
        if self.ring.wants_enter() { self.hand_over().map(drop) } else { Ok(()) }
    }

    /// Hands queued SQEs to the kernel; how many it took.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn submit_queued(&mut self) -> io::Result<usize> {
        if self.ring.queued() == 0 { Ok(0) } else { self.hand_over() }
    }

    pub(super) fn hand_over(&mut self) -> io::Result<usize> {
        self.queued_ops = 0;
        self.ring.submit()
    }

    /// Takes what has completed and what workers reported.
    pub fn drain(&mut self, sink: &mut impl Sink<T>) {
        self.given_up = 0;
        let Self { ring, ops, pool, streams, timers, waker, wake_armed, .. } = self;
        let mut ran_out = false;
        let mut crowded = Vec::new();
        let mut take_in = |cqe: Cqe| match cqe.user_data {
            op::IGNORED => {}
            op::WAKE => {
                waker.iter().for_each(Waker::reset);
                *wake_armed = cqe.more();
            }
            user_data => {
                let key = OpKey::from_user_data(user_data);
                let Cqe { result, flags, .. } = cqe;
                let segment = pool.as_mut().and_then(|pool| pool.take_in(result, flags));
                let starved = result == -libc::ENOBUFS && ops.takes_buffers(key);
                let completion = Completion { result, flags, segment };
                let stream = ops.stream(key).and_then(|id| streams.get_mut(id));
                let (todo, full) = match stream {
                    Some(stream) => {
                        let todo = streams::take_in(ops, (stream, pool), key, completion);
                        (todo, stream.is_full())
                    }
                    None => (ops.complete(key, completion), ops.is_crowded(key)),
                };
                if cqe.more() && full {
                    crowded.push(key);
                }
                // Whoever has enough unread needs no larger pool.
                ran_out |= starved && !full;
                match todo {
                    op::Todo::Wake => sink.wake(key),
                    op::Todo::Freed(data) => {
                        timers.cancel(key.index());
                        if let Some(data) = data {
                            sink.freed(data);
                        }
                    }
                    op::Todo::Nothing | op::Todo::AskCancel => {}
                }
            }
        };
        loop {
            ring.drain(&mut take_in);
            // The kernel may have more than the queue could hold. An error comes up at the next
            // wait again.
            if !ring.has_overflowed() || ring.submit().is_err() {
                break;
            }
        }
        // Their waiters start them again when they have caught up.
        crowded.into_iter().for_each(|key| self.cancel(key, sink));
        self.release_unclaimed();
        if ran_out {
            self.streams.release_sparse(&mut self.pool);
        }
        if let Some(pool) = &mut self.pool {
            if ran_out {
                pool.ran_out();
            }
            pool.refill();
        }
        for (key, result) in self.inbox.take() {
            self.complete_local(key, result, sink);
        }
        self.send_cancels();
    }

    /// Asks for what another thread has cancelled, or what could not be queued. The kernel is told at
    /// once: it keeps the file of a closed descriptor until then. An error comes up at the next wait.
    fn send_cancels(&mut self) {
        if self.unsent_cancels.is_empty() {
            return;
        }
        for key in std::mem::take(&mut self.unsent_cancels) {
            if self.ops.is_running(key) {
                self.ask_cancel(key);
            }
        }
        let _ = self.submit_queued();
    }

    /// Ends what is due at `now`.
    pub fn expire(&mut self, now: u64, sink: &mut impl Sink<T>) {
        while let Some(slot) = self.timers.pop_expired(now) {
            if let Some((key, todo)) = self.ops.expire(slot) {
                self.carry_out(key, todo, sink);
            }
        }
    }

    /// The nearest deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.next_deadline()
    }
}
