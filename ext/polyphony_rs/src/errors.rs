//! The one place where an error becomes a Ruby exception.

use std::os::raw::c_int;
use std::sync::atomic::{AtomicU64, Ordering};

use polyphony_core::error::{SetupError, SubmitError};
use polyphony_core::proto::http1::{Refusal, Unsendable};
use rb_sys::VALUE;

use crate::ruby::value::{integer, utf8};
use crate::ruby::{protect, typed, value};

/// What a method ends with when it doesn't return.
pub(crate) enum Raise {
    /// An exception that was caught on its way and goes on.
    Exception(VALUE),
    /// Anything else on its way: break, throw, a dying thread. The VM's state.
    Jump(c_int),
    /// The `Errno` exception of a syscall or op.
    Errno(i32),
    /// An exception of ours, by kind and message.
    Error(Kind, String),
}

/// Classes of exceptions that this extension makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Argument,
    Type,
    Range,
    Eof,
    Io,
    IoTimeout,
    Fiber,
    LocalJump,
    Runtime,
    Thread,
    ClosedQueue,
    /// `UM::Error`
    Um,
    /// `UM::UnsupportedError`
    Unsupported,
    /// `UM::IO::HTTPError` of a status.
    Http(u16),
}

/// The usual result of what talks to Ruby.
pub(crate) type Outcome<T = VALUE> = Result<T, Raise>;

static UM_ERROR: AtomicU64 = AtomicU64::new(0);
static UNSUPPORTED_ERROR: AtomicU64 = AtomicU64::new(0);
static TERMINATE: AtomicU64 = AtomicU64::new(0);
static HTTP_ERROR: AtomicU64 = AtomicU64::new(0);
static CLOSED_QUEUE_ERROR: AtomicU64 = AtomicU64::new(0);

/// Remembers the classes of ours: `UM::Error`, `UM::UnsupportedError`, `UM::Terminate`; and one of
/// Ruby's that its C API doesn't export.
pub(crate) fn init(um_error: VALUE, unsupported_error: VALUE, terminate: VALUE) {
    let classes = [
        (um_error, &UM_ERROR),
        (unsupported_error, &UNSUPPORTED_ERROR),
        (terminate, &TERMINATE),
        (value::constant(c"ClosedQueueError"), &CLOSED_QUEUE_ERROR),
    ];
    for (class, slot) in classes {
        typed::keep(class);
        slot.store(class, Ordering::Relaxed);
    }
}

/// Defines `UM::IO::HTTPError`; `lib/uringmachine/http.rb` has its methods.
pub(crate) fn define_http_error(io_class: VALUE) {
    let class = typed::define_subclass_under(io_class, c"HTTPError", Kind::Um.class());
    HTTP_ERROR.store(class, Ordering::Relaxed);
}

/// Whether an exception is `UM::Terminate`: an end that somebody wanted.
pub(crate) fn is_terminate(exception: VALUE) -> bool {
    value::kind_of(exception, TERMINATE.load(Ordering::Relaxed))
}

impl Kind {
    fn class(self) -> VALUE {
        // SAFETY: the classes are constants of the VM.
        unsafe {
            match self {
                Self::Argument => rb_sys::rb_eArgError,
                Self::Type => rb_sys::rb_eTypeError,
                Self::Range => rb_sys::rb_eRangeError,
                Self::Eof => rb_sys::rb_eEOFError,
                Self::Io => rb_sys::rb_eIOError,
                Self::IoTimeout => rb_sys::rb_eIOTimeoutError,
                Self::Fiber => crate::ruby::fiber::error_class(),
                Self::LocalJump => rb_sys::rb_eLocalJumpError,
                Self::Runtime => rb_sys::rb_eRuntimeError,
                Self::Thread => rb_sys::rb_eThreadError,
                Self::ClosedQueue => CLOSED_QUEUE_ERROR.load(Ordering::Relaxed),
                Self::Um => UM_ERROR.load(Ordering::Relaxed),
                Self::Unsupported => UNSUPPORTED_ERROR.load(Ordering::Relaxed),
                Self::Http(_) => HTTP_ERROR.load(Ordering::Relaxed),
            }
        }
    }
}

impl Raise {
    pub(crate) fn argument_error(message: impl Into<String>) -> Self {
        Self::Error(Kind::Argument, message.into())
    }

    pub(crate) fn type_error(message: impl Into<String>) -> Self {
        Self::Error(Kind::Type, message.into())
    }

    pub(crate) fn range_error(message: impl Into<String>) -> Self {
        Self::Error(Kind::Range, message.into())
    }

