//! Single sign-on: people whom an OpenID provider vouches for. Who they are is the pair of issuer and subject, and nothing else that the
//! provider says; what they may do is in the table of members, or follows from their groups where the settings say how.
//!
//! Nobody is an approver by it: to approve is the signature of a passkey.

use super::Newcomer;
use crate::admin::Admin;
use crate::{Problem, ProblemCode};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use cloakroom_egress::login::{Answer, PATIENCE, Provider, SignOn, SignedOn};
use cloakroom_model::{Name, Role, Roles, SessionId, SignOnSubject};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How many may wait for their answers: one that comes on top takes the place of the oldest.
const MOST: usize = 256;

/// The provider, what its groups mean, and the sign-ons that wait.
#[derive(Debug)]
pub struct SingleSignOn {
    pub(crate) provider: Provider,
    /// The credential that is the broker's secret there.
    pub(crate) secret: Option<Name>,
    roles: BTreeMap<String, Roles>,
    waiting: Mutex<Vec<UnderWay>>,
}

/// A sign-on under way.
#[derive(Debug)]
pub(crate) struct UnderWay {
    pub(crate) sign_on: SignOn,
    /// What the browser that began it holds.
    pub(crate) browser: String,
    /// Where the person wanted to go.
    pub(crate) next: String,
    /// The session that this browser had: its cookie does not come along from another site.
    pub(crate) former: Option<SessionId>,
    pub(crate) until: Instant,
}

impl SingleSignOn {
    /// At this provider. `secret` names the credential that is the broker's secret there; `roles` says what the provider's groups may do
    /// here: nobody by a group is an approver.
    pub fn new(provider: Provider, secret: Option<Name>, roles: BTreeMap<String, Roles>) -> Self {
        let roles = roles.into_iter().map(|(group, roles)| (group, roles.without(Role::Approver))).collect();
        Self { provider, secret, roles, waiting: Mutex::default() }
    }

    /// The provider's host, for people.
    pub(crate) fn host(&self) -> &str {
        host(&self.provider.issuer)
    }

    /// Until when one that begins now waits.
    pub(crate) fn patience(now: Instant) -> Instant {
        now + PATIENCE
    }

    /// Keeps one that waits for its answer.
    pub(crate) fn keep(&self, under_way: UnderWay, now: Instant) {
        let mut waiting = self.lock();
        waiting.retain(|one| one.until > now);
        if waiting.len() >= MOST {
            waiting.remove(0);
        }
        waiting.push(under_way);
    }

    /// Takes the one that this is the answer to: it is answered once, whatever comes of it.
    pub(crate) fn take(&self, answer: &Answer, now: Instant) -> Option<UnderWay> {
        let mut waiting = self.lock();
        let found = waiting.iter().position(|one| one.until > now && one.sign_on.is_for(answer))?;
        Some(waiting.remove(found))
    }

    /// What somebody in these groups may do.
    fn roles_of(&self, groups: &[String]) -> Roles {
        let mapped = groups.iter().filter_map(|group| self.roles.get(group));
        mapped.flat_map(Roles::iter).collect()
    }

    /// All that any group gives.
    fn most(&self) -> Roles {
        self.roles.values().flat_map(Roles::iter).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<UnderWay>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// SECURITY: an answer counts in the browser that asked for it alone: else somebody could have another one log in as them (T101).
    pub(crate) fn is_of(&self, shown: Option<&str>) -> bool {
        let same = |shown: &str| verify_slices_are_equal(shown.as_bytes(), self.browser.as_bytes()).is_ok();
        shown.is_some_and(same)
    }
}

impl Admin {
    /// Whoever the provider vouches for, where somebody here knows them.
    ///
    /// # Errors
    /// [`ProblemCode::SignOnUnknown`]
    pub(crate) async fn newcomer_of(&self, signed_on: &SignedOn) -> Result<Newcomer, Problem> {
        self.newcomer(signed_on.subject(), signed_on.groups()).await
    }

    pub(super) async fn newcomer(
        &self,
        subject: &SignOnSubject,
        groups: &[String],
    ) -> Result<Newcomer, Problem> {
        let key = subject.to_string();
        let own: Vec<_> = self.store.members().await?.into_iter().filter(|row| row.key == key).collect();
        if let Some(member) = own.iter().find(|row| row.removed.is_none()) {
            return Ok(Newcomer { name: member.name.to_string(), key: Some(key), roles: Roles::default() });
        }
        let by_groups = self.sign_on.as_ref().map(|sign_on| sign_on.roles_of(groups));
        // SECURITY: whoever was removed by name does not come back by a group.
        let roles = by_groups.filter(|roles| own.is_empty() && !roles.is_empty());
        let roles = roles.ok_or_else(|| unknown(subject))?;
        let name = format!("{} at {}", subject.subject(), host(subject.issuer()));
        Ok(Newcomer { name, key: Some(key), roles })
    }

    /// Whether the provider that vouches for this key is asked here: people of another one, or of a former one, are nobody's.
    pub(crate) fn vouched_for(&self, key: &str) -> bool {
        let Ok(subject) = key.parse::<SignOnSubject>() else { return true };
        self.sign_on.as_ref().is_some_and(|sign_on| sign_on.provider.issuer == subject.issuer())
    }

    /// What is left of the roles that groups gave to a session: none that no group gives any more.
    pub(crate) fn still_mapped(&self, roles: &Roles) -> Roles {
        self.sign_on.as_ref().map(|sign_on| roles.within(&sign_on.most())).unwrap_or_default()
    }
}

fn unknown(subject: &SignOnSubject) -> Problem {
    let detail = format!(
        "nobody here goes by this sign-on; {} knows you as: {}",
        host(subject.issuer()),
        subject.subject()
    );
    Problem::new(ProblemCode::SignOnUnknown, detail)
}

/// Of an `https://` URL.
fn host(issuer: &str) -> &str {
    let rest = issuer.strip_prefix("https://").unwrap_or(issuer);
    rest.split('/').next().unwrap_or_default()
}
