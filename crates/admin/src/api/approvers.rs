//! Approvers: who they are, and changes of that. A change waits like an approval, and is made when enough of the approvers
//! there are have signed it.

use super::approvals::{require_next_count, signed_already, text_of};
use super::input::Body;
use super::page::Listed;
use super::people;
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::ballot::{Ballot, Full, Invitation, LINK};
use crate::identity::Newcomer;
use crate::peer::Peer;
use crate::pin::Pin;
use crate::wire::{
    ApprovalText, ApprovalView, ApproverView, EnrolledView, NewApprover, NewPasskey, PasskeyLink,
};
use crate::{Problem, ProblemCode};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::{ApprovalId, ApproverAct, Name, Roles, Signature, Timestamp};
use cloakroom_policy::{Approver, Approvers, Attestation, PasskeyTicket};
use cloakroom_store::journal::Entry;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

/// Whose signatures count.
pub(crate) async fn list(State(admin): State<Arc<Admin>>) -> Listed<ApproverView> {
    let view = |member: &Approver| ApproverView {
        name: member.name().to_owned(),
        kind: member.kind().to_owned(),
        key: member.key_text(),
        digest: member.digest(),
    };
    Listed::whole(admin.approvers().members().iter().map(view).collect())
}

pub(crate) async fn enrol(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Body(new): Body<NewApprover>,
) -> Result<Json<ApprovalView>, Problem> {
    to_the_end(async move { open(&admin, by, ApproverAct::Enrol, new.name.as_str(), new.key.trim()).await })
        .await
}

/// By name, or by the beginning of the key's SHA-256 where a name has several.
pub(crate) async fn remove(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(approver): Path<String>,
) -> Result<Json<ApprovalView>, Problem> {
    to_the_end(async move {
        let approvers = admin.approvers();
        let meant = |member: &&Approver| {
            member.name() == approver || (approver.len() >= 8 && member.digest().starts_with(&approver))
        };
        let found: Vec<&Approver> = approvers.members().iter().filter(meant).collect();
        let hint = "list them: cloakroom approver list";
        match found.as_slice() {
            [one] => open(&admin, by, ApproverAct::Remove, one.name(), &one.key_text()).await,
            [] => Err(Problem::new(ProblemCode::NotFound, "no approver has this name or key").hinting(hint)),
            _ => Err(Problem::new(ProblemCode::Conflict, "this approver has several keys")
                .hinting("say which by the beginning of its SHA-256: cloakroom approver list")),
        }
    })
    .await
}

/// A link by which somebody makes a passkey in a browser.
pub(crate) async fn invite(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Body(new): Body<NewPasskey>,
) -> Result<Json<PasskeyLink>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        act.note("passkey invited", new.name.as_str(), None).await?;
        people::open(&admin, Invitation { name: new.name, roles: Roles::default(), approver: true }, LINK)
    })
    .await
}

/// What the browser made, by this link: it is kept where the link was for a member, and waits for the approvers' signatures where it was for
/// an approver.
pub(crate) async fn redeem(
    admin: &Admin,
    code: &str,
    said: &Attestation,
) -> Result<(EnrolledView, Option<Newcomer>), Problem> {
    let gone = || {
        Problem::new(ProblemCode::NotFound, "this link is not good any more")
            .hinting("a link is good once; ask for another: cloakroom approver enrol NAME --passkey")
    };
    let ticket = PasskeyTicket { code, party: &admin.ballots.party };
    // SECURITY: the link first, so that nothing is parsed for a stranger.
    admin.ballots.invited(code, Instant::now()).ok_or_else(gone)?;
    let key = ticket.redeem(said).ok_or_else(|| {
        Problem::new(
            ProblemCode::SignatureNotValid,
            "this is not a passkey that was made by this link, with user verification",
        )
        .hinting("try again; the authenticator has to ask for a PIN, a finger or a face")
    })?;
    let invitation = admin.ballots.take_link(code, Instant::now()).ok_or_else(gone)?;
    let mut enrolled = EnrolledView { state: "pending".into(), id: None, member: None };
    let mut newcomer = None;
    let name = invitation.name.to_string();
    if !invitation.roles.is_empty() {
        enrolled.member = Some(
            people::keep(
                admin,
                Peer::Console,
                invitation.name.clone(),
                invitation.roles.clone(),
                key.clone(),
            )
            .await?,
        );
        enrolled.state = "enrolled".into();
        newcomer = Some(Newcomer { name: name.clone(), key: Some(key.clone()), roles: Roles::default() });
    }
    if invitation.approver {
        enrolled.id = Some(open(admin, Peer::Console, ApproverAct::Enrol, &name, &key).await?.id);
    }
    Ok((enrolled, newcomer))
}

