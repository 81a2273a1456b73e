//! What is proved to add nothing to a placeholder that the quorum signed may count with fewer signatures.
//!
//! The proof is made from the rows, with every snapshot that they are new to; nothing that was found when it was issued is
//! believed. `docs/decisions/0039` says why.

use super::{Activation, require_destinations};
use crate::contain::Containment;
use crate::permit::Permit;
use crate::{Approvers, Grant, Policy, Tally};
use cloakroom_model::{
    CredentialRecord, OnMisuse, PlaceholderRecord, PlaceholderState, Rows, Signature, Timestamp,
    WorkloadRecord,
};

impl Approvers {
    /// How far these signatures go for this grant: as [`Self::tally`], and with the number that it takes where these rows
    /// prove it narrower than what it descends from. The data plane decides by the same proof.
    pub fn tally_among<'s>(
        &self,
        grant: &Grant,
        signatures: impl IntoIterator<Item = &'s Signature>,
        rows: &Rows,
    ) -> Tally {
        let tally = self.tally(grant, signatures);
        let narrower = self.rules().fewer(grant).filter(|_| Activation::new(rows, self, None).proves(grant));
        Tally { needed: narrower.unwrap_or(tally.needed), ..tally }
    }
}

impl<'a> Activation<'a> {
    /// When the approval with fewer signatures ends; `None` where it does not count.
    pub(super) fn lean(
        &self,
        grant: &Grant,
        credential: &CredentialRecord,
        workload: &WorkloadRecord,
    ) -> Option<Option<Timestamp>> {
        let needed = self.approvers.rules().fewer(grant)?;
        let own = self.asked(grant.placeholder).find(|approval| {
            let in_order = approval.signatures.iter().filter(|signature| !self.backwards.has(signature));
            let tally = self.approvers.tally(&grant.clone().asked_by(approval), in_order);
            let is_current = approval.generation.is_none_or(|pinned| pinned == credential.generation);
            is_current && tally.signed.len() >= needed
        })?;
        let leant_on = self.leant_on(grant, credential, workload)?;
        Some([own.expires, leant_on].into_iter().flatten().min())
    }

    /// The row that this one might lean on: none where the setting is not used.
    pub(super) fn may_lean_on(&self, row: &PlaceholderRecord) -> Option<&'a PlaceholderRecord> {
        self.approvers.rules().narrower?;
        self.placeholders.get(&row.parent?).copied()
    }

    fn proves(&self, grant: &Grant) -> bool {
        let rows = self.credentials.get(&grant.credential).zip(self.workloads.get(&grant.workload));
        rows.is_some_and(|(credential, workload)| self.leant_on(grant, credential, workload).is_some())
    }

    /// When the approval of the placeholder that this one may lean on ends, where there is one.
    ///
    /// SECURITY: that one has to count now, by the quorum's signatures: one that leans itself is none to lean on, so no
    /// chain of single signatures comes about, and each is compared with what the quorum read.
    fn leant_on(
        &self,
        grant: &Grant,
        credential: &CredentialRecord,
        workload: &WorkloadRecord,
    ) -> Option<Option<Timestamp>> {
        let row = *self.placeholders.get(&grant.parent?)?;
        if row.state != PlaceholderState::Active || !self.ancestors_stand(row) {
            return None;
        }
        // Of another credential or another workload it is an error.
        let outer = Grant::from_rows(row, credential, workload).ok()?;
        require_destinations(&outer, credential).ok()?;
        let ends = self.require_approval(&outer, credential).ok()?;
        grant.adds_nothing_to(&outer).then_some(ends)
    }
}

impl Grant {
    /// Whether whoever holds it can do nothing that whoever holds the other one cannot.
    ///
    /// SECURITY: uses and rates are buckets. A second one beside the first lets more through than the quorum signed, so what
    /// is counted or limited there is not leant on.
    fn adds_nothing_to(&self, outer: &Self) -> bool {
        // Each member is looked at here, or said why not.
        let Self {
            placeholder: _, // another one
            text: _,        // of its own
            credential,
            credential_name: _, // the credential's, and so is the kind
            kind: _,
            workload,
            workload_name: _, // the workload's, and so are key and marks
            workload_key: _,
            holder,
            marks: _,
            parent,
            not_before,
            expires,
            daily,
            uses: _, // fewer than without end
            on_misuse,
            policy,
            requester: _, // who asks, the generation and its own end are the approval's
            generation: _,
            approval_ends: _,
        } = self;
        *parent == Some(outer.placeholder)
            && *credential == outer.credential
            && *workload == outer.workload
            && outer.uses.is_none()
            && outer.holder.lacking(*holder).is_empty()
            && outer.not_before.is_none_or(|begin| not_before.is_some_and(|own| own >= begin))
            && outer.expires.is_none_or(|end| expires.is_some_and(|own| own <= end))
            && outer.daily.is_none_or(|hours| daily.is_some_and(|own| hours.contain(own)))
            && severity(*on_misuse) >= severity(outer.on_misuse)
            && unlimited(&outer.policy).contains(policy) == Containment::Contained
    }
}

/// What a policy allows at any rate.
fn unlimited(policy: &Policy) -> Policy {
    let permits = policy.permits().iter().filter(|permit: &&Permit| permit.rate.is_none());
    Policy::new(permits.cloned().collect())
}

/// How much a misuse ends.
const fn severity(on_misuse: OnMisuse) -> u8 {
    match on_misuse {
        OnMisuse::Record => 0,
        OnMisuse::Freeze => 1,
        OnMisuse::RevokeFamily => 2,
    }
}
