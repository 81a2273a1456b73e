//! Captured tokens: sealed, and looked for in replies for as long as they may be good, whatever became of their placeholders.

use super::binding::Bound;
use super::keyring::Keyring;
use super::sealed::Closed;
use super::{CustodyError, Derived, Envelope, SHORTEST, sealed, shape};
use crate::mint::Keeper;
use crate::scrub::{NeedleCache, Needles};
use crate::secret::Secret;
use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use cloakroom_model::{
    CapturedRecord, Code, CoreId, CredentialId, IdMap, PlaceholderId, Refusal, SealedSecret, Timestamp, Token,
};
use cloakroom_policy::{CapturedPlaceholder, CapturedSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use zeroize::Zeroizing;

/// Longer than this no token is kept that says when it ends, whatever it says (T105).
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
/// More tokens than this are not kept for one placeholder: the oldest goes first.
const MOST: usize = 64;
/// So many that ended are still recognised for one placeholder; and no longer than [`RECOGNISED`].
const MOST_ENDED: usize = 64;
const RECOGNISED: Duration = Duration::from_secs(24 * 3600);
/// So many tokens of one credential that no placeholder stands for any more are looked for in replies; beyond, the oldest are not.
const MOST_PAST: usize = 256;
/// How many earlier secrets of a token that is replaced are looked for in replies.
const MOST_BEFORE: usize = 4;

/// What is armed in place of a placeholder that a reply brought.
pub(crate) struct Captures {
    keys: Arc<Keyring>,
    set: OnceLock<Arc<CapturedSet>>,
    table: ArcSwap<Table>,
    /// Refresh tokens that were deposited, and replaced since: newer than the rows that were read.
    replaced: ArcSwap<IdMap<CredentialId, Arc<Replaced>>>,
}

/// The tokens, by placeholder, and by credential: with each call the others of its credential are looked for in the reply.
#[derive(Clone, Default)]
struct Table {
    by_core: IdMap<CoreId, Arc<Captured>>,
    of: IdMap<CredentialId, Vec<CoreId>>,
    /// What nobody may use here any more, and may be good still where it was made; oldest first.
    past: IdMap<CredentialId, Vec<Past>>,
}

/// A token without a placeholder.
#[derive(Clone)]
struct Past {
    needles: Vec<Arc<Needles>>,
    ends: Option<Timestamp>,
}

impl Past {
    fn is_over(&self, now: Timestamp) -> bool {
        self.ends.is_some_and(|end| end <= now)
    }
}

impl Table {
    fn put(&mut self, core: CoreId, captured: Arc<Captured>) {
        let of = self.of.entry(captured.owner.credential).or_default();
        if !of.contains(&core) {
            of.push(core);
        }
        self.by_core.insert(core, captured);
    }

    fn remove(&mut self, core: CoreId) {
        let Some(captured) = self.by_core.remove(&core) else { return };
        if let Some(of) = self.of.get_mut(&captured.owner.credential) {
            of.retain(|other| *other != core);
        }
    }

    /// Looked for from now on, until it ends.
    fn outlive(&mut self, credential: CredentialId, past: Past, now: Timestamp) {
        let all = self.past.entry(credential).or_default();
        all.retain(|one| !one.is_over(now));
        if !past.is_over(now) && !past.needles.is_empty() {
            all.push(past);
        }
        let beyond = all.len().saturating_sub(MOST_PAST);
        all.drain(..beyond);
    }

    fn of(&self, credential: CredentialId) -> impl Iterator<Item = (CoreId, &Arc<Captured>)> {
        let cores = self.of.get(&credential).map(Vec::as_slice).unwrap_or_default();
        cores.iter().filter_map(|core| Some((*core, self.by_core.get(core)?)))
    }
}

/// To whom a token belongs.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) placeholder: PlaceholderId,
    pub(crate) credential: CredentialId,
}

/// One token.
#[derive(Clone)]
pub(crate) struct Captured {
    owner: Owner,
    token: Token,
    /// As the workload has it; not known any more after a start.
    text: Option<Box<str>>,
    digest: Option<[u8; 32]>,
    sealed: SealedSecret,
    made: Timestamp,
    ends: Option<Timestamp>,
    pub(crate) derived: Arc<Derived>,
    /// What it replaced.
    pub(crate) before: Vec<Arc<Needles>>,
}

/// A deposited refresh token that its server replaced.
#[derive(Clone)]
pub(crate) struct Replaced {
    bound: Arc<Bound>,
    pub(super) generation: u32,
    pub(super) sealed: SealedSecret,
    pub(crate) derived: Arc<Derived>,
    pub(crate) before: Vec<Arc<Needles>>,
}