async fn open(
    admin: &Admin,
    by: Peer,
    act: ApproverAct,
    name: &str,
    key: &str,
) -> Result<ApprovalView, Problem> {
    let acting = Act::begin(admin, by).await?;
    let change = admin.approvers().next_change(act, name, key);
    let change = change.map_err(|why| {
        Problem::new(ProblemCode::Conflict, why).hinting("look at who there is: cloakroom approver list")
    })?;
    let ballot = Ballot { id: ApprovalId::fresh()?, change, created: Timestamp::now() };
    admin.ballots.open(ballot.clone()).map_err(|Full| full())?;
    acting.note("approver change asked for", &ballot.id.to_string(), Name::parse(name).ok().as_ref()).await?;
    Ok(view(admin, &ballot, "pending"))
}

pub(super) fn full() -> Problem {
    Problem::new(ProblemCode::Conflict, "too many links or changes of the approvers wait already")
        .hinting("deny some: cloakroom approval list; a link ends by itself")
}

/// The change that waits under this id, if one does.
pub(super) fn find(admin: &Admin, id: &str) -> Option<Ballot> {
    ApprovalId::from_str(id).ok().and_then(|id| admin.ballots.find(id))
}

/// Every change that waits.
pub(super) fn views(admin: &Admin) -> Vec<ApprovalView> {
    admin.ballots.list().iter().map(|ballot| view(admin, ballot, "pending")).collect()
}

pub(super) fn text(admin: &Admin, ballot: &Ballot) -> ApprovalText {
    text_of(view(admin, ballot, "pending"), admin.approvers().change_text(&ballot.change))
}

pub(super) async fn deny(admin: &Admin, by: Peer, ballot: &Ballot) -> Result<ApprovalView, Problem> {
    let act = Act::begin(admin, by).await?;
    admin.ballots.close(ballot.id);
    act.note("approver change denied", &ballot.id.to_string(), None).await?;
    Ok(view(admin, ballot, "denied"))
}

pub(super) async fn sign(
    admin: &Admin,
    by: Peer,
    ballot: &Ballot,
    signature: Signature,
) -> Result<ApprovalView, Problem> {
    // The turn is held: of two who sign at once, the second counts the first.
    let act = Act::begin(admin, by).await?;
    let signature = Approvers::stamped_after(signature, &act.rows, Timestamp::now());
    let approvers = admin.approvers();
    let mut ballot = admin.ballots.find(ballot.id).ok_or_else(|| {
        Problem::new(ProblemCode::Conflict, "the change does not wait any more")
            .hinting("another change was made meanwhile; ask for it again")
    })?;
    let signer = approvers.signs_change(&ballot.change, &signature).map(|by| by.name().to_owned());
    let signer = signer.ok_or_else(|| {
        Problem::new(ProblemCode::SignatureNotValid, "no enrolled approver signed this change's text")
    })?;
    let before = approvers.tally_change(&ballot.change);
    if before.signed.contains(&signer) {
        return Err(signed_already(&signer, before.needed));
    }
    require_next_count(admin, &act.rows, &signature)?;
    ballot.change.signatures.push(signature);
    let subject = ballot.id.to_string();
    if !approvers.tally_change(&ballot.change).is_complete() {
        act.note("approver change signed", &subject, None).await?;
        admin.ballots.update(&ballot);
        return Ok(view(admin, &ballot, "pending"));
    }
    let word = match ballot.change.act {
        ApproverAct::Enrol => "approver enrolled",
        ApproverAct::Remove => "approver removed",
    };
    let done = view(admin, &ballot, "granted");
    let change = ballot.change.clone();
    let stored = || admin.store.change_approvers(change, Timestamp::now());
    act.carry_out(word, subject, Name::parse(&ballot.change.name).ok().as_ref(), stored).await?;
    admin.ballots.close_all();
    keep(admin)?;
    Ok(done)
}

/// What was just changed is followed from now on: on record, and beside the database.
fn keep(admin: &Admin) -> Result<(), Problem> {
    let approvers = admin.approvers();
    admin.journal.append(&in_force(&approvers, Timestamp::now()))?;
    let pin = Pin { head: approvers.head(), ..admin.pin };
    // It is stored and in force already. The next start follows the change from the last pin.
    if let Err(error) = pin.write(&admin.data) {
        tracing::error!(%error, "keys/approvers cannot be written");
    }
    Ok(())
}

/// Whose signatures count from now on, as the journal keeps it.
pub fn in_force(approvers: &Approvers, at: Timestamp) -> Entry {
    let names: Vec<String> =
        approvers.members().iter().map(|member| format!("{:?}", member.name())).collect();
    Entry::Act {
        at,
        act: "approvers in force".into(),
        subject: format!("sha256:{}", approvers.digest()),
        name: None,
        by: format!("approver.pub and {} changes ({})", approvers.head().sequence, names.join(", ")),
    }
}

fn view(admin: &Admin, ballot: &Ballot, state: &str) -> ApprovalView {
    let tally = admin.approvers().tally_change(&ballot.change);
    ApprovalView {
        id: ballot.id,
        kind: "approver".into(),
        state: state.into(),
        placeholder: None,
        credential: None,
        workload: None,
        created: ballot.created.to_string(),
        decided: None,
        requester: None,
        signed: tally.signed.into_iter().collect(),
        needed: tally.needed,
        expires: None,
    }
}
