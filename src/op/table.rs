//! The table of ops in flight: a slab with generations.

mod overview;

use std::collections::VecDeque;
use std::os::fd::RawFd;

use super::fd_index::FdIndex;
use super::state::{Action, Event, State, step};
use super::{Discard, OpKey, OpMemory};
use crate::buf::Segment;
use crate::stream::StreamId;

pub use overview::Pending;

const NO_SLOT: u32 = u32::MAX;

/// Most results of an op that may lie in buffers of the pool without being taken; it is stopped
/// when there are more, so that a slow reader leaves some for the others.
const BACKLOG: usize = 64;

/// One result of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Non-negative result, or a negated errno.
    pub result: i32,
    /// `IORING_CQE_F_*`.
    pub flags: u32,
    /// What came in, for ops that take buffers of the pool; to be released.
    pub segment: Option<Segment>,
}

impl Completion {
    /// One that stands for itself.
    pub(crate) fn new(result: i32, flags: u32) -> Self {
        Self { result, flags, segment: None }
    }
}

/// What there is to know about an op that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing yet.
    Pending,
    /// A result, and whether it was the last one (then the op is gone).
    Result(Completion, bool),
    /// Its deadline passed; the op itself goes on until it is cancelled or abandoned.
    TimedOut,
    /// No such op (any more).
    Gone,
}

/// What is left of an op that is over.
pub struct Remains<T> {
    /// The binding's value.
    pub data: T,
    /// The memory that it owned, with what the kernel has written there.
    pub memory: OpMemory,
}

struct Slot<T> {
    generation: u32,
    /// `None`: free.
    state: Option<State>,
    name: &'static str,
    since: u64,
    /// The how manieth SQE of the ring it is.
    sqe: u64,
    /// The kernel knows nothing of it: a timer or a wait for another fiber.
    local: bool,
    survives_close: bool,
    discard: Discard,
    /// Nobody has ever waited for it.
    detached: bool,
    /// Cancelled because its descriptor was closed.
    closed: bool,
    timed_out: bool,
    /// A wake for its waiter is already on the runqueue.
    announced: bool,
    result: Option<Completion>,
    /// Results behind `result` (multishot only).
    more: VecDeque<Completion>,
    /// Where its results go, if not to a waiter.
    stream: Option<StreamId>,
    memory: OpMemory,
    data: Option<T>,
    next_free: u32,
}

/// All ops between submission and last completion, with a value of the binding's for each.
pub struct OpTable<T> {
    slots: Vec<Slot<T>>,
    free: u32,
    live: usize,
    detached: usize,
    /// Those whose results go to a stream.
    feeding: usize,
    high_water: usize,
    on_fd: FdIndex,
    /// What came in for ops that nobody waits for.
    unclaimed: Vec<Segment>,
}

/// What a transition asks of the driver.
pub(crate) enum Todo<T> {
    Nothing,
    /// The waiter should run.
    Wake,
    /// The kernel should be asked to cancel.
    AskCancel,
    /// The op is over; its binding value is handed back.
    Freed(Option<T>),
}

impl<T> Default for OpTable<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: NO_SLOT,
            live: 0,
            detached: 0,
            feeding: 0,
            high_water: 0,
            on_fd: FdIndex::default(),
            unclaimed: Vec::new(),
        }
    }
}

impl<T> OpTable<T> {
    /// Enters an op that the kernel will get, or a local one, by its name, that it never will.
    pub(crate) fn insert(&mut self, data: T, local: Option<&'static str>, since: u64) -> OpKey {
        let index = if self.free == NO_SLOT { self.grow() } else { self.free };
        self.live += 1;
        self.high_water = self.high_water.max(self.live);
        let slot = &mut self.slots[index as usize];
        self.free = slot.next_free;
        slot.state = Some(State::Submitted);
        slot.local = local.is_some();
        slot.name = local.unwrap_or_default();
        slot.since = since;
        slot.survives_close = false;
        slot.discard = Discard::Nothing;
        slot.detached = false;
        slot.closed = false;
        slot.timed_out = false;
        slot.announced = false;
        slot.data = Some(data);
        OpKey { index, generation: slot.generation }
    }

