//! Which module, which token, which key in it. Nothing here is secret: it is handed over in arguments.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a key-encryption key is that never leaves its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSettings {
    /// The vendor's module, as an absolute path.
    pub module: PathBuf,
    /// The token.
    pub token: Which,
    /// The label of the key.
    pub key: String,
    /// How it wraps.
    pub mechanism: Mechanism,
    /// Whether the key may be made where there is none, when something is first wrapped.
    pub create: bool,
    /// The file with the PIN; absent: a person typed it.
    pub pin: Option<PathBuf>,
    /// Exists from when the token refused the PIN until a person removes it.
    pub refused: PathBuf,
}

/// A token, by what tells it from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// The one of this label.
    Label(String),
    /// Whatever is in this slot.
    Slot(u64),
}

/// How the key wraps. What was wrapped says which, so that changing the setting loses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// AES-256 in GCM, `CKM_AES_GCM`.
    #[default]
    AesGcm,
    /// AES-256 key wrap with padding (RFC 5649), `CKM_AES_KEY_WRAP_PAD`.
    AesKeyWrapPad,
    /// RSA-3072 with OAEP, `CKM_RSA_PKCS_OAEP`.
    RsaOaep,
}

impl Mechanism {
    #[cfg_attr(target_feature = "crt-static", expect(dead_code, reason = "nothing is wrapped there"))]
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::AesGcm => 1,
            Self::AesKeyWrapPad => 2,
            Self::RsaOaep => 3,
        }
    }

    #[cfg_attr(target_feature = "crt-static", expect(dead_code, reason = "nothing is wrapped there"))]
    pub(crate) const fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::AesGcm),
            2 => Some(Self::AesKeyWrapPad),
            3 => Some(Self::RsaOaep),
            _ => None,
        }
    }
}