/// SHA-256 of a token: two are compared by it.
pub(crate) fn digest_of(secret: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, secret).as_ref());
    bytes
}

impl Captures {
    pub(super) fn new(keys: Arc<Keyring>) -> Self {
        Self { keys, set: OnceLock::new(), table: ArcSwap::default(), replaced: ArcSwap::default() }
    }

    /// From now on captured tokens become placeholders of this set. Once.
    pub(super) fn capture_into(&self, set: Arc<CapturedSet>) {
        // A second call can only be a mistake of ours; the first holds.
        let _ = self.set.set(set);
    }

    /// Takes up what the store kept.
    pub(super) fn restore(&self, row: CapturedRecord, credential: CredentialId) {
        let Some(set) = self.set.get() else { return };
        set.add(CapturedPlaceholder {
            core: row.core,
            text: row.text,
            parent: row.placeholder,
            token: row.token,
            ends: row.ends,
            is_kept: row.sealed.is_some(),
        });
        let is_over = row.ends.is_some_and(|end| end <= Timestamp::now());
        let Some(sealed) = row.sealed.filter(|_| !is_over) else { return };
        let captured = Captured {
            owner: Owner { placeholder: row.placeholder, credential },
            token: row.token,
            text: None,
            digest: None,
            sealed,
            made: row.made,
            ends: row.ends,
            derived: Arc::default(),
            before: Vec::new(),
        };
        self.put(row.core, captured);
    }

    /// Opens a token for one use.
    pub(super) fn open(&self, core: CoreId) -> Result<(Secret, Arc<Captured>), Refusal> {
        let gone = || Refusal::new(Code::PlaceholderExpired, "the token behind this placeholder is gone");
        let captured = self.table.load().by_core.get(&core).cloned().ok_or_else(gone)?;
        Ok((self.unsealed(core, &captured)?, captured))
    }

    /// What another refresh token behind a captured one's placeholder is sealed in. `None` where it is gone.
    pub(super) fn envelope(&self, core: CoreId) -> Option<Result<Envelope, CustodyError>> {
        let captured = self.table.load().by_core.get(&core).cloned()?;
        let bound = bound(core, captured.owner.placeholder, captured.token);
        Some(Envelope::prepare(&self.keys, Arc::new(bound)))
    }

    /// Brings what is held under the current root key.
    ///
    /// # Errors
    /// When something does not open.
    pub(super) fn rewrap(&self) -> Result<(), Closed> {
        for (core, captured) in &self.table.load().by_core {
            let bound = bound(*core, captured.owner.placeholder, captured.token);
            let Some(sealed) = sealed::rewrap(&self.keys, &bound, &captured.sealed.0)? else { continue };
            self.table.rcu(|table| {
                let mut table = Table::clone(table);
                // One that took its place meanwhile is under the current one already.
                if table.by_core.get(core).is_some_and(|now| Arc::ptr_eq(now, captured)) {
                    let sealed = sealed.clone();
                    table.by_core.insert(*core, Arc::new(Captured { sealed, ..Captured::clone(captured) }));
                }
                table
            });
        }
        for (id, newer) in &**self.replaced.load() {
            let Some(sealed) = sealed::rewrap(&self.keys, &newer.bound, &newer.sealed.0)? else { continue };
            self.replaced.rcu(|all| {
                let mut all = IdMap::clone(all);
                if all.get(id).is_some_and(|now| Arc::ptr_eq(now, newer)) {
                    let sealed = sealed.clone();
                    all.insert(*id, Arc::new(Replaced { sealed, ..Replaced::clone(newer) }));
                }
                all
            });
        }
        Ok(())
    }

    /// Wipes what is held in memory of the tokens, but for their ciphertext. What none of them is any more is not looked for afterwards, as
    /// after a start.
    pub(super) fn wipe(&self) {
        self.table.rcu(|table| {
            let wiped = |captured: &Arc<Captured>| {
                Arc::new(Captured {
                    derived: Arc::default(),
                    before: Vec::new(),
                    ..Captured::clone(captured)
                })
            };
            let by_core = table.by_core.iter().map(|(core, captured)| (*core, wiped(captured))).collect();
            Table { by_core, of: table.of.clone(), past: IdMap::default() }
        });
        self.replaced.rcu(|all| {
            let wiped = |newer: &Arc<Replaced>| {
                Arc::new(Replaced { derived: Arc::default(), before: Vec::new(), ..Replaced::clone(newer) })
            };
            all.iter().map(|(id, newer)| (*id, wiped(newer))).collect::<IdMap<_, _>>()
        });
    }

