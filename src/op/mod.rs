//! Ops: what can be asked of the kernel, and the table of those in flight.
//!
//! One file per family builds its SQE. The table keeps whatever the kernel may still touch
//! (addresses, paths, result structs) until the op's last CQE, and one opaque value for the
//! binding.

mod accept;
mod close;
mod connect;
mod fd_index;
mod fsync;
mod key;
mod memory;
mod open;
mod pass_fd;
mod pieces;
mod poll;
mod read;
mod read_multishot;
mod recv;
mod recv_multishot;
mod send;
mod sendv;
mod splice;
pub mod state;
mod statx;
mod table;
mod waitid;
mod write;
mod writev;

use std::os::fd::RawFd;

use io_uring::squeue;

pub use accept::{Accept, AwaitConnection};
pub use close::Close;
pub use connect::Connect;
pub use fsync::Fsync;
pub use key::{IGNORED, OpKey, WAKE};
pub use memory::OpMemory;
pub use open::Open;
pub use pass_fd::{SendFd, receive_fd_now};
pub use pieces::Pieces;
pub use poll::{Poll, PollMultishot};
pub use read::Read;
pub use read_multishot::ReadMultishot;
pub use recv::Recv;
pub use recv_multishot::RecvMultishot;
pub use send::Send;
pub use sendv::SendV;
pub use splice::{Splice, Tee};
pub use statx::Statx;
pub(crate) use table::Todo;
pub use table::{Completion, OpTable, Pending, Progress, Remains};
pub use waitid::WaitId;
pub use write::{Write, WriteAsync};
pub use writev::WriteV;

/// What to do with a result that nobody takes. One that is in the op's memory goes with that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// It stands for nothing.
    Nothing,
    /// A non-negative result is a descriptor: close it.
    CloseFd,
    /// It is in a buffer of the pool: the buffer goes back.
    ReturnBuffer,
}

/// Something to ask of the kernel.
pub trait Op {
    /// What it does, in a word, for people who look at what is pending.
    const NAME: &'static str;
    /// What a result stands for when nobody takes it.
    const DISCARD: Discard = Discard::Nothing;
    /// Whether the op goes on when its descriptor is closed.
    const SURVIVES_CLOSE: bool = false;

    /// The descriptor it works on, for cancelling it when that is closed.
    fn fd(&self) -> Option<RawFd>;

    /// The other descriptor of an op that works on two.
    fn second_fd(&self) -> Option<RawFd> {
        None
    }

    /// Builds the SQE. What the kernel is pointed to and the caller doesn't own goes into
    /// `memory`.
    fn build(self, memory: &mut OpMemory) -> squeue::Entry;
}
