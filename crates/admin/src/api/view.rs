//! Rows as shown: names instead of ids, states as they are now. Nothing of a sealed secret is here.

use crate::wire::{
    ApprovalView, ClaimView, CredentialView, LeaseView, PlaceholderView, RenewalView, SourceView,
    WorkloadView,
};
use crate::{Problem, ProblemCode};
use cloakroom_egress::Health;
use cloakroom_egress::custody::SourceReport;
use cloakroom_model::{
    ApprovalRecord, ClaimRecord, CredentialId, CredentialRecord, LeaseRecord, PlaceholderId,
    PlaceholderRecord, PlaceholderState, Rows, Timestamp, WorkloadId, WorkloadRecord,
};
use cloakroom_policy::{Approvers, Grant, Policy};

/// Rows, found by what others say of them. A few are looked for one after the other; the console has places for all of them.
pub(crate) trait Relations {
    fn credential(&self, id: CredentialId) -> Option<&CredentialRecord>;
    fn workload(&self, id: WorkloadId) -> Option<&WorkloadRecord>;
    fn placeholder(&self, id: PlaceholderId) -> Option<&PlaceholderRecord>;
    /// The approvals of a placeholder, in the order in which they were asked for.
    fn approvals_of(&self, id: PlaceholderId) -> impl Iterator<Item = &ApprovalRecord>;
    fn placeholders(&self) -> &[PlaceholderRecord];
}

impl Relations for Rows {
    fn credential(&self, id: CredentialId) -> Option<&CredentialRecord> {
        self.credentials.iter().find(|row| row.id == id)
    }

    fn workload(&self, id: WorkloadId) -> Option<&WorkloadRecord> {
        self.workloads.iter().find(|row| row.id == id)
    }

    fn placeholder(&self, id: PlaceholderId) -> Option<&PlaceholderRecord> {
        self.placeholders.iter().find(|row| row.id == id)
    }

    fn approvals_of(&self, id: PlaceholderId) -> impl Iterator<Item = &ApprovalRecord> {
        self.approvals.iter().filter(move |row| row.placeholder == id)
    }

    fn placeholders(&self) -> &[PlaceholderRecord] {
        &self.placeholders
    }
}

/// The placeholder's state as the data plane sees it.
pub(crate) fn state(row: &PlaceholderRecord, rows: &impl Relations, now: Timestamp) -> &'static str {
    let credential_is_gone = rows.credential(row.credential).is_some_and(|c| c.removed.is_some());
    let workload_is_gone = rows.workload(row.workload).is_some_and(|w| w.removed.is_some());
    let ancestors = || ancestors(row, rows);
    match row.state {
        PlaceholderState::Active if ancestors().any(|one| one.state != PlaceholderState::Active) => "revoked",
        PlaceholderState::Pending | PlaceholderState::Active if credential_is_gone || workload_is_gone => {
            "revoked"
        }
        PlaceholderState::Pending | PlaceholderState::Active if row.expires.is_some_and(|end| end <= now) => {
            "expired"
        }
        PlaceholderState::Active if approval_ended(row, rows, now) => "expired",
        PlaceholderState::Active if row.uses.is_some_and(|uses| row.used >= uses) => "spent",
        PlaceholderState::Pending | PlaceholderState::Active
            if row.frozen.is_some() || ancestors().any(|one| one.frozen.is_some()) =>
        {
            "frozen"
        }
        PlaceholderState::Active
            if row.not_before.is_some_and(|begin| now < begin)
                || row.daily.is_some_and(|hours| !hours.hold(now)) =>
        {
            "not-yet"
        }
        state => state.as_str(),
    }
}

/// Whether the approval that a placeholder rests on is past its own end.
fn approval_ended(row: &PlaceholderRecord, rows: &impl Relations, now: Timestamp) -> bool {
    let granted = |one: &&ApprovalRecord| one.decided.is_some() && !one.denied;
    let mut ends = rows.approvals_of(row.id).filter(granted).map(|one| one.expires).peekable();
    ends.peek().is_some() && ends.all(|end| end.is_some_and(|end| end <= now))
}

