//! Identifiers: a kind prefix and a ULID (<https://github.com/ulid/spec>): 48 bits of time, 80 random bits.

use crate::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Why a text is not an identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {prefix}… followed by 26 characters of 0-9 A-Z without I, L, O, U")]
pub struct IdError {
    prefix: &'static str,
}

/// How many characters a ULID has.
const LENGTH: usize = 26;

/// Writes a ULID as text. 60 bits at a time: shifting 128 is slow.
fn encode(value: u128, text: &mut [u8]) {
    const BITS: u128 = (1 << 60) - 1;
    for (part, shift) in [(0..2, 120), (2..14, 60), (14..26, 0)] {
        let mut rest = ((value >> shift) & BITS) as u64;
        for digit in text[part].iter_mut().rev() {
            *digit = CROCKFORD[(rest & 31) as usize];
            rest >>= 5;
        }
    }
}

/// Random bytes of one thread, taken from the operating system so many at a time that almost no call asks for any.
///
/// INVARIANT: no byte is given out twice. Threads have blocks of their own, and a process has no twin that shares them:
/// nothing forks without `exec` (`fork` is unsafe, and unsafe code is forbidden here).
struct Block {
    bytes: [u8; Block::SIZE],
    used: usize,
}

impl Block {
    const SIZE: usize = 4096;

    const fn empty() -> Self {
        Self { bytes: [0; Self::SIZE], used: Self::SIZE }
    }

    fn next(&mut self) -> Result<[u8; 10], getrandom::Error> {
        if let Some(random) = self.bytes[self.used..].first_chunk() {
            self.used += random.len();
            return Ok(*random);
        }
        // An error leaves the block used up.
        getrandom::fill(&mut self.bytes)?;
        let mut random = [0; 10];
        random.copy_from_slice(&self.bytes[..10]);
        self.used = random.len();
        Ok(random)
    }
}

thread_local! {
    static BLOCK: RefCell<Block> = const { RefCell::new(Block::empty()) };
}

/// Random bytes for one identifier. They tell identifiers apart and protect nothing.
fn random() -> Result<[u8; 10], getrandom::Error> {
    BLOCK.with_borrow_mut(Block::next)
}

fn decode(text: &str) -> Option<u128> {
    let well_formed = text.len() == 26 && text.as_bytes()[0] <= b'7';
    well_formed.then_some(())?;
    text.bytes().try_fold(0u128, |value, byte| {
        let digit = CROCKFORD.iter().position(|c| *c == byte)?;
        Some((value << 5) | digit as u128)
    })
}

macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(u128);

        impl $name {
            /// A fresh identifier: `at` in its first 48 bits, `random` in the rest.
            pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
                let mut tail = [0u8; 16];
                tail[6..].copy_from_slice(&random);
                Self((u128::from(at.millis()) << 80) | u128::from_be_bytes(tail))
            }

            /// A fresh identifier from the clock and the operating system's random source.
            ///
            /// # Errors
            /// When the operating system gives no random bytes.
            pub fn fresh() -> Result<Self, getrandom::Error> {
                Ok(Self::new(Timestamp::now(), random()?))
            }

            /// Its bits: time first.
            pub const fn bits(self) -> u128 {
                self.0
            }

            /// When it was made: its first 48 bits.
            pub fn at(self) -> Timestamp {
                Timestamp::from_millis(u64::try_from(self.0 >> 80).unwrap_or_default())
            }

            /// The text, on the stack: an identifier is written into the journal with every call.
            fn text(self) -> [u8; $prefix.len() + LENGTH] {
                let mut text = [0; $prefix.len() + LENGTH];
                let (prefix, rest) = text.split_at_mut($prefix.len());
                prefix.copy_from_slice($prefix.as_bytes());
                encode(self.0, rest);
                text
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let text = self.text();
                serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix($prefix).and_then(decode).map(Self).ok_or(IdError { prefix: $prefix })
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    )*};
}

identifiers! {
    /// Names one call, in the refusal, the journal and `cloakroom explain`.
    RequestId "";
    /// Names one credential.
    CredentialId "cred_";
    /// Names one workload.
    WorkloadId "wl_";
    /// Names one placeholder; not the placeholder itself.
    PlaceholderId "ph_";
    /// Names one approval.
    ApprovalId "ap_";
    /// Names what a source has lent.
    LeaseId "ls_";
    /// Names what a workload asked for.
    ProposalId "pr_";
    /// Names one login of a person's at an authorization server.
    LoginId "lg_";
    /// A person who uses the console.
    MemberId "mem_";
    /// A browser that somebody has logged in with.
    SessionId "ses_";
    /// An API token; its id opens nothing.
    ApiTokenId "tok_";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = CredentialId::new(Timestamp::from_millis(1_700_000_000_000), [7; 10]);
        assert_eq!(id.to_string().parse::<CredentialId>(), Ok(id));
        assert_eq!(id.to_string().len(), 31);
        assert_eq!(id.at(), Timestamp::from_millis(1_700_000_000_000));
    }

    #[test]
    fn the_text_of_an_id_is_a_ulid_and_so_is_its_json() {
        let highest = RequestId(u128::MAX);
        assert_eq!(highest.to_string(), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        let each = RequestId("00123456789ABCDEFGHJKMNPQR".bytes().fold(0, |value, byte| {
            let digit = CROCKFORD.iter().position(|character| *character == byte).unwrap();
            (value << 5) | digit as u128
        }));
        assert_eq!(each.to_string(), "00123456789ABCDEFGHJKMNPQR");
        let id = WorkloadId::new(Timestamp::from_millis(1_700_000_000_000), [9; 10]);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<WorkloadId>(&format!("\"{id}\"")).unwrap(), id);
    }

    #[test]
    fn ids_do_not_repeat_within_a_block_across_blocks_or_across_threads() {
        let many = || (0..2000).map(|_| random().unwrap()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(many)).collect();
        let mut all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4 * 2000);
        assert!(!all.contains(&[0; 10]));
    }

    #[test]
    fn another_kind_of_id_is_refused() {
        let id = WorkloadId::new(Timestamp::from_millis(1), [1; 10]);
        assert!(id.to_string().parse::<CredentialId>().is_err());
        assert!("ph_ZZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<PlaceholderId>().is_err());
    }
}
