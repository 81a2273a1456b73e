//! Permits in, a decision out. Pure: no clock, no socket, no file, no randomness.

#![allow(clippy::todo, missing_docs)]
use cloakroom_model::*;
use std::ops::Range;
use std::sync::Arc;

/// A policy in normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {}

/// What is wrong with a policy file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint { pub file: String, pub line: usize, pub column: usize, pub key: Option<String>, pub message: String, pub hint: Option<String> }

impl Policy {
    pub fn parse(_file: &str, _text: &str) -> Result<Self, Vec<Complaint>> { todo!() }
    /// Normal form as the store keeps it (JSON).
    pub fn to_stored(&self) -> String { todo!() }
    pub fn from_stored(_text: &str) -> Result<Self, String> { todo!() }
    /// Canonical human text of the permits.
    pub fn canonical_text(&self) -> String { todo!() }
    /// Every destination that some permit names, without repeats.
    pub fn destinations(&self) -> Vec<Destination> { todo!() }
    /// Warnings about what is legal but wide: tails, writes without body constraint, secrets in URLs, plain http.
    pub fn lint(&self) -> Vec<String> { todo!() }
    /// What `new` newly allows and newly refuses, permit by permit.
    pub fn diff(_old: &Self, _new: &Self) -> Diff { todo!() }
    /// How each permit judges `METHOD URL` (no body, no placeholder): first mismatch of each.
    pub fn explain(&self, _method: &str, _url: &str) -> Result<Vec<Explained>, Refusal> { todo!() }
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Diff { pub allowed: Vec<String>, pub refused: Vec<String> }

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Explained { pub permit: String, pub allowed: bool, pub code: Option<Code>, pub mismatch: Option<String> }

/// What an approver signs: one placeholder with everything it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub placeholder: PlaceholderId,
    pub credential: CredentialId,
    pub credential_name: Name,
    pub kind: CredentialKind,
    pub workload: WorkloadId,
    pub workload_name: Name,
    pub expires: Option<Timestamp>,
    pub uses: Option<u32>,
    pub policy: Policy,
}

impl Grant {
    /// From the rows. `Err` says which row is missing or does not parse.
    pub fn from_rows(_placeholder: &PlaceholderRecord, _credential: &CredentialRecord, _workload: &WorkloadRecord) -> Result<Self, String> { todo!() }
    /// The canonical text: complete, injective, ASCII, what `approval show` prints and what is signed.
    pub fn canonical_text(&self) -> String { todo!() }
    /// The exact bytes under the signature: a domain prefix and the canonical text.
    pub fn signing_bytes(&self) -> Vec<u8> { todo!() }
}

/// The approvers' public keys (Ed25519, base64).
#[derive(Clone, Debug, Default)]
pub struct Approvers {}
impl Approvers {
    pub fn new(_keys: impl IntoIterator<Item = String>) -> Result<Self, String> { todo!() }
    /// Whether an enrolled approver signed exactly this grant.
    pub fn verify(&self, _grant: &Grant, _signature: &Signature) -> bool { todo!() }
}

/// An immutable snapshot of everything the data plane decides by.
pub struct PolicySet {}

/// A placeholder that is stored as active but does not count, and why. To be logged loudly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored { pub placeholder: PlaceholderId, pub why: String }

impl PolicySet {
    /// ASSERTION POINT: makes these rows the policy in force. Approvals are verified here.
    /// `previous` carries rate-limit state over.
    pub fn assert_active(_rows: &Rows, _approvers: &Approvers, _key: Arc<LookupKey>, _previous: Option<&Self>) -> (Self, Vec<Ignored>) { todo!() }
    /// The workload whose key this is.
    pub fn workload_by_key(&self, _key: &str) -> Option<(WorkloadId, Name)> { todo!() }
    /// The destination that some active permit of this workload names for this host and port. `port` None: the default of
    /// the scheme. https wins over http; None: no permit names it.
    pub fn destination_for(&self, _workload: WorkloadId, _host: &Host, _port: Option<u16>) -> Option<Destination> { todo!() }
    /// How many bytes of the body must be read before `authorize`: the largest bound of the permits of this workload at this
    /// destination that look at the body, or None if none does.
    pub fn body_bound(&self, _workload: WorkloadId, _destination: &Destination) -> Option<u64> { todo!() }
    pub fn lookup_key(&self) -> &LookupKey { todo!() }
}

/// Stage 1: who asks, and which placeholders the call carries (found anywhere in it).
pub struct Identified {}
impl Identified {
    pub fn new(_call: Call, _principal: Principal, _policies: &PolicySet) -> Result<Self, Refusal> { todo!() }
    /// One permit per placeholder, all or nothing.
    pub fn authorize(self, _policies: &PolicySet, _now: Timestamp) -> Result<Authorized, Refusal> { todo!() }
}

/// Stage 2: permitted. Made only by [`Identified::authorize`].
pub struct Authorized { _private: () }
impl Authorized {
    /// For `egress`: the call and what may be armed into it.
    pub fn into_parts(self) -> (Call, Principal, Vec<Use>, Timestamp) { todo!() }
    /// What the journal records before anything is opened.
    pub fn intent(&self) -> Intent { todo!() }
}

/// One placeholder that may be exchanged for its secret, and exactly where. Made only by [`Identified::authorize`].
pub struct Use { _private: () }
impl Use {
    pub fn placeholder(&self) -> PlaceholderId { todo!() }
    pub fn credential(&self) -> CredentialId { todo!() }
    /// The text the workload sent; what a scrubbed secret is replaced by.
    pub fn text(&self) -> &str { todo!() }
    pub fn spot(&self) -> &Spot { todo!() }
    /// Whether the permit lets Range requests through.
    pub fn range_allowed(&self) -> bool { todo!() }
}

/// The exact spot of the placeholder in the canonical call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// The header's only value of this name.
    Header(http::HeaderName, HeaderForm),
    /// The value of this cookie; it occurs once in the only Cookie header.
    Cookie(Box<str>),
    /// Index into `Query::pairs`.
    Query(usize),
    /// Index into `Path::segments`.
    Path(usize),
    /// Byte range of the string literal, quotes included, in `Payload::head`.
    Json(Range<usize>),
    /// Index into the pairs of the form body.
    Form(usize),
}
