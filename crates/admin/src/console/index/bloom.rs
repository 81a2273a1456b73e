//! Whether something may be among a few hundred records: a Bloom filter (Bloom, *Space/time trade-offs in hash coding*, 1970). A no is
//! certain.

use std::hash::{DefaultHasher, Hash, Hasher};

const WORDS: usize = 16;
const BITS: u64 = WORDS as u64 * 64;

/// What may be among the records of one chunk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bloom([u64; WORDS]);

impl Bloom {
    pub(super) fn add(&mut self, fact: &impl Hash) {
        for bit in bits(fact) {
            self.0[bit / 64] |= 1 << (bit % 64);
        }
    }

    pub(super) fn may_hold(&self, fact: &impl Hash) -> bool {
        bits(fact).into_iter().all(|bit| self.0[bit / 64] & (1 << (bit % 64)) != 0)
    }
}

fn bits(fact: &impl Hash) -> [usize; 2] {
    let mut hasher = DefaultHasher::new();
    fact.hash(&mut hasher);
    let hash = hasher.finish();
    [hash % BITS, (hash >> 32) % BITS].map(|bit| usize::try_from(bit).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_may_be_there_and_most_of_what_was_not_is_not() {
        let mut bloom = Bloom::default();
        (0..100_u32).for_each(|number| bloom.add(&number));
        assert!((0..100_u32).all(|number| bloom.may_hold(&number)));
        let wrong = (100..1100_u32).filter(|number| bloom.may_hold(number)).count();
        assert!(wrong < 200, "{wrong} of 1,000");
    }
}
