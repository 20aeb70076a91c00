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
