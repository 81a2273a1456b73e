//! Issuing: what is asked for is checked against the rows there are, minted, and kept as pending until approvers have signed.

use super::fit::{require_destinations_within, require_fit_places, require_provable, require_within};
use super::input::Body;
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::identity::Caller;
use crate::peer::Peer;
use crate::wire::{IssuedClaim, IssuedPlaceholder, NewPlaceholder};
use crate::{Problem, ProblemCode, find};
use axum::extract::State;
use axum::{Extension, Json};
use cloakroom_model::placeholder::Minted;
use cloakroom_model::{
    ApprovalId, ApprovalRecord, ClaimRecord, CredentialRecord, PlaceholderId, PlaceholderRecord,
    PlaceholderState, PlaceholderText, Proofs, Rows, SignOnSubject, Timestamp, WorkloadRecord,
};
use cloakroom_policy::{Finding, Grant, Policy};
use cloakroom_store::NotSpent;
use std::sync::Arc;
use std::time::Duration;

pub(crate) async fn issue(
    State(admin): State<Arc<Admin>>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<NewPlaceholder>,
) -> Result<Json<IssuedPlaceholder>, Problem> {
    to_the_end(async move { issue_one(&admin, &caller, new).await }).await
}

pub(crate) async fn issue_one(
    admin: &Admin,
    caller: &Caller,
    new: NewPlaceholder,
) -> Result<IssuedPlaceholder, Problem> {
    let policy = parse(&new.file, &new.policy)?;
    let act = Act::begin(admin, caller.by().clone()).await?;
    let order = Order::checked(new, policy, &act.rows)?;
    let requester = requester(admin, caller, order.new.requester.clone())?;
    let minted = admin.lookup_key.mint(&order.credential.shape)?;
    let row = order.row(&minted)?;
    order.require_within(&row, &act.rows)?;
    let approval = order.approval(admin, &row, requester)?;
    let warnings = order.warnings(admin, &row, &approval)?;
    let (claim, code) = wrap(admin, &minted.text, &row, order.new.wrapped)?.unzip();
    let issued = IssuedPlaceholder {
        id: row.id,
        placeholder: code.is_none().then(|| minted.text.reveal().to_owned()),
        claim: code,
        state: row.state.as_str().into(),
        approval: approval.id,
        credential: order.credential.name,
        workload: order.workload.name,
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

/// What is asked for, with what it names, found among the rows.
struct Order {
    new: NewPlaceholder,
    policy: Policy,
    credential: CredentialRecord,
    workload: WorkloadRecord,
    parent: Option<PlaceholderRecord>,
    holder: Proofs,
    created: Timestamp,
}

impl Order {
    /// Whatever does not depend on the placeholder itself holds.
    fn checked(new: NewPlaceholder, policy: Policy, rows: &Rows) -> Result<Self, Problem> {
        let credential = find::credential(rows, &new.credential)?.clone();
        let workload = find::workload(rows, &new.workload)?.clone();
        require_destinations_within(&policy, &credential)?;
        require_fit_places(&policy, &credential)?;
        if new.uses == Some(0) {
            return Err(Problem::new(ProblemCode::MalformedRequest, "a placeholder has at least 1 use"));
        }
        let holder = new.holder.unwrap_or(Proofs::KEY);
        require_provable(holder, &workload)?;
        let parent = new.parent.as_deref().map(|id| find::placeholder(rows, id)).transpose()?.cloned();
        if new.begins_in.zip(new.expires_in).is_some_and(|(begin, end)| begin >= end) {
            let detail = "the placeholder would end before it begins";
            return Err(Problem::new(ProblemCode::MalformedRequest, detail)
                .hinting("let --expires be longer than --not-before"));
        }
        Ok(Self { new, policy, credential, workload, parent, holder, created: Timestamp::now() })
    }

    /// The placeholder as it is kept.
    fn row(&self, minted: &Minted) -> Result<PlaceholderRecord, Problem> {
        Ok(PlaceholderRecord {
            id: PlaceholderId::fresh()?,
            credential: self.credential.id,
            workload: self.workload.id,
            core: minted.core,
            text: minted.hash,
            policy: self.policy.to_stored(),
            created: self.created,
            not_before: self.new.begins_in.map(|seconds| self.after(seconds)),
            expires: self.end(),
            daily: self.new.daily,
            holder: self.holder,
            uses: self.new.uses,
            used: 0,
            state: PlaceholderState::Pending,
            on_misuse: self.new.on_misuse,
            parent: self.parent.as_ref().map(|parent| parent.id),
            frozen: None,
            end: None,
        })
    }

    /// Its own end, or that of the placeholder it descends from where it may end earlier.
    fn end(&self) -> Option<Timestamp> {
        let of_parent = self.parent.as_ref().and_then(|parent| parent.expires);
        let latest = of_parent.filter(|_| self.new.at_the_latest);
        let own = self.after(self.new.expires_in?);
        Some(latest.map_or(own, |latest| own.min(latest)))
    }

    fn after(&self, seconds: u64) -> Timestamp {
        self.created.plus(Duration::from_secs(seconds))
    }

    fn require_within(&self, row: &PlaceholderRecord, rows: &Rows) -> Result<(), Problem> {
        self.parent.as_ref().map_or(Ok(()), |parent| require_within(row, &self.policy, parent, rows))
    }

    fn approval(
        &self,
        admin: &Admin,
        row: &PlaceholderRecord,
        requester: String,
    ) -> Result<ApprovalRecord, Problem> {
        let span = self.new.approval_expires_in.map(Duration::from_secs).or(admin.approval_lifetime);
        Ok(ApprovalRecord {
            id: ApprovalId::fresh()?,
            placeholder: row.id,
            created: self.created,
            decided: None,
            signatures: Vec::new(),
            denied: false,
            requester: Some(requester),
            generation: admin.pin_generation.then_some(self.credential.generation),
            withdrawn: None,
            expires: span.map(|span| self.created.plus(span)),
        })
    }

    /// What is legal, but wide, or leads nowhere.
    fn warnings(
        &self,
        admin: &Admin,
        row: &PlaceholderRecord,
        approval: &ApprovalRecord,
    ) -> Result<Vec<String>, Problem> {
        let grant = Grant::from_rows(row, &self.credential, &self.workload)
            .map_err(|why| Problem::new(ProblemCode::InternalFault, why))?
            .asked_by(approval);
        let uncaptured = self.policy.uncaptured(&admin.services);
        let findings = self.policy.lint().into_iter().chain(uncaptured.iter().map(Finding::line));
        Ok(findings.chain(admin.approvers().shortfall(&grant)).collect())
    }
}

/// Who asks, as the approval's text will say. SECURITY: an approver at the broker's own machine who asks says so, or is found out by
/// whoever reads the text; where the asker's own signature must not count, somebody has to be named. An approver who has logged in, or
/// made the API token that asks, is known by the passkey and cannot name another.
fn requester(admin: &Admin, caller: &Caller, named: Option<String>) -> Result<String, Problem> {
    let approvers = admin.approvers();
    let known = |name: &str| approvers.members().iter().any(|member| member.name() == name);
    let is_own = |key: &str| approvers.members().iter().find(|member| member.key_text() == key);
    if let Some(own) = caller.key().and_then(is_own) {
        return Ok(own.name().to_owned());
    }
    match caller.by() {
        Peer::Person(person) if !has_passkey(caller) && known(person) => return Ok(person.to_string()),
        _ => {}
    }
    // SECURITY: whom a group lets in has neither a passkey nor a row that would say which approver it is, so nothing would keep
    // an approver who comes so from naming another one and signing.
    if caller.is_by_groups() && (named.is_some() || approvers.rules().not_requester) {
        let detail = "whom a provider's group lets in names no requester, and where not-requester holds asks for no placeholder";
        return Err(Problem::new(ProblemCode::RoleMissing, detail)
            .hinting("somebody who is a member here asks for it: docs/access.md"));
    }
    match named {
        Some(name) if known(&name) => Ok(name),
        Some(_) => Err(Problem::new(ProblemCode::MalformedRequest, "the requester is not the name of an approver")
            .hinting("list them: cloakroom approver list")),
        None if approvers.rules().not_requester => {
            Err(Problem::new(ProblemCode::MalformedRequest, "nobody is named who asks for the placeholder").hinting(
                "the setting not-requester keeps whoever asks from approving: --requester NAME, an approver's name",
            ))
        }
        None => Ok(caller.by().to_string()),
    }
}

/// Whoever came by single sign-on has shown none.
fn has_passkey(caller: &Caller) -> bool {
    caller.key().is_some_and(|key| key.parse::<SignOnSubject>().is_err())
}

fn parse(file: &str, text: &str) -> Result<Policy, Problem> {
    Policy::parse(file, text).map_err(|complaints| {
        let first = complaints.first().map(|c| format!("{}:{}:{}: {}", c.file, c.line, c.column, c.message));
        Problem::new(ProblemCode::BadPolicy, first.unwrap_or_else(|| "the policy does not parse".into()))
            .complaining(complaints.into_iter().map(Into::into).collect())
    })
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
