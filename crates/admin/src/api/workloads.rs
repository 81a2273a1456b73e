//! Workloads: added with a key that is shown once, listed, removed.

use super::page::{Listed, Page};
use super::precondition::{IfMatch, Tag, Tagged};
use super::{input::Body, view};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::peer::Peer;
use crate::wire::{AddedWorkload, BegunBoot, NewWorkload, WorkloadView};
use crate::{Problem, ProblemCode, find, secret_text};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::{Cid, Guest, Marks, Rows, Timestamp, WorkloadId, WorkloadRecord};
use ipnet::IpNet;
use std::sync::Arc;

/// What the key of a workload begins with.
const KEY: &str = "cwk_";
/// What the nonce of a boot begins with.
const BOOT: &str = "cwb_";

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
    if let Some(cid) = new.cid {
        require_own_guest(cid, &act.rows)?;
    }
    let id = WorkloadId::fresh()?;
    let key = secret_text::fresh(KEY)?;
    let created = Timestamp::now();
    let certificate = new.mtls.then(|| admin.certifier.certify(id, &new.name)).transpose();
    let certificate = certificate.map_err(|why| Problem::new(ProblemCode::InternalFault, why))?;
    let boot = new.cid.map(|_| secret_text::fresh(BOOT)).transpose()?;
    let marks = Marks {
        certificate: certificate.as_ref().map(|made| made.fingerprint),
        uid: new.uid,
        guest: new.cid.zip(boot.as_deref()).map(|(cid, boot)| guest(admin, cid, boot)),
        networks: new.networks.iter().map(IpNet::trunc).collect(),
    };
    let hash = admin.lookup_key.workload_hash(&key);
    let row = WorkloadRecord { id, name: new.name.clone(), key: hash, marks, created, removed: None };
    let stored = || admin.store.add_workload(row);
    act.carry_out("workload added", id.to_string(), Some(&new.name), stored).await?;
    Ok(AddedWorkload { id, name: new.name, key, certificate, boot, created: created.to_string() })
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

/// Before the machine starts: whoever has the former boot's nonce is nobody from now on.
pub(crate) async fn boot(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(workload): Path<String>,
) -> Result<Json<BegunBoot>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        let row = find::workload(&act.rows, &workload)?.clone();
        let Some(Guest { cid, .. }) = row.marks.guest else {
            let detail = format!("workload {:?} is in no virtual machine that is known", row.name.as_str());
            return Err(Problem::new(ProblemCode::Conflict, detail).hinting(
                "a workload is given its machine when it is added: cloakroom workload add NAME --cid N",
            ));
        };
        let boot = secret_text::fresh(BOOT)?;
        let stored = || admin.store.begin_boot(row.id, guest(&admin, cid, &boot).boot);
        act.carry_out("boot begun", row.id.to_string(), Some(&row.name), stored).await?;
        Ok(BegunBoot { id: row.id, name: row.name, cid, boot })
    })
    .await
}

fn guest(admin: &Admin, cid: Cid, boot: &str) -> Guest {
    Guest { cid, boot: admin.lookup_key.boot_hash(boot) }
}

/// A user stands for one workload: by the kernel's word alone, two could not be told apart.
fn require_own_user(uid: u32, rows: &Rows) -> Result<(), Problem> {
    let taken = format!("uid {uid}");
    require_own(&taken, "let each workload run as a user of its own", rows, |marks| marks.uid == Some(uid))
}

/// A virtual machine likewise.
fn require_own_guest(cid: Cid, rows: &Rows) -> Result<(), Problem> {
    let hint = "let each workload have a machine of its own, or let those of one machine show their keys over its network";
    require_own(&format!("CID {cid}"), hint, rows, |marks| marks.guest.is_some_and(|guest| guest.cid == cid))
}

fn require_own(what: &str, hint: &str, rows: &Rows, has: impl Fn(&Marks) -> bool) -> Result<(), Problem> {
    let other = rows.workloads.iter().find(|row| row.removed.is_none() && has(&row.marks));
    other.map_or(Ok(()), |other| {
        let detail = format!("{what} is that of workload {:?}", other.name.as_str());
        Err(Problem::new(ProblemCode::Conflict, detail).hinting(hint))
    })
}
