//! Adler-32, the checksum of RFC 1950, of which flate2 offers none by itself.

const MODULUS: u32 = 65_521;
/// Sums that are kept side by side, so that the compiler adds them all at once.
const LANES: usize = 16;
/// Most bytes added before the remainder is taken: no lane's sum of sums exceeds 32 bits, which
/// takes rounds² / 2 times 255.
const PIECE: usize = LANES * 4096;

/// The checksum of some bytes, and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Adler {
    sum: u32,
    sum_of_sums: u32,
    len: u64,
}

impl Adler {
    pub(super) fn new() -> Self {
        Self { sum: 1, sum_of_sums: 0, len: 0 }
    }

    pub(super) fn value(self) -> u32 {
        (self.sum_of_sums << 16) | self.sum
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        let (lanes, rest) = bytes.split_at(bytes.len() - bytes.len() % LANES);
        for piece in lanes.chunks(PIECE) {
            self.add_lanes(piece);
        }
        for byte in rest {
            self.sum += u32::from(*byte);
            self.sum_of_sums += self.sum;
        }
        self.sum %= MODULUS;
        self.sum_of_sums %= MODULUS;
    }

    /// Adds a multiple of [`LANES`] bytes, at most [`PIECE`].
    ///
    /// A lane's byte counts in the sum of sums once for itself and once for each byte behind it:
    /// [`LANES`] times the rounds that follow, and those to its right in its own round.
    fn add_lanes(&mut self, bytes: &[u8]) {
        let mut sums = [0u32; LANES];
        let mut before = [0u32; LANES];
        for round in bytes.chunks_exact(LANES) {
            for lane in 0..LANES {
                before[lane] += sums[lane];
                sums[lane] += u32::from(round[lane]);
            }
        }
        let (mut sum, mut weighted) = (0u64, 0u64);
        for (lane, (own, before)) in sums.iter().zip(before).enumerate() {
            sum += u64::from(*own);
            weighted += u64::from(before) * LANES as u64 + u64::from(*own) * (LANES - lane) as u64;
        }
        let earlier = u64::from(self.sum) * bytes.len() as u64;
        self.sum_of_sums = remainder(u64::from(self.sum_of_sums) + earlier + weighted);
        self.sum = remainder(u64::from(self.sum) + sum);
    }

    /// Appends the checksum of what follows.
    pub(super) fn combine(&mut self, next: &Self) {
        // `next` began with a sum of 1, and counted it once for each of its bytes.
        let carried = u64::from(self.sum) + u64::from(MODULUS) - 1;
        let repeated = carried * (next.len % u64::from(MODULUS));
        self.sum_of_sums =
            remainder(u64::from(self.sum_of_sums) + u64::from(next.sum_of_sums) + repeated);
        self.sum = remainder(carried + u64::from(next.sum));
        self.len += next.len;
    }
}

fn remainder(sum: u64) -> u32 {
    // Below the modulus, which has 16 bits.
    u32::try_from(sum % u64::from(MODULUS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(bytes: &[u8]) -> Adler {
        let mut adler = Adler::new();
        adler.update(bytes);
        adler
    }

    /// As RFC 1950 puts it.
    fn naive(bytes: &[u8]) -> u32 {
        let (a, b) = bytes.iter().fold((1u64, 0u64), |(a, b), byte| {
            let a = (a + u64::from(*byte)) % 65_521;
            (a, (a + b) % 65_521)
        });
        u32::try_from((b << 16) | a).expect("two sums of 16 bits")
    }

    #[test]
    fn largest_sums_do_not_overflow() {
        let bytes = vec![255; 3 * PIECE + 7];
        assert_eq!(of(&bytes).value(), naive(&bytes));
    }

    proptest! {
        #[test]
        fn is_that_of_the_rfc(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..300) {
            let at = at.min(bytes.len());
            let mut pieces = of(&bytes[..at]);
            let rest = of(&bytes[at..]);
            let mut combined = pieces;
            combined.combine(&rest);
            pieces.update(&bytes[at..]);
            prop_assert_eq!(pieces.value(), naive(&bytes));
            prop_assert_eq!(combined, pieces);
        }
    }
}
