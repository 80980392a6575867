//! The OpenSSL that Ruby's `openssl` has loaded: every raw call into it.
//!
//! Nothing is linked. The functions are looked up where the extension that made the SSLSocket gets
//! its own from, so there is never a second libssl in the process.
//!
//! [`Ssl::use_link`] puts a BIO of ours below a connection. The BIO never waits, calls nothing of
//! Ruby, and knows no VALUE: OpenSSL's frames can't be unwound, and the GC may free the connection.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_long, c_ulong, c_void};
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use polyphony_core::link::{Link, Transfer};
use rb_sys::VALUE;

use super::value;
use crate::errors::{Outcome, Raise};

/// Name of the type that Ruby's openssl gives to its SSLSockets; what they hold is an `SSL *`.
const TYPE_NAME: &CStr = c"OpenSSL/SSL";

// From OpenSSL's headers; the same since 1.1.
const SSL_ERROR_WANT_READ: c_int = 2;
const SSL_ERROR_WANT_WRITE: c_int = 3;
const SSL_ERROR_SYSCALL: c_int = 5;
const SSL_ERROR_ZERO_RETURN: c_int = 6;
const BIO_TYPE_DESCRIPTOR: c_int = 0x100;
const BIO_TYPE_SOURCE_SINK: c_int = 0x400;
const BIO_CTRL_EOF: c_int = 2;
const BIO_CTRL_FLUSH: c_int = 11;
const BIO_C_GET_FD: c_int = 105;
const BIO_FLAGS_READ: c_int = 1;
const BIO_FLAGS_WRITE: c_int = 2;
const BIO_FLAGS_SHOULD_RETRY: c_int = 8;
/// Those above, and `BIO_FLAGS_IO_SPECIAL`.
const BIO_FLAGS_OF_RETRY: c_int = 15;

type Bio = c_void;
type BioMethod = c_void;
type SslPointer = *mut c_void;
type ReadCallback = unsafe extern "C" fn(*mut Bio, *mut c_char, c_int) -> c_int;
type WriteCallback = unsafe extern "C" fn(*mut Bio, *const c_char, c_int) -> c_int;
type CtrlCallback = unsafe extern "C" fn(*mut Bio, c_int, c_long, *mut c_void) -> c_long;

/// A table of functions and how to find them.
macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// Functions of OpenSSL, under its own names.
        #[allow(non_snake_case)]
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            /// Looks all of them up in a library and those that it has loaded.
            fn find(library: *mut c_void) -> Outcome<Self> {
                Ok(Self {
                    $($name: {
                        let address = symbol(library, concat!(stringify!($name), "\0"))?;
                        // SAFETY: the function of that name has this signature in every OpenSSL
                        // since 1.1, and is never unloaded.
                        unsafe {
                            std::mem::transmute::<
                                *mut c_void,
                                unsafe extern "C" fn($($argument),*) $(-> $result)?,
                            >(address)
                        }
                    },)*
                })
            }
        }
    };
}

functions! {
    SSL_read(SslPointer, *mut c_void, c_int) -> c_int;
    SSL_write(SslPointer, *const c_void, c_int) -> c_int;
    SSL_get_error(SslPointer, c_int) -> c_int;
    SSL_set_bio(SslPointer, *mut Bio, *mut Bio);
    BIO_get_new_index() -> c_int;
    BIO_meth_new(c_int, *const c_char) -> *mut BioMethod;
    BIO_meth_set_read(*mut BioMethod, ReadCallback) -> c_int;
    BIO_meth_set_write(*mut BioMethod, WriteCallback) -> c_int;
    BIO_meth_set_ctrl(*mut BioMethod, CtrlCallback) -> c_int;
    BIO_new(*const BioMethod) -> *mut Bio;
    BIO_set_init(*mut Bio, c_int);
    BIO_set_data(*mut Bio, *mut c_void);
    BIO_get_data(*mut Bio) -> *mut c_void;
    BIO_set_flags(*mut Bio, c_int);
    BIO_clear_flags(*mut Bio, c_int);
    ERR_clear_error();
    ERR_get_error() -> c_ulong;
    ERR_reason_error_string(c_ulong) -> *const c_char;
}

