//! What a placeholder needs to be worth issuing: somewhere to go, a fitting place, a workload that can show what its holder has to, and where
//! it descends from another, less of everything.

use super::view;
use crate::{Problem, ProblemCode};
use cloakroom_model::{CredentialKind, CredentialRecord, PlaceholderRecord, Proofs, Rows, WorkloadRecord};
use cloakroom_policy::{Containment, Policy};

/// SECURITY: what a workload can never show would make a placeholder that nobody can use; said now rather than at the first call.
pub(super) fn require_provable(holder: Proofs, workload: &WorkloadRecord) -> Result<(), Problem> {
    let lacking = holder.lacking(workload.marks.provable());
    if lacking.is_empty() {
        return Ok(());
    }
    let text = format!("workload {:?} cannot show {lacking}", workload.name.as_str());
    Err(Problem::new(ProblemCode::MalformedRequest, text).hinting(
        "a workload is given a certificate, a uid, a guest or networks when it is added: cloakroom workload add NAME --mtls --uid N --cid N --from CIDR",
    ))
}

/// What descends from a placeholder is narrower in everything.
pub(super) fn require_within(
    row: &PlaceholderRecord,
    policy: &Policy,
    parent: &PlaceholderRecord,
    rows: &Rows,
) -> Result<(), Problem> {
    let wider = |what: &str| {
        let text = format!("it would be wider than placeholder {}: {what}", parent.id);
        Err(Problem::new(ProblemCode::MalformedRequest, text)
            .hinting("what descends from a placeholder has the same credential, less policy, fewer uses, an earlier end"))
    };
    if view::state(parent, rows, row.created) != "active" {
        return Err(Problem::new(ProblemCode::Conflict, format!("placeholder {} is not active", parent.id))
            .hinting("only an active placeholder can have descendants"));
    }
    if row.credential != parent.credential {
        return wider("it stands for another credential");
    }
    if view::policy(parent)?.contains(policy) != Containment::Contained {
        return wider(
            "its policy is not proved to be within that one's (cloakroom policy diff shows what is not)",
        );
    }
    if parent.expires.is_some_and(|end| row.expires.is_none_or(|own| own > end)) {
        return wider("it would end later");
    }
    if parent.daily.is_some_and(|hours| row.daily.is_none_or(|own| !hours.contain(own))) {
        return wider("its hours would not be within that one's");
    }
    if !parent.holder.lacking(row.holder).is_empty() {
        return wider("its holder would have to show less");
    }
    match (parent.uses, row.uses) {
        (Some(_), None) => wider("that one's uses are counted, and its own would not be"),
        (Some(uses), Some(own)) if parent.used.saturating_add(own) > uses => {
            wider("that one has not so many uses left")
        }
        _ => Ok(()),
    }
}

pub(super) fn require_destinations_within(
    policy: &Policy,
    credential: &CredentialRecord,
) -> Result<(), Problem> {
    let outside: Vec<String> = policy
        .destinations()
        .into_iter()
        .filter(|destination| !credential.destinations.contains(destination))
        .map(|destination| destination.to_string())
        .collect();
    if outside.is_empty() {
        return Ok(());
    }
    let inside: Vec<String> = credential.destinations.iter().map(ToString::to_string).collect();
    let detail = format!("credential {:?} may not go to {}", credential.name.as_str(), outside.join(", "));
    Err(Problem::new(ProblemCode::DestinationOutsideCredential, detail).hinting(format!(
        "it may go to {}; its destinations are fixed when it is deposited",
        inside.join(", ")
    )))
}

/// What could be issued, approved, and never used is refused while it is cheap to mend.
pub(super) fn require_fit_places(policy: &Policy, credential: &CredentialRecord) -> Result<(), Problem> {
    let Some((permit, place)) = policy.unfit_place(credential.kind) else { return Ok(()) };
    let (why, hint) = match credential.kind {
        CredentialKind::Aws | CredentialKind::AwsRole => {
            ("signs calls and is never sent", "let the permit say: place = \"sigv4 REGION SERVICE\"")
        }
        CredentialKind::Hmac => {
            ("signs calls and is never sent", "let the permit say: place = \"hmac SCHEME\" (docs/signing.md)")
        }
        CredentialKind::Mtls => (
            "is shown by the connection and never sent",
            "let the permit say: place = \"mtls HEADER\" (docs/signing.md)",
        ),
        CredentialKind::HttpSignature => (
            "signs HTTP messages and is never sent",
            "let the permit say: place = \"http-signature SCHEME\" (docs/signing.md)",
        ),
        _ => (
            "is sent: it neither signs nor opens connections",
            "deposit what does with --kind aws, hmac, http-signature or mtls, or name the place where the credential is sent",
        ),
    };
    let detail = format!(
        "permit {permit:?} has the place {place}, and credential {:?} of kind {} {why}",
        credential.name.as_str(),
        credential.kind.as_str()
    );
    Err(Problem::new(ProblemCode::BadPolicy, detail).hinting(hint))
}
