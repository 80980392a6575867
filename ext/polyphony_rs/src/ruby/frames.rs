//! Who called.

use std::os::raw::c_int;
use std::sync::atomic::{AtomicU64, Ordering};

use rb_sys::VALUE;

use super::NIL;
use super::value::intern;

/// How far up to look: the hook itself, those of subclasses and wrappers (`UM::SchedulerContract`) that
/// call it, and core's method. To see one too many costs no more than a wait for readiness: that is
/// what core does where it may wait and gets EAGAIN.
const DEPTH: usize = 8;

static READ_NONBLOCK: AtomicU64 = AtomicU64::new(0);

pub(crate) fn init() {
    READ_NONBLOCK.store(intern(c"read_nonblock"), Ordering::Relaxed);
}

/// Whether the running hook was called for `read_nonblock`: the one thing that core doesn't tell
/// a hook is whether it may wait. A few frames are looked at, nothing is allocated.
pub(crate) fn called_by_read_nonblock() -> bool {
    let mut frames: [VALUE; DEPTH] = [NIL; DEPTH];
    #[allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)] // eight
    let depth = DEPTH as i32;
    // SAFETY: the array has as many places as are asked for, and what is written to it stays
    // alive as the frames do; no lines are asked for. A name is one object for all methods.
    unsafe {
        let lines = std::ptr::null_mut();
        let count = rb_sys::rb_profile_frames(0, depth, frames.as_mut_ptr(), lines);
        let name = rb_sys::rb_id2str(READ_NONBLOCK.load(Ordering::Relaxed));
        let count = usize::try_from(count).unwrap_or(0).min(DEPTH);
        frames[..count].iter().any(|frame| rb_sys::rb_profile_frame_method_name(*frame) == name)
    }
}

/// The frame that called the running native method, and its line. Nothing is allocated.
pub(crate) fn caller() -> (VALUE, c_int) {
    let (mut frames, mut lines) = ([NIL; 2], [0; 2]);
    // SAFETY: there is room for two. The method's own comes first; Ruby 3.3 can't leave it out.
    let count = unsafe { rb_sys::rb_profile_frames(0, 2, frames.as_mut_ptr(), lines.as_mut_ptr()) };
    if count == 2 { (frames[1], lines[1]) } else { (NIL, 0) }
}

/// Path and label of a frame: Strings, or nil.
pub(crate) fn describe(frame: VALUE) -> (VALUE, VALUE) {
    // SAFETY: it came from `rb_profile_frames`, and is kept.
    unsafe { (rb_sys::rb_profile_frame_path(frame), rb_sys::rb_profile_frame_full_label(frame)) }
}
