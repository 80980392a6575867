//! The table, transition by transition.

use super::*;

const MORE: u32 = 2; // IORING_CQE_F_MORE

fn take(table: &mut OpTable<&'static str>, key: OpKey) -> Progress {
    table.take(key, |_| {})
}

fn complete(
    table: &mut OpTable<&'static str>,
    key: OpKey,
    result: i32,
    flags: u32,
) -> Todo<&'static str> {
    table.complete(key, Completion::new(result, flags))
}

fn result(result: i32, last: bool) -> Progress {
    Progress::Result(Completion::new(result, if last { 0 } else { MORE }), last)
}

#[test]
fn submit_complete_take() {
    let mut table = OpTable::default();
    let key = table.insert("a", None, 0);
    assert_eq!((table.live(), take(&mut table, key)), (1, Progress::Pending));
    assert!(matches!(complete(&mut table, key, 5, 0), Todo::Wake));
    assert_eq!(table.acknowledge(key), Some(&"a"));
    assert_eq!(take(&mut table, key), result(5, true));
    assert_eq!((table.live(), take(&mut table, key)), (0, Progress::Gone));
}

#[test]
fn a_detached_op_is_over_with_its_last_cqe() {
    let mut table = OpTable::default();
    let key = table.insert("a", None, 7);
    table.detach(key);
    let seen: Vec<_> = table.pending().map(|op| (op.since, *op.data)).collect();
    assert_eq!((table.live(), table.detached(), seen), (1, 1, vec![(7, "a")]));
    assert!(matches!(complete(&mut table, key, -5, 0), Todo::Freed(Some("a"))));
    assert_eq!((table.live(), table.detached()), (0, 0));
    // Its slot's next op is an ordinary one.
    let key = table.insert("b", None, 0);
    complete(&mut table, key, 1, 0);
    assert_eq!((table.detached(), take(&mut table, key)), (0, result(1, true)));
}

#[test]
fn a_late_cqe_does_not_hit_the_slots_next_op() {
    let mut table = OpTable::default();
    let old = table.insert("old", None, 0);
    complete(&mut table, old, 1, 0);
    take(&mut table, old);
    let new = table.insert("new", None, 0);
    assert_eq!(old.index, new.index);
    assert!(matches!(complete(&mut table, old, 99, 0), Todo::Nothing));
    assert_eq!(take(&mut table, new), Progress::Pending);
}

#[test]
fn keys_survive_the_trip_through_user_data() {
    let key = OpKey { index: 7, generation: u32::MAX };
    assert_eq!(OpKey::from_user_data(key.user_data()), key);
}

#[test]
fn completion_beats_cancel() {
    let mut table = OpTable::default();
    let key = table.insert("a", None, 0);
    assert!(matches!(table.cancel(key), Todo::AskCancel));
    assert!(matches!(table.cancel(key), Todo::Nothing));
    complete(&mut table, key, 3, 0);
    assert_eq!(take(&mut table, key), result(3, true));
}

#[test]
fn an_abandoned_op_keeps_its_slot_until_the_last_cqe() {
    let mut table = OpTable::default();
    let key = table.insert("a", None, 0);
    assert!(matches!(table.abandon(key), Todo::AskCancel));
    assert_eq!(table.live(), 1);
    assert!(matches!(complete(&mut table, key, 0, MORE), Todo::Nothing));
    assert!(matches!(complete(&mut table, key, 0, 0), Todo::Freed(Some("a"))));
    assert_eq!(table.live(), 0);
}

#[test]
fn an_abandoned_accept_closes_its_descriptor() {
    let mut table = OpTable::default();
    let key = table.insert("a", None, 0);
    table.slots[0].discard = Discard::CloseFd;
    table.abandon(key);
    // SAFETY: no pointers.
    let fd = unsafe { libc::dup(0) };
    complete(&mut table, key, fd, 0);
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_GETFD) }, -1);
}

fn segment(bid: u16) -> Segment {
    Segment { bid, offset: 0, len: 1 }
}

fn fill(table: &mut OpTable<&'static str>, key: OpKey, bid: u16, flags: u32) {
    let segment = Some(segment(bid));
    table.complete(key, Completion { result: 1, flags, segment });
}

