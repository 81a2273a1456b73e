//! Approvals: the canonical text is shown, signed elsewhere, and verified here before it is stored.

use super::page::{Listed, Page};
use super::{approvers, input::Body, parked, view};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::peer::Peer;
use crate::wire::{ApprovalText, ApprovalView, GrantRequest};
use crate::{Problem, ProblemCode, find};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_egress::RoleSession;
use cloakroom_model::{ApprovalRecord, EventKind, Rows, SecurityEvent, Signature, Timestamp, hexadecimal};
use cloakroom_policy::{Approvers, Grant, Purpose, phrase, quoted};
use cloakroom_store::Decision;
use std::sync::Arc;

/// The most of a session policy on one line.
const COLUMNS: usize = 160;

pub(crate) async fn list(
    State(admin): State<Arc<Admin>>,
    page: Page,
) -> Result<Listed<ApprovalView>, Problem> {
    Ok(page.of(all(&admin).await?, |one| one.id.to_string()))
}

/// Of every kind.
pub(super) async fn all(admin: &Admin) -> Result<Vec<ApprovalView>, Problem> {
    let rows = admin.rows().await?;
    let approvers = admin.approvers();
    let views: Result<Vec<_>, _> =
        rows.approvals.iter().map(|row| view::approval(row, &rows, &approvers)).collect();
    let others = parked::views(admin).into_iter().chain(approvers::views(admin));
    views.map(|views| views.into_iter().chain(others).collect())
}

pub(crate) async fn show(
    State(admin): State<Arc<Admin>>,
    Path(approval): Path<String>,
) -> Result<Json<ApprovalText>, Problem> {
    let shown = show_one(&admin, &approval).await?;
    let party = &admin.ballots.party;
    let by_passkey = admin.approvers().members().iter().any(|one| one.passkey_at(party).is_some());
    let page = format!("{}/approve/{}", party.origin(), shown.approval.id);
    let page = Some(page).filter(|_| by_passkey && shown.approval.state == "pending");
    Ok(Json(ApprovalText { page, ..shown }))
}

/// Of whatever kind, as it is stored now.
pub(crate) async fn show_one(admin: &Admin, approval: &str) -> Result<ApprovalText, Problem> {
    match show_in_memory(admin, approval)? {
        Some(shown) => Ok(shown),
        None => show_row(admin, &admin.rows().await?, approval),
    }
}

/// The same of rows that were read before: what a page shows costs no reading of all rows. Who signs it has it rendered from the store again.
pub(crate) fn show_one_of(admin: &Admin, rows: &Rows, approval: &str) -> Result<ApprovalText, Problem> {
    match show_in_memory(admin, approval)? {
        Some(shown) => Ok(shown),
        None => show_row(admin, rows, approval),
    }
}

/// A call that waits, or a change of the approvers.
fn show_in_memory(admin: &Admin, approval: &str) -> Result<Option<ApprovalText>, Problem> {
    if let Some(call) = parked::find(admin, approval) {
        return parked::text(admin, &call).map(Some);
    }
    Ok(approvers::find(admin, approval).map(|ballot| approvers::text(admin, &ballot)))
}

fn show_row(admin: &Admin, rows: &Rows, approval: &str) -> Result<ApprovalText, Problem> {
    let row = find::approval(rows, approval)?;
    let grant = view::grant_of(row, rows)?;
    let credential = view::credential_of(view::placeholder_of(row, rows)?, rows)?;
    let mut remarks = grant.policy.remarks(&admin.background(&credential.destinations));
    if let Some((arn, session)) = admin.custody.role_of(credential.id) {
        remarks.extend(of_role(&arn, &session));
    }
    let shown = text_of(view::approval(row, rows, &admin.approvers())?, grant.canonical_text());
    Ok(ApprovalText { remarks, ..shown })
}

