//! What was granted, tuple by tuple, with the times between which it counts: what reports of growth are made of.

use super::page::{Listed, Page};
use super::view;
use crate::Problem;
use crate::admin::Admin;
use crate::wire::GrantedView;
use axum::extract::State;
use cloakroom_model::{PlaceholderRecord, Rows, Timestamp};
use std::sync::Arc;

pub(crate) async fn list(
    State(admin): State<Arc<Admin>>,
    page: Page,
) -> Result<Listed<GrantedView>, Problem> {
    let rows = admin.store.load().await?;
    let all = rows.placeholders.iter().map(|row| granted(row, &rows)).collect::<Result<_, _>>()?;
    Ok(page.of(all, |one: &GrantedView| one.id.to_string()))
}

fn granted(row: &PlaceholderRecord, rows: &Rows) -> Result<GrantedView, Problem> {
    let policy = view::policy(row)?;
    let credential = rows.credentials.iter().find(|credential| credential.id == row.credential);
    let workload = rows.workloads.iter().find(|workload| workload.id == row.workload);
    let approvals = rows.approvals.iter().filter(|approval| approval.placeholder == row.id);
    let approved = approvals.clone().filter(|approval| !approval.denied).filter_map(|one| one.decided).min();
    let ends = [
        row.expires,
        credential.and_then(|credential| credential.removed),
        workload.and_then(|workload| workload.removed),
        approvals.filter_map(|approval| approval.withdrawn).min(),
    ];
    let begins = approved.map(|at| row.not_before.map_or(at, |begin| begin.max(at)));
    Ok(GrantedView {
        id: row.id,
        credential: credential.map(|credential| credential.name.clone()),
        workload: workload.map(|workload| workload.name.clone()),
        state: row.state.as_str().to_owned(),
        begins: begins.map(Timestamp::millis),
        ends: ends.into_iter().flatten().min().map(Timestamp::millis),
        policy: policy.to_toml(),
        tuples: policy.tuples(),
        destinations: credential.map(|credential| credential.destinations.clone()).unwrap_or_default(),
    })
}
