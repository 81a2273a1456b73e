//! What an approver signs. Who the approvers are is left to `approver`.

use crate::Policy;
use crate::escape::quoted;
use cloakroom_model::{
    ApprovalRecord, CredentialId, CredentialKind, CredentialRecord, Hours, KeyedHash, Marks, Name, OnMisuse,
    PlaceholderId, PlaceholderRecord, Proof, Proofs, Timestamp, WorkloadId, WorkloadRecord,
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
    /// What its holder has to show.
    pub holder: Proofs,
    /// What the workload is known by besides its key.
    pub marks: Marks,
    /// The placeholder that it descends from.
    pub parent: Option<PlaceholderId>,
    /// When it begins to count, if not at once.
    pub not_before: Option<Timestamp>,
    /// When it ends, if it ends.
    pub expires: Option<Timestamp>,
    /// The hours of the day in which it counts, if not in all.
    pub daily: Option<Hours>,
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
    /// When the approval ends by itself.
    pub approval_ends: Option<Timestamp>,
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
            holder: placeholder.holder,
            marks: workload.marks.clone(),
            parent: placeholder.parent,
            not_before: placeholder.not_before,
            expires: placeholder.expires,
            daily: placeholder.daily,
            uses: placeholder.uses,
            on_misuse: placeholder.on_misuse,
            policy: Policy::from_stored(&placeholder.policy)?,
            requester: None,
            generation: None,
            approval_ends: None,
        })
    }

    /// As this approval asks for it.
    #[must_use]
    pub fn asked_by(mut self, approval: &ApprovalRecord) -> Self {
        self.requester.clone_from(&approval.requester);
        self.generation = approval.generation;
        self.approval_ends = approval.expires;
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
            holder,
            marks,
            parent,
            not_before,
            expires,
            daily,
            uses,
            on_misuse,
            policy,
            requester,
            generation,
            approval_ends,
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
        lines.extend(holder_lines(*holder, marks));
        lines.extend(requester.as_deref().map(|who| format!("requested by: {}", quoted(who))));
        lines.extend(parent.map(|id| format!("descends from: {id} (it ends with that one)")));
        lines.extend(not_before.map(|at| format!("not before: {at}")));
        lines.push(format!("expires: {expires}"));
        lines.extend(daily.map(|hours| format!("daily: {hours} (refused at other times)")));
        lines.extend(approval_ends.map(|at| format!("this approval ends: {at} (it counts no more then)")));
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

/// What the holder has to show, and what it is checked by: whoever changes that in the database ends the approval. Nothing
/// where it is the key alone, whose hash is in the text anyway.
fn holder_lines(holder: Proofs, marks: &Marks) -> Vec<String> {
    // COMPAT: such a placeholder has the text that was signed before there was a choice.
    if holder == Proofs::KEY {
        return Vec::new();
    }
    let Marks { certificate, uid, guest, networks } = marks;
    let mut lines = vec![format!("holder must show: {holder} (all of it)")];
    let mut mark = |proof: Proof, what: &str, known: Option<String>| {
        if holder.has(proof) {
            lines.push(format!("workload {what}: {}", known.as_deref().unwrap_or("none")));
        }
    };
    mark(Proof::Mtls, "certificate (SHA-256)", certificate.map(|print| print.to_string()));
    mark(Proof::Uid, "uid", uid.map(|uid| uid.to_string()));
    // The boot is another each time that the machine starts, and no matter for approvers.
    mark(Proof::Cid, "cid", guest.map(|guest| guest.cid.to_string()));
    let ranges: Vec<String> = networks.iter().map(ToString::to_string).collect();
    mark(Proof::Network, "networks", (!ranges.is_empty()).then(|| ranges.join(" ")));
    lines
}
