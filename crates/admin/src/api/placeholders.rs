//! Placeholders: issued as pending, shown without their text, revoked at once.

use super::{input::Body, view};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::history::history_of;
use crate::peer::Peer;
use crate::wire::{
    History, IssuedClaim, IssuedPlaceholder, NewPlaceholder, PlaceholderView, Revocation, Revoked,
};
use crate::{Problem, ProblemCode, find};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::{
    ApprovalId, ApprovalRecord, Change, ClaimRecord, CredentialKind, CredentialRecord, PlaceholderId,
    PlaceholderRecord, PlaceholderState, PlaceholderText, Proofs, Rows, Timestamp, WorkloadRecord,
};
use cloakroom_policy::{Containment, Finding, Grant, Policy};
use cloakroom_store::NotSpent;
use std::sync::Arc;
use std::time::Duration;

pub(crate) async fn list(State(admin): State<Arc<Admin>>) -> Result<Json<Vec<PlaceholderView>>, Problem> {
    let rows = admin.rows().await?;
    let views: Result<Vec<_>, _> =
        rows.placeholders.iter().map(|row| view::placeholder(row, &rows)).collect();
    let ignored = admin.turn().await.clone();
    let rolled_back = admin.store.books().await?.rolled_back;
    let marked = views?.into_iter().map(|shown| mark(mark_older(shown, rolled_back), &ignored));
    Ok(Json(marked.collect()))
}

pub(crate) async fn show(
    State(admin): State<Arc<Admin>>,
    Path(placeholder): Path<String>,
) -> Result<Json<PlaceholderView>, Problem> {
    let rows = admin.rows().await?;
    let row = find::placeholder(&rows, &placeholder)?;
    let ignored = admin.turn().await.clone();
    let rolled_back = admin.store.books().await?.rolled_back;
    let mut shown = mark(mark_older(view::placeholder(row, &rows)?, rolled_back), &ignored);
    shown.history = Some(history(&admin, row.id).await?);
    shown.claim = admin.store.claim_of(row.id).await?.map(|claim| view::claim(&claim, Timestamp::now()));
    shown.policy = Some(view::policy(row)?.canonical_text());
    Ok(Json(shown))
}

/// Frozen by a start, not by a person.
fn mark_older(mut shown: PlaceholderView, rolled_back: Option<Timestamp>) -> PlaceholderView {
    if shown.frozen.is_some() && shown.frozen == rolled_back.map(|at| at.to_string()) {
        shown.why = Some(
            "frozen at a start: the data directory was an older copy, which does not know what was used or revoked since".into(),
        );
    }
    shown
}

/// What the journal knows, with what waits in memory.
async fn history(admin: &Admin, placeholder: PlaceholderId) -> Result<History, Problem> {
    admin.journal.write_out()?;
    let journal = admin.data.join("journal");
    let read = tokio::task::spawn_blocking(move || history_of(&journal, placeholder)).await;
    Ok(read.map_err(|_| Problem::new(ProblemCode::InternalFault, "the journal could not be read"))??)
}

/// Stored as active, but not in force: said wherever the placeholder is shown.
fn mark(
    mut shown: PlaceholderView,
    ignored: &std::collections::BTreeMap<PlaceholderId, String>,
) -> PlaceholderView {
    if let Some(why) = ignored.get(&shown.id) {
        shown.why = Some(why.clone());
    }
    if ignored.contains_key(&shown.id) && shown.state == "active" {
        shown.state = "unverified".into();
    }
    shown
}

pub(crate) async fn issue(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Body(new): Body<NewPlaceholder>,
) -> Result<Json<IssuedPlaceholder>, Problem> {
    to_the_end(async move { issue_one(&admin, by, new).await }).await
}

