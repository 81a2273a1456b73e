//! Rows become the policy in force: each approval is verified against the text rendered anew from the rows.

mod narrower;

use super::held::{Approved, Compiled, Grounds, Held, Standing};
use super::rate::Limit;
use super::workloads::Workloads;
use super::{CapturedSet, Ignored, PolicySet};
use crate::approver::Backwards;
use crate::permit::Permit;
use crate::session;
use crate::{Approvers, Grant};
use aws_lc_rs::digest::{Context, SHA256};
use cloakroom_model::{
    ApprovalRecord, CredentialId, CredentialRecord, LookupKey, PlaceholderId, PlaceholderRecord,
    PlaceholderState, Rows, Timestamp, WorkloadId, WorkloadRecord,
};
use std::collections::HashMap;
use std::sync::Arc;

impl PolicySet {
    /// ASSERTION POINT: makes these rows the policy in force. Approvals are verified here.
    ///
    /// A placeholder that is stored as active and does not hold up is [`Ignored`] and behaves as revoked. `approvers` are those
    /// that were trusted first; the changes among the rows are followed from them. `previous` carries rate-limit state over,
    /// and how far the changes had come.
    pub fn assert_active(
        rows: &Rows,
        approvers: &Approvers,
        key: Arc<LookupKey>,
        previous: Option<&Self>,
    ) -> (Self, Vec<Ignored>) {
        let last = previous.map(|previous| previous.head);
        let (now, broken) = match approvers.following(&rows.approver_changes, last) {
            Ok(now) => (now, None),
            // SECURITY: without a whole chain nobody is an approver, not even those before the change that is wrong.
            Err(why) => (approvers.nobody(), Some(why)),
        };
        let now = Arc::new(now);
        let mut activation = Activation::new(rows, &now, previous);
        let captured = previous.map(|previous| Arc::clone(&previous.captured));
        let captured = captured.unwrap_or_else(|| Arc::new(CapturedSet::new(Arc::clone(&key))));
        let mut set = Self::empty(key, Arc::clone(&now), captured);
        set.head = if broken.is_some() { last.unwrap_or(set.head) } else { set.head };
        set.broken = broken;
        set.workloads = Workloads::of(rows);
        for row in &rows.placeholders {
            let standing = activation.standing(row);
            set.insert(row, activation.held(row, standing), &mut activation.ignored);
        }
        set.index();
        (set, activation.ignored)
    }
}

/// How many generations a family has below its first, at most.
const OLDEST: usize = 8;

struct Activation<'a> {
    credentials: HashMap<CredentialId, &'a CredentialRecord>,
    workloads: HashMap<WorkloadId, &'a WorkloadRecord>,
    approvals: HashMap<PlaceholderId, Vec<&'a ApprovalRecord>>,
    /// Those that have descendants or may have.
    placeholders: HashMap<PlaceholderId, &'a PlaceholderRecord>,
    approvers: &'a Approvers,
    backwards: Backwards<'a>,
    previous: Option<&'a PolicySet>,
    signers: Vec<u8>,
    ignored: Vec<Ignored>,
}

impl<'a> Activation<'a> {
    fn new(rows: &'a Rows, approvers: &'a Approvers, previous: Option<&'a PolicySet>) -> Self {
        let mut approvals: HashMap<_, Vec<_>> = HashMap::new();
        for approval in &rows.approvals {
            approvals.entry(approval.placeholder).or_default().push(approval);
        }
        Self {
            credentials: rows.credentials.iter().map(|row| (row.id, row)).collect(),
            workloads: rows.workloads.iter().map(|row| (row.id, row)).collect(),
            approvals,
            placeholders: rows.placeholders.iter().map(|row| (row.id, row)).collect(),
            approvers,
            backwards: Backwards::of(rows),
            previous,
            signers: approvers.bytes(),
            ignored: Vec::new(),
        }
    }

    fn held(&self, row: &PlaceholderRecord, standing: Standing) -> Held {
        Held {
            id: row.id,
            text: row.text,
            credential: row.credential,
            credential_name: self.credentials.get(&row.credential).map(|row| row.name.clone()),
            workload: row.workload,
            not_before: row.not_before,
            expires: row.expires,
            daily: row.daily,
            holder: row.holder,
            frozen: row.frozen.is_some() || self.ancestors(row).flatten().any(|one| one.frozen.is_some()),
            uses: row.uses,
            on_misuse: row.on_misuse,
            standing,
            captured: None,
        }
    }

