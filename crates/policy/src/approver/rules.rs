//! How many approvers it takes: a base, and more for some destinations and credentials.

use crate::Grant;
use cloakroom_model::{CredentialKind, Destination, Name};

/// How many approvers have to sign, and who of them may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRules {
    /// For everything.
    pub quorum: u8,
    /// For what is proved narrower than the placeholder that it descends from; none: as for everything.
    pub narrower: Option<u8>,
    /// Whether the signature of whoever asked does not count.
    pub not_requester: bool,
    /// Where it takes more.
    pub rules: Vec<ApprovalRule>,
}

/// Where it takes another number: what is absent matches everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRule {
    /// Permits for this destination.
    pub to: Option<Destination>,
    /// Placeholders of this credential.
    pub credential: Option<Name>,
    /// Placeholders of credentials of this kind.
    pub kind: Option<CredentialKind>,
    /// How many have to sign.
    pub quorum: u8,
}

impl Default for ApprovalRules {
    fn default() -> Self {
        Self { quorum: 1, narrower: None, not_requester: false, rules: Vec::new() }
    }
}

impl ApprovalRules {
    /// How many have to sign this grant: the largest number that anything says, and never none.
    pub fn needed(&self, grant: &Grant) -> usize {
        self.needed_at(&grant.policy.destinations(), &grant.credential_name, grant.kind)
    }

    /// As many as anything takes.
    pub(super) fn most(&self) -> usize {
        let highest = self.rules.iter().map(|rule| rule.quorum).chain([self.quorum, 1]).max();
        highest.map_or(1, usize::from)
    }

    /// How many have to sign it where it is proved narrower; none, where that takes as many.
    pub(crate) fn fewer(&self, grant: &Grant) -> Option<usize> {
        let narrower = usize::from(self.narrower?.max(1));
        (grant.parent.is_some() && narrower < self.needed(grant)).then_some(narrower)
    }

    pub(crate) fn needed_at(
        &self,
        destinations: &[Destination],
        credential: &Name,
        kind: CredentialKind,
    ) -> usize {
        let matches = |rule: &&ApprovalRule| {
            rule.to.as_ref().is_none_or(|to| destinations.contains(to))
                && rule.credential.as_ref().is_none_or(|name| name == credential)
                && rule.kind.is_none_or(|of| of == kind)
        };
        let more = self.rules.iter().filter(matches).map(|rule| rule.quorum);
        usize::from(more.chain([self.quorum, 1]).max().unwrap_or(1))
    }
}
