//! Memory that the kernel takes for what it reads: a pool of buffers shared by all descriptors.
//!
//! A buffer goes round: free, given to the kernel, filled (as a row of [`Segment`]s, one per
//! completion), and free again once the kernel has left it and every segment was released.
//!
//! `Ledger` knows where each buffer is and decides how many the kernel gets; it
//! touches no memory. `BufRing` is the queue in which the kernel finds them.
//! [`Pool`] puts the two together with the memory itself.

mod ledger;
mod mapping;
mod pool;
mod ring;

pub use pool::{Figures, Pool};
pub(crate) use ring::probe_incremental;

/// The buffer group of the pool: one per ring.
pub const GROUP: u16 = 0;
/// Size of a buffer in bytes.
pub const BUFFER_SIZE: usize = 16_384;
/// Most buffers of a pool, and entries of its ring: 16 MB.
pub const MAX_BUFFERS: usize = 1024;

/// What one completion has put into a buffer. It pins the buffer until it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The buffer.
    pub bid: u16,
    /// Where in it the bytes begin. A buffer's size fits.
    pub offset: u16,
    /// How many they are.
    pub len: u16,
}