    pub(crate) fn io_timeout() -> Self {
        Self::Error(Kind::IoTimeout, "Blocking operation timed out!".into())
    }

    /// What core says to those who were waiting.
    pub(crate) fn io_closed() -> Self {
        Self::Error(Kind::Io, "stream closed in another thread".into())
    }

    pub(crate) fn fiber_error(message: impl Into<String>) -> Self {
        Self::Error(Kind::Fiber, message.into())
    }

    pub(crate) fn local_jump_error(message: impl Into<String>) -> Self {
        Self::Error(Kind::LocalJump, message.into())
    }

    pub(crate) fn runtime_error(message: impl Into<String>) -> Self {
        Self::Error(Kind::Runtime, message.into())
    }

    pub(crate) fn thread_error(message: impl Into<String>) -> Self {
        Self::Error(Kind::Thread, message.into())
    }

    pub(crate) fn closed_queue() -> Self {
        Self::Error(Kind::ClosedQueue, "queue closed".into())
    }

    pub(crate) fn um_error(message: impl Into<String>) -> Self {
        Self::Error(Kind::Um, message.into())
    }

    /// A panic of ours.
    pub(crate) fn bug(panic: &str) -> Self {
        Self::Error(Kind::Runtime, format!("bug in polyphony-rs: {panic}"))
    }

    /// Whether it is an exception of that class.
    pub(crate) fn is_a(&self, wanted: Kind) -> bool {
        match self {
            Self::Exception(exception) => value::kind_of(*exception, wanted.class()),
            Self::Error(kind, _) => *kind == wanted,
            Self::Jump(_) | Self::Errno(_) => false,
        }
    }

    /// The exception object, for storing or scheduling. `Jump` has none.
    pub(crate) fn into_exception(self) -> Option<VALUE> {
        let made = match self {
            Self::Exception(exception) => return Some(exception),
            Self::Jump(_) => return None,
            Self::Errno(errno) => {
                // SAFETY: under protect; no message is passed.
                protect(|| unsafe { rb_sys::rb_syserr_new(errno, std::ptr::null()) })
            }
            Self::Error(kind @ Kind::Http(status), message) => {
                value::instance(kind.class(), &[utf8(&message), integer(i64::from(status))])
            }
            Self::Error(kind, message) => value::instance(kind.class(), &[utf8(&message)]),
        };
        match made {
            // An interrupt that came up while the object was made stands in its place.
            Ok(exception) | Err(Self::Exception(exception)) => Some(exception),
            Err(_) => None,
        }
    }

    /// Leaves the method by raising. Nothing owned may be alive in the frames that this unwinds.
    pub(crate) fn throw(self) -> ! {
        let state = match self {
            Self::Jump(state) => Some(state),
            _ => None,
        };
        // Consumes `self`, so that no String is alive below.
        let exception = self.into_exception();
        // SAFETY: called at the outermost frame of a method, which owns nothing any more.
        unsafe {
            if let Some(state) = state {
                rb_sys::rb_jump_tag(state);
            }
            match exception {
                Some(exception) => rb_sys::rb_exc_raise(exception),
                None => rb_sys::rb_memerror(),
            }
        }
    }
}

impl From<i32> for Raise {
    /// A positive errno.
    fn from(errno: i32) -> Self {
        Self::Errno(errno)
    }
}

impl From<std::io::Error> for Raise {
    fn from(error: std::io::Error) -> Self {
        Self::Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl From<SubmitError> for Raise {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Full => Self::um_error(error.to_string()),
            SubmitError::Errno(errno) => Self::Errno(errno),
        }
    }
}

impl From<Refusal> for Raise {
    fn from(refusal: Refusal) -> Self {
        Self::Error(Kind::Http(refusal.status()), refusal.to_string())
    }
}

impl From<Unsendable> for Raise {
    fn from(error: Unsendable) -> Self {
        Self::argument_error(error.to_string())
    }
}

impl From<SetupError> for Raise {
    fn from(error: SetupError) -> Self {
        Self::Error(Kind::Unsupported, error.to_string())
    }
}

/// A result as the kernel gives it: a count or descriptor, or a negated errno.
pub(crate) fn check(result: i32) -> Outcome<i32> {
    if result < 0 { Err(Raise::Errno(-result)) } else { Ok(result) }
}

/// The same as an Integer.
pub(crate) fn integer_or_errno(result: i32) -> Outcome {
    check(result).map(|count| integer(i64::from(count)))
}
