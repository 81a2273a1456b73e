//! An approval that cannot come about: it takes more approvers than there are who may sign.

use super::Approvers;
use crate::Grant;

impl Approvers {
    /// What to tell whoever asks for this grant, where not as many may sign it as it takes.
    pub fn shortfall(&self, grant: &Grant) -> Option<String> {
        let barred = |name: &str| self.rules.not_requester && grant.requester.as_deref() == Some(name);
        let able = self.names().into_iter().filter(|name| !barred(name)).count();
        // Where fewer may do, fewer are counted: a warning that may be wrong is not read twice.
        let needed = self.rules.fewer(grant).unwrap_or_else(|| self.rules.needed(grant));
        told(needed, able)
    }

    /// The same for the most that the rules ask for, whoever asks.
    pub fn shortfall_of_rules(&self) -> Option<String> {
        let able = self.names().len().saturating_sub(usize::from(self.rules.not_requester));
        told(self.rules.most(), able)
    }
}

fn told(needed: usize, able: usize) -> Option<String> {
    let many = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    (able < needed).then(|| {
        format!(
            "{} needed, {} can sign: cloakroom approver enrol NAME",
            many(needed, "signature"),
            many(able, "approver")
        )
    })
}
