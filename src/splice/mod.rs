//! Transfers: moving bytes between descriptors, in the kernel where it can be done there.
//!
//! What decides is pure: [`Pump`] for a transfer through a pipe, [`Copier`] for one through a
//! buffer, [`Chunked`] for one in HTTP's chunked coding. Whoever drives them makes the calls of
//! [`calls`] (or the same moves through the ring) and reports what came of them.

mod cached;
pub mod calls;
mod chunked;
mod copier;
mod pipe;
mod pump;

pub use cached::{Cached, FileStat, Sighting, WINDOW, has_cachestat};
pub use chunked::{Chunked, Step};
pub use copier::{BUFFER, Copier};
pub use pipe::{LARGE_PIPE, Pipe, SMALL_PIPE};
pub use pump::{Plan, Pump};