    fn unsealed(&self, core: CoreId, captured: &Captured) -> Result<Secret, Refusal> {
        let bound = bound(core, captured.owner.placeholder, captured.token);
        sealed::open(self.keys.as_ref(), &bound, &captured.sealed.0).map_err(|closed| {
            if closed == Closed::Sealed {
                return super::is_sealed();
            }
            tracing::error!(placeholder = %captured.owner.placeholder, "a captured token does not open: {closed}");
            Refusal::new(Code::BrokerSealed, "the record of a captured token does not open")
        })
    }

    /// What to look for in replies on behalf of all tokens that were captured for this credential.
    pub(super) fn needles(&self, credential: CredentialId) -> Vec<Arc<Needles>> {
        let table = self.table.load();
        let mut all = Vec::new();
        for (core, captured) in table.of(credential) {
            all.extend(self.needles_of(core, captured));
        }
        let now = Timestamp::now();
        let past = table.past.get(&credential).into_iter().flatten();
        all.extend(past.filter(|one| !one.is_over(now)).flat_map(|one| one.needles.iter().cloned()));
        all
    }

    fn needles_of(&self, core: CoreId, captured: &Captured) -> Vec<Arc<Needles>> {
        let needles = captured.needles().or_else(|| {
            let secret = self.unsealed(core, captured).ok()?;
            Some(needles_in(&captured.derived, secret.expose()))
        });
        needles.into_iter().chain(captured.before.iter().cloned()).collect()
    }

    /// Makes a placeholder for a token; the same one for the same token. It is durable when this returns.
    ///
    /// # Errors
    /// `credential-unavailable` where it cannot be stored.
    pub(crate) async fn admit(
        &self,
        keeper: &dyn Keeper,
        owner: Owner,
        token: Token,
        secret: &Zeroizing<String>,
        valid_for: Option<Duration>,
    ) -> Result<Box<str>, Refusal> {
        let set = self.set.get().ok_or_else(unstored)?;
        let own = digest_of(secret.as_bytes());
        if let Some(text) = self.known(owner, token, &own) {
            return Ok(text);
        }
        let _writing = self.keys.writing();
        let minted = set.key().mint(&shape::learn(secret)).map_err(|_| unstored())?;
        let made = Timestamp::now();
        let ends = valid_for.map(|span| made.plus(span.min(LONGEST_LIFE)));
        let plain = Secret::new(Zeroizing::new(secret.as_bytes().to_vec()));
        let sealed = self.seal(minted.core, owner, token, &plain)?;
        let row = CapturedRecord {
            core: minted.core,
            text: minted.hash,
            placeholder: owner.placeholder,
            token,
            sealed: Some(sealed.clone()),
            made,
            ends,
        };
        let derived: Arc<Derived> = Arc::default();
        needles_in(&derived, secret.as_bytes());
        let text: Box<str> = minted.text.reveal().into();
        let captured = Captured {
            owner,
            token,
            text: Some(text.clone()),
            digest: Some(own),
            sealed,
            made,
            ends,
            derived,
            before: Vec::new(),
        };
        // Before it is stored: the token exists, and may come back in a reply, whether it can be stored or not.
        self.put(minted.core, captured);
        if let Err(error) = keeper.keep_captured(row).await {
            self.end(&[minted.core]);
            return Err(failed(owner, &error));
        }
        set.add(CapturedPlaceholder {
            core: minted.core,
            text: minted.hash,
            parent: owner.placeholder,
            token,
            ends,
            is_kept: true,
        });
        self.make_room(keeper, set, owner.placeholder, made).await;
        Ok(text)
    }

    /// Another refresh token behind a captured one's placeholder: durable before anything is done with what it came with.
    pub(crate) async fn renew(
        &self,
        keeper: &dyn Keeper,
        core: CoreId,
        text: &str,
        secret: &Zeroizing<String>,
        envelope: &Envelope,
    ) -> Result<(), Refusal> {
        let (set, before) =
            self.set.get().zip(self.table.load().by_core.get(&core).cloned()).ok_or_else(unstored)?;
        let plain = Secret::new(Zeroizing::new(secret.as_bytes().to_vec()));
        let sealed = envelope.seal(&plain).ok_or_else(unstored)?;
        let made = Timestamp::now();
        let derived: Arc<Derived> = Arc::default();
        needles_in(&derived, secret.as_bytes());
        let captured = Captured {
            owner: before.owner,
            token: before.token,
            text: Some(text.into()),
            digest: Some(digest_of(secret.as_bytes())),
            sealed: sealed.clone(),
            made,
            ends: None,
            derived,
            before: latest(before.needles(), &before.before),
        };
        let owner = before.owner;
        // In memory first: where it cannot be stored, the server may take the old one no more.
        self.put(core, captured);
        let row = CapturedRecord {
            core,
            text: set.key().placeholder_hash(text),
            placeholder: owner.placeholder,
            token: before.token,
            sealed: Some(sealed),
            made,
            ends: None,
        };
        keeper.keep_captured(row).await.map_err(|error| failed(owner, &error))
    }

