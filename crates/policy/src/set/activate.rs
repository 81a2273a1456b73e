//! Rows become the policy in force: each approval is verified against the text rendered anew from the rows.

use super::held::{Compiled, Held, Standing};
use super::rate::Limit;
use super::{Ignored, PolicySet};
use crate::permit::Permit;
use crate::{Approvers, Grant};
use aws_lc_rs::digest::{Context, SHA256};
use cloakroom_model::{
    ApprovalRecord, CredentialId, CredentialRecord, LookupKey, PlaceholderId, PlaceholderRecord,
    PlaceholderState, Rows, Signature, WorkloadId, WorkloadRecord,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Fingerprint of a signature that verified: signers, signed bytes, signature.
pub(super) type Verified = HashSet<Vec<u8>>;

impl PolicySet {
    /// ASSERTION POINT: makes these rows the policy in force. Approvals are verified here.
    ///
    /// A placeholder that is stored as active and does not hold up is [`Ignored`] and behaves as revoked. `previous`
    /// carries rate-limit state over.
    pub fn assert_active(
        rows: &Rows,
        approvers: &Approvers,
        key: Arc<LookupKey>,
        previous: Option<&Self>,
    ) -> (Self, Vec<Ignored>) {
        let mut activation = Activation::new(rows, approvers, previous);
        let mut set = Self::empty(key);
        for workload in rows.workloads.iter().filter(|workload| workload.removed.is_none()) {
            set.workloads.insert(workload.key, (workload.id, workload.name.clone()));
        }
        for row in &rows.placeholders {
            let standing = activation.standing(row);
            set.insert(row, activation.held(row, standing), &mut activation.ignored);
        }
        set.index();
        set.verified = activation.verified;
        (set, activation.ignored)
    }
}

struct Activation<'a> {
    credentials: HashMap<CredentialId, &'a CredentialRecord>,
    workloads: HashMap<WorkloadId, &'a WorkloadRecord>,
    approvals: HashMap<PlaceholderId, Vec<&'a ApprovalRecord>>,
    approvers: &'a Approvers,
    previous: Option<&'a PolicySet>,
    verified: Verified,
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
            approvers,
            previous,
            verified: HashSet::new(),
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
            expires: row.expires,
            uses: row.uses,
            used: row.used,
            standing,
        }
    }

    fn standing(&mut self, row: &PlaceholderRecord) -> Standing {
        match row.state {
            PlaceholderState::Pending => Standing::Pending,
            PlaceholderState::Denied => Standing::Denied,
            PlaceholderState::Revoked => Standing::Revoked,
            PlaceholderState::Active => match self.check(row) {
                Ok(Check::Holds(permits)) => Standing::Active(self.compile(row.id, permits)),
                Ok(Check::Retired) => Standing::Revoked,
                Err(why) => {
                    self.ignored.push(Ignored { placeholder: row.id, why });
                    Standing::Revoked
                }
            },
        }
    }

    /// What an active placeholder may do, or in words why it does not count.
    fn check(&mut self, row: &PlaceholderRecord) -> Result<Check, String> {
        let credential =
            *self.credentials.get(&row.credential).ok_or("its credential is not in the store")?;
        let workload = *self.workloads.get(&row.workload).ok_or("its workload is not in the store")?;
        // Removing a credential or workload is an ordinary act, nothing to be loud about.
        if credential.removed.is_some() || workload.removed.is_some() {
            return Ok(Check::Retired);
        }
        let grant = Grant::from_rows(row, credential, workload)?;
        for to in grant.policy.destinations() {
            if !credential.destinations.contains(&to) {
                return Err(format!(
                    "its policy names {to}, where the credential {} may not go",
                    credential.name
                ));
            }
        }
        if !self.is_approved(&grant) {
            return Err("no approver's signature verifies for it as it is stored".into());
        }
        Ok(Check::Holds(grant.policy.permits().to_vec()))
    }

    fn is_approved(&mut self, grant: &Grant) -> bool {
        let signatures: Vec<&Signature> = self
            .approvals
            .get(&grant.placeholder)
            .map(|list| list.iter().filter(|a| !a.denied).filter_map(|a| a.signature.as_ref()).collect())
            .unwrap_or_default();
        let signed = grant.signing_bytes();
        signatures.into_iter().any(|signature| self.verifies(&signed, signature))
    }

    /// Verifies, or remembers that it did: a change of one row does not verify a thousand signatures again.
    fn verifies(&mut self, signed: &[u8], signature: &Signature) -> bool {
        let fingerprint = fingerprint(&[
            &self.approvers.bytes(),
            signed,
            signature.key.as_bytes(),
            signature.signature.as_bytes(),
        ]);
        let known = self.previous.is_some_and(|previous| previous.verified.contains(&fingerprint));
        let verifies = known || self.approvers.verify_bytes(signed, signature);
        if verifies {
            self.verified.insert(fingerprint);
        }
        verifies
    }

    fn compile(&self, id: PlaceholderId, permits: Vec<Permit>) -> Vec<Compiled> {
        let before = self.previous.and_then(|previous| previous.by_id.get(&id));
        let before = before.map(|held| held.permits()).unwrap_or_default();
        let compile = |permit: Permit| {
            let same = before.iter().find(|compiled| compiled.permit == permit);
            let carried = same.and_then(|compiled| compiled.limit.clone());
            let limit = carried.or_else(|| permit.rate.map(|rate| Arc::new(Limit::new(rate))));
            Compiled { permit, limit }
        };
        permits.into_iter().map(compile).collect()
    }
}

enum Check {
    Holds(Vec<Permit>),
    Retired,
}

fn fingerprint(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}
