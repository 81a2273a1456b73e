//! What travels over the admin socket, as JSON. Shared with the CLI. No type here can hold a secret in the clear:
//! secrets come as a [`DropOff`](cloakroom_egress::custody::DropOff), sealed, and never go back.

mod credential;
mod custody;
mod drop_off;
mod health;
mod issuer;
mod lesson;
mod lock;
mod login;
mod people;
mod source;

pub use credential::{CredentialView, IntakeView, NewCredential, RenewalView, Rotation};
pub use custody::{CustodyView, RewrapView, RootVersion, Unsealing};
pub(crate) use drop_off::ParcelDocument;
pub use drop_off::{DropKeyView, DropOffRotation, DropOffView, Evidence, EvidenceQuestion};
pub use health::{CertificateView, Health, LayerView};
pub use issuer::{IssuerKeyView, IssuerRotation, IssuerView};
pub use lesson::{LearnedView, LessonView, NewLesson};
pub use lock::{LockAttempt, LockOutcome, LockReport, LockView, LocksView};
pub use login::{LoginAgain, LoginAnswer, LoginView, NewLogin};
pub use people::{
    ApiTokenView, EnrolledView, IssuedApiToken, MemberView, NewApiToken, NewMember, NewSubject, SessionView,
    WhoView,
};
pub use source::{LeaseView, SourceView};

use cloakroom_model::ApprovalId;
use cloakroom_model::{
    Cid, Code, Destination, Fingerprint, Hours, Name, OnMisuse, PlaceholderId, Proofs, ProposalId, RequestId,
    Signature, WorkloadId,
};
use cloakroom_policy::Tuple;
use cloakroom_store::journal::Record;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// `POST /api/v1/workloads`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkload {
    /// The operator's name for it.
    #[schema(value_type = String)]
    pub name: Name,
    /// Whether it gets a certificate to show in TLS.
    #[serde(default)]
    pub mtls: bool,
    /// The user that it runs as on the broker's machine.
    #[serde(default)]
    pub uid: Option<u32>,
    /// The number of the virtual machine that it is in, for the vsock listener.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    pub cid: Option<Cid>,
    /// Where it calls from.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub networks: Vec<IpNet>,
}

/// A new workload with its key, and its certificate's, which are not kept and never shown again.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct AddedWorkload {
    /// Its id.
    #[schema(value_type = String)]
    pub id: WorkloadId,
    /// Its name.
    #[schema(value_type = String)]
    pub name: Name,
    /// The workload key.
    pub key: String,
    /// Its certificate, where it gets one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate: Option<IssuedCertificate>,
    /// The nonce of the present boot of its virtual machine, where it is in one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub boot: Option<String>,
    /// When it was added.
    pub created: String,
}

/// Another boot of the virtual machine that a workload is in. The nonce is not kept and never shown again.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct BegunBoot {
    /// The workload's id.
    #[schema(value_type = String)]
    pub id: WorkloadId,
    /// Its name.
    #[schema(value_type = String)]
    pub name: Name,
    /// The number of its machine.
    #[schema(value_type = u32)]
    pub cid: Cid,
    /// The nonce of this boot.
    pub boot: String,
}

/// A certificate with its private key.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct IssuedCertificate {
    /// The certificate (PEM).
    pub certificate: String,
    /// Its private key (PEM).
    pub key: String,
    /// SHA-256 of the certificate.
    #[schema(value_type = String)]
    pub fingerprint: Fingerprint,
}

/// A workload as shown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WorkloadView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: WorkloadId,
    /// Its name.
    #[schema(value_type = String)]
    pub name: Name,
    /// When it was added.
    pub created: String,
    /// SHA-256 of its certificate, if it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub certificate: Option<Fingerprint>,
    /// The user that it runs as, if that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uid: Option<u32>,
    /// The number of the virtual machine that it is in, if it is in one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<u32>)]
    pub cid: Option<Cid>,
    /// Where it calls from, if that is known.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[schema(value_type = Vec<String>)]
    pub networks: Vec<IpNet>,
    /// Placeholders bound to it that are pending or active.
    pub placeholders: usize,
}

/// `POST /api/v1/placeholders`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPlaceholder {
    /// Name or id of the credential.
    pub credential: String,
    /// Name or id of the workload.
    pub workload: String,
    /// The policy file's name, for error messages.
    pub file: String,
    /// The policy file's text.
    pub policy: String,
    /// Seconds until it begins to count; `null`: at once.
    #[serde(default)]
    pub begins_in: Option<u64>,
    /// Seconds until it expires; `null`: never.
    pub expires_in: Option<u64>,
    /// Seconds until its approval ends, where that is before the placeholder; absent: as the setting says.
    #[serde(default)]
    pub approval_expires_in: Option<u64>,
    /// Whether it may end earlier: with the placeholder that it descends from.
    #[serde(default)]
    pub at_the_latest: bool,
    /// The hours of the day in which it counts.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub daily: Option<Hours>,
    /// What its holder has to show; absent: the key.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub holder: Option<Proofs>,
    /// Number of uses; `null`: not counted.
    pub uses: Option<u32>,
    /// The placeholder that it descends from, by id.
    #[serde(default)]
    pub parent: Option<String>,
    /// What is done when it is misused.
    #[serde(default)]
    #[schema(value_type = String)]
    pub on_misuse: OnMisuse,
    /// Seconds in which its workload can fetch it with a claim code; absent: it is shown to whoever issues it.
    #[serde(default)]
    pub wrapped: Option<u64>,
    /// The approver who asks, by name; absent: whoever the socket says.
    #[serde(default)]
    pub requester: Option<String>,
}