/// As which role calls are signed, and what its sessions get of it.
fn of_role(arn: &str, session: &RoleSession) -> Vec<String> {
    let (gets, policy) = match session {
        RoleSession::Permit => ("what follows from the permit", ""),
        RoleSession::Whole => ("all of the role", ""),
        RoleSession::Policy(policy) => ("what this session policy leaves of it", policy.as_str()),
    };
    // SECURITY: nothing of a deposited text moves a cursor or breaks a line.
    let shown = |c: char| match c {
        ' '..='~' => vec![c],
        '\t' | '\n' | '\r' => vec![' '],
        _ => c.escape_unicode().collect(),
    };
    let policy: Vec<char> = policy.chars().flat_map(shown).collect();
    let mut lines = vec![format!("calls are signed as the role {}; a session gets {gets}", quoted(arn))];
    lines.extend(policy.chunks(COLUMNS).map(|line| format!("  {}", String::from_iter(line))));
    lines
}

/// The text with the phrase by which two screens are compared, and the digest that a passkey signs.
pub(super) fn text_of(approval: ApprovalView, text: String) -> ApprovalText {
    let digest = hexadecimal(&Purpose::Approval.digest(&text));
    ApprovalText { approval, phrase: phrase(&text), digest, text, remarks: Vec::new(), page: None }
}

pub(crate) async fn grant(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(approval): Path<String>,
    Body(request): Body<GrantRequest>,
) -> Result<Json<ApprovalView>, Problem> {
    to_the_end(async move { grant_one(&admin, by, &approval, request.signature).await }).await
}

/// Of whatever kind.
pub(crate) async fn grant_one(
    admin: &Admin,
    by: Peer,
    approval: &str,
    signature: Signature,
) -> Result<ApprovalView, Problem> {
    if let Some(call) = parked::find(admin, approval) {
        return parked::grant(admin, by, &call, signature).await;
    }
    if let Some(ballot) = approvers::find(admin, approval) {
        return approvers::sign(admin, by, &ballot, signature).await;
    }
    let act = Act::begin(admin, by).await?;
    let signature = Approvers::stamped_after(signature, &act.rows, Timestamp::now());
    let approvers = admin.approvers();
    let row = find::approval(&act.rows, approval)?.clone();
    require_pending(admin, &row, &act.rows)?;
    // What is verified is rendered again from the rows: what was shown is what is approved, or nothing is.
    let grant = view::grant_of(&row, &act.rows)?;
    let signer = require_signer(&approvers, &grant, &signature)?;
    let before = approvers.tally_among(&grant, &row.signatures, &act.rows);
    if before.signed.contains(signer) {
        return Err(signed_already(signer, before.needed));
    }
    require_next_count(admin, &act.rows, &signature)?;
    let signatures: Vec<_> = row.signatures.iter().cloned().chain([signature]).collect();
    let (decision, done) = if approvers.tally_among(&grant, &signatures, &act.rows).is_complete() {
        (Decision::Granted(signatures), "approval granted")
    } else {
        (Decision::Signed(signatures), "approval signed")
    };
    let stored = || admin.store.decide_approval(row.id, decision, Timestamp::now());
    let rows = act.carry_out(done, row.id.to_string(), None, stored).await?;
    view::approval(find::approval(&rows, &row.id.to_string())?, &rows, &admin.approvers())
}

pub(super) fn signed_already(signer: &str, needed: usize) -> Problem {
    Problem::new(ProblemCode::Conflict, format!("{signer:?} has signed this approval already"))
        .hinting(format!("{needed} different approvers have to sign it"))
}

/// SECURITY: a passkey counts its signatures. Whoever comes with an old count has a copy of it. Asked only of a signature that
/// verifies, so that a stranger raises no alarm.
pub(crate) fn require_next_count(admin: &Admin, rows: &Rows, signature: &Signature) -> Result<(), Problem> {
    let Some((count, on_record)) = Approvers::counted(signature, rows) else { return Ok(()) };
    let last = on_record.max(admin.ballots.counted(&signature.key));
    if count > last || (count == 0 && last == 0) {
        admin.ballots.count(&signature.key, count);
        return Ok(());
    }
    tracing::error!(count, last, "a passkey's counter went back: there is a copy of it");
    admin.events.raise(SecurityEvent::new(EventKind::ApprovalForged));
    Err(Problem::new(
        ProblemCode::SignatureNotValid,
        "the passkey's counter went back: there is a copy of it",
    )
    .hinting("remove this approver: cloakroom approver remove NAME"))
}

