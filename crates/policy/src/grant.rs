//! What an approver signs. Who the approvers are is left to `approver`.

use crate::Policy;
use crate::escape::quoted;
use cloakroom_model::{
    ApprovalRecord, CredentialId, CredentialKind, CredentialRecord, KeyedHash, Name, OnMisuse, PlaceholderId,
    PlaceholderRecord, Timestamp, WorkloadId, WorkloadRecord,
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
    /// The placeholder that it descends from.
    pub parent: Option<PlaceholderId>,
    /// When it begins to count, if not at once.
    pub not_before: Option<Timestamp>,
    /// When it ends, if it ends.
    pub expires: Option<Timestamp>,
    /// How many uses it has, if they are counted.
    pub uses: Option<u32>,
    /// What is done when it is misused.
    pub on_misuse: OnMisuse,
    /// What it may do.
    pub policy: Policy,
    /// Who asked for it, where that was recorded.
    pub requester: Option<String>,
    /// The generation of the credential that it covers; none: every one.
    pub generation: Option<u32>,
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
            parent: placeholder.parent,
            not_before: placeholder.not_before,
            expires: placeholder.expires,
            uses: placeholder.uses,
            on_misuse: placeholder.on_misuse,
            policy: Policy::from_stored(&placeholder.policy)?,
            requester: None,
            generation: None,
        })
    }

    /// As this approval asks for it.
    #[must_use]
    pub fn asked_by(mut self, approval: &ApprovalRecord) -> Self {
        self.requester.clone_from(&approval.requester);
        self.generation = approval.generation;
        self
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
            parent,
            not_before,
            expires,
            uses,
            on_misuse,
            policy,
            requester,
            generation,
        } = self;
        let expires = expires.map_or("never".into(), |at| at.to_string());
        let uses = uses.map_or("not counted".into(), |uses| uses.to_string());
        let mut lines = vec![
            format!("placeholder: {placeholder}"),
            format!("placeholder text (keyed hash): {text}"),
            format!("credential: {credential_name} ({credential}, {kind})"),
        ];
        // COMPAT: approvals asked for before there were these lines have the text that was signed then.
        lines.extend(generation.map(|number| {
            format!("credential generation: {number} (a rotation of the credential ends this approval)")
        }));
        lines.push(format!("workload: {workload_name} ({workload})"));
        lines.push(format!("workload key (keyed hash): {workload_key}"));
        lines.extend(requester.as_deref().map(|who| format!("requested by: {}", quoted(who))));
        lines.extend(parent.map(|id| format!("descends from: {id} (it ends with that one)")));
        lines.extend(not_before.map(|at| format!("not before: {at}")));
        lines.push(format!("expires: {expires}"));
        lines.push(format!("uses: {uses}"));
        lines.extend(match on_misuse {
            OnMisuse::Record => None,
            OnMisuse::Freeze => Some("on misuse: it is frozen until an operator thaws it".to_owned()),
            OnMisuse::RevokeFamily => {
                Some("on misuse: it is revoked, with all that descend from it".to_owned())
            }
        });
        lines.push(policy.canonical_text());
        lines.join("\n")
    }

    /// The exact bytes under the signature: a domain prefix and the canonical text.
    pub fn signing_bytes(&self) -> Vec<u8> {
        [DOMAIN, self.canonical_text().as_bytes()].concat()
    }
}
