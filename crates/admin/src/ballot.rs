//! Changes of the approvers that wait for signatures, links for new passkeys, and how often passkeys have signed: in memory, and
//! bounded. What was begun before a restart is begun again.

use cloakroom_model::{ApprovalId, ApproverChange, Name, Timestamp};
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
    name: Name,
    until: Instant,
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

    /// Makes a link good for this name. `code` is the link's secret.
    pub(crate) fn invite(&self, code: String, name: Name, now: Instant) -> Result<(), Full> {
        let mut open = self.lock();
        open.links.retain(|link| link.until > now);
        if open.links.len() >= MOST {
            return Err(Full);
        }
        open.links.push(Link { code, name, until: now + LINK });
        Ok(())
    }

    /// Whose passkey this link may make.
    pub(crate) fn invited(&self, code: &str, now: Instant) -> Option<Name> {
        self.lock().links.iter().find(|link| link.is(code, now)).map(|link| link.name.clone())
    }

    /// Takes the link: it is good once.
    pub(crate) fn take_link(&self, code: &str, now: Instant) -> Option<Name> {
        let mut open = self.lock();
        let at = open.links.iter().position(|link| link.is(code, now))?;
        Some(open.links.swap_remove(at).name)
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
        let name = || Name::parse("bob").unwrap();
        ballots.invite("code".into(), name(), now).unwrap();
        assert_eq!(ballots.invited("code", now), Some(name()));
        assert_eq!(ballots.take_link("cod", now), None);
        assert_eq!(ballots.take_link("code", now + LINK), None);
        assert_eq!(ballots.take_link("code", now), Some(name()));
        assert_eq!(ballots.take_link("code", now), None);
        for number in 0..MOST {
            ballots.invite(number.to_string(), name(), now).unwrap();
        }
        assert!(ballots.invite("more".into(), name(), now).is_err());
        assert!(ballots.invite("later".into(), name(), now + LINK).is_ok(), "old ones are forgotten");
    }
}
