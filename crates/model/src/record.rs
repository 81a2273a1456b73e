//! What the store keeps of credentials, workloads, placeholders and approvals: ids, names and ciphertext.

use crate::{
    ApprovalId, CoreId, CredentialId, Destination, End, Hours, KeyedHash, Life, Marks, Name, PlaceholderId,
    Proofs, Shape, Timestamp, WorkloadId,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a credential is usually placed. The permit's place decides; this is bound to the sealed secret and shown at approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// `Authorization: Bearer …`.
    Bearer,
    /// User name or password of `Authorization: Basic …`.
    Basic,
    /// A header of its own.
    Header,
    /// A cookie.
    Cookie,
    /// A query key.
    Query,
    /// A path segment.
    Path,
    /// A string in a JSON body.
    Json,
    /// A field of a form body.
    Form,
    /// A grant that the broker exchanges for access tokens (RFC 6749). What is placed is the access token.
    Oauth,
    /// An AWS access key, with which the broker signs calls (Signature Version 4). Nothing secret of it is sent.
    Aws,
    /// A secret that lives elsewhere: the broker reads it there when a call needs it. What is placed is what it read.
    Sourced,
    /// A shared key, with which the broker signs calls by the scheme of the permit. It is never sent.
    Hmac,
    /// A private or shared key for HTTP Message Signatures (RFC 9421). It is never sent.
    HttpSignature,
    /// An AWS role that the broker assumes. What calls are signed with are the keys of its sessions.
    AwsRole,
    /// A client certificate with its private key, for the connection (RFC 8446, section 4.4.2). The key is never sent.
    Mtls,
}

impl CredentialKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Bearer,
        Self::Basic,
        Self::Header,
        Self::Cookie,
        Self::Query,
        Self::Path,
        Self::Json,
        Self::Form,
        Self::Oauth,
        Self::Aws,
        Self::Sourced,
        Self::Hmac,
        Self::HttpSignature,
        Self::AwsRole,
        Self::Mtls,
    ];

    /// The kind's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Query => "query",
            Self::Path => "path",
            Self::Json => "json",
            Self::Form => "form",
            Self::Oauth => "oauth",
            Self::Aws => "aws",
            Self::Sourced => "sourced",
            Self::Hmac => "hmac",
            Self::HttpSignature => "http-signature",
            Self::AwsRole => "aws-role",
            Self::Mtls => "mtls",
        }
    }
}

impl CredentialKind {
    /// Whether a credential of this kind is used and never sent: at a place of its own, and at no other.
    pub const fn is_never_sent(self) -> bool {
        matches!(self, Self::Aws | Self::AwsRole | Self::Hmac | Self::HttpSignature | Self::Mtls)
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for CredentialKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|kind| kind.as_str() == text).copied();
        known.ok_or_else(|| {
            let kinds: Vec<&str> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("unknown kind {text:?}: use one of {}", kinds.join(", "))
        })
    }
}

/// Ciphertext of one secret, with the wrapped key it needs. Opaque here; `egress` knows the format.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedSecret(pub Vec<u8>);

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSecret({} bytes)", self.0.len())
    }
}

/// A credential at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRecord {
    /// Its id.
    pub id: CredentialId,
    /// The operator's name for it; unique among those not removed.
    pub name: Name,
    /// How it is usually placed.
    pub kind: CredentialKind,
    /// Where it may go at all.
    pub destinations: Vec<Destination>,
    /// What a placeholder for it looks like.
    pub shape: Shape,
    /// Counts rotations, from 1.
    pub generation: u32,
    /// The sealed secret.
    pub sealed: SealedSecret,
    /// When it was deposited.
    pub created: Timestamp,
    /// When the present generation was deposited.
    pub rotated: Timestamp,
    /// When it was removed, if it was. The ciphertext is gone then.
    pub removed: Option<Timestamp>,
}

/// A workload at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadRecord {
    /// Its id.
    pub id: WorkloadId,
    /// The operator's name for it; unique among those not removed.
    pub name: Name,
    /// Keyed hash of the workload key.
    pub key: KeyedHash,
    /// What it is known by besides.
    pub marks: Marks,
    /// When it was added.
    pub created: Timestamp,
    /// When it was removed, if it was.
    pub removed: Option<Timestamp>,
}

/// Where a placeholder is in its life, as stored. *Expired* and *spent* follow from `expires` and `used`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceholderState {
    /// Issued, waits for approval.
    Pending,
    /// Approved. Counts only with an approval that verifies.
    Active,
    /// The approver said no.
    Denied,
    /// Revoked.
    Revoked,
}

impl PlaceholderState {
    /// The state's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Denied => "denied",
            Self::Revoked => "revoked",
        }
    }
}

/// What is done when a placeholder is misused (`EventKind::is_misuse`), before the misuse is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnMisuse {
    /// It is recorded, and nothing else.
    #[default]
    Record,
    /// The placeholder is frozen, until an operator thaws it.
    Freeze,
    /// The placeholder is revoked, with all that descend from it.
    RevokeFamily,
}

impl OnMisuse {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Freeze => "freeze",
            Self::RevokeFamily => "revoke-family",
        }
    }
}

