//! What the raw loops send: messages of pseudo-random bytes.

pub const MESSAGE_BYTES: usize = 1024;
/// Different messages, taken in turn, so that a lost or swapped one is noticed. A power of two.
const MESSAGES: usize = 64;

/// Messages of which no two are alike.
pub fn messages() -> Vec<[u8; MESSAGE_BYTES]> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..MESSAGES).map(|_| std::array::from_fn(|_| next())).collect()
}
