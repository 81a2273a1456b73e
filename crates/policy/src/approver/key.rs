//! One public key of an approver, and whether it signed a text.

use super::sshsig::{self, SshKey};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Separates approvals from everything else that a key file could sign.
const DOMAIN: &[u8] = b"cloakroom approval v1\n";

/// A public key, by the way it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApproverKey {
    /// A key file of ours: Ed25519 over the domain line and the text.
    File([u8; 32]),
    /// An SSH key: `ssh-keygen -Y sign -n cloakroom` over the text.
    Ssh(SshKey),
}

impl ApproverKey {
    /// The key and whose it is: the words after it, or the beginning of the key where there are none.
    pub(crate) fn parse_line(line: &str) -> Result<(Self, String), String> {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        let key = match first.split_once('-') {
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
        }
    }

    /// The kind's word.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Ssh(_) => "ssh",
        }
    }

    /// Whether these words of a signature's row name this key.
    pub(crate) fn is_named_by(&self, words: &str) -> bool {
        match self {
            Self::File(bytes) => raw(words.trim()).as_ref() == Some(bytes),
            Self::Ssh(key) => words.trim() == key.to_string(),
        }
    }

    /// Whether it signed this text.
    pub(crate) fn verifies(&self, text: &str, signature: &str) -> bool {
        match self {
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
