//! Who a request says it is: the twin of `identity_of` in `simulate/identities.py`.

use blake2::digest::consts::U8;
use blake2::{Blake2b, Digest};

/// `c-` and 16 hexadecimal digits.
pub const IDENTITY_BYTES: usize = 18;

/// The identity that a client's requests carry.
pub type Identity = [u8; IDENTITY_BYTES];

/// The identity of a client of a run; alias 0 is its own, others are its rotated ones.
pub fn identity_of(namespace: &str, client: u32, alias: u32) -> Identity {
    let mut text = format!("{namespace}/{client}");
    if alias != 0 {
        text += &format!("/{alias}");
    }
    let digest = Blake2b::<U8>::digest(text.as_bytes());
    let mut identity = *b"c-0000000000000000";
    for (pair, byte) in identity[2..].chunks_exact_mut(2).zip(digest) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    identity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_those_of_the_reference() {
        // blake2b("run/0", digest_size=8) and blake2b("run/3/2", digest_size=8) by Python's hashlib.
        assert_eq!(&identity_of("run", 0, 0), b"c-9a06e5d4daef2c37");
        assert_eq!(&identity_of("run", 3, 2), b"c-753bf71e5ff240a0");
    }
}
