//! Changes of the approvers that wait for signatures, links for new passkeys, and how often passkeys have signed: in memory, and
//! bounded. What was begun before a restart is begun again.

use cloakroom_model::{ApprovalId, ApproverChange, Name, Roles, Timestamp};
use cloakroom_policy::RelyingParty;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many changes may wait, and how many links may be open.
const MOST: usize = 16;
/// How long a link for a passkey is good.
pub(crate) const LINK: Duration = Duration::from_secs(600);

/// Who may become an approver, and who may cease to be one.
#[derive(Debug)]
pub struct Ballots {
    /// Where passkeys are good.
    pub(crate) party: RelyingParty,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    changes: Vec<Ballot>,
    links: Vec<Link>,
    counts: HashMap<String, u32>,
}

/// One change that waits.
#[derive(Clone, Debug)]
pub(crate) struct Ballot {
    pub(crate) id: ApprovalId,
    pub(crate) change: ApproverChange,
    pub(crate) created: Timestamp,
}

/// One link, by which somebody may make a passkey once.
#[derive(Debug)]
struct Link {
    code: String,
    invitation: Invitation,
    until: Instant,
}

/// What the passkey that somebody makes will be good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invitation {
    /// Whose passkey it will be.
    pub(crate) name: Name,
    /// What its person may do at once, but for approving.
    pub(crate) roles: Roles,
    /// Whether the approvers are asked to let it approve.
    pub(crate) approver: bool,
}

/// A bound is reached.
#[derive(Debug)]
pub(crate) struct Full;

impl Ballots {
    /// Nothing waits.
    pub fn new(party: RelyingParty) -> Self {
        Self { party, open: Mutex::default() }
    }

    pub(crate) fn open(&self, ballot: Ballot) -> Result<(), Full> {
        let mut open = self.lock();
        if open.changes.len() >= MOST {
            return Err(Full);
        }
        open.changes.push(ballot);
        Ok(())
    }

    pub(crate) fn list(&self) -> Vec<Ballot> {
        self.lock().changes.clone()
    }

    pub(crate) fn find(&self, id: ApprovalId) -> Option<Ballot> {
        self.lock().changes.iter().find(|ballot| ballot.id == id).cloned()
    }

    /// With the signatures that it has now.
    pub(crate) fn update(&self, ballot: &Ballot) {
        if let Some(kept) = self.lock().changes.iter_mut().find(|kept| kept.id == ballot.id) {
            kept.clone_from(ballot);
        }
    }

    pub(crate) fn close(&self, id: ApprovalId) {
        self.lock().changes.retain(|ballot| ballot.id != id);
    }

    /// After a change was made: the texts of all others are about approvers that are no more.
    pub(crate) fn close_all(&self) {
        self.lock().changes.clear();
    }

    /// Makes a link good until then. `code` is the link's secret.
    pub(crate) fn invite(&self, code: String, invitation: Invitation, until: Instant) -> Result<(), Full> {
        let (mut open, now) = (self.lock(), Instant::now());
        open.links.retain(|link| link.until > now);
        if open.links.len() >= MOST {
            return Err(Full);
        }
        open.links.push(Link { code, invitation, until });
        Ok(())
    }

    /// What a passkey is good for that is made by this link.
    pub(crate) fn invited(&self, code: &str, now: Instant) -> Option<Invitation> {
        self.lock().links.iter().find(|link| link.is(code, now)).map(|link| link.invitation.clone())
    }

    /// Takes the link: it is good once.
    pub(crate) fn take_link(&self, code: &str, now: Instant) -> Option<Invitation> {
        let mut open = self.lock();
        let at = open.links.iter().position(|link| link.is(code, now))?;
        Some(open.links.swap_remove(at).invitation)
    }

    /// How often the passkey had signed when this process last saw it.
    pub(crate) fn counted(&self, key: &str) -> u32 {
        self.lock().counts.get(key).copied().unwrap_or(0)
    }

    pub(crate) fn count(&self, key: &str, count: u32) {
        self.lock().counts.insert(key.to_owned(), count);
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn is(&self, code: &str, now: Instant) -> bool {
        self.until > now
            && aws_lc_rs::constant_time::verify_slices_are_equal(self.code.as_bytes(), code.as_bytes())
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_once_and_not_for_ever() {
        let party = RelyingParty::new("https://console.example.org", None).unwrap();
        let (ballots, now) = (Ballots::new(party), Instant::now());
        let bob =
            || Invitation { name: Name::parse("bob").unwrap(), roles: Roles::default(), approver: true };
        ballots.invite("code".into(), bob(), now + LINK).unwrap();
        assert_eq!(ballots.invited("code", now), Some(bob()));
        assert_eq!(ballots.take_link("cod", now), None);
        assert_eq!(ballots.take_link("code", now + LINK), None);
        assert_eq!(ballots.take_link("code", now), Some(bob()));
        assert_eq!(ballots.take_link("code", now), None);
        for number in 0..MOST {
            ballots.invite(number.to_string(), bob(), now + LINK).unwrap();
        }
        assert!(ballots.invite("more".into(), bob(), now + LINK).is_err());
        ballots.lock().links.iter_mut().for_each(|link| link.until = now);
        assert!(ballots.invite("later".into(), bob(), now + LINK).is_ok(), "old ones are forgotten");
    }
}