impl std::str::FromStr for OnMisuse {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known =
            [Self::Record, Self::Freeze, Self::RevokeFamily].into_iter().find(|one| one.as_str() == text);
        known.ok_or_else(|| format!("unknown word {text:?}: use record, freeze or revoke-family"))
    }
}

/// A placeholder at rest: keyed hashes, never the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceholderRecord {
    /// Its id.
    pub id: PlaceholderId,
    /// The credential it stands for.
    pub credential: CredentialId,
    /// The workload it is bound to.
    pub workload: WorkloadId,
    /// Recognises it anywhere in a call.
    pub core: CoreId,
    /// Keyed hash of the whole text.
    pub text: KeyedHash,
    /// The policy in normal form, as `policy` serialises it.
    pub policy: String,
    /// When it was issued.
    pub created: Timestamp,
    /// When it begins to count, if not at once.
    pub not_before: Option<Timestamp>,
    /// When it ends, if it ends.
    pub expires: Option<Timestamp>,
    /// The hours of the day in which it counts, if not in all.
    pub daily: Option<Hours>,
    /// What its holder has to show, all of it.
    pub holder: Proofs,
    /// How many uses it has, if they are counted.
    pub uses: Option<u32>,
    /// How many uses are spent.
    pub used: u32,
    /// Its state.
    pub state: PlaceholderState,
    /// What is done when it is misused.
    pub on_misuse: OnMisuse,
    /// The placeholder that it descends from: it counts no longer than that one.
    pub parent: Option<PlaceholderId>,
    /// Since when it is frozen: refused whatever its state, until it is thawed.
    pub frozen: Option<Timestamp>,
    /// How it ended of itself, once that is on record.
    pub end: Option<End>,
}

impl PlaceholderRecord {
    /// Its life, as far as it is on record.
    pub fn life(&self) -> Life {
        Life::stored(self.state, self.frozen, self.end)
    }
}

/// A placeholder's text that waits to be fetched, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRecord {
    /// Keyed hash of the claim code.
    pub code: KeyedHash,
    /// The placeholder.
    pub placeholder: PlaceholderId,
    /// Its text, sealed under the code; gone once it was fetched.
    pub sealed: Option<Vec<u8>>,
    /// When it was issued.
    pub created: Timestamp,
    /// Until when it can be fetched.
    pub expires: Timestamp,
    /// When and from where its workload fetched it.
    pub claimed: Option<Claimed>,
}

/// That a placeholder was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// When.
    pub at: Timestamp,
    /// Where its workload called from.
    pub by: String,
}

/// A signature by an approver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The approver's public key: 32 bytes of Ed25519 in base64, an SSH public key (`ssh-ed25519 AAAA…`) or a passkey's words.
    pub key: String,
    /// The signature: 64 bytes in base64, what `ssh-keygen -Y sign` wrote, or what a browser gave for a passkey.
    pub signature: String,
}

/// What becomes of an approver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApproverAct {
    /// A key counts from now on.
    Enrol,
    /// It counts no more, nor does what it signed.
    Remove,
}

impl ApproverAct {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enrol => "enrol",
            Self::Remove => "remove",
        }
    }
}

impl fmt::Display for ApproverAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ApproverAct {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Enrol, Self::Remove].into_iter().find(|one| one.as_str() == text);
        known.ok_or_else(|| format!("unknown word {text:?}: use enrol or remove"))
    }
}

/// One change of who the approvers are. `policy` verifies that those before it signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproverChange {
    /// Its number, from 1.
    pub sequence: u32,
    /// What is done.
    pub act: ApproverAct,
    /// Whose key it is.
    pub name: String,
    /// The key, in the words of `approver.pub`.
    pub key: String,
    /// How many of the approvers had to sign.
    pub needed: u32,
    /// The signatures over its text.
    pub signatures: Vec<Signature>,
}

/// One approval asked for, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRecord {
    /// Its id.
    pub id: ApprovalId,
    /// The placeholder whose policy it covers.
    pub placeholder: PlaceholderId,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it was granted or denied.
    pub decided: Option<Timestamp>,
    /// The signatures over the canonical text, so far.
    pub signatures: Vec<Signature>,
    /// Whether it was denied.
    pub denied: bool,
    /// Who asked for it; absent where it was asked for before that was recorded.
    pub requester: Option<String>,
    /// The generation of the credential that it covers; absent: every one.
    pub generation: Option<u32>,
    /// When it was withdrawn after it was granted.
    pub withdrawn: Option<Timestamp>,
    /// When it ends by itself, if it ends before its placeholder.
    pub expires: Option<Timestamp>,
}

/// All rows that the data plane decides by, read in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Every credential, removed ones included.
    pub credentials: Vec<CredentialRecord>,
    /// Every workload, removed ones included.
    pub workloads: Vec<WorkloadRecord>,
    /// Every placeholder, retired ones included: they must be recognised for ever.
    pub placeholders: Vec<PlaceholderRecord>,
    /// Every approval.
    pub approvals: Vec<ApprovalRecord>,
    /// Every change of the approvers, in the order in which they were made.
    pub approver_changes: Vec<ApproverChange>,
}
