//! Names of ops.

/// Slab index and generation of an op: what its SQE carries as user_data, so that a late CQE
/// can't hit an op that took over the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpKey {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// user_data of SQEs whose completion tells nobody anything (cancels).
pub const IGNORED: u64 = u64::MAX;
/// user_data of the poll on the wake eventfd.
pub const WAKE: u64 = u64::MAX - 1;

impl OpKey {
    /// The key as user_data. Never one of the reserved values: indexes stay below 2^31.
    #[must_use]
    pub fn user_data(self) -> u64 {
        (u64::from(self.generation) << 32) | u64::from(self.index)
    }

    /// The key that a CQE's user_data stands for.
    #[must_use]
    pub fn from_user_data(user_data: u64) -> Self {
        // The two halves, each exactly 32 bits.
        #[allow(clippy::cast_possible_truncation)]
        Self { index: user_data as u32, generation: (user_data >> 32) as u32 }
    }

    /// The slab index.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }
}
