//! From a key to the places where its slot may be.

use siphasher::sip::SipHasher13;

use crate::shape::BUCKET;

/// Bits of a word that hold the tag; the others count the slot's owners.
pub(crate) const TAG_BITS: u32 = 48;
/// The tag's bits in a word.
pub(crate) const TAG_MASK: u64 = (1 << TAG_BITS) - 1;

/// The random key of a table's hash: keys come from attackers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(pub(crate) u64, pub(crate) u64);

/// The place of a key's slot, and what tells it from its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// 48 bits, never 0.
    pub(crate) tag: u64,
    /// The slot of a bucket that it is given first: one that can be guessed before a tag is read.
    pub(crate) way: usize,
    /// The two candidate buckets; now and then they are one.
    ///
    /// Their sum modulo the number of buckets follows from the tag. So two keys of equal tags
    /// have both buckets in common or none: they share one slot and one quota, or nothing, and
    /// neither can find the other's slot while its own history lies elsewhere.
    pub(crate) buckets: [usize; 2],
}

impl Place {
    /// Hashes `key` for a table of `buckets` buckets (1 to 2³²).
    pub(crate) fn of(key: &[u8], seed: Seed, buckets: usize) -> Self {
        let hasher = SipHasher13::new_with_keys(seed.0, seed.1);
        Self::from_hash(hasher.hash(key), buckets)
    }

    fn from_hash(hash: u64, buckets: usize) -> Self {
        let tag = (hash & TAG_MASK).max(1);
        let scale = |part: u64| (((part & 0xffff_ffff) * buckets as u64) >> 32) as usize;
        let first = scale(hash >> 32);
        let second = scale(tag) + buckets - first;
        let second = if second < buckets {
            second
        } else {
            second - buckets
        };
        Self {
            tag,
            way: hash as usize % BUCKET,
            buckets: [first, second],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes of other keys, and a number of buckets for each two.
    fn draws() -> impl Iterator<Item = (u64, u64, usize)> {
        let hash = |n: u64| SipHasher13::new_with_keys(1, 2).hash(&n.to_le_bytes());
        (0..5_000).map(move |n| (hash(2 * n), hash(2 * n + 1), 1 + n as usize % 19))
    }

    #[test]
    fn equal_tags_share_both_buckets_or_none() {
        for (tag, other, buckets) in draws() {
            let other = (tag & TAG_MASK) | (other & !TAG_MASK);
            let (a, b) = (
                Place::from_hash(tag, buckets),
                Place::from_hash(other, buckets),
            );
            assert!(a.buckets.iter().all(|bucket| *bucket < buckets));
            assert_eq!((a.tag, a.way), (b.tag, b.way));
            let common = a.buckets.iter().any(|bucket| b.buckets.contains(bucket));
            let (mut x, mut y) = (a.buckets, b.buckets);
            x.sort_unstable();
            y.sort_unstable();
            assert_eq!(common, x == y, "{tag:x} and {other:x} of {buckets}");
        }
    }

    #[test]
    fn a_tag_is_never_the_empty_word() {
        for (hash, _, buckets) in draws() {
            assert_eq!(Place::from_hash(hash & !TAG_MASK, buckets).tag, 1);
        }
    }

    #[test]
    fn another_seed_is_another_place() {
        let place = |seed| Place::of(b"client-7", seed, 1 << 20);
        assert_ne!(place(Seed(1, 2)), place(Seed(1, 3)));
        assert_eq!(place(Seed(1, 2)), place(Seed(1, 2)));
    }
}
