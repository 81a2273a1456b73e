//! Tables whose keys are identifiers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table by identifier.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Hashes one identifier, by one multiplication.
///
/// SECURITY: right only for keys that no stranger chooses: identifiers are made by the broker, and a
/// [`CoreId`](crate::CoreId) is a keyed hash already. Who can choose keys can make them collide here.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

impl IdHasher {
    fn mix(&mut self, bits: u64) {
        const ODD: u128 = 0x9E37_79B9_7F4A_7C15;
        let product = u128::from(self.0 ^ bits) * ODD;
        // Both halves: tables take their place from low bits, and identifiers of one moment differ in low bits only.
        self.0 = low(product) ^ low(product >> 64);
    }
}

fn low(wide: u128) -> u64 {
    const LOW: u128 = u64::MAX as u128;
    u64::try_from(wide & LOW).unwrap_or_default()
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_ne_bytes(word));
        }
    }

    fn write_u128(&mut self, id: u128) {
        self.mix(low(id));
        self.mix(low(id >> 64));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PlaceholderId, Timestamp};
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    #[test]
    fn identifiers_of_one_moment_do_not_meet() {
        let build = BuildHasherDefault::<IdHasher>::default();
        let hash = |n: u32| {
            let mut random = [0; 10];
            random[6..].copy_from_slice(&n.to_be_bytes());
            build.hash_one(PlaceholderId::new(Timestamp::from_millis(1), random))
        };
        let hashes: Vec<u64> = (0..10_000).map(hash).collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
        // Where a table looks first, and what it compares there.
        let fullest = |place: &dyn Fn(u64) -> u64| {
            let mut counts = HashMap::new();
            hashes.iter().for_each(|hash| *counts.entry(place(*hash)).or_insert(0) += 1);
            counts.into_values().max().unwrap_or(0)
        };
        assert!(fullest(&|hash| hash & 0x3fff) <= 8);
        assert!(fullest(&|hash| hash >> 57) <= 200);
    }
}