async fn issue_one(admin: &Admin, by: Peer, new: NewPlaceholder) -> Result<IssuedPlaceholder, Problem> {
    let policy = parse(&new.file, &new.policy)?;
    let act = Act::begin(admin, by).await?;
    let credential = find::credential(&act.rows, &new.credential)?.clone();
    let workload = find::workload(&act.rows, &new.workload)?.clone();
    require_destinations_within(&policy, &credential)?;
    require_fit_places(&policy, &credential)?;
    if new.uses == Some(0) {
        return Err(Problem::new(ProblemCode::MalformedRequest, "a placeholder has at least 1 use"));
    }
    let holder = new.holder.unwrap_or(Proofs::KEY);
    require_provable(holder, &workload)?;
    let parent = new.parent.as_deref().map(|id| find::placeholder(&act.rows, id)).transpose()?;
    let end_of_parent = parent.and_then(|parent| parent.expires).filter(|_| new.at_the_latest);
    let end = |own: Option<Timestamp>| own.map(|own| end_of_parent.map_or(own, |latest| own.min(latest)));
    let requester = requester(admin, by, new.requester)?;
    let minted = admin.lookup_key.mint(&credential.shape)?;
    let created = Timestamp::now();
    let begins = new.begins_in.map(|seconds| created.plus(Duration::from_secs(seconds)));
    if new.begins_in.zip(new.expires_in).is_some_and(|(begin, end)| begin >= end) {
        return Err(Problem::new(
            ProblemCode::MalformedRequest,
            "the placeholder would end before it begins",
        )
        .hinting("let --expires be longer than --not-before"));
    }
    let row = PlaceholderRecord {
        id: PlaceholderId::fresh()?,
        credential: credential.id,
        workload: workload.id,
        core: minted.core,
        text: minted.hash,
        policy: policy.to_stored(),
        created,
        not_before: begins,
        expires: end(new.expires_in.map(|seconds| created.plus(Duration::from_secs(seconds)))),
        daily: new.daily,
        holder,
        uses: new.uses,
        used: 0,
        state: PlaceholderState::Pending,
        on_misuse: new.on_misuse,
        parent: parent.map(|parent| parent.id),
        frozen: None,
        end: None,
    };
    if let Some(parent) = parent {
        require_within(&row, &policy, parent, &act.rows)?;
    }
    let approval = ApprovalRecord {
        id: ApprovalId::fresh()?,
        placeholder: row.id,
        created,
        decided: None,
        signatures: Vec::new(),
        denied: false,
        requester: Some(requester),
        generation: admin.pin_generation.then_some(credential.generation),
        withdrawn: None,
        expires: new
            .approval_expires_in
            .map(Duration::from_secs)
            .or(admin.approval_lifetime)
            .map(|span| created.plus(span)),
    };
    let grant = Grant::from_rows(&row, &credential, &workload)
        .map_err(|why| Problem::new(ProblemCode::InternalFault, why))?
        .asked_by(&approval);
    let uncaptured = policy.uncaptured(&admin.services);
    let warnings = policy.lint().into_iter().chain(uncaptured.iter().map(Finding::line));
    let warnings = warnings.chain(admin.approvers().shortfall(&grant)).collect();
    let (claim, code) = wrap(admin, &minted.text, &row, new.wrapped)?.unzip();
    let issued = IssuedPlaceholder {
        id: row.id,
        placeholder: code.is_none().then(|| minted.text.reveal().to_owned()),
        claim: code,
        state: row.state.as_str().into(),
        approval: approval.id,
        credential: credential.name,
        workload: workload.name,
        expires: row.expires.map(|end| end.to_string()),
        uses: row.uses,
        warnings,
    };
    endow(admin, &row, &act.rows)?;
    let stored = || match claim {
        None => admin.store.add_placeholder(row, approval),
        Some(claim) => admin.store.add_placeholder_to_claim(row, approval, claim),
    };
    act.carry_out("placeholder issued", issued.id.to_string(), None, stored).await?;
    Ok(issued)
}