fn symbol(library: *mut c_void, name: &'static str) -> Outcome<*mut c_void> {
    // SAFETY: `library` is a handle of dlopen's, and the name ends with a NUL.
    let address = unsafe { libc::dlsym(library, name.as_ptr().cast()) };
    if address.is_null() {
        let name = name.trim_end_matches('\0');
        return Err(Raise::um_error(format!("the OpenSSL that Ruby has loaded lacks {name}")));
    }
    Ok(address)
}

/// The functions, and the BIO method that every connection uses.
struct OpenSsl {
    functions: Functions,
    method: *mut BioMethod,
}

// SAFETY: functions may be called from anywhere, and the method is not changed any more.
unsafe impl Send for OpenSsl {}
// SAFETY: as above.
unsafe impl Sync for OpenSsl {}

static OPENSSL: OnceLock<OpenSsl> = OnceLock::new();

impl OpenSsl {
    /// The OpenSSL below the extension that has defined a type.
    fn below(data_type: &rb_sys::rb_data_type_t) -> Outcome<&'static Self> {
        if let Some(openssl) = OPENSSL.get() {
            return Ok(openssl);
        }
        let functions = Functions::find(library_of(data_type))?;
        // SAFETY: the calls have their arguments as OpenSSL documents them; the method stays for
        // ever, as do the callbacks.
        let method = unsafe {
            // A kind of descriptor: openssl sets up a socket's BIO when it sees none.
            let kind = (functions.BIO_get_new_index)() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR;
            let method = (functions.BIO_meth_new)(kind, c"io_uring".as_ptr());
            if method.is_null() {
                return Err(Raise::um_error("OpenSSL is out of memory"));
            }
            (functions.BIO_meth_set_read)(method, bio_read);
            (functions.BIO_meth_set_write)(method, bio_write);
            (functions.BIO_meth_set_ctrl)(method, bio_ctrl);
            method
        };
        Ok(OPENSSL.get_or_init(|| Self { functions, method }))
    }
}