#[test]
fn an_abandoned_op_leaves_its_segments_unclaimed() {
    let mut table = OpTable::default();
    let key = table.insert("a", None, 0);
    table.slots[0].discard = Discard::ReturnBuffer;
    fill(&mut table, key, 1, MORE);
    fill(&mut table, key, 2, MORE);
    assert_eq!(table.take_unclaimed(), []);
    table.abandon(key);
    assert_eq!(table.take_unclaimed(), [segment(1), segment(2)]);
    fill(&mut table, key, 3, MORE);
    fill(&mut table, key, 4, 0);
    // And one that no op is there for.
    fill(&mut table, key, 5, 0);
    assert_eq!(table.take_unclaimed(), [segment(3), segment(4), segment(5)]);
    assert_eq!(table.take_unclaimed(), []);
}

#[test]
fn results_that_nobody_takes_crowd_an_op_that_takes_buffers() {
    let mut table = OpTable::default();
    let (key, other) = (table.insert("a", None, 0), table.insert("b", None, 0));
    table.slots[key.index as usize].discard = Discard::ReturnBuffer;
    for bid in 0..=64 {
        assert!(!table.is_crowded(key));
        fill(&mut table, key, bid, MORE);
        fill(&mut table, other, bid, MORE);
    }
    assert!(table.is_crowded(key));
    assert!(!table.is_crowded(other));
    table.cancel(key);
    assert!(!table.is_crowded(key));
}

#[test]
fn multishot_results_queue_up_and_wake_once() {
    let mut table = OpTable::default();
    let key = table.insert("a", None, 0);
    assert!(matches!(complete(&mut table, key, 1, MORE), Todo::Wake));
    assert!(matches!(complete(&mut table, key, 2, MORE), Todo::Nothing));
    assert!(matches!(complete(&mut table, key, 3, 0), Todo::Nothing));
    assert_eq!(take(&mut table, key), result(1, false));
    assert_eq!(take(&mut table, key), result(2, false));
    assert_eq!(take(&mut table, key), result(3, true));
    assert_eq!(take(&mut table, key), Progress::Gone);
}

#[test]
fn a_cancelled_local_op_ends_at_once() {
    let mut table = OpTable::default();
    let key = table.insert("a", Some("timer"), 0);
    assert!(matches!(table.cancel(key), Todo::Wake));
    assert_eq!(take(&mut table, key), result(-libc::ECANCELED, true));
    let key = table.insert("b", Some("timer"), 0);
    assert!(matches!(table.abandon(key), Todo::Freed(Some("b"))));
}

#[test]
fn a_deadline_ends_a_local_op_and_only_marks_the_others() {
    let mut table = OpTable::default();
    let local = table.insert("local", Some("timer"), 0);
    assert!(table.expire(local.index).is_some());
    assert_eq!(take(&mut table, local), result(-libc::ETIME, true));
    let op = table.insert("op", None, 0);
    assert!(matches!(table.expire(op.index), Some((_, Todo::Wake))));
    assert_eq!(take(&mut table, op), Progress::TimedOut);
    assert!(table.is_running(op));
}

#[test]
fn a_worker_interrupted_by_a_cancel_counts_as_cancelled() {
    let mut table = OpTable::default();
    let key = table.insert("a", None, 0);
    table.cancel(key);
    complete(&mut table, key, -512, 0);
    assert_eq!(take(&mut table, key), result(-libc::ECANCELED, true));
    let key = table.insert("b", None, 0);
    complete(&mut table, key, -512, 0);
    assert_eq!(take(&mut table, key), result(-libc::EINTR, true));
}

#[test]
fn taking_the_last_result_hands_over_memory() {
    let mut table = OpTable::default();
    let key = table.insert("a", None, 0);
    table.slots[0].memory = OpMemory::Bytes(Box::new([7]));
    complete(&mut table, key, 5, 0);
    let mut left = None;
    assert_eq!(table.take(key, |remains| left = Some(remains)), result(5, true));
    let left = left.expect("it is over");
    assert!(matches!(left.memory, OpMemory::Bytes(bytes) if *bytes == [7]));
    assert_eq!(left.data, "a");
}

#[test]
fn closing_turns_the_cancellation_into_ebadf() {
    let mut table = OpTable::default();
    let key = table.insert("a", None, 0);
    table.on_fd.link(key.index, [Some(8), None]);
    assert_eq!(table.on_fd(8), [key]);
    table.mark_closed(key);
    complete(&mut table, key, -libc::ECANCELED, 0);
    assert_eq!(take(&mut table, key), result(-libc::EBADF, true));
    assert_eq!(table.on_fd(8), []);
}
