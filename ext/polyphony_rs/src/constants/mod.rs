//! Numbers of the kernel's interface as constants of `UM`, by family.

mod errno;
mod files;
mod inotify;
mod internet;
mod processes;
mod sockets;

use rb_sys::VALUE;

use crate::ruby::value;

/// Names and their numbers.
type Table = [(&'static str, i64)];

/// A [`Table`] of names that the libc crate knows, and of those that it lacks, with the number
/// from the system's headers.
macro_rules! table {
    (@number $name:ident) => { libc::$name as i64 };
    (@number $name:ident = $number:expr) => { $number };
    ($($name:ident $(= $number:expr)?),+ $(,)?) => {
        &[$((stringify!($name), $crate::constants::table!(@number $name $(= $number)?))),+]
    };
}
use table;

/// Defines the constants.
pub(crate) fn init(class: VALUE) {
    let tables = [
        errno::TABLE,
        files::TABLE,
        inotify::TABLE,
        internet::TABLE,
        processes::TABLE,
        sockets::TABLE,
    ];
    for (name, number) in tables.into_iter().flatten() {
        value::define_constant(class, name, value::integer(*number));
    }
}
