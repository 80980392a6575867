//! Who called.

use std::ffi::CStr;

use super::NIL;
use super::value::intern;

/// How far up to look: the hook itself, a subclass' hook that calls `super`, and core's method.
const DEPTH: usize = 3;

/// Whether a method of this name is among the callers next to the running one. For the one thing
/// that core doesn't tell a hook: whether it may wait. A few frames are looked at, nothing is
/// allocated.
pub(crate) fn called_by(method: &CStr) -> bool {
    let mut frames = [NIL; DEPTH];
    let mut lines = [0; DEPTH];
    #[allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)] // three
    let depth = DEPTH as i32;
    // SAFETY: both arrays have as many places as are asked for, and what is written to the first
    // stays alive as the frames do. The names are those of methods, as one object for each name.
    unsafe {
        let count = rb_sys::rb_profile_frames(0, depth, frames.as_mut_ptr(), lines.as_mut_ptr());
        let name = rb_sys::rb_id2str(intern(method));
        let count = usize::try_from(count).unwrap_or(0).min(DEPTH);
        frames[..count].iter().any(|frame| rb_sys::rb_profile_frame_method_name(*frame) == name)
    }
}
