//! Approvals: the canonical text is shown, signed elsewhere, and verified here before it is stored.

use super::{input::Body, parked, view};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::peer::Peer;
use crate::wire::{ApprovalText, ApprovalView, ApproverView, GrantRequest};
use crate::{Problem, ProblemCode, find};
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::{ApprovalRecord, Rows, Signature, Timestamp};
use cloakroom_policy::{Approver, Grant, phrase};
use cloakroom_store::Decision;
use std::sync::Arc;

pub(crate) async fn list(State(admin): State<Arc<Admin>>) -> Result<Json<Vec<ApprovalView>>, Problem> {
    let rows = admin.rows().await?;
    let views: Result<Vec<_>, _> =
        rows.approvals.iter().map(|row| view::approval(row, &rows, &admin.approvers)).collect();
    let calls = parked::views(&admin).into_iter();
    views.map(|views| Json(views.into_iter().chain(calls).collect()))
}

/// Whose signatures count.
pub(crate) async fn approvers(State(admin): State<Arc<Admin>>) -> Json<Vec<ApproverView>> {
    let view = |member: &Approver| ApproverView {
        name: member.name().to_owned(),
        kind: member.kind().to_owned(),
        key: member.key_text(),
    };
    Json(admin.approvers.members().iter().map(view).collect())
}

pub(crate) async fn show(
    State(admin): State<Arc<Admin>>,
    Path(approval): Path<String>,
) -> Result<Json<ApprovalText>, Problem> {
    if let Some(call) = parked::find(&admin, &approval) {
        return parked::text(&admin, &call).map(Json);
    }
    let rows = admin.rows().await?;
    let row = find::approval(&rows, &approval)?;
    let grant = view::grant_of(row, &rows)?;
    let credential = view::credential_of(view::placeholder_of(row, &rows)?, &rows)?;
    let text = grant.canonical_text();
    Ok(Json(ApprovalText {
        approval: view::approval(row, &rows, &admin.approvers)?,
        digest: hexadecimal(&grant.signing_bytes()),
        phrase: phrase(&text),
        remarks: grant.policy.remarks(&admin.background(&credential.destinations)),
        text,
    }))
}

/// SHA-256 of the bytes under a signature.
pub(super) fn hexadecimal(signed: &[u8]) -> String {
    digest(&SHA256, signed).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) async fn grant(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(approval): Path<String>,
    Body(request): Body<GrantRequest>,
) -> Result<Json<ApprovalView>, Problem> {
    to_the_end(async move {
        if let Some(call) = parked::find(&admin, &approval) {
            return parked::grant(&admin, by, &call, request.signature).await;
        }
        let act = Act::begin(&admin, by).await?;
        let row = find::approval(&act.rows, &approval)?.clone();
        require_pending(&admin, &row, &act.rows)?;
        // What is verified is rendered again from the rows: what was shown is what is approved, or nothing is.
        let grant = view::grant_of(&row, &act.rows)?;
        let signer = require_signer(&admin, &grant, &request.signature)?;
        let before = admin.approvers.tally(&grant, &row.signatures);
        if before.signed.contains(signer) {
            let detail = format!("{signer:?} has signed this approval already");
            return Err(Problem::new(ProblemCode::Conflict, detail)
                .hinting(format!("{} different approvers have to sign it", before.needed)));
        }
        let signatures: Vec<_> = row.signatures.iter().cloned().chain([request.signature]).collect();
        let (decision, done) = if admin.approvers.tally(&grant, &signatures).is_complete() {
            (Decision::Granted(signatures), "approval granted")
        } else {
            (Decision::Signed(signatures), "approval signed")
        };
        let stored = || admin.store.decide_approval(row.id, decision, Timestamp::now());
        let rows = act.carry_out(done, row.id.to_string(), None, stored).await?;
        view::approval(find::approval(&rows, &row.id.to_string())?, &rows, &admin.approvers)
    })
    .await
}

fn require_signer<'a>(admin: &'a Admin, grant: &Grant, signature: &Signature) -> Result<&'a str, Problem> {
    if let Some(signer) = admin.approvers.verify(grant, signature) {
        return Ok(signer.name());
    }
    let detail = if admin.approvers.would_verify(grant, signature) {
        "whoever asked for the placeholder cannot approve it"
    } else {
        "no enrolled approver signed this approval's canonical text"
    };
    Err(Problem::new(ProblemCode::SignatureNotValid, detail))
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
        view::approval(find::approval(&rows, &row.id.to_string())?, &rows, &admin.approvers)
    })
    .await
}

pub(crate) async fn deny(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(approval): Path<String>,
) -> Result<Json<ApprovalView>, Problem> {
    to_the_end(async move {
        if let Some(call) = parked::find(&admin, &approval) {
            return parked::deny(&admin, by, &call).await;
        }
        let act = Act::begin(&admin, by).await?;
        let row = find::approval(&act.rows, &approval)?.clone();
        require_pending(&admin, &row, &act.rows)?;
        let stored = || admin.store.decide_approval(row.id, Decision::Denied, Timestamp::now());
        let rows = act.carry_out("approval denied", row.id.to_string(), None, stored).await?;
        view::approval(find::approval(&rows, &row.id.to_string())?, &rows, &admin.approvers)
    })
    .await
}

fn require_pending(admin: &Admin, row: &ApprovalRecord, rows: &Rows) -> Result<(), Problem> {
    let shown = view::approval(row, rows, &admin.approvers)?;
    let detail = match shown.state.as_str() {
        "pending" => return Ok(()),
        "moot" => format!("the placeholder of approval {} is no longer pending", row.id),
        decided => format!("approval {} was {decided} already", row.id),
    };
    Err(Problem::new(ProblemCode::Conflict, detail).hinting("issue a new placeholder for a new approval"))
}