    /// Another refresh token behind a placeholder that was issued for one.
    pub(crate) async fn replace(
        &self,
        keeper: &dyn Keeper,
        owner: Owner,
        generation: u32,
        envelope: &Envelope,
        secret: &Zeroizing<String>,
        old: Option<Arc<Needles>>,
    ) -> Result<(), Refusal> {
        let plain = Secret::new(Zeroizing::new(secret.as_bytes().to_vec()));
        let sealed = envelope.seal(&plain).ok_or_else(unstored)?;
        let derived: Arc<Derived> = Arc::default();
        needles_in(&derived, secret.as_bytes());
        let before = self.replaced(owner.credential, generation);
        let before = latest(old, before.as_ref().map_or(&[], |before| &before.before));
        let bound = envelope.bound();
        let replaced = Arc::new(Replaced { bound, generation, sealed: sealed.clone(), derived, before });
        self.replaced.rcu(|all| {
            let mut all = IdMap::clone(all);
            all.insert(owner.credential, Arc::clone(&replaced));
            all
        });
        let stored = keeper.keep(owner.credential, generation, sealed, crate::mint::Kept::Replaced).await;
        stored.map_err(|error| failed(owner, &error))
    }

    /// What is newer than the row of this generation.
    pub(super) fn replaced(&self, credential: CredentialId, generation: u32) -> Option<Arc<Replaced>> {
        let all = self.replaced.load();
        all.get(&credential).filter(|replaced| replaced.generation == generation).cloned()
    }

    /// Forgets the tokens of these placeholders. They are recognised still, and what is good where it was made is looked for.
    pub(super) fn end(&self, cores: &[CoreId]) {
        if cores.is_empty() || self.table.load().by_core.is_empty() {
            return;
        }
        let now = Timestamp::now();
        self.table.rcu(|table| {
            let mut table = Table::clone(table);
            for core in cores {
                let Some(captured) = table.by_core.get(core).cloned() else { continue };
                let past = Past { needles: self.needles_of(*core, &captured), ends: captured.ends };
                table.remove(*core);
                table.outlive(captured.owner.credential, past, now);
            }
            table
        });
    }

    /// Looks no more for what these credentials were exchanged for: they were removed.
    pub(super) fn forget(&self, is_removed: impl Fn(CredentialId) -> bool) {
        if !self.table.load().past.keys().any(|credential| is_removed(*credential)) {
            return;
        }
        self.table.rcu(|table| {
            let mut table = Table::clone(table);
            table.past.retain(|credential, _| !is_removed(*credential));
            table
        });
    }

    fn known(&self, owner: Owner, token: Token, digest: &[u8; 32]) -> Option<Box<str>> {
        let table = self.table.load();
        let now = Timestamp::now();
        let same = |captured: &&Arc<Captured>| {
            captured.owner.placeholder == owner.placeholder
                && captured.token == token
                && captured.digest.as_ref() == Some(digest)
                && captured.ends.is_none_or(|end| now < end)
        };
        table
            .of(owner.credential)
            .map(|(_, captured)| captured)
            .find(same)
            .and_then(|captured| captured.text.clone())
    }

    fn put(&self, core: CoreId, captured: Captured) {
        let captured = Arc::new(captured);
        self.table.rcu(|table| {
            let mut table = Table::clone(table);
            table.put(core, Arc::clone(&captured));
            table
        });
    }

    fn seal(
        &self,
        core: CoreId,
        owner: Owner,
        token: Token,
        secret: &Secret,
    ) -> Result<SealedSecret, Refusal> {
        let bound = bound(core, owner.placeholder, token);
        sealed::seal(self.keys.as_ref(), &bound, secret).map_err(|_| unstored())
    }