fn ancestors<'a>(
    row: &'a PlaceholderRecord,
    rows: &'a impl Relations,
) -> impl Iterator<Item = &'a PlaceholderRecord> {
    let parent = |row: &PlaceholderRecord| row.parent.and_then(|parent| rows.placeholder(parent));
    // No family is deeper than that; one that says so was edited.
    std::iter::successors(parent(row), move |row| parent(row)).take(16)
}

/// Whether it is good for something, or may yet be.
pub(crate) fn counts(row: &PlaceholderRecord, rows: &impl Relations, now: Timestamp) -> bool {
    matches!(state(row, rows, now), "pending" | "active" | "frozen" | "not-yet")
}

pub(crate) fn credential(row: &CredentialRecord, rows: &impl Relations) -> CredentialView {
    let now = Timestamp::now();
    let standing = rows.placeholders().iter().filter(|p| p.credential == row.id && counts(p, rows, now));
    CredentialView {
        id: row.id,
        name: row.name.clone(),
        kind: row.kind,
        destinations: row.destinations.clone(),
        generation: row.generation,
        created: row.created.to_string(),
        rotated: row.rotated.to_string(),
        placeholders: standing.count(),
        certificate_expires: None,
        renewal: None,
        revocation: None,
        source: None,
    }
}

/// How the making of access tokens goes.
pub(crate) fn renewal(health: &Health) -> RenewalView {
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    RenewalView {
        state: health.state(Timestamp::now()).into(),
        last: text(health.last),
        next: text(health.next),
        ends: text(health.ends),
        code: health.failed.map(|(code, _)| code),
        reason: health.failed.map(|(_, reason)| reason.into()),
    }
}

/// Where the secret lives, as custody tells it.
pub(crate) fn source(report: SourceReport) -> SourceView {
    SourceView {
        from: report.from.to_owned(),
        place: report.place,
        login: report.login.map(str::to_owned),
        read: report.read.map(|at| at.to_string()),
        lease: report.lease,
        trouble: report.trouble.map(str::to_owned),
    }
}

pub(crate) fn lease(row: &LeaseRecord, rows: &Rows) -> LeaseView {
    let named = rows.credentials.iter().find(|one| one.id == row.credential);
    LeaseView {
        id: row.id,
        credential: named.map_or_else(|| row.credential.to_string(), |one| one.name.to_string()),
        generation: row.generation,
        state: row.state.to_string(),
        asked: row.asked.to_string(),
        expires: row.expires.map(|end| end.to_string()),
        attempts: row.attempts,
        trouble: row.trouble.clone(),
    }
}

pub(crate) fn workload(row: &WorkloadRecord, rows: &Rows) -> WorkloadView {
    let now = Timestamp::now();
    let bound = rows.placeholders.iter().filter(|p| p.workload == row.id && counts(p, rows, now));
    WorkloadView {
        id: row.id,
        name: row.name.clone(),
        created: row.created.to_string(),
        certificate: row.marks.certificate,
        uid: row.marks.uid,
        cid: row.marks.guest.map(|guest| guest.cid),
        networks: row.marks.networks.clone(),
        placeholders: bound.count(),
    }
}

pub(crate) fn placeholder(row: &PlaceholderRecord, rows: &Rows) -> Result<PlaceholderView, Problem> {
    let policy = policy(row)?;
    Ok(PlaceholderView {
        id: row.id,
        state: state(row, rows, Timestamp::now()).into(),
        credential: credential_of(row, rows)?.name.clone(),
        workload: workload_of(row, rows)?.name.clone(),
        approval: rows.approvals.iter().rev().find(|a| a.placeholder == row.id).map(|a| a.id),
        created: row.created.to_string(),
        not_before: row.not_before.map(|begin| begin.to_string()),
        parent: row.parent,
        frozen: row.frozen.map(|since| since.to_string()),
        expires: row.expires.map(|end| end.to_string()),
        daily: row.daily,
        holder: row.holder,
        uses: row.uses,
        used: row.used,
        destinations: policy.destinations(),
        history: None,
        claim: None,
        policy: None,
        why: None,
    })
}

