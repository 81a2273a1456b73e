//! What an approver signs, and who the approvers are.

use crate::Policy;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{
    CredentialId, CredentialKind, CredentialRecord, KeyedHash, Name, PlaceholderId, PlaceholderRecord,
    Signature, Timestamp, WorkloadId, WorkloadRecord,
};

/// Separates approvals from everything else that a key could sign.
const DOMAIN: &[u8] = b"cloakroom approval v1\n";

/// What an approver signs: one placeholder with everything it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The placeholder.
    pub placeholder: PlaceholderId,
    /// Keyed hash of the placeholder's text, so that a row cannot be given another text after approval.
    pub text: KeyedHash,
    /// The credential it stands for.
    pub credential: CredentialId,
    /// The credential's name.
    pub credential_name: Name,
    /// The credential's kind.
    pub kind: CredentialKind,
    /// The workload it is bound to.
    pub workload: WorkloadId,
    /// The workload's name.
    pub workload_name: Name,
    /// Keyed hash of the workload's key, so that nobody else can become the workload after approval.
    pub workload_key: KeyedHash,
    /// When it ends, if it ends.
    pub expires: Option<Timestamp>,
    /// How many uses it has, if they are counted.
    pub uses: Option<u32>,
    /// What it may do.
    pub policy: Policy,
}

impl Grant {
    /// From the rows.
    ///
    /// # Errors
    /// In words, where the rows do not belong together or the policy does not parse.
    pub fn from_rows(
        placeholder: &PlaceholderRecord,
        credential: &CredentialRecord,
        workload: &WorkloadRecord,
    ) -> Result<Self, String> {
        if placeholder.credential != credential.id {
            return Err(format!("{} belongs to the credential {}", placeholder.id, placeholder.credential));
        }
        if placeholder.workload != workload.id {
            return Err(format!("{} belongs to the workload {}", placeholder.id, placeholder.workload));
        }
        Ok(Self {
            placeholder: placeholder.id,
            text: placeholder.text,
            credential: credential.id,
            credential_name: credential.name.clone(),
            kind: credential.kind,
            workload: workload.id,
            workload_name: workload.name.clone(),
            workload_key: workload.key,
            expires: placeholder.expires,
            uses: placeholder.uses,
            policy: Policy::from_stored(&placeholder.policy)?,
        })
    }

    /// The canonical text: complete, ASCII, one fact in a line; what `approval show` prints and what is signed.
    /// Different grants have different texts.
    pub fn canonical_text(&self) -> String {
        let Self {
            placeholder,
            text,
            credential,
            credential_name,
            kind,
            workload,
            workload_name,
            workload_key,
            expires,
            uses,
            policy,
        } = self;
        let expires = expires.map_or("never".into(), |at| at.to_string());
        let uses = uses.map_or("not counted".into(), |uses| uses.to_string());
        [
            format!("placeholder: {placeholder}"),
            format!("placeholder text (keyed hash): {text}"),
            format!("credential: {credential_name} ({credential}, {kind})"),
            format!("workload: {workload_name} ({workload})"),
            format!("workload key (keyed hash): {workload_key}"),
            format!("expires: {expires}"),
            format!("uses: {uses}"),
            policy.canonical_text(),
        ]
        .join("\n")
    }

    /// The exact bytes under the signature: a domain prefix and the canonical text.
    pub fn signing_bytes(&self) -> Vec<u8> {
        [DOMAIN, self.canonical_text().as_bytes()].concat()
    }
}

/// The approvers' public keys (Ed25519).
#[derive(Clone, Debug, Default)]
pub struct Approvers {
    keys: Vec<[u8; 32]>,
}

impl Approvers {
    /// From base64 texts of 32 bytes each.
    ///
    /// # Errors
    /// In words, for a text that is no key.
    pub fn new(keys: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let decode = |text: String| {
            let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
            bytes.ok_or_else(|| "an approver's public key is 32 bytes in base64".to_owned())
        };
        Ok(Self { keys: keys.into_iter().map(decode).collect::<Result<_, _>>()? })
    }

    /// Whether an enrolled approver signed exactly this grant.
    pub fn verify(&self, grant: &Grant, signature: &Signature) -> bool {
        self.verify_bytes(&grant.signing_bytes(), signature)
    }

    pub(crate) fn verify_bytes(&self, signed: &[u8], signature: &Signature) -> bool {
        let Ok(key) = STANDARD.decode(signature.key.trim()) else { return false };
        let Ok(bytes) = STANDARD.decode(signature.signature.trim()) else { return false };
        // The key named by the row counts only if it is enrolled.
        self.keys.iter().any(|enrolled| enrolled.as_slice() == key)
            && UnparsedPublicKey::new(&ED25519, &key).verify(signed, &bytes).is_ok()
    }

    /// All keys, in a fixed form.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut keys = self.keys.clone();
        keys.sort_unstable();
        keys.concat()
    }
}