    fn grow(&mut self) -> u32 {
        // 2^30 ops are more than memory holds; the reserved user_data values stay out of reach.
        let index = u32::try_from(self.slots.len()).unwrap_or(NO_SLOT);
        assert!(index < 1 << 30, "op table is full");
        self.slots.push(Slot {
            generation: 0,
            state: None,
            name: "",
            since: 0,
            sqe: 0,
            local: false,
            survives_close: false,
            discard: Discard::Nothing,
            detached: false,
            closed: false,
            timed_out: false,
            announced: false,
            result: None,
            more: VecDeque::new(),
            stream: None,
            memory: OpMemory::None,
            data: None,
            next_free: NO_SLOT,
        });
        index
    }

    /// Completes the description of an op that goes to the kernel as the ring's SQE number `sqe`.
    pub(crate) fn describe<O: super::Op>(
        &mut self,
        key: OpKey,
        op: O,
        sqe: u64,
    ) -> io_uring::squeue::Entry {
        let fds = [op.fd(), op.second_fd()];
        let slot = &mut self.slots[key.index as usize];
        slot.name = O::NAME;
        slot.sqe = sqe;
        slot.survives_close = O::SURVIVES_CLOSE;
        slot.discard = O::DISCARD;
        let entry = op.build(&mut slot.memory);
        self.on_fd.link(key.index, fds);
        entry.user_data(key.user_data())
    }

    /// Has a local op end when the descriptor is closed.
    pub(crate) fn link(&mut self, key: OpKey, fd: RawFd) {
        self.on_fd.link(key.index, [Some(fd), None]);
    }

    /// Nobody will wait for this op: it is over with its last completion.
    pub(crate) fn detach(&mut self, key: OpKey) {
        let Some(slot) = self.slot_mut(key) else { return };
        slot.state = Some(State::Detached);
        slot.detached = true;
        self.detached += 1;
    }

    /// What the op brings goes to a stream. Its end is still a result to be taken.
    pub(crate) fn feed_into(&mut self, key: OpKey, stream: StreamId) {
        if let Some(slot) = find(&mut self.slots, key) {
            self.feeding += usize::from(slot.stream.is_none());
            slot.stream = Some(stream);
        }
    }

    /// The stream that the op's results go to, as long as somebody wants them.
    pub(crate) fn stream(&self, key: OpKey) -> Option<StreamId> {
        let slot = self.slot(key)?;
        slot.stream.filter(|_| slot.state != Some(State::Abandoned))
    }

    fn slot(&self, key: OpKey) -> Option<&Slot<T>> {
        self.slots
            .get(key.index as usize)
            .filter(|slot| slot.generation == key.generation && slot.state.is_some())
    }

    fn slot_mut(&mut self, key: OpKey) -> Option<&mut Slot<T>> {
        find(&mut self.slots, key)
    }

    /// The binding's value of an op.
    #[must_use]
    pub fn data(&self, key: OpKey) -> Option<&T> {
        self.slot(key)?.data.as_ref()
    }

    /// The binding's value of an op, to change it.
    pub fn data_mut(&mut self, key: OpKey) -> Option<&mut T> {
        self.slot_mut(key)?.data.as_mut()
    }

    /// The memory that the op owns.
    #[must_use]
    pub fn memory(&self, key: OpKey) -> Option<&OpMemory> {
        Some(&self.slot(key)?.memory)
    }

    /// The op's own memory, to be filled before it is submitted.
    pub(crate) fn memory_mut(&mut self, key: OpKey) -> Option<&mut OpMemory> {
        Some(&mut self.slot_mut(key)?.memory)
    }

    /// Whether the op's last completion is still to come.
    #[must_use]
    pub fn is_running(&self, key: OpKey) -> bool {
        self.slot(key).is_some_and(|slot| slot.state != Some(State::Completed))
    }

    /// Whether the op has a result to be taken.
    #[must_use]
    pub fn has_result(&self, key: OpKey) -> bool {
        self.slot(key).is_some_and(|slot| slot.result.is_some())
    }

    /// Whether the op is known to the machine only, not to the kernel.
    #[must_use]
    pub fn is_local(&self, key: OpKey) -> bool {
        self.slot(key).is_some_and(|slot| slot.local)
    }

    /// Whether results of the op lie in buffers of the pool.
    pub(crate) fn takes_buffers(&self, key: OpKey) -> bool {
        self.slot(key).is_some_and(|slot| slot.discard == Discard::ReturnBuffer)
    }