/// A handle of the library that a type's functions are in; of the whole program where they are in
/// Ruby itself.
fn library_of(data_type: &rb_sys::rb_data_type_t) -> *mut c_void {
    let function = data_type.function.dfree.map_or(null_mut(), |free| free as *mut c_void);
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address may be asked about; what is opened is loaded already (RTLD_NOLOAD).
    unsafe {
        let name = match libc::dladdr(function, info.as_mut_ptr()) {
            0 => null(),
            _ => info.assume_init().dli_fname,
        };
        let library = libc::dlopen(name, libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        if library.is_null() { libc::dlopen(null(), libc::RTLD_LAZY) } else { library }
    }
}

/// What came of a call.
pub(crate) enum Step {
    /// So many bytes were read or written.
    Bytes(usize),
    /// The peer has closed the connection in good order.
    End,
    /// To be repeated when there is more to read.
    WantRead,
    /// To be repeated when something was sent.
    WantWrite,
    /// OpenSSL's words for what went wrong.
    Failed(String),
}

/// The connection in an SSLSocket, which keeps it alive.
#[derive(Clone, Copy)]
pub(crate) struct Ssl {
    pointer: SslPointer,
    openssl: &'static OpenSsl,
}

/// Whether a value is an SSLSocket, be it connected or not.
pub(crate) fn is_ssl_socket(value: VALUE) -> bool {
    value::is_data(value) && ssl_type(value).is_ok()
}

impl Ssl {
    /// The connection in `socket`: TypeError for what is no SSLSocket, `UM::Error` for one that
    /// was not initialised.
    pub(crate) fn of(socket: VALUE) -> Outcome<Self> {
        let data_type = ssl_type(socket)?;
        // SAFETY: it is a typed object.
        let pointer = unsafe { rb_sys::macros::RTYPEDDATA_GET_DATA(socket) };
        if pointer.is_null() {
            return Err(Raise::um_error("uninitialized SSLSocket"));
        }
        Ok(Self { pointer, openssl: OpenSsl::below(data_type)? })
    }

    /// Lets the connection read and write by `link`.
    ///
    /// # Safety
    /// The link stays where it is until the connection is freed. (Freeing it doesn't touch the
    /// link.)
    pub(crate) unsafe fn use_link(self, link: *const RefCell<Link>) -> Outcome<()> {
        let OpenSsl { functions, method } = self.openssl;
        // SAFETY: a BIO of our own method; the connection takes it over, and frees the one that it
        // had.
        unsafe {
            let bio = (functions.BIO_new)(*method);
            if bio.is_null() {
                return Err(Raise::um_error("OpenSSL is out of memory"));
            }
            (functions.BIO_set_data)(bio, link.cast_mut().cast());
            (functions.BIO_set_init)(bio, 1);
            (functions.SSL_set_bio)(self.pointer, bio, bio);
        }
        Ok(())
    }

    /// `SSL_read`, of at most `len` bytes.
    ///
    /// # Safety
    /// `len` bytes at `ptr` are writable.
    pub(crate) unsafe fn read(self, ptr: *mut u8, len: usize) -> Step {
        self.step("SSL_read", |functions| {
            // SAFETY: the connection is alive as `socket` is; the rest is this function's own
            // contract.
            unsafe { (functions.SSL_read)(self.pointer, ptr.cast(), int(len)) }
        })
    }

    /// `SSL_write`, of at least one byte.
    ///
    /// # Safety
    /// `len` bytes at `ptr` are readable.
    pub(crate) unsafe fn write(self, ptr: *const u8, len: usize) -> Step {
        self.step("SSL_write", |functions| {
            // SAFETY: as above.
            unsafe { (functions.SSL_write)(self.pointer, ptr.cast(), int(len)) }
        })
    }

    fn step(self, name: &str, call: impl FnOnce(&Functions) -> c_int) -> Step {
        let functions = &self.openssl.functions;
        // SAFETY: no pointers. Older errors would be taken for this call's.
        unsafe { (functions.ERR_clear_error)() };
        polyphony_core::sys::set_errno(0);
        let result = call(functions);
        let errno = polyphony_core::sys::errno();
        if let Ok(count @ 1..) = usize::try_from(result) {
            return Step::Bytes(count);
        }
        // SAFETY: the connection is alive.
        match unsafe { (functions.SSL_get_error)(self.pointer, result) } {
            SSL_ERROR_ZERO_RETURN => Step::End,
            SSL_ERROR_WANT_READ => Step::WantRead,
            SSL_ERROR_WANT_WRITE => Step::WantWrite,
            SSL_ERROR_SYSCALL if errno != 0 => {
                Step::Failed(format!("{name}: {}", polyphony_core::sys::error_text(errno)))
            }
            error => Step::Failed(format!("{name}: {}", self.reasons(error))),
        }
    }

    /// Empties OpenSSL's queue of errors.
    fn reasons(self, error: c_int) -> String {
        let functions = &self.openssl.functions;
        let mut reasons = Vec::new();
        loop {
            // SAFETY: no pointers; a reason is a constant of OpenSSL's, or null.
            let reason = unsafe {
                match (functions.ERR_get_error)() {
                    0 => break,
                    code => (functions.ERR_reason_error_string)(code),
                }
            };
            if !reason.is_null() {
                // SAFETY: not null, and ends with a NUL.
                reasons.push(unsafe { CStr::from_ptr(reason) }.to_string_lossy());
            }
        }
        match error {
            _ if !reasons.is_empty() => reasons.join("; "),
            // OpenSSL 1.1 says no more about it.
            SSL_ERROR_SYSCALL => "unexpected eof while reading".into(),
            error => format!("error {error}"),
        }
    }
}

fn int(len: usize) -> c_int {
    c_int::try_from(len).unwrap_or(c_int::MAX)
}

/// The type of an SSLSocket, of whichever version of openssl.
fn ssl_type(object: VALUE) -> Outcome<&'static rb_sys::rb_data_type_t> {
    // SAFETY: asked only of what the check before has found to be of the kind; types are static.
    let found = unsafe {
        (value::is_data(object) && rb_sys::macros::RTYPEDDATA_P(object))
            .then(|| &*rb_sys::macros::RTYPEDDATA_TYPE(object))
            .filter(|found| CStr::from_ptr(found.wrap_struct_name) == TYPE_NAME)
    };
    found.ok_or_else(|| {
        let given = value::class_name(object);
        let loaded = value::is_defined(c"OpenSSL");
        let hint = if loaded { "" } else { " (require \"openssl\" first)" };
        Raise::type_error(format!("an OpenSSL::SSL::SSLSocket is needed, not {given}{hint}"))
    })
}

