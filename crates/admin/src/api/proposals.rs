//! What workloads ask for: read, taken up or dropped. Nothing here permits anything.

use super::page::{Listed, Page};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::peer::Peer;
use crate::wire::ProposalView;
use crate::{Problem, ProblemCode};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::ProposalId;
use cloakroom_policy::{Policy, quoted};
use cloakroom_store::{Proposal, Ruling};
use std::str::FromStr;
use std::sync::Arc;

pub(crate) async fn list(
    State(admin): State<Arc<Admin>>,
    page: Page,
) -> Result<Listed<ProposalView>, Problem> {
    let all = admin.proposals.list().iter().map(|one| view(&admin, one)).collect::<Result<_, _>>()?;
    Ok(page.of(all, |one| one.id.to_string()))
}

pub(crate) async fn accept(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(proposal): Path<String>,
) -> Result<Json<ProposalView>, Problem> {
    rule(admin, by, proposal, Ruling::Accepted(None)).await
}

pub(crate) async fn drop(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(proposal): Path<String>,
) -> Result<Json<ProposalView>, Problem> {
    rule(admin, by, proposal, Ruling::Dropped).await
}

/// Takes it off the list; its workload can hear what became of it.
async fn rule(
    admin: Arc<Admin>,
    by: Peer,
    proposal: String,
    ruling: Ruling,
) -> Result<Json<ProposalView>, Problem> {
    to_the_end(async move { rule_one(&admin, by, &proposal, ruling).await }).await
}

pub(crate) async fn rule_one(
    admin: &Admin,
    by: Peer,
    proposal: &str,
    ruling: Ruling,
) -> Result<ProposalView, Problem> {
    let act_name = match ruling {
        Ruling::Accepted(_) => "proposal accepted",
        Ruling::Dropped => "proposal dropped",
    };
    let act = Act::begin(admin, by).await?;
    let shown = show_one(admin, proposal)?;
    act.note(act_name, &shown.id.to_string(), None).await?;
    admin.proposals.rule(shown.id, ruling);
    Ok(shown)
}

pub(crate) fn show_one(admin: &Admin, proposal: &str) -> Result<ProposalView, Problem> {
    let id = ProposalId::from_str(proposal).map_err(|_| missing())?;
    let all = admin.proposals.list();
    view(admin, all.iter().find(|one| one.id == id).ok_or_else(missing)?)
}

fn view(admin: &Admin, proposal: &Proposal) -> Result<ProposalView, Problem> {
    let policy = Policy::from_stored(&proposal.policy).map_err(|why| {
        Problem::new(ProblemCode::InternalFault, format!("a proposal cannot be read: {why}"))
    })?;
    Ok(ProposalView {
        id: proposal.id,
        workload: proposal.workload.clone(),
        at: proposal.at.to_string(),
        reason: quoted(&proposal.reason),
        text: policy.canonical_text(),
        policy: policy.to_toml(),
        remarks: policy.remarks(&admin.background(&[])),
    })
}

fn missing() -> Problem {
    Problem::new(ProblemCode::NotFound, "there is no such proposal")
        .hinting("list them: cloakroom proposal list")
}
