//! Identifiers: a kind prefix and a ULID (<https://github.com/ulid/spec>): 48 bits of time, 80 random bits.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Why a text is not an identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {prefix}… followed by 26 characters of 0-9 A-Z without I, L, O, U")]
pub struct IdError {
    prefix: &'static str,
}

fn encode(value: u128) -> String {
    (0..26).rev().map(|i| char::from(CROCKFORD[((value >> (i * 5)) & 31) as usize])).collect()
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
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
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
                let mut random = [0u8; 10];
                getrandom::fill(&mut random)?;
                Ok(Self::new(Timestamp::now(), random))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, encode(self.0))
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = CredentialId::new(Timestamp::from_millis(1_700_000_000_000), [7; 10]);
        assert_eq!(id.to_string().parse::<CredentialId>(), Ok(id));
        assert_eq!(id.to_string().len(), 31);
    }

    #[test]
    fn another_kind_of_id_is_refused() {
        let id = WorkloadId::new(Timestamp::from_millis(1), [1; 10]);
        assert!(id.to_string().parse::<CredentialId>().is_err());
        assert!("ph_ZZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<PlaceholderId>().is_err());
    }
}
