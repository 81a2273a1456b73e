//! A key that signs calls by a permit's scheme, with its id where it has one: kept as one line.
//!
//! ```text
//! sealed: {"key":"…"}        with "id":"…" where the key has one
//! ```

use super::CustodyError;
use super::deposit::acceptable;
use crate::secret::Secret;
use cloakroom_model::{Code, CredentialKind, Refusal};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// What calls are signed with.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SigningKey {
    /// The key's id. It is sent, and kept from the workload all the same.
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "key_id")]
    pub(crate) id: Option<String>,
    /// A shared key as it was handed out, or a private key in PEM. It is never sent.
    pub(crate) key: String,
}

const FORM: &str = "a key that signs is deposited as it is, or as JSON: {\"key_id\":\"…\",\"key\":\"…\"}, and nothing else in it";
const ID: &str =
    "the id of a key has 1 to 256 characters of printable ASCII, and no space, quotation mark or backslash";

/// What a private key in PEM begins with.
const PEM: &str = "-----BEGIN ";

impl SigningKey {
    /// Reads a deposit: JSON, or the key alone, which keeps the id that the credential had.
    ///
    /// # Errors
    /// In words that hold nothing of the key.
    pub(super) fn deposited(
        secret: &Secret,
        kind: CredentialKind,
        known_id: impl FnOnce() -> Option<String>,
    ) -> Result<Self, CustodyError> {
        let bytes = secret.expose();
        let key: Self = if bytes.first() == Some(&b'{') {
            serde_json::from_slice(bytes).map_err(|_| CustodyError::Grant(FORM))?
        } else {
            let text = if kind == CredentialKind::HttpSignature && bytes.starts_with(PEM.as_bytes()) {
                std::str::from_utf8(bytes).map_err(|_| CustodyError::NotText)?
            } else {
                acceptable(secret, kind)?
            };
            Self { id: known_id(), key: text.to_owned() }
        };
        if key.key.len() > super::LONGEST {
            return Err(CustodyError::TooLong);
        }
        let good = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        let is_id = |id: &str| (1..=256).contains(&id.len()) && id.bytes().all(good);
        if key.id.as_deref().is_some_and(|id| !is_id(id)) {
            return Err(CustodyError::Grant(ID));
        }
        if key.is_private() {
            if kind != CredentialKind::HttpSignature {
                return Err(CustodyError::Grant(
                    "a private key in PEM signs HTTP messages: --kind http-signature",
                ));
            }
            PrivateKeyDer::from_pem_slice(key.key.as_bytes())
                .map_err(|_| CustodyError::Grant("the private key is not in PEM, or is encrypted"))?;
        } else {
            acceptable(&Secret::new(Zeroizing::new(key.key.as_bytes().to_vec())), kind)?;
        }
        Ok(key)
    }

    /// The line that is sealed.
    pub(crate) fn write(&self) -> Secret {
        // Room for all of it at once: growing would leave a copy behind. Escapes at most double what is printable.
        let mut line = Zeroizing::new(Vec::with_capacity(2 * self.key.len() + 2 * 256 + 64));
        let _ = serde_json::to_writer(&mut *line, self);
        Secret::new(line)
    }

    /// Reads what [`SigningKey::write`] wrote.
    ///
    /// # Errors
    /// `broker-sealed` where it is none.
    pub(crate) fn read(line: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(line)
            .map_err(|_| Refusal::new(Code::BrokerSealed, "what is kept as a key that signs is none"))
    }

    /// Whether it is a private key, of which the destination knows the public half only.
    pub(crate) fn is_private(&self) -> bool {
        self.key.starts_with(PEM)
    }

    /// What placeholders for it resemble.
    pub(super) fn likeness(&self) -> &str {
        match &self.id {
            Some(id) => id,
            None if self.is_private() => "key-",
            None => &self.key,
        }
    }

    /// Each text that must not come back. A private key never left, so nobody could send it back; and an id that is a word would be
    /// found everywhere.
    pub(crate) fn parts(&self) -> Vec<&[u8]> {
        let key = (!self.is_private()).then_some(self.key.as_bytes());
        let id = self.id.as_deref().map(str::as_bytes).filter(|id| id.len() >= super::SHORTEST);
        key.into_iter().chain(id).collect()
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.id.zeroize();
        self.key.zeroize();
    }
}

/// What is kept of a credential that is used and never sent.
pub(crate) enum Unsent {
    /// An AWS access key.
    Aws(super::AccessKey),
    /// A key that signs.
    Key(SigningKey),
    /// A client certificate: the destination knows all of it but the private key, which never left.
    Certificate,
}

impl Unsent {
    /// Reads what is kept of a credential of this kind; `None` where such a credential is sent as it is.
    ///
    /// # Errors
    /// `broker-sealed` where it is not what it should be.
    pub(crate) fn read(kind: CredentialKind, line: &[u8]) -> Result<Option<Self>, Refusal> {
        Ok(match kind {
            // Of a role it is the key of a session that was opened.
            CredentialKind::Aws | CredentialKind::AwsRole => Some(Self::Aws(super::AccessKey::read(line)?)),
            CredentialKind::Hmac | CredentialKind::HttpSignature => Some(Self::Key(SigningKey::read(line)?)),
            CredentialKind::Mtls => Some(Self::Certificate),
            _ => None,
        })
    }

    /// Each text that must not come back.
    pub(crate) fn parts(&self) -> Vec<&[u8]> {
        match self {
            Self::Aws(key) => key.parts(),
            Self::Key(key) => key.parts(),
            Self::Certificate => Vec::new(),
        }
    }
}
