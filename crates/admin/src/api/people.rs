//! People who use the console: invited by a link, listed, removed; and who the caller is.

use super::approvers::full;
use super::input::Body;
use super::page::{Listed, Page};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::ballot::{Full, Invitation, LINK};
use crate::identity::Caller;
use crate::peer::Peer;
use crate::wire::{MemberView, NewMember, NewSubject, PasskeyLink, WhoView};
use crate::{Problem, ProblemCode, find, secret_text};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::{MemberId, MemberRecord, Name, Role, Roles, SignOnSubject, Timestamp};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the link for the first person is good: it is made at each start until somebody used it.
const FIRST: Duration = Duration::from_secs(3600);

/// Who the caller is.
pub(crate) async fn whoami(Extension(caller): Extension<Caller>) -> Json<WhoView> {
    Json(WhoView {
        name: caller.by().to_string(),
        roles: caller.roles().clone(),
        session: caller.session().map(|row| row.id),
    })
}

pub(crate) async fn list(State(admin): State<Arc<Admin>>, page: Page) -> Result<Listed<MemberView>, Problem> {
    let members = admin.store.members().await?;
    let live = members.iter().filter(|row| row.removed.is_none());
    Ok(page.of(live.map(|row| view(&admin, row)).collect(), |one| one.id.to_string()))
}

/// A link by which somebody makes a passkey in a browser and may then log in.
pub(crate) async fn invite(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Body(new): Body<NewMember>,
) -> Result<Json<PasskeyLink>, Problem> {
    to_the_end(async move {
        if new.roles.is_empty() {
            return Err(Problem::new(ProblemCode::MalformedRequest, "a member has at least one role")
                .hinting("the roles are operator, approver, auditor and reader"));
        }
        require_free(&admin.store.members().await?, new.name.as_str())?;
        let act = Act::begin(&admin, by).await?;
        act.note("member invited", &format!("{} ({})", new.name, new.roles), None).await?;
        let approver = new.roles.has(Role::Approver);
        open(&admin, Invitation { name: new.name, roles: new.roles.without(Role::Approver), approver }, LINK)
    })
    .await
}

/// Lets somebody log in by single sign-on: whoever the provider knows by this subject, and nobody else.
pub(crate) async fn add(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Body(new): Body<NewSubject>,
) -> Result<Json<MemberView>, Problem> {
    to_the_end(async move {
        let malformed = |detail: &str| Problem::new(ProblemCode::MalformedRequest, detail);
        let sign_on = admin.sign_on.as_ref().ok_or_else(|| {
            Problem::new(ProblemCode::Conflict, "the console knows no provider of single sign-on")
                .hinting("see [console.single-sign-on] in docs/settings.md")
        })?;
        if new.roles.has(Role::Approver) || new.roles.is_empty() {
            return Err(malformed("by single sign-on one is operator, auditor or reader")
                .hinting("to approve takes a passkey: cloakroom approver enrol NAME --passkey"));
        }
        let subject = SignOnSubject::new(&sign_on.provider.issuer, &new.subject);
        let subject = subject.ok_or_else(|| malformed("the subject is empty, too long or not printable"))?;
        keep(&admin, by, new.name, new.roles, subject.to_string()).await
    })
    .await
}

/// Opens a link that is good once.
pub(crate) fn open(admin: &Admin, invitation: Invitation, span: Duration) -> Result<PasskeyLink, Problem> {
    let code = secret_text::fresh("")?;
    let url = format!("{}/enrol/{code}", admin.ballots.party.origin());
    admin.ballots.invite(code, invitation, Instant::now() + span).map_err(|Full| full())?;
    Ok(PasskeyLink { url, seconds: span.as_secs() })
}

impl Admin {
    /// The link for the first person, where nobody can log in as operator yet. It is good once, for an hour.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub async fn first_link(&self) -> Result<Option<PasskeyLink>, Problem> {
        let members = self.store.members().await?;
        let can = |row: &MemberRecord| row.removed.is_none() && self.vouched_for(&row.key);
        if members.iter().any(|row| can(row) && row.roles.has(Role::Operator)) {
            return Ok(None);
        }
        let name = Name::parse("operator")
            .map_err(|error| Problem::new(ProblemCode::InternalFault, error.to_string()))?;
        let roles = [Role::Operator].into_iter().collect();
        open(self, Invitation { name, roles, approver: true }, FIRST).map(Some)
    }
}

/// Keeps somebody who is known by this key from now on.
pub(crate) async fn keep(
    admin: &Admin,
    by: Peer,
    name: Name,
    roles: Roles,
    key: String,
) -> Result<MemberView, Problem> {
    let act = Act::begin(admin, by).await?;
    let members = admin.store.members().await?;
    require_free(&members, name.as_str())?;
    if let Some(other) = members.iter().find(|row| row.removed.is_none() && row.key == key) {
        let detail = format!("member {:?} is known by this already", other.name.as_str());
        return Err(Problem::new(ProblemCode::NameTaken, detail));
    }
    let row = MemberRecord {
        id: MemberId::fresh()?,
        name: name.clone(),
        roles,
        key,
        created: Timestamp::now(),
        removed: None,
    };
    let (shown, id) = (view(admin, &row), row.id.to_string());
    act.carry_out("member added", id, Some(&name), || admin.store.add_member(row)).await?;
    Ok(shown)
}

/// Ends sessions and API tokens of that person too.
pub(crate) async fn remove(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(member): Path<String>,
) -> Result<Json<MemberView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        let members = admin.store.members().await?;
        let row = find::member(&members, &member)?.clone();
        let stored = || admin.store.remove_member(row.id, Timestamp::now());
        act.carry_out("member removed", row.id.to_string(), Some(&row.name), stored).await?;
        // What is left: whoever is an approver is one by the approvers' own changes.
        let roles = admin.with_approving(None, &row.key);
        Ok(MemberView { roles, ..view(&admin, &row) })
    })
    .await
}

fn require_free(members: &[MemberRecord], name: &str) -> Result<(), Problem> {
    if members.iter().any(|row| row.removed.is_none() && row.name.as_str() == name) {
        return Err(Problem::new(ProblemCode::NameTaken, format!("member {name:?} exists already")));
    }
    Ok(())
}

fn view(admin: &Admin, row: &MemberRecord) -> MemberView {
    let roles: Roles = admin.with_approving(Some(row), &row.key);
    let subject = row.key.parse::<SignOnSubject>().ok();
    MemberView {
        id: row.id,
        name: row.name.clone(),
        roles,
        subject: subject.map(|subject| subject.subject().to_owned()),
        created: row.created.to_string(),
    }
}
