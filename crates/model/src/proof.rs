//! What a workload can show to prove who it is, and what is known of a workload to check it by.

use crate::{Cid, KeyedHash};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// One kind of proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// The workload key, in `Proxy-Authorization` or `Cloakroom-Workload`, or as the password of SOCKS5.
    Key,
    /// The workload's certificate, in the TLS handshake with the broker's listener (RFC 8446, section 4.4.2).
    Mtls,
    /// The user at the other end of the broker's Unix listener, as the kernel says.
    Uid,
    /// The guest at the other end of the broker's vsock listener, as the hypervisor says, and which of its boots.
    Cid,
    /// An address of the workload's networks.
    Network,
}

impl Proof {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Key, Self::Mtls, Self::Uid, Self::Cid, Self::Network];

    /// The kind's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Mtls => "mtls",
            Self::Uid => "uid",
            Self::Cid => "cid",
            Self::Network => "network",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Key => 1,
            Self::Mtls => 2,
            Self::Uid => 4,
            Self::Network => 8,
            Self::Cid => 16,
        }
    }
}

/// A set of proofs: what was shown, or what has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proofs(u8);

impl Proofs {
    /// The key alone: what every holder has to show where nothing else is said.
    pub const KEY: Self = Self(Proof::Key.bit());

    /// This set and one more.
    #[must_use]
    pub const fn and(self, proof: Proof) -> Self {
        Self(self.0 | proof.bit())
    }

    /// Whether the proof is among them.
    pub const fn has(self, proof: Proof) -> bool {
        self.0 & proof.bit() != 0
    }

    /// Those of this set that are not among the shown.
    #[must_use]
    pub const fn lacking(self, shown: Self) -> Self {
        Self(self.0 & !shown.0)
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Proof> for Proofs {
    fn from_iter<T: IntoIterator<Item = Proof>>(proofs: T) -> Self {
        proofs.into_iter().fold(Self::default(), Self::and)
    }
}

impl fmt::Display for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Proof::ALL.into_iter().filter(|proof| self.has(*proof)).map(Proof::as_str);
        f.write_str(&words.collect::<Vec<_>>().join(","))
    }
}

/// Why a text does not name what a holder must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofsError {
    /// A word that is none.
    #[error("name what the holder must show, each once: key, mtls, uid, cid, network; as in key,mtls")]
    Word,
}

impl FromStr for Proofs {
    type Err = ProofsError;
    /// What a holder must show: words with commas between them, each once.
    fn from_str(text: &str) -> Result<Self, ProofsError> {
        let mut proofs = Self::default();
        for word in text.split(',') {
            let proof =
                Proof::ALL.into_iter().find(|proof| proof.as_str() == word).ok_or(ProofsError::Word)?;
            if proofs.has(proof) {
                return Err(ProofsError::Word);
            }
            proofs = proofs.and(proof);
        }
        Ok(proofs)
    }
}

impl Serialize for Proofs {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Proofs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// SHA-256 of a certificate in DER.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::hexadecimal(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WRONG: &str = "a fingerprint has 64 hexadecimal digits";
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks_exact(2).map(crate::path::hex_byte).collect();
        bytes.filter(|_| text.len() == 64).and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(WRONG)
    }
}

/// What a workload can be known by besides its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// Its certificate.
    pub certificate: Option<Fingerprint>,
    /// The user that it runs as on the broker's machine.
    pub uid: Option<u32>,
    /// The virtual machine that it is in.
    pub guest: Option<Guest>,
    /// Where it calls from.
    pub networks: Vec<IpNet>,
}

impl Marks {
    /// What a workload with these marks can show. The key is its own anyway.
    pub fn provable(&self) -> Proofs {
        let marks = [
            Some(Proof::Key),
            self.certificate.map(|_| Proof::Mtls),
            self.uid.map(|_| Proof::Uid),
            self.guest.map(|_| Proof::Cid),
            (!self.networks.is_empty()).then_some(Proof::Network),
        ];
        marks.into_iter().flatten().collect()
    }
}

/// A virtual machine, and which of its boots: hypervisors give the number of one that is gone to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Its number.
    pub cid: Cid,
    /// Keyed hash of the nonce that it was given at this boot.
    pub boot: KeyedHash,
}

/// Where a call came from: an address, a user of this machine, or a virtual machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Over the network; from a balancer that is believed, the address that it names.
    Address(IpAddr),
    /// Over the Unix listener.
    User(u32),
    /// Over the vsock listener: a context id, whoever has it.
    Guest(u32),
}

impl Source {
    /// The address, where there is one.
    pub const fn address(self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(address),
            Self::User(_) | Self::Guest(_) => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::User(uid) => write!(f, "uid {uid}"),
            Self::Guest(cid) => write!(f, "cid {cid}"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = |word: &str| text.strip_prefix(word).and_then(|number| number.parse().ok());
        let user = number("uid ").map(Self::User);
        user.or_else(|| number("cid ").map(Self::Guest))
            .or_else(|| text.parse().ok().map(Self::Address))
            .ok_or_else(|| serde::de::Error::custom("a source is an address, a uid or a cid"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_holder_must_show_is_read_strictly_and_written_in_one_way() {
        for (text, written) in [
            ("key", "key"),
            ("mtls", "mtls"),
            ("network,uid", "uid,network"),
            ("network", "network"),
            ("uid,key,network,mtls", "key,mtls,uid,network"),
            ("network,cid,key", "key,cid,network"),
        ] {
            assert_eq!(text.parse::<Proofs>().map(|proofs| proofs.to_string()).as_deref(), Ok(written));
        }
        for wrong in ["", "key,", "key,key", "Key", "key, mtls", "password"] {
            assert_eq!(wrong.parse::<Proofs>(), Err(ProofsError::Word), "{wrong}");
        }
    }

    #[test]
    fn what_is_lacking_is_what_was_not_shown() {
        let wanted: Proofs = "key,mtls".parse().unwrap();
        assert!(wanted.lacking(wanted.and(Proof::Network)).is_empty());
        assert_eq!(wanted.lacking(Proofs::KEY).to_string(), "mtls");
        assert_eq!(wanted.lacking(Proofs::default()), wanted);
    }

    #[test]
    fn a_fingerprint_and_a_source_survive_their_texts() {
        let print = Fingerprint::of(b"a certificate");
        assert_eq!(Fingerprint::try_from(print.to_string()), Ok(print));
        for wrong in ["", "00", &"0g".repeat(32), &"00".repeat(33)] {
            assert!(Fingerprint::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        for source in [Source::User(1001), Source::Guest(2), Source::Address([192, 0, 2, 1].into())] {
            let text = serde_json::to_string(&source).unwrap();
            assert_eq!(serde_json::from_str::<Source>(&text).unwrap(), source);
        }
        for wrong in ["\"uid x\"", "\"cid -1\"", "\"cid 4294967296\""] {
            assert!(serde_json::from_str::<Source>(wrong).is_err(), "{wrong}");
        }
    }
}