    /// Whether the op has more results than its waiter can be left with.
    pub(crate) fn is_crowded(&self, key: OpKey) -> bool {
        let crowded = |slot: &Slot<T>| {
            slot.state == Some(State::Submitted)
                && slot.discard != Discard::Nothing
                && slot.more.len() >= BACKLOG
        };
        self.slot(key).is_some_and(crowded)
    }

    /// What came in for nobody, to be released.
    pub(crate) fn take_unclaimed(&mut self) -> Vec<Segment> {
        std::mem::take(&mut self.unclaimed)
    }

    /// The descriptor is about to be closed.
    pub(crate) fn note_close(&mut self, fd: RawFd) {
        self.on_fd.closed(fd);
    }

    /// How often the descriptor was closed, also if it has had no op yet.
    pub fn watch(&mut self, fd: RawFd) -> u32 {
        self.on_fd.watch(fd)
    }

    /// How often the descriptor was closed since it had its first op.
    #[must_use]
    pub fn closes(&self, fd: RawFd) -> u32 {
        self.on_fd.closes(fd)
    }

    /// Whether the op goes on when its descriptor is closed.
    pub(crate) fn survives_close(&self, key: OpKey) -> bool {
        self.slot(key).is_some_and(|slot| slot.survives_close)
    }

    /// Remembers that an op is cancelled because its descriptor is closed: it ends with EBADF.
    pub(crate) fn mark_closed(&mut self, key: OpKey) {
        if let Some(slot) = self.slot_mut(key) {
            slot.closed = true;
        }
    }

    /// The how manieth SQE of the ring an op of the kernel's is.
    pub(crate) fn sqe(&self, key: OpKey) -> Option<u64> {
        self.slot(key).filter(|slot| !slot.local).map(|slot| slot.sqe)
    }

    /// The deadline of the op in this slot passed.
    pub(crate) fn expire(&mut self, index: u32) -> Option<(OpKey, Todo<T>)> {
        let slot = self.slots.get_mut(index as usize)?;
        let key = OpKey { index, generation: slot.generation };
        match slot.state? {
            State::Submitted if slot.local => {
                let timed_out = Completion::new(-libc::ETIME, 0);
                Some((key, self.complete(key, timed_out)))
            }
            State::Submitted => {
                slot.timed_out = true;
                Some((key, self.announce(key)))
            }
            _ => None,
        }
    }

    /// A completion arrived (or a local op came to its end).
    pub(crate) fn complete(&mut self, key: OpKey, mut completion: Completion) -> Todo<T> {
        let Some(slot) = self.slot_mut(key) else {
            self.unclaimed.extend(completion.segment);
            return Todo::Nothing;
        };
        let Some(state) = slot.state else { return Todo::Nothing };
        let more = io_uring::cqueue::more(completion.flags);
        let result = match decode(completion.result) {
            result if result == -libc::EINTR && state == State::Cancelling => -libc::ECANCELED,
            result => result,
        };
        let closed = slot.closed && result == -libc::ECANCELED;
        completion.result = if closed { -libc::EBADF } else { result };
        let (next, action) = step(state, Event::Cqe { more });
        match action {
            Action::Wake => {
                slot.state = next;
                if slot.result.is_none() {
                    slot.result = Some(completion);
                } else {
                    slot.more.push_back(completion);
                }
                self.announce(key)
            }
            Action::Discard => {
                discard(slot.discard, completion, &mut self.unclaimed);
                Todo::Nothing
            }
            Action::Free => {
                discard(slot.discard, completion, &mut self.unclaimed);
                Todo::Freed(self.free(key.index))
            }
            Action::None | Action::AskCancel => Todo::Nothing,
        }
    }

    /// There is something to say to the op's waiter.
    pub(crate) fn announce(&mut self, key: OpKey) -> Todo<T> {
        match self.slot_mut(key) {
            Some(slot) if !slot.announced => {
                slot.announced = true;
                Todo::Wake
            }
            _ => Todo::Nothing,
        }
    }

    /// The wake for this op was taken off the runqueue.
    pub fn acknowledge(&mut self, key: OpKey) -> Option<&T> {
        let slot = self.slot_mut(key)?;
        slot.announced = false;
        slot.data.as_ref()
    }