/// A new placeholder with its text, or the code to fetch it with; neither is kept nor shown again.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct IssuedPlaceholder {
    /// Its id.
    #[schema(value_type = String)]
    pub id: PlaceholderId,
    /// The text for the workload, where it is not to be fetched.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub placeholder: Option<String>,
    /// How its workload fetches it, where it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub claim: Option<IssuedClaim>,
    /// `pending`.
    pub state: String,
    /// The approval to grant.
    #[schema(value_type = String)]
    pub approval: ApprovalId,
    /// The credential's name.
    #[schema(value_type = String)]
    pub credential: Name,
    /// The workload's name.
    #[schema(value_type = String)]
    pub workload: Name,
    /// When it expires, if it does.
    pub expires: Option<String>,
    /// How many uses it has, if counted.
    pub uses: Option<u32>,
    /// What is legal in the policy, but wide.
    pub warnings: Vec<String>,
}

/// A placeholder that waits to be fetched.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct IssuedClaim {
    /// The claim code.
    pub code: String,
    /// Until when it is good.
    pub expires: String,
}

/// What the journal knows of one placeholder.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// Its last use.
    pub last_use: Option<Occasion>,
    /// What ended or froze it last, unless it was thawed or given uses back since.
    pub ended: Option<ActView>,
    /// The first call with it that was refused after that.
    pub first_refusal: Option<Occasion>,
}

/// One call, as the journal knows it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Occasion {
    /// When.
    pub at: String,
    /// The call.
    #[schema(value_type = String)]
    pub request: RequestId,
    /// Where it came from.
    pub peer: Option<String>,
    /// Why it was refused, if it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub code: Option<Code>,
}

/// One act, as the journal knows it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ActView {
    /// When.
    pub at: String,
    /// What was done.
    pub act: String,
    /// Who did it.
    pub by: String,
}

/// A claim as shown to operators.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClaimView {
    /// `waiting`, `claimed` or `lapsed`.
    pub state: String,
    /// Until when the placeholder can be fetched.
    pub expires: String,
    /// When it was fetched.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub claimed: Option<String>,
    /// Where its workload called from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub claimed_from: Option<String>,
}

/// A placeholder as shown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PlaceholderView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: PlaceholderId,
    /// `pending`, `active`, `frozen`, `not-yet`, `denied`, `revoked`, `expired`, `spent` or `unverified`.
    pub state: String,
    /// The credential's name.
    #[schema(value_type = String)]
    pub credential: Name,
    /// The workload's name.
    #[schema(value_type = String)]
    pub workload: Name,
    /// The latest approval asked for.
    #[schema(value_type = Option<String>)]
    pub approval: Option<ApprovalId>,
    /// When it was issued.
    pub created: String,
    /// When it begins to count, if not at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// The placeholder that it descends from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub parent: Option<PlaceholderId>,
    /// Since when it is frozen, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
    /// When it expires, if it does.
    pub expires: Option<String>,
    /// The hours of the day in which it counts, if not in all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub daily: Option<Hours>,
    /// What its holder has to show.
    #[schema(value_type = String)]
    pub holder: Proofs,
    /// How many uses it has, if counted.
    pub uses: Option<u32>,
    /// How many uses are spent.
    pub used: u32,
    /// Where its policy goes.
    #[schema(value_type = Vec<String>)]
    pub destinations: Vec<Destination>,
    /// What the journal knows of it; only in `show`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub history: Option<History>,
    /// How it is fetched, where it was issued to be; only in `show`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub claim: Option<ClaimView>,
    /// The policy as canonical text; only in `show`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Why it does not count although it is stored as active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// `POST /api/v1/revoke`: exactly one member says which placeholders.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// All that stand for this credential, by name or id.
    #[serde(default)]
    pub credential: Option<String>,
    /// All that are bound to this workload, by name or id.
    #[serde(default)]
    pub workload: Option<String>,
    /// All there are.
    #[serde(default)]
    pub all: bool,
}

/// What was revoked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Revoked {
    /// The placeholders, in id order; those that were revoked before are not among them.
    #[schema(value_type = Vec<String>)]
    pub revoked: Vec<PlaceholderId>,
}

