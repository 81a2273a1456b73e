//! What an approver is asked about one call, and what was signed for it.

use crate::{ApprovalId, Name, PlaceholderId, Signature};

/// A call that waits for a human: what is asked, and what tells it from every other call. `policy` makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// SHA-256 over the canonical request, the workload and the placeholders: the same call asks the same.
    pub digest: [u8; 32],
    /// The text without its first line, which names the approval.
    pub body: String,
    /// The placeholders that are exchanged if it is granted; at least one.
    pub placeholders: Vec<PlaceholderId>,
    /// The workload that asks.
    pub workload: Name,
    /// The credential of the first placeholder.
    pub credential: Name,
    /// How many approvers have to sign.
    pub needed: usize,
}

/// What was signed for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallApproval {
    /// The approval that the text names: made for one call, and used once.
    pub id: ApprovalId,
    /// The signatures over the text.
    pub signatures: Vec<Signature>,
}

impl Question {
    /// The text that is shown and signed. The approval's id is fresh for each parked call: a signature over one text is
    /// none over another, even where the same call is asked for again (T78).
    pub fn text(&self, approval: ApprovalId) -> String {
        format!("call approval: {approval} (one call, once)\n{}", self.body)
    }
}