    fn standing(&mut self, row: &PlaceholderRecord) -> Standing {
        match row.state {
            PlaceholderState::Pending => Standing::Pending,
            PlaceholderState::Denied => Standing::Denied,
            PlaceholderState::Revoked => Standing::Revoked,
            PlaceholderState::Active if !self.ancestors_stand(row) => Standing::Revoked,
            PlaceholderState::Active => match self.check(row) {
                Ok(Check::Holds(approved)) => Standing::Active(Arc::new(approved)),
                Ok(Check::Retired) => Standing::Revoked,
                Err(why) => {
                    self.ignored.push(Ignored { placeholder: row.id, why });
                    Standing::Revoked
                }
            },
        }
    }

    /// The placeholders that it descends from, nearest first; `None` for one that is not there, or where there are too many.
    fn ancestors(&self, row: &PlaceholderRecord) -> impl Iterator<Item = Option<&'a PlaceholderRecord>> {
        let mut next = row.parent;
        let mut generations = 0;
        std::iter::from_fn(move || {
            let parent = next.take()?;
            generations += 1;
            let found = self.placeholders.get(&parent).copied().filter(|_| generations <= OLDEST);
            next = found.and_then(|found| found.parent);
            Some(found)
        })
    }

    /// Whether all that it descends from were granted and not revoked. Spent they may be: it has uses of its own.
    fn ancestors_stand(&self, row: &PlaceholderRecord) -> bool {
        self.ancestors(row).all(|one| one.is_some_and(|one| one.state == PlaceholderState::Active))
    }

    /// What an active placeholder may do, or in words why it does not count.
    fn check(&self, row: &PlaceholderRecord) -> Result<Check, String> {
        let credential =
            *self.credentials.get(&row.credential).ok_or("its credential is not in the store")?;
        let workload = *self.workloads.get(&row.workload).ok_or("its workload is not in the store")?;
        // Removing a credential or workload is an ordinary act, nothing to be loud about.
        if credential.removed.is_some() || workload.removed.is_some() {
            return Ok(Check::Retired);
        }
        let grounds = self.grounds(row, credential, workload);
        if let Some(before) = self.before(row.id).filter(|before| before.grounds == grounds) {
            let (permits, by_destination) = (Arc::clone(&before.permits), Arc::clone(&before.by_destination));
            return Ok(Check::Holds(Approved::known(grounds, permits, by_destination, before.ends)));
        }
        let grant = Grant::from_rows(row, credential, workload)?;
        require_destinations(&grant, credential)?;
        let ends = match self.require_approval(&grant, credential) {
            Ok(ends) => ends,
            Err(why) => self.lean(&grant, credential, workload).ok_or(why)?,
        };
        let permits = self.compile(row.id, grant.policy.permits().to_vec());
        Ok(Check::Holds(Approved::new(grounds, permits, ends)))
    }

    /// What the judgement of this row rests on: a change of one row does not verify ten thousand signatures again.
    fn grounds(
        &self,
        row: &PlaceholderRecord,
        credential: &CredentialRecord,
        workload: &WorkloadRecord,
    ) -> Grounds {
        let mut hash = Context::new(&SHA256);
        add(&mut hash, &self.signers);
        self.add_row(&mut hash, row, credential, workload);
        // What it may lean on decides too.
        if let Some(parent) = self.may_lean_on(row) {
            let rest = (parent.id, parent.text, parent.credential, parent.workload);
            let bounds = (parent.not_before, parent.expires, parent.uses);
            add(&mut hash, format!("{rest:?} {bounds:?}").as_bytes());
            self.add_row(&mut hash, parent, credential, workload);
        }
        Grounds {
            text: row.text,
            credential: credential.id,
            credential_name: credential.name.clone(),
            kind: credential.kind,
            destinations: credential.destinations.clone(),
            workload: workload.id,
            workload_name: workload.name.clone(),
            workload_key: workload.key,
            not_before: row.not_before,
            expires: row.expires,
            uses: row.uses,
            hash: finished(hash),
        }
    }

    /// What a row says beyond the facts that [`Grounds`] names, and who signed it.
    fn add_row(
        &self,
        hash: &mut Context,
        row: &PlaceholderRecord,
        credential: &CredentialRecord,
        workload: &WorkloadRecord,
    ) {
        add(hash, row.policy.as_bytes());
        add(hash, row.on_misuse.as_str().as_bytes());
        add(hash, format!("{:?} {:?} {:?}", row.daily, row.holder, workload.marks).as_bytes());
        add(hash, row.parent.map(|id| id.to_string()).unwrap_or_default().as_bytes());
        // With how many there are, what follows cannot be taken for one more of them.
        add(hash, &self.asked(row.id).count().to_be_bytes());
        for approval in self.asked(row.id) {
            let generation = approval.generation.map(|pinned| (pinned, credential.generation));
            add(hash, format!("{:?} {generation:?} {:?}", approval.requester, approval.expires).as_bytes());
            add(hash, &approval.signatures.len().to_be_bytes());
            for signature in &approval.signatures {
                add(hash, signature.key.as_bytes());
                add(hash, signature.signature.as_bytes());
                add(hash, &[u8::from(self.backwards.has(signature))]);
            }
        }
    }

    /// What held of this placeholder in the snapshot before.
    fn before(&self, id: PlaceholderId) -> Option<&'a Approved> {
        match &self.previous?.by_id.get(&id)?.standing {
            Standing::Active(approved) => Some(approved),
            _ => None,
        }
    }

    /// The approvals that could count.
    fn asked(&self, id: PlaceholderId) -> impl Iterator<Item = &'a ApprovalRecord> {
        let approvals = self.approvals.get(&id).map(Vec::as_slice).unwrap_or_default();
        approvals.iter().copied().filter(|approval| !approval.denied && approval.withdrawn.is_none())
    }

    /// When the approval that counts by the quorum ends, if it does.
    ///
    /// SECURITY: an approval counts by its own signatures alone: two that are half signed are none.
    fn require_approval(
        &self,
        grant: &Grant,
        credential: &CredentialRecord,
    ) -> Result<Option<Timestamp>, String> {
        let mut why = "no approver's signature verifies for it as it is stored".to_owned();
        for approval in self.asked(grant.placeholder) {
            let in_order = approval.signatures.iter().filter(|signature| !self.backwards.has(signature));
            let tally = self.approvers.tally(&grant.clone().asked_by(approval), in_order);
            if approval.generation.is_some_and(|generation| generation != credential.generation) {
                why = "the credential was rotated, and the approval covers one generation of it".into();
            } else if tally.is_complete() {
                return Ok(approval.expires);
            } else if !tally.signed.is_empty() {
                why = format!("{} of {} approvers' signatures verify", tally.signed.len(), tally.needed);
            }
        }
        Err(why)
    }

    fn compile(&self, id: PlaceholderId, permits: Vec<Permit>) -> Vec<Compiled> {
        let before = self.before(id).map(|before| &*before.permits).unwrap_or_default();
        let compile = |permit: Permit| {
            let same = before.iter().find(|compiled| compiled.permit == permit);
            let carried = same.and_then(|compiled| compiled.limit.clone());
            let limit = carried.or_else(|| permit.rate.map(|rate| Arc::new(Limit::new(rate))));
            let session = session::policy(&permit).map(Arc::from);
            Compiled { permit, limit, session }
        };
        permits.into_iter().map(compile).collect()
    }
}

/// That its policy names no destination where the credential may not go.
fn require_destinations(grant: &Grant, credential: &CredentialRecord) -> Result<(), String> {
    match grant.policy.destinations().into_iter().find(|to| !credential.destinations.contains(to)) {
        Some(to) => {
            Err(format!("its policy names {to}, where the credential {} may not go", credential.name))
        }
        None => Ok(()),
    }
}

enum Check {
    Holds(Approved),
    Retired,
}

fn add(hash: &mut Context, part: &[u8]) {
    hash.update(&(part.len() as u64).to_be_bytes());
    hash.update(part);
}

fn finished(hash: Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.finish().as_ref());
    bytes
}
