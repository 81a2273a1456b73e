//! One public key of an approver, and whether it signed a text.

use super::passkey::{self, Passkey};
use super::sshsig::{self, SshKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Separates approvals from everything else that a key file or a passkey could sign.
const DOMAIN: &[u8] = b"cloakroom approval v1\n";
/// The same for a no, which a passkey signs too.
const DENIAL: &[u8] = b"cloakroom denial v1\n";

/// What a text is signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Yes.
    Approval,
    /// No.
    Denial,
}

impl Purpose {
    /// SHA-256 of what is signed: what a passkey signs, and what two screens can be compared by.
    pub fn digest(self, text: &str) -> [u8; 32] {
        let domain = match self {
            Self::Approval => DOMAIN,
            Self::Denial => DENIAL,
        };
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, &[domain, text.as_bytes()].concat()).as_ref());
        bytes
    }
}

/// A public key, by the way it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApproverKey {
    /// A key file of ours: Ed25519 over the domain line and the text.
    File([u8; 32]),
    /// An SSH key: `ssh-keygen -Y sign -n cloakroom` over the text.
    Ssh(SshKey),
    /// A passkey: what it signs is the digest of the domain line and the text.
    Passkey(Passkey),
}

impl ApproverKey {
    /// The key and whose it is: the words after it, or the beginning of the key where there are none.
    pub(crate) fn parse_line(line: &str) -> Result<(Self, String), String> {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        let key = match first.split_once('-') {
            None if first == passkey::WORD => Self::Passkey(Passkey::parse(&mut words)?),
            Some(_) => Self::Ssh(SshKey::parse(first, words.next().unwrap_or_default())?),
            None => Self::File(raw(first).ok_or("an approver's public key is 32 bytes in base64")?),
        };
        let name = words.collect::<Vec<_>>().join(" ");
        let short = || key.named().chars().rev().take(12).collect::<String>().chars().rev().collect();
        let name = if name.is_empty() { short() } else { name };
        Ok((key, name))
    }

    /// The key as a signature's row names it.
    pub(crate) fn named(&self) -> String {
        match self {
            Self::File(bytes) => STANDARD.encode(bytes),
            Self::Ssh(key) => key.to_string(),
            Self::Passkey(key) => key.to_string(),
        }
    }

    /// Whether both are one key: it would count twice.
    pub(crate) fn is_same_key(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Passkey(one), Self::Passkey(other)) => one.is_same_key(other),
            _ => self == other,
        }
    }

    /// The passkey, where it is one.
    pub(crate) fn passkey(&self) -> Option<&Passkey> {
        match self {
            Self::Passkey(key) => Some(key),
            _ => None,
        }
    }

    /// The kind's word.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Ssh(_) => "ssh",
            Self::Passkey(_) => "passkey",
        }
    }

    /// The kind, and what tells a reader more.
    pub(crate) fn described(&self) -> String {
        match self {
            Self::File(_) => "key file (Ed25519)".to_owned(),
            Self::Ssh(key) => format!("ssh ({})", key.kind()),
            Self::Passkey(key) => format!("passkey ({}), good at {} only", key.algorithm(), key.party()),
        }
    }

    /// Whether these words of a signature's row name this key.
    pub(crate) fn is_named_by(&self, words: &str) -> bool {
        match self {
            Self::File(bytes) => raw(words.trim()).as_ref() == Some(bytes),
            Self::Ssh(key) => words.trim() == key.to_string(),
            Self::Passkey(key) => words == key.to_string(),
        }
    }

    /// Whether it signed this text, for this.
    pub(crate) fn verifies(&self, purpose: Purpose, text: &str, signature: &str) -> bool {
        match self {
            Self::Passkey(key) => key.verifies(&purpose.digest(text), signature),
            // Who may say no with a key may say it without: on the command line.
            _ if purpose == Purpose::Denial => false,
            Self::File(key) => {
                let Ok(bytes) = STANDARD.decode(signature.trim()) else { return false };
                let signed = [DOMAIN, text.as_bytes()].concat();
                UnparsedPublicKey::new(&ED25519, key).verify(&signed, &bytes).is_ok()
            }
            Self::Ssh(key) => sshsig::verify(key, text.as_bytes(), signature),
        }
    }
}

fn raw(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}