/// How a placeholder is fetched.
pub(crate) fn claim(row: &ClaimRecord, now: Timestamp) -> ClaimView {
    let state = match &row.claimed {
        Some(_) => "claimed",
        None if row.expires <= now => "lapsed",
        None => "waiting",
    };
    ClaimView {
        state: state.into(),
        expires: row.expires.to_string(),
        claimed: row.claimed.as_ref().map(|claimed| claimed.at.to_string()),
        claimed_from: row.claimed.as_ref().map(|claimed| claimed.by.clone()),
    }
}

pub(crate) fn approval(
    row: &ApprovalRecord,
    rows: &Rows,
    approvers: &Approvers,
) -> Result<ApprovalView, Problem> {
    let placeholder = placeholder_of(row, rows)?;
    let ended = row.expires.is_some_and(|end| end <= Timestamp::now());
    let state = match (row.decided, row.withdrawn, row.denied) {
        (_, Some(_), _) => "withdrawn",
        (_, _, true) => "denied",
        _ if ended => "expired",
        (Some(_), ..) => "granted",
        (None, ..) if state(placeholder, rows, Timestamp::now()) == "pending" => "pending",
        (None, ..) => "moot",
    };
    let tally = approvers.tally_among(&grant_of(row, rows)?, &row.signatures, rows);
    Ok(ApprovalView {
        id: row.id,
        kind: "placeholder".into(),
        state: state.into(),
        placeholder: Some(row.placeholder),
        credential: Some(credential_of(placeholder, rows)?.name.clone()),
        workload: Some(workload_of(placeholder, rows)?.name.clone()),
        created: row.created.to_string(),
        decided: row.decided.map(|at| at.to_string()),
        requester: row.requester.clone(),
        signed: tally.signed.into_iter().collect(),
        needed: tally.needed,
        expires: row.expires.map(|end| end.to_string()),
    })
}

/// What the approval asks an approver to sign.
pub(crate) fn grant_of(row: &ApprovalRecord, rows: &Rows) -> Result<Grant, Problem> {
    let placeholder = placeholder_of(row, rows)?;
    let grant =
        Grant::from_rows(placeholder, credential_of(placeholder, rows)?, workload_of(placeholder, rows)?);
    let grant = grant.map_err(|why| dangling(format!("approval {} cannot be shown: {why}", row.id)))?;
    Ok(grant.asked_by(row))
}

pub(crate) fn policy(row: &PlaceholderRecord) -> Result<Policy, Problem> {
    Policy::from_stored(&row.policy)
        .map_err(|why| dangling(format!("the stored policy of {} does not parse: {why}", row.id)))
}

pub(crate) fn credential_of<'a>(
    row: &PlaceholderRecord,
    rows: &'a Rows,
) -> Result<&'a CredentialRecord, Problem> {
    let found = rows.credentials.iter().find(|c| c.id == row.credential);
    found.ok_or_else(|| dangling(format!("the store has no row for {}", row.credential)))
}

pub(crate) fn workload_of<'a>(
    row: &PlaceholderRecord,
    rows: &'a Rows,
) -> Result<&'a WorkloadRecord, Problem> {
    let found = rows.workloads.iter().find(|w| w.id == row.workload);
    found.ok_or_else(|| dangling(format!("the store has no row for {}", row.workload)))
}

pub(crate) fn placeholder_of<'a>(
    row: &ApprovalRecord,
    rows: &'a Rows,
) -> Result<&'a PlaceholderRecord, Problem> {
    let found = rows.placeholders.iter().find(|p| p.id == row.placeholder);
    found.ok_or_else(|| dangling(format!("the store has no row for {}", row.placeholder)))
}

fn dangling(detail: String) -> Problem {
    Problem::new(ProblemCode::StoreFailed, detail)
}
