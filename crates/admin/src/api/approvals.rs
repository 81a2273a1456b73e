//! Approvals: the canonical text is shown, signed elsewhere, and verified here before it is stored.

use super::{input::Body, view};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::peer::Peer;
use crate::wire::{ApprovalText, ApprovalView, GrantRequest};
use crate::{Problem, ProblemCode, find};
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::{ApprovalRecord, Rows, Timestamp};
use cloakroom_policy::Grant;
use cloakroom_store::Decision;
use std::sync::Arc;

pub(crate) async fn list(State(admin): State<Arc<Admin>>) -> Result<Json<Vec<ApprovalView>>, Problem> {
    let rows = admin.store.load().await?;
    let views: Result<Vec<_>, _> = rows.approvals.iter().map(|row| view::approval(row, &rows)).collect();
    views.map(Json)
}

pub(crate) async fn show(
    State(admin): State<Arc<Admin>>,
    Path(approval): Path<String>,
) -> Result<Json<ApprovalText>, Problem> {
    let rows = admin.store.load().await?;
    let row = find::approval(&rows, &approval)?;
    let grant = grant_of(row, &rows)?;
    let digest = digest(&SHA256, &grant.signing_bytes());
    Ok(Json(ApprovalText {
        approval: view::approval(row, &rows)?,
        text: grant.canonical_text(),
        digest: digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
    }))
}

pub(crate) async fn grant(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(approval): Path<String>,
    Body(request): Body<GrantRequest>,
) -> Result<Json<ApprovalView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        let row = find::approval(&act.rows, &approval)?.clone();
        require_pending(&row, &act.rows)?;
        // What is verified is rendered again from the rows: what was shown is what is approved, or nothing is.
        let grant = grant_of(&row, &act.rows)?;
        if !admin.approvers.verify(&grant, &request.signature) {
            let detail = "no enrolled approver signed this approval's canonical text";
            return Err(Problem::new(ProblemCode::SignatureNotValid, detail));
        }
        let decision = Decision::Granted(request.signature);
        let stored = || admin.store.decide_approval(row.id, decision, Timestamp::now());
        let rows = act.carry_out("approval granted", row.id.to_string(), None, stored).await?;
        view::approval(find::approval(&rows, &row.id.to_string())?, &rows)
    })
    .await
}

pub(crate) async fn deny(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(approval): Path<String>,
) -> Result<Json<ApprovalView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        let row = find::approval(&act.rows, &approval)?.clone();
        require_pending(&row, &act.rows)?;
        let stored = || admin.store.decide_approval(row.id, Decision::Denied, Timestamp::now());
        let rows = act.carry_out("approval denied", row.id.to_string(), None, stored).await?;
        view::approval(find::approval(&rows, &row.id.to_string())?, &rows)
    })
    .await
}

fn require_pending(row: &ApprovalRecord, rows: &Rows) -> Result<(), Problem> {
    let shown = view::approval(row, rows)?;
    let detail = match shown.state.as_str() {
        "pending" => return Ok(()),
        "moot" => format!("the placeholder of approval {} is no longer pending", row.id),
        decided => format!("approval {} was {decided} already", row.id),
    };
    Err(Problem::new(ProblemCode::Conflict, detail).hinting("issue a new placeholder for a new approval"))
}

fn grant_of(row: &ApprovalRecord, rows: &Rows) -> Result<Grant, Problem> {
    let placeholder = view::placeholder_of(row, rows)?;
    let credential = view::credential_of(placeholder, rows)?;
    let workload = view::workload_of(placeholder, rows)?;
    Grant::from_rows(placeholder, credential, workload).map_err(|why| {
        Problem::new(ProblemCode::StoreFailed, format!("approval {} cannot be shown: {why}", row.id))
    })
}
