//! The twin of `rng.py`: SplitMix64 from the digest of a seed.

use blake2::digest::consts::U8;
use blake2::{Blake2b, Digest};

const UNIT_BITS: u32 = 52;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): for simulation, not for secrets.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// A generator whose state is the 8-byte BLAKE2b digest of the seed, little-endian.
    pub fn new(seed: &[u8]) -> Self {
        let state = u64::from_le_bytes(Blake2b::<U8>::digest(seed).into());
        Self { state }
    }

    /// The next number, uniform on 0 to 2^count - 1; `count` from 1 to 64.
    pub fn bits(&mut self, count: u32) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) >> (64 - count)
    }

    /// A draw of U, never 0 and never 1: the midpoints of 2^52 equal cells.
    pub fn unit(&mut self) -> f64 {
        (self.bits(UNIT_BITS) as f64 + 0.5) / (1u64 << UNIT_BITS) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn the_sequence_from_state_zero_is_the_published_one() {
        let mut rng = Rng { state: 0 };
        let drawn = [rng.bits(64), rng.bits(64), rng.bits(64)];
        assert_eq!(
            drawn,
            [
                0xE220_A839_7B1D_CDAF,
                0x6E78_9E6A_A1B9_65F4,
                0x06C4_5D18_8009_454F
            ]
        );
    }

    #[test]
    fn a_unit_is_never_zero_and_never_one() {
        let cells = (1u64 << 52) as f64;
        assert!((0.0 + 0.5) / cells > 0.0);
        assert!((cells - 1.0 + 0.5) / cells < 1.0);
        let mut rng = Rng::new(b"1/0");
        assert!((0..1000).all(|_| (f64::MIN_POSITIVE..1.0).contains(&rng.unit())));
    }
}
