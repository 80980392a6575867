//! What differs from one Ruby to the next in its C API. Nothing else knows.
//!
//! * A signature that has changed is called so that all of them take it: no Ruby is asked for its
//!   version, neither when this is compiled nor when it runs.
//! * A function that came later is looked up by its name when it is first wanted: the library
//!   compiles against the headers of a Ruby that lacks it, and loads in one.

use std::ffi::{CStr, c_int, c_void};
use std::sync::OnceLock;

use rb_sys::VALUE;

use super::{FALSE, NIL, protect, value};

/// `rb_fiber_raise`. 3.3 and 3.4 take a pointer to constant values, 4.0 one to values: a pointer of
/// the latter kind is taken for either. The values are not written to.
///
/// # Safety
/// As any call that may switch fibers and raise: under [`protect`], with the GVL.
pub(super) unsafe fn fiber_raise(fiber: VALUE, exception: &VALUE) -> VALUE {
    // SAFETY: passed on from this function's own contract; one value is there.
    unsafe { rb_sys::rb_fiber_raise(fiber, 1, std::ptr::from_ref(exception).cast_mut()) }
}

/// The address of a function that not every Ruby has.
fn look_up(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: a name that ends with a NUL, looked up in what is loaded.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

/// `rb_thread_lock_native_thread`, since 3.4: keeps the running thread on its native thread. False
/// where Ruby has no such function.
pub(super) fn lock_native_thread() -> bool {
    type Lock = unsafe extern "C" fn() -> bool;
    static LOCK: OnceLock<Option<Lock>> = OnceLock::new();
    let lock = LOCK.get_or_init(|| {
        let address = look_up(c"rb_thread_lock_native_thread")?;
        // SAFETY: the function of that name has this signature since Ruby 3.4.
        Some(unsafe { std::mem::transmute::<*mut c_void, Lock>(address) })
    });
    if let Some(lock) = lock {
        // SAFETY: needs the GVL only.
        unsafe { lock() };
    }
    lock.is_some()
}

/// `rb_fiber_scheduler_blocking_operation_*`, since 4.0.
struct BlockingOperations {
    extract: Extract,
    execute: Use,
    cancel: Use,
}

type Extract = unsafe extern "C" fn(VALUE) -> *mut c_void;
type Use = unsafe extern "C" fn(*mut c_void) -> c_int;

fn blocking_operations() -> Option<&'static BlockingOperations> {
    static FUNCTIONS: OnceLock<Option<BlockingOperations>> = OnceLock::new();
    let functions = FUNCTIONS.get_or_init(|| {
        let extract = look_up(c"rb_fiber_scheduler_blocking_operation_extract")?;
        let execute = look_up(c"rb_fiber_scheduler_blocking_operation_execute")?;
        let cancel = look_up(c"rb_fiber_scheduler_blocking_operation_cancel")?;
        // SAFETY: the functions of these names have these signatures since Ruby 4.0.
        Some(unsafe {
            BlockingOperations {
                extract: std::mem::transmute::<*mut c_void, Extract>(extract),
                execute: std::mem::transmute::<*mut c_void, Use>(execute),
                cancel: std::mem::transmute::<*mut c_void, Use>(cancel),
            }
        })
    });
    functions.as_ref()
}

/// An operation that Ruby hands to the scheduler's hook, as its C API takes it.
///
/// It works on memory of the fiber that called the hook, and is void once the hook has returned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockingOperation(*mut c_void);

// SAFETY: the C API is made for using one from several threads: its state is atomic.
unsafe impl Send for BlockingOperation {}
// SAFETY: as above.
unsafe impl Sync for BlockingOperation {}

impl BlockingOperation {
    /// The operation in an object. `None` for any other object, and where Ruby hands out Procs.
    pub(crate) fn of(object: VALUE) -> Option<Self> {
        let functions = blocking_operations()?;
        let mut operation = std::ptr::null_mut();
        let slot = &raw mut operation;
        let extracted = protect(|| {
            // SAFETY: under protect: a TypeError for what is none. The slot outlives the call.
            unsafe { *slot = (functions.extract)(object) };
            NIL
        });
        (extracted.is_ok() && !operation.is_null()).then_some(Self(operation))
    }

    /// Carries it out. Whether it was, and not asked to end early.
    ///
    /// # Safety
    /// The caller of the hook is still in it. The running thread is one of Ruby's, without the GVL:
    /// Ruby looks for its record of the thread, which no other thread has. The operation may take
    /// the GVL meanwhile and leave by a jump: no frame up to the next protect owns anything.
    pub(crate) unsafe fn execute(self) -> bool {
        // SAFETY: passed on from this function's own contract.
        blocking_operations().is_some_and(|functions| unsafe { (functions.execute)(self.0) } == 0)
    }

    /// Breaks it off. Whether it had begun: then it comes to some result.
    ///
    /// # Safety
    /// The caller of the hook is still in it. The thread that has begun it doesn't begin another one
    /// until this has returned: Ruby may send it signals from now on.
    pub(crate) unsafe fn cancel(self) -> bool {
        let Some(functions) = blocking_operations() else { return false };
        // SAFETY: passed on from this function's own contract.
        let unblocked = unsafe { (functions.cancel)(self.0) };
        // One that begins just then is taken for one that has not begun, and left alone.
        // SAFETY: as above.
        unblocked == 1 || unblocked == 0 && unsafe { (functions.cancel)(self.0) } == 1
    }
}

/// Has Ruby get over its warning that IO::Buffer is experimental, which it gives once, for the first
/// buffer. In 4.0 that may be one that core itself has made for a scheduler's hook, and the program
/// knows nothing of it. 3.3 and 3.4 don't count such buffers, nor this one, which is made in the
/// same way: there they warn those who make one themselves. During initialisation.
pub(super) fn get_over_buffer_warning() {
    let warning = value::constant(c"Warning");
    let category = value::symbol(c"experimental");
    let Ok(before) = value::call(warning, c"[]", &[category]) else { return };
    if value::call(warning, c"[]=", &[category, FALSE]).is_ok() {
        // The library does its work with the warning as well: failures are not its end.
        let _ = super::buffer::without_memory();
        let _ = value::call(warning, c"[]=", &[category, before]);
    }
}
