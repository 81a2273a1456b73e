//! Workloads: added with a key that is shown once, listed, removed.

use super::page::{Listed, Page};
use super::precondition::{IfMatch, Tag, Tagged};
use super::{input::Body, view};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::peer::Peer;
use crate::wire::{AddedWorkload, NewWorkload, WorkloadView};
use crate::{Problem, ProblemCode, find, secret_text};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::{Marks, Rows, Timestamp, WorkloadId, WorkloadRecord};
use ipnet::IpNet;
use std::sync::Arc;

/// What the key of a workload begins with.
const KEY: &str = "cwk_";

pub(crate) async fn list(
    State(admin): State<Arc<Admin>>,
    page: Page,
) -> Result<Listed<WorkloadView>, Problem> {
    let rows = admin.rows().await?;
    let live = rows.workloads.iter().filter(|row| row.removed.is_none());
    Ok(page.of(live.map(|row| view::workload(row, &rows)).collect(), |one| one.id.to_string()))
}

pub(crate) async fn show(
    State(admin): State<Arc<Admin>>,
    Path(workload): Path<String>,
) -> Result<Tagged<WorkloadView>, Problem> {
    let rows = admin.rows().await?;
    let shown = view::workload(find::workload(&rows, &workload)?, &rows);
    Ok(Tagged(Tag::of(&shown), shown))
}

pub(crate) async fn add(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Body(new): Body<NewWorkload>,
) -> Result<Json<AddedWorkload>, Problem> {
    to_the_end(async move { add_one(&admin, by, new).await }).await
}

pub(crate) async fn add_one(admin: &Admin, by: Peer, new: NewWorkload) -> Result<AddedWorkload, Problem> {
    find::require_no_id(&new.name)?;
    let act = Act::begin(admin, by).await?;
    if act.rows.workloads.iter().any(|row| row.removed.is_none() && row.name == new.name) {
        let detail = format!("workload {:?} exists already", new.name.as_str());
        return Err(Problem::new(ProblemCode::NameTaken, detail)
            .hinting("choose another name, or remove the present one for a new key"));
    }
    if let Some(uid) = new.uid {
        require_own_user(uid, &act.rows)?;
    }
    let id = WorkloadId::fresh()?;
    let key = secret_text::fresh(KEY)?;
    let created = Timestamp::now();
    let certificate = new.mtls.then(|| admin.certifier.certify(id, &new.name)).transpose();
    let certificate = certificate.map_err(|why| Problem::new(ProblemCode::InternalFault, why))?;
    let networks = new.networks.iter().map(IpNet::trunc).collect();
    let marks =
        Marks { certificate: certificate.as_ref().map(|made| made.fingerprint), uid: new.uid, networks };
    let hash = admin.lookup_key.workload_hash(&key);
    let row = WorkloadRecord { id, name: new.name.clone(), key: hash, marks, created, removed: None };
    let stored = || admin.store.add_workload(row);
    act.carry_out("workload added", id.to_string(), Some(&new.name), stored).await?;
    Ok(AddedWorkload { id, name: new.name, key, certificate, created: created.to_string() })
}

pub(crate) async fn remove(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(workload): Path<String>,
    expected: IfMatch,
) -> Result<Json<WorkloadView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        let row = find::workload(&act.rows, &workload)?.clone();
        expected.require(&view::workload(&row, &act.rows))?;
        let stored = || admin.store.remove_workload(row.id, Timestamp::now());
        let rows = act.carry_out("workload removed", row.id.to_string(), Some(&row.name), stored).await?;
        Ok(view::workload(&row, &rows))
    })
    .await
}

/// A user stands for one workload: by the kernel's word alone, two could not be told apart.
fn require_own_user(uid: u32, rows: &Rows) -> Result<(), Problem> {
    let other = rows.workloads.iter().find(|row| row.removed.is_none() && row.marks.uid == Some(uid));
    other.map_or(Ok(()), |other| {
        let detail = format!("uid {uid} is that of workload {:?}", other.name.as_str());
        Err(Problem::new(ProblemCode::Conflict, detail).hinting("let each workload run as a user of its own"))
    })
}