fn require_signer<'a>(
    approvers: &'a Approvers,
    grant: &Grant,
    signature: &Signature,
) -> Result<&'a str, Problem> {
    if let Some(signer) = approvers.verify(grant, signature) {
        return Ok(signer.name());
    }
    let detail = if approvers.would_verify(grant, signature) {
        "whoever asked for the placeholder cannot approve it"
    } else {
        "no enrolled approver signed this approval's canonical text"
    };
    let problem = Problem::new(ProblemCode::SignatureNotValid, detail);
    Err(if Approvers::is_for_something_else(signature) {
        problem.hinting(
            "the signature was made for another program: sign with ssh-keygen -Y sign -n cloakroom -f KEY",
        )
    } else {
        problem
    })
}

pub(crate) async fn withdraw(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(approval): Path<String>,
) -> Result<Json<ApprovalView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        let row = find::approval(&act.rows, &approval)?.clone();
        if row.decided.is_none() || row.denied || row.withdrawn.is_some() {
            let detail = format!("approval {} is not granted, so there is nothing to withdraw", row.id);
            return Err(Problem::new(ProblemCode::Conflict, detail)
                .hinting(format!("to say no: cloakroom approval deny {}", row.id)));
        }
        let stored = || admin.store.withdraw_approval(row.id, Timestamp::now());
        let rows = act.carry_out("approval withdrawn", row.id.to_string(), None, stored).await?;
        view::approval(find::approval(&rows, &row.id.to_string())?, &rows, &admin.approvers())
    })
    .await
}

pub(crate) async fn deny(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(approval): Path<String>,
) -> Result<Json<ApprovalView>, Problem> {
    to_the_end(async move { deny_one(&admin, by, &approval).await }).await
}

/// Of whatever kind.
pub(crate) async fn deny_one(admin: &Admin, by: Peer, approval: &str) -> Result<ApprovalView, Problem> {
    if let Some(call) = parked::find(admin, approval) {
        return parked::deny(admin, by, &call).await;
    }
    if let Some(ballot) = approvers::find(admin, approval) {
        return approvers::deny(admin, by, &ballot).await;
    }
    let act = Act::begin(admin, by).await?;
    let row = find::approval(&act.rows, approval)?.clone();
    require_pending(admin, &row, &act.rows)?;
    let stored = || admin.store.decide_approval(row.id, Decision::Denied, Timestamp::now());
    let rows = act.carry_out("approval denied", row.id.to_string(), None, stored).await?;
    view::approval(find::approval(&rows, &row.id.to_string())?, &rows, &admin.approvers())
}

fn require_pending(admin: &Admin, row: &ApprovalRecord, rows: &Rows) -> Result<(), Problem> {
    let shown = view::approval(row, rows, &admin.approvers())?;
    let detail = match shown.state.as_str() {
        "pending" => return Ok(()),
        "moot" => format!("the placeholder of approval {} is no longer pending", row.id),
        decided => format!("approval {} was {decided} already", row.id),
    };
    Err(Problem::new(ProblemCode::Conflict, detail).hinting("issue a new placeholder for a new approval"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t75_a_session_policy_is_shown_whole_and_in_ascii_only() {
        let policy = format!("{{\"a\":\n\"{}\u{1b}[2K\u{202e}\"}}", "x".repeat(400));
        let lines = of_role("arn:aws:iam::1:role/backup", &RoleSession::Policy(policy));
        assert!(lines[0].contains("\"arn:aws:iam::1:role/backup\"") && lines.len() == 4, "{lines:?}");
        let joined: String = lines[1..].iter().map(|line| &line[2..]).collect();
        assert_eq!(joined, format!("{{\"a\": \"{}\\u{{1b}}[2K\\u{{202e}}\"}}", "x".repeat(400)));
        for session in [RoleSession::Permit, RoleSession::Whole] {
            assert_eq!(of_role("arn:aws:iam::1:role/backup", &session).len(), 1);
        }
    }
}