/// What OpenSSL calls to read.
unsafe extern "C" fn bio_read(bio: *mut Bio, into: *mut c_char, len: c_int) -> c_int {
    let Ok(len @ 1..) = usize::try_from(len) else { return 0 };
    // SAFETY: OpenSSL passes that much writable memory, and a BIO of ours.
    unsafe {
        let into = std::slice::from_raw_parts_mut(into.cast::<u8>(), len);
        transfer(bio, BIO_FLAGS_READ, |link| link.read(into))
    }
}

/// What OpenSSL calls to write.
unsafe extern "C" fn bio_write(bio: *mut Bio, from: *const c_char, len: c_int) -> c_int {
    let Ok(len @ 1..) = usize::try_from(len) else { return 0 };
    // SAFETY: OpenSSL passes that much readable memory, and a BIO of ours.
    unsafe {
        let from = std::slice::from_raw_parts(from.cast::<u8>(), len);
        transfer(bio, BIO_FLAGS_WRITE, |link| link.write(from))
    }
}

/// Tells OpenSSL what came of a transfer in the ways that a socket's BIO does.
///
/// # Safety
/// `bio` is one of ours.
unsafe fn transfer(
    bio: *mut Bio,
    direction: c_int,
    run: impl FnOnce(&mut Link) -> Transfer,
) -> c_int {
    let Some(OpenSsl { functions, .. }) = OPENSSL.get() else { return -1 };
    // SAFETY: `use_link` says that the link is there as long as the connection is in use.
    let link = unsafe {
        (functions.BIO_clear_flags)(bio, BIO_FLAGS_OF_RETRY);
        &*(functions.BIO_get_data)(bio).cast::<RefCell<Link>>()
    };
    match link.try_borrow_mut().map_or(Transfer::Again, |mut link| run(&mut link)) {
        Transfer::Bytes(count) => int(count),
        Transfer::End => 0,
        Transfer::Again => {
            // SAFETY: `bio` is alive.
            unsafe { (functions.BIO_set_flags)(bio, direction | BIO_FLAGS_SHOULD_RETRY) };
            -1
        }
        Transfer::Failed(errno) => {
            polyphony_core::sys::set_errno(errno);
            -1
        }
    }
}

/// What OpenSSL asks a BIO. When a connection is freed the link may be gone already: only what is
/// asked of connections in use looks at it.
unsafe extern "C" fn bio_ctrl(
    bio: *mut Bio,
    command: c_int,
    _: c_long,
    place: *mut c_void,
) -> c_long {
    match command {
        BIO_CTRL_FLUSH => return 1,
        BIO_CTRL_EOF | BIO_C_GET_FD => {}
        _ => return 0,
    }
    let Some(OpenSsl { functions, .. }) = OPENSSL.get() else { return 0 };
    // SAFETY: as in `transfer`.
    let link = unsafe { &*(functions.BIO_get_data)(bio).cast::<RefCell<Link>>() };
    let Ok(link) = link.try_borrow() else { return 0 };
    if command == BIO_CTRL_EOF {
        return c_long::from(link.is_at_end());
    }
    if !place.is_null() {
        // SAFETY: where OpenSSL wants the descriptor.
        unsafe { *place.cast::<c_int>() = link.fd() };
    }
    c_long::from(link.fd())
}

/// Puts bytes before those that an SSLSocket has read ahead: they are the next to be read. Its own
/// `ungetc` takes one character.
pub(crate) fn give_back(socket: VALUE, bytes: VALUE) {
    // As releases of the openssl gem call it.
    let names = [c"@rbuffer", c"@rbuf"];
    let ahead = names.map(|name| value::ivar(socket, value::intern(name)));
    if let Some(ahead) = ahead.into_iter().find(|ahead| value::is_string(*ahead)) {
        let _ = value::call(ahead, c"prepend", &[bytes]);
    }
}

/// Tells an SSLSocket's peer that no more will come. Its own bytes can still be read.
pub(crate) fn close_notify(socket: VALUE) -> Outcome<()> {
    value::call(socket, c"stop", &[]).map(drop)
}
