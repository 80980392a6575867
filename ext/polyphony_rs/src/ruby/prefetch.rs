//! Having the stacks of the next fiber in the cache by the time it runs.
//!
//! Of thousands of fibers, each finds its stacks cold when its turn comes, and then waits for one
//! cache line after the other. Asked for during the turn before, they come at the same time.
//!
//! What is asked for is a guess from how Ruby lays out a fiber: the stack of the VM is right above
//! that of the machine, values at its low end, frames at its high end. A wrong guess is never an
//! error: a prefetch of what isn't there does nothing.

use rb_sys::VALUE;

const LINE: usize = 64;
const PAGE: usize = 4096;
/// Bytes of an object that a switch looks at.
const OBJECT: usize = 40;
/// The frames from the place where a fiber waits to the switch itself.
const BELOW: usize = 1152;
/// The frames through which it returns to the VM.
const ABOVE: usize = 1024;
/// Size of a fiber's VM stack, unless the environment says otherwise.
const VM_STACK: usize = 128 * 1024;
/// What a small method uses of it.
const VM_VALUES: usize = 128;
const VM_FRAMES: usize = 256;

/// About where the running fiber's stack ends.
#[inline]
pub(crate) fn here() -> usize {
    let mark = 0_u8;
    std::hint::black_box(&raw const mark).addr()
}

/// Asks for what a switch to `fiber` touches, which waits at `place`.
pub(crate) fn fiber(fiber: VALUE, place: usize) {
    if let Ok(object) = usize::try_from(fiber) {
        lines(object, OBJECT);
    }
    lines(place.wrapping_sub(BELOW), BELOW + ABOVE);
    // Parked fibers are seldom deeper than a page.
    let vm_stack = place.wrapping_add(PAGE) & !(PAGE - 1);
    lines(vm_stack, VM_VALUES);
    lines(vm_stack.wrapping_add(VM_STACK - VM_FRAMES), VM_FRAMES);
}

fn lines(start: usize, len: usize) {
    let first = start & !(LINE - 1);
    for offset in (0..start - first + len).step_by(LINE) {
        line(first.wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
fn line(address: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint: nothing is read, at whatever address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address)) }
}

/// No stable intrinsic.
#[cfg(not(target_arch = "x86_64"))]
fn line(_address: usize) {}