    /// Lets go of what has ended, and of the oldest where there are too many.
    async fn make_room(&self, keeper: &dyn Keeper, set: &CapturedSet, of: PlaceholderId, now: Timestamp) {
        let table = self.table.load_full();
        let is_over = |captured: &Captured| captured.ends.is_some_and(|end| end <= now);
        let ended: Vec<CoreId> =
            table.by_core.iter().filter(|(_, captured)| is_over(captured)).map(|(core, _)| *core).collect();
        let mut own: Vec<(Timestamp, CoreId)> = table
            .by_core
            .iter()
            .filter(|(_, captured)| captured.owner.placeholder == of && !is_over(captured))
            .map(|(core, captured)| (captured.made, *core))
            .collect();
        own.sort_unstable_by_key(|(made, _)| *made);
        let oldest: Vec<CoreId> =
            own.iter().take(own.len().saturating_sub(MOST)).map(|(_, core)| *core).collect();
        self.end(&[&ended[..], &oldest[..]].concat());
        let forgotten = [oldest, ended_beyond(set.of(of), now)].concat();
        if !forgotten.is_empty() {
            forgotten.iter().for_each(|core| set.remove(*core));
            if let Err(error) = keeper.forget_captured(forgotten).await {
                tracing::error!(placeholder = %of, %error, "captured tokens could not be forgotten");
            }
        }
    }
}

/// Those that ended, but for the latest.
fn ended_beyond(mut all: Vec<CapturedPlaceholder>, now: Timestamp) -> Vec<CoreId> {
    all.retain(|one| one.ends.is_some_and(|end| end <= now));
    all.sort_unstable_by_key(|one| std::cmp::Reverse(one.ends));
    let is_long_ago = |one: &CapturedPlaceholder| one.ends.is_some_and(|end| end <= now.minus(RECOGNISED));
    let beyond = all.iter().enumerate().filter(|(at, one)| *at >= MOST_ENDED || is_long_ago(one));
    beyond.map(|(_, one)| one.core).collect()
}

impl Captured {
    fn needles(&self) -> Option<Arc<Needles>> {
        self.derived.get()?.downcast_ref::<NeedleCache>()?.known()
    }
}

/// The needles of a secret, kept beside it.
fn needles_in(derived: &Derived, secret: &[u8]) -> Arc<Needles> {
    let cache = derived.get_or_init(|| Arc::new(NeedleCache::default()));
    match cache.downcast_ref::<NeedleCache>() {
        Some(cache) => cache.needles(None, secret),
        None => NeedleCache::default().needles(None, secret),
    }
}

fn latest(newest: Option<Arc<Needles>>, before: &[Arc<Needles>]) -> Vec<Arc<Needles>> {
    newest.into_iter().chain(before.iter().cloned()).take(MOST_BEFORE).collect()
}

/// What a sealed token is bound to: its placeholder's core, the placeholder that it descends from, and its kind (invariant 3).
///
/// ```text
/// "cloakroom captured v1" | core | placeholder | kind          lengths as in `binding`
/// ```
pub(super) fn bound(core: CoreId, placeholder: PlaceholderId, token: Token) -> Bound {
    let facts = [core.to_string(), placeholder.to_string(), token.as_str().to_owned()];
    Bound::of_facts("cloakroom captured v1", &facts)
}

fn failed(owner: Owner, error: &str) -> Refusal {
    tracing::error!(credential = %owner.credential, placeholder = %owner.placeholder, %error, "a captured token could not be stored");
    unstored()
}

fn unstored() -> Refusal {
    Refusal::new(Code::CredentialUnavailable, "the tokens in the token endpoint's reply could not be kept")
}

const _: () = assert!(SHORTEST >= 8, "what is shorter cannot be told from ordinary text");

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &[u8] = b"canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

    #[test]
    fn t09_a_token_without_a_placeholder_is_looked_for_until_it_ends_or_so_many_are_newer() {
        let credential = CredentialId::new(Timestamp::from_millis(1), [1; 10]);
        let needles = NeedleCache::default().needles(None, CANARY);
        let past = |ends: Option<u64>| Past {
            needles: vec![Arc::clone(&needles)],
            ends: ends.map(Timestamp::from_millis),
        };
        let (mut table, now) = (Table::default(), Timestamp::from_millis(100));
        let ends = |table: &Table| table.past[&credential].iter().map(|one| one.ends).collect::<Vec<_>>();
        for one in [Some(200), None, Some(100)] {
            table.outlive(credential, past(one), now);
        }
        assert_eq!(ends(&table), [Some(Timestamp::from_millis(200)), None], "one had ended");
        table.outlive(credential, past(Some(300)), Timestamp::from_millis(200));
        assert_eq!(ends(&table), [None, Some(Timestamp::from_millis(300))]);
        for _ in 0..MOST_PAST {
            table.outlive(credential, past(Some(400)), now);
        }
        assert_eq!(ends(&table), vec![Some(Timestamp::from_millis(400)); MOST_PAST]);
    }
}
