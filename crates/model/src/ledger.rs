//! What is written before a secret is opened.

use crate::{
    CredentialId, Destination, PlaceholderId, Refusal, RequestId, Source, Timestamp, Way, WorkloadId,
};
use serde::{Deserialize, Serialize};
use std::future::Future;

/// One placeholder's part in an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentUse {
    /// The placeholder that is used.
    pub placeholder: PlaceholderId,
    /// The credential that will be armed.
    pub credential: CredentialId,
    /// The permit's name in the policy.
    pub permit: String,
    /// Whether this use is counted: it must be spent durably before the call goes out.
    pub counted: bool,
}

/// The intent to make one call: complete before any secret is opened (invariant 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The call.
    pub request: RequestId,
    /// When it was authorized.
    pub at: Timestamp,
    /// Who asked.
    pub workload: WorkloadId,
    /// Where the call came from; absent in records of before that was kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<Source>,
    /// How the call came.
    pub way: Way,
    /// Where it goes.
    pub destination: Destination,
    /// The method.
    pub method: String,
    /// The canonical path without query; a segment that holds a placeholder is written `{…}`.
    pub path: String,
    /// The placeholders it uses.
    pub uses: Vec<IntentUse>,
    /// The call that this one repeats. It takes no uses then: that call's are its own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repeats: Option<RequestId>,
}

/// Where intents are recorded. Implemented over the journal and the store; sees ids and shapes, never a secret.
pub trait Ledger: Send + Sync {
    /// Spends counted uses and records the intent. When this returns `Ok`, the record is durable to the degree the
    /// settings promise, and counted uses are spent for good.
    ///
    /// # Errors
    /// `placeholder-spent` when a counted use is gone; `journal-unavailable` when the record cannot be written.
    fn record(&self, intent: &Intent) -> impl Future<Output = Result<(), Refusal>> + Send;
}