/// What is kept and what is shown of a placeholder that its workload fetches within so many seconds.
fn wrap(
    admin: &Admin,
    text: &PlaceholderText,
    row: &PlaceholderRecord,
    seconds: Option<u64>,
) -> Result<Option<(ClaimRecord, IssuedClaim)>, Problem> {
    let Some(seconds) = seconds else { return Ok(None) };
    let no_random = || Problem::new(ProblemCode::InternalFault, "the operating system gives no random bytes");
    let wrapped = admin.lookup_key.wrap(text, row.id).ok_or_else(no_random)?;
    let expires = row.created.plus(Duration::from_secs(seconds));
    let claim = ClaimRecord {
        code: wrapped.index,
        placeholder: row.id,
        sealed: Some(wrapped.sealed),
        created: row.created,
        expires,
        claimed: None,
    };
    let shown = IssuedClaim { code: wrapped.code.reveal().to_owned(), expires: expires.to_string() };
    Ok(Some((claim, shown)))
}

/// SECURITY: what a workload can never show would make a placeholder that nobody can use; said now rather than at the first call.
fn require_provable(holder: Proofs, workload: &WorkloadRecord) -> Result<(), Problem> {
    let lacking = holder.lacking(workload.marks.provable());
    if lacking.is_empty() {
        return Ok(());
    }
    let text = format!("workload {:?} cannot show {lacking}", workload.name.as_str());
    Err(Problem::new(ProblemCode::MalformedRequest, text).hinting(
        "a workload is given a certificate, a uid or networks when it is added: cloakroom workload add NAME --mtls --uid N --from CIDR",
    ))
}

/// Who asks, as the approval's text will say. SECURITY: an approver who asks says so, or is found out by whoever reads the
/// text; where the asker's own signature must not count, somebody has to be named.
fn requester(admin: &Admin, by: Peer, named: Option<String>) -> Result<String, Problem> {
    let approvers = admin.approvers();
    let known = |name: &String| approvers.members().iter().any(|member| member.name() == name);
    match named {
        Some(name) if known(&name) => Ok(name),
        Some(_) => Err(Problem::new(ProblemCode::MalformedRequest, "the requester is not the name of an approver")
            .hinting("list them: cloakroom approver list")),
        None if approvers.rules().not_requester => {
            Err(Problem::new(ProblemCode::MalformedRequest, "nobody is named who asks for the placeholder").hinting(
                "the setting not-requester keeps whoever asks from approving: --requester NAME, an approver's name",
            ))
        }
        None => Ok(by.to_string()),
    }
}

fn parse(file: &str, text: &str) -> Result<Policy, Problem> {
    Policy::parse(file, text).map_err(|complaints| {
        let first = complaints.first().map(|c| format!("{}:{}:{}: {}", c.file, c.line, c.column, c.message));
        Problem::new(ProblemCode::BadPolicy, first.unwrap_or_else(|| "the policy does not parse".into()))
            .complaining(complaints.into_iter().map(Into::into).collect())
    })
}

/// What descends from a placeholder is narrower in everything.
fn require_within(
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

/// The uses of a placeholder that descends from a counted one are that one's: a family has no more together than its first.
fn endow(admin: &Admin, row: &PlaceholderRecord, rows: &Rows) -> Result<(), Problem> {
    let counted =
        |id: &PlaceholderId| rows.placeholders.iter().any(|one| one.id == *id && one.uses.is_some());
    let Some((parent, uses)) = row.parent.filter(counted).zip(row.uses) else { return Ok(()) };
    admin.uses.endow(row.id, parent, uses).map_err(|error| match error {
        NotSpent::Gone(parent) => {
            Problem::new(ProblemCode::Conflict, format!("placeholder {parent} has not that many uses left"))
        }
        NotSpent::Journal(error) => error.into(),
    })
}

fn require_destinations_within(policy: &Policy, credential: &CredentialRecord) -> Result<(), Problem> {
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
fn require_fit_places(policy: &Policy, credential: &CredentialRecord) -> Result<(), Problem> {
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

pub(crate) async fn revoke(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(placeholder): Path<String>,
) -> Result<Json<PlaceholderView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        let row = find::placeholder(&act.rows, &placeholder)?.clone();
        if row.state == PlaceholderState::Revoked {
            return show_one(&act.rows, row.id);
        }
        let ids = family(&act.rows, row.id);
        let subjects: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let stored = || admin.store.change_placeholders(ids.clone(), Change::Revoke, Timestamp::now());
        let rows = act.carry_out_all(Change::Revoke.act(), &subjects, stored).await?;
        show_one(&rows, row.id)
    })
    .await
}