/// An approval as listed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApprovalView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: ApprovalId,
    /// `placeholder`, `call` for one call that waits, or `approver` for a change of the approvers.
    pub kind: String,
    /// `pending`, `granted`, `denied`, `withdrawn`, `expired`, or `moot` when the placeholder was revoked before.
    pub state: String,
    /// The placeholder it covers; of a call, the first that is exchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub placeholder: Option<PlaceholderId>,
    /// The credential's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub credential: Option<Name>,
    /// The workload's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub workload: Option<Name>,
    /// When it was asked for.
    pub created: String,
    /// When it was decided.
    pub decided: Option<String>,
    /// Who asked for it.
    pub requester: Option<String>,
    /// The approvers who signed it, of those whose signatures count.
    pub signed: Vec<String>,
    /// How many have to sign.
    pub needed: usize,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// An approval with the text that is signed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApprovalText {
    /// The approval.
    #[serde(flatten)]
    pub approval: ApprovalView,
    /// The canonical text: what is shown is what is signed.
    pub text: String,
    /// SHA-256 of the bytes under the signature, in hexadecimal.
    pub digest: String,
    /// A short phrase made of the text, to compare two screens by.
    pub phrase: String,
    /// What follows from the text, in words; no part of what is signed.
    pub remarks: Vec<String>,
    /// Where it can be decided by passkey, where an approver has one and it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
}

/// `POST /api/v1/approvals/{id}/grant`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// By an enrolled approver, over the text's signing bytes.
    #[schema(value_type = Object)]
    pub signature: Signature,
}

/// What a workload asks for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProposalView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: ProposalId,
    /// Who asks.
    #[schema(value_type = String)]
    pub workload: Name,
    /// When.
    pub at: String,
    /// Why, in the workload's words, quoted and escaped.
    pub reason: String,
    /// What it would permit, as an approver would read it.
    pub text: String,
    /// The same as a policy file.
    pub policy: String,
    /// What follows from the policy, in words.
    pub remarks: Vec<String>,
}

/// An approver as listed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApproverView {
    /// Whose key it is.
    pub name: String,
    /// `file`, `ssh` or `passkey`.
    pub kind: String,
    /// The public key.
    pub key: String,
    /// SHA-256 of the key's words, in hexadecimal.
    #[serde(default)]
    pub digest: String,
}

/// `POST /api/v1/approvers`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApprover {
    /// Whose key it is.
    #[schema(value_type = String)]
    pub name: Name,
    /// The public key, as it stands in `approver.pub`.
    pub key: String,
}

/// `POST /api/v1/approvers/passkey`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPasskey {
    /// Whose passkey it will be.
    #[schema(value_type = String)]
    pub name: Name,
}

/// Where somebody makes a passkey, once.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct PasskeyLink {
    /// Open it in the browser of whoever is enrolled.
    pub url: String,
    /// Seconds for which it is good.
    pub seconds: u64,
}

/// `GET /api/v1/explain/{request}`.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The request.
    #[schema(value_type = String)]
    pub request: RequestId,
    /// Its journal records, oldest first.
    pub records: Vec<serde_json::Value>,
    /// Names of the ids in the records.
    pub names: BTreeMap<String, String>,
}

impl Explanation {
    /// From records as read.
    pub fn new(request: RequestId, records: &[Record], names: BTreeMap<String, String>) -> Self {
        let records = records.iter().filter_map(|record| serde_json::to_value(record).ok()).collect();
        Self { request, records, names }
    }
}

/// `POST /api/v1/checkpoint`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CheckpointDocument {
    /// A signed note: what the journal came to when it was asked.
    pub checkpoint: String,
}

/// What is wrong in a policy file, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Complaint {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The key, where one is meant.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
}

impl From<cloakroom_policy::Complaint> for Complaint {
    fn from(complaint: cloakroom_policy::Complaint) -> Self {
        let cloakroom_policy::Complaint { file, line, column, key, message, hint, .. } = complaint;
        Self { file, line, column, key, message, hint }
    }
}

/// The body of every refusal of the admin API.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemDocument {
    /// A URN made of the code.
    pub r#type: String,
    /// The same for each occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The sentence for this occurrence.
    pub detail: String,
    /// The stable code.
    pub code: String,
    /// What to do next.
    pub hint: String,
    /// Errors in a policy file.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub complaints: Vec<Complaint>,
}

/// A placeholder with its tuples, and between which times it counts.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GrantedView {
    /// The placeholder.
    #[schema(value_type = String)]
    pub id: PlaceholderId,
    /// The credential's name, if it is known.
    #[schema(value_type = Option<String>)]
    pub credential: Option<Name>,
    /// The workload's name, if it is known.
    #[schema(value_type = Option<String>)]
    pub workload: Option<Name>,
    /// As stored.
    pub state: String,
    /// When it was approved or began, in milliseconds since the epoch; absent where it never was.
    pub begins: Option<u64>,
    /// When it ended or will, as far as the rows say: the journal knows when it was revoked.
    pub ends: Option<u64>,
    /// Its policy, as a file.
    pub policy: String,
    /// What it may do.
    #[schema(value_type = Vec<Object>)]
    pub tuples: Vec<Tuple>,
    /// Where its credential may go at all.
    #[schema(value_type = Vec<String>)]
    pub destinations: Vec<Destination>,
}
