//! The number of a virtual machine on its host's vsock (vsock(7)).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The context id of a guest. INVARIANT: one that a guest can have: neither the hypervisor's (0), nor the loopback's (1), nor the
/// host's (2), nor the word for any (4294967295).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Cid(u32);

/// The number is not a guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a guest's CID is a number from 3 to 4294967294: 0 to 2 are the hypervisor, the loopback and the host"
)]
pub struct CidError;

impl Cid {
    const FIRST: u32 = 3;

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Cid {
    type Error = CidError;
    fn try_from(number: u32) -> Result<Self, CidError> {
        if (Self::FIRST..u32::MAX).contains(&number) { Ok(Self(number)) } else { Err(CidError) }
    }
}

impl FromStr for Cid {
    type Err = CidError;
    fn from_str(text: &str) -> Result<Self, CidError> {
        text.parse::<u32>().map_err(|_| CidError)?.try_into()
    }
}

impl From<Cid> for u32 {
    fn from(cid: Cid) -> u32 {
        cid.0
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t93_the_host_the_hypervisor_and_the_loopback_are_no_guests() {
        for number in ["3", "4", "4294967294"] {
            assert_eq!(number.parse::<Cid>().map(|cid| cid.to_string()).as_deref(), Ok(number));
        }
        for wrong in ["0", "1", "2", "4294967295", "4294967296", "-3", "three", ""] {
            assert_eq!(wrong.parse::<Cid>(), Err(CidError), "{wrong}");
        }
        assert!(serde_json::from_str::<Cid>("2").is_err());
    }
}