    /// The next result of an op, or why there is none. The last one ends the op, and what is left
    /// of it goes to `freed`.
    pub(crate) fn take(&mut self, key: OpKey, freed: impl FnOnce(Remains<T>)) -> Progress {
        let Some(slot) = self.slot_mut(key) else { return Progress::Gone };
        let Some(completion) = slot.result else {
            return if slot.timed_out { Progress::TimedOut } else { Progress::Pending };
        };
        slot.result = slot.more.pop_front();
        let last = slot.result.is_none() && slot.state == Some(State::Completed);
        if last {
            let memory = std::mem::take(&mut slot.memory);
            if let Some(data) = self.free(key.index) {
                freed(Remains { data, memory });
            }
        }
        Progress::Result(completion, last)
    }

    /// The waiter wants the op stopped and stays.
    pub(crate) fn cancel(&mut self, key: OpKey) -> Todo<T> {
        self.transition(key, Event::Cancel)
    }

    /// The waiter leaves.
    pub(crate) fn abandon(&mut self, key: OpKey) -> Todo<T> {
        let Self { slots, unclaimed, .. } = self;
        let Some(slot) = find(slots, key) else { return Todo::Nothing };
        let policy = slot.discard;
        for completion in slot.result.take().into_iter().chain(slot.more.drain(..)) {
            discard(policy, completion, unclaimed);
        }
        self.transition(key, Event::Abandon)
    }

    fn transition(&mut self, key: OpKey, event: Event) -> Todo<T> {
        let Some(slot) = self.slot_mut(key) else { return Todo::Nothing };
        let Some(state) = slot.state else { return Todo::Nothing };
        let (next, action) = step(state, event);
        if action == Action::Free {
            return Todo::Freed(self.free(key.index));
        }
        slot.state = next;
        if action != Action::AskCancel {
            return Todo::Nothing;
        }
        if slot.local {
            // Nobody else will complete it.
            return self.complete(key, Completion::new(-libc::ECANCELED, 0));
        }
        Todo::AskCancel
    }

    fn free(&mut self, index: u32) -> Option<T> {
        self.on_fd.unlink(index);
        self.live -= 1;
        let slot = &mut self.slots[index as usize];
        self.detached -= usize::from(slot.detached);
        self.feeding -= usize::from(slot.stream.take().is_some());
        slot.state = None;
        slot.generation = slot.generation.wrapping_add(1);
        slot.result = None;
        slot.more.clear();
        slot.memory = OpMemory::None;
        slot.next_free = self.free;
        self.free = index;
        slot.data.take()
    }

    /// Empties the table of a forked child: the binding values of all ops.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        let indexes = self.keys().into_iter().map(|key| key.index);
        indexes.collect::<Vec<_>>().into_iter().filter_map(|index| self.free(index)).collect()
    }

    /// Gives up everything that the kernel may still write to, without releasing it.
    pub(crate) fn leak(&mut self) {
        for slot in &mut self.slots {
            // The ring was closed without reaping: a worker thread may still fill this memory.
            #[allow(clippy::mem_forget)]
            std::mem::forget(std::mem::take(&mut slot.memory));
        }
    }
}

/// The kernel's inner "interrupted, to be restarted" (ERESTARTSYS and its kin, 512 to 516) comes
/// out of workers that were cancelled in the middle of a call; the world outside knows EINTR.
fn decode(result: i32) -> i32 {
    if (-516..=-512).contains(&result) { -libc::EINTR } else { result }
}

fn find<T>(slots: &mut [Slot<T>], key: OpKey) -> Option<&mut Slot<T>> {
    slots
        .get_mut(key.index as usize)
        .filter(|slot| slot.generation == key.generation && slot.state.is_some())
}

fn discard(policy: Discard, completion: Completion, unclaimed: &mut Vec<Segment>) {
    match policy {
        Discard::CloseFd if completion.result >= 0 => {
            // Nobody will ever know the descriptor: an error has no taker either.
            let _ = crate::sys::close(completion.result);
        }
        Discard::ReturnBuffer => unclaimed.extend(completion.segment),
        Discard::Nothing | Discard::CloseFd => {}
    }
}

#[cfg(test)]
mod tests;