/// Of a credential, of a workload, or all: as one act.
pub(crate) async fn revoke_many(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Body(which): Body<Revocation>,
) -> Result<Json<Revoked>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        let ids = chosen(&act.rows, &which)?;
        if ids.is_empty() {
            return Ok(Revoked { revoked: ids });
        }
        let subjects: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let stored = || admin.store.change_placeholders(ids.clone(), Change::Revoke, Timestamp::now());
        act.carry_out_all(Change::Revoke.act(), &subjects, stored).await?;
        Ok(Revoked { revoked: ids })
    })
    .await
}

/// SECURITY: a request that names nothing, or two things, revokes nothing rather than everything.
fn chosen(rows: &Rows, which: &Revocation) -> Result<Vec<PlaceholderId>, Problem> {
    let standing = rows.placeholders.iter().filter(|row| row.state != PlaceholderState::Revoked);
    let ids = |is_meant: &dyn Fn(&PlaceholderRecord) -> bool| {
        standing.filter(|row| is_meant(row)).map(|row| row.id).collect()
    };
    match (&which.credential, &which.workload, which.all) {
        (Some(name), None, false) => {
            let credential = find::credential(rows, name)?.id;
            Ok(ids(&|row| row.credential == credential))
        }
        (None, Some(name), false) => {
            let workload = find::workload(rows, name)?.id;
            Ok(ids(&|row| row.workload == workload))
        }
        (None, None, true) => Ok(ids(&|_| true)),
        _ => Err(Problem::new(ProblemCode::MalformedRequest, "it is not said which placeholders are meant")
            .hinting("name a credential, or a workload, or all")),
    }
}

pub(crate) async fn freeze(
    admin: State<Arc<Admin>>,
    by: Extension<Peer>,
    placeholder: Path<String>,
) -> Result<Json<PlaceholderView>, Problem> {
    change(admin, by, placeholder, Change::Freeze).await
}

pub(crate) async fn thaw(
    admin: State<Arc<Admin>>,
    by: Extension<Peer>,
    placeholder: Path<String>,
) -> Result<Json<PlaceholderView>, Problem> {
    change(admin, by, placeholder, Change::Thaw).await
}

async fn change(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(placeholder): Path<String>,
    change: Change,
) -> Result<Json<PlaceholderView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        let row = find::placeholder(&act.rows, &placeholder)?.clone();
        let (life, now) = (row.life(), Timestamp::now());
        let Some(next) = life.after(change, now) else {
            let text = format!("placeholder {} is {}, which is for good", row.id, life.stage());
            return Err(Problem::new(ProblemCode::Conflict, text).hinting("issue a new placeholder"));
        };
        if next == life {
            return show_one(&act.rows, row.id);
        }
        let stored = || admin.store.change_placeholders(vec![row.id], change, now);
        let rows = act.carry_out(change.act(), row.id.to_string(), None, stored).await?;
        show_one(&rows, row.id)
    })
    .await
}

/// A placeholder and all that descend from it, in id order, without those that are revoked already: each is a record of its own.
pub(crate) fn family(rows: &Rows, first: PlaceholderId) -> Vec<PlaceholderId> {
    let mut family = vec![first];
    // Descendants are younger than what they descend from, and rows are in id order; one that says otherwise was edited.
    for row in &rows.placeholders {
        if row.parent.is_some_and(|parent| family.contains(&parent)) && !family.contains(&row.id) {
            family.push(row.id);
        }
    }
    let revoked = |id: &PlaceholderId| {
        rows.placeholders.iter().any(|row| row.id == *id && row.state == PlaceholderState::Revoked)
    };
    family.retain(|id| !revoked(id));
    family
}

fn show_one(rows: &Rows, id: PlaceholderId) -> Result<PlaceholderView, Problem> {
    view::placeholder(find::placeholder(rows, &id.to_string())?, rows)
}
