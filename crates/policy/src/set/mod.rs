//! The policy in force: an immutable snapshot, looked up by placeholder and by workload and destination.
//!
//! The cost of a decision does not depend on how many placeholders there are: all look-ups are hash tables.

mod activate;
mod aws_key;
mod captured;
mod held;
mod holdings;
mod rate;
mod workloads;

pub use captured::{CapturedPlaceholder, CapturedSet};
pub(crate) use held::{Compiled, Held};
pub use holdings::{HeldPermit, Holding};
pub use workloads::{Recognised, Showing};

use workloads::Workloads;

use crate::{Approvers, Head, Policy};
use cloakroom_model::{
    CallApproval, Code, CoreId, CredentialId, CredentialKind, Destination, Host, IdMap, LookupKey, Name,
    OnMisuse, PlaceholderId, PlaceholderRecord, Principal, Question, Refusal, Scheme, Timestamp, WorkloadId,
};
use held::Standing;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A placeholder that is stored as active but does not count, and why. To be logged loudly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// The placeholder.
    pub placeholder: PlaceholderId,
    /// Why it does not count, in words.
    pub why: String,
}

/// The permits of one placeholder at one destination: the placeholder, and the index of the destination there.
type PermitsOf = (Arc<Held>, usize);

/// An immutable snapshot of everything the data plane decides by.
pub struct PolicySet {
    key: Arc<LookupKey>,
    approvers: Arc<Approvers>,
    /// Where the chain of the approvers' changes stood when it was last whole: it never goes back.
    head: Head,
    /// Why nobody counts as an approver, where nobody does.
    broken: Option<String>,
    workloads: Workloads,
    by_core: IdMap<CoreId, Arc<Held>>,
    by_id: IdMap<PlaceholderId, Arc<Held>>,
    /// The permits of active placeholders.
    by_destination: IdMap<WorkloadId, HashMap<Destination, Vec<PermitsOf>>>,
    /// The newest placeholder that names a destination and does not count: it explains a refusal, and permits nothing.
    dormant: IdMap<WorkloadId, HashMap<Destination, Arc<Held>>>,
    /// The credentials of all placeholders, retired ones too, that name a destination.
    known: IdMap<WorkloadId, HashMap<Destination, Vec<CredentialId>>>,
    /// Placeholders of tokens, which stand beside the rows.
    captured: Arc<CapturedSet>,
}

impl PolicySet {
    fn empty(key: Arc<LookupKey>, approvers: Arc<Approvers>, captured: Arc<CapturedSet>) -> Self {
        Self {
            key,
            captured,
            head: approvers.head(),
            approvers,
            broken: None,
            workloads: Workloads::default(),
            by_core: IdMap::default(),
            by_id: IdMap::default(),
            by_destination: IdMap::default(),
            dormant: IdMap::default(),
            known: IdMap::default(),
        }
    }

    fn insert(&mut self, row: &PlaceholderRecord, held: Held, ignored: &mut Vec<Ignored>) {
        let held = Arc::new(held);
        if let Some(other) = self.by_core.remove(&row.core) {
            // Random cores do not collide: a row was copied. Neither counts.
            let why = format!("{} and {} are stored for one and the same text", other.id, held.id);
            ignored.push(Ignored { placeholder: held.id, why });
            self.by_id.remove(&other.id);
            self.by_core.insert(row.core, Arc::new(revoked(&held)));
            return;
        }
        self.by_core.insert(row.core, Arc::clone(&held));
        self.by_id.insert(row.id, Arc::clone(&held));
        if !matches!(held.standing, Standing::Active(_)) {
            self.insert_dormant(row, &held);
        }
    }

    fn insert_dormant(&mut self, row: &PlaceholderRecord, held: &Arc<Held>) {
        for destination in
            Policy::from_stored(&row.policy).map(|policy| policy.destinations()).unwrap_or_default()
        {
            note(&mut self.known, held, &destination);
            let table = self.dormant.entry(held.workload).or_default();
            let newest = table.entry(destination).or_insert_with(|| Arc::clone(held));
            if newest.id < held.id {
                *newest = Arc::clone(held);
            }
        }
    }

    fn index(&mut self) {
        for held in self.by_id.values() {
            let Standing::Active(approved) = &held.standing else { continue };
            for (index, (destination, _)) in approved.by_destination.iter().enumerate() {
                note(&mut self.known, held, destination);
                let table = self.by_destination.entry(held.workload).or_default();
                let entry = (Arc::clone(held), index);
                match table.get_mut(destination) {
                    Some(entries) => entries.push(entry),
                    None => drop(table.insert(destination.clone(), vec![entry])),
                }
            }
        }
    }

    pub(crate) fn held(&self, core: CoreId) -> Option<Arc<Held>> {
        self.by_core.get(&core).cloned().or_else(|| {
            let captured = self.captured.get(core)?;
            Some(Arc::new(self.by_id.get(&captured.parent)?.standing_for(captured)))
        })
    }

    /// Whether a placeholder has this core.
    pub(crate) fn is_held(&self, core: CoreId) -> bool {
        self.by_core.contains_key(&core) || self.captured.get(core).is_some()
    }

    /// The credentials that some placeholder stands for that counts.
    pub fn credentials_in_use(&self) -> HashSet<CredentialId> {
        let counts = |held: &&Arc<Held>| matches!(held.standing, Standing::Active(_));
        self.by_id.values().filter(counts).map(|held| held.credential).collect()
    }

    /// The credential that this placeholder stands for, or stood for.
    pub fn credential_of(&self, placeholder: PlaceholderId) -> Option<CredentialId> {
        self.by_id.get(&placeholder).map(|held| held.credential)
    }

    /// The captured tokens that are of no use any more: their placeholder was revoked, or its credential, workload or approval is gone.
    pub fn captured_in_vain(&self) -> Vec<CoreId> {
        let counts =
            |parent| self.by_id.get(&parent).is_some_and(|held| matches!(held.standing, Standing::Active(_)));
        self.captured.cores(|one| !counts(one.parent))
    }

    /// The placeholders of captured tokens, for whoever captures them.
    pub fn captured(&self) -> &Arc<CapturedSet> {
        &self.captured
    }

    /// The permits that active placeholders of this workload have at this destination.
    pub(crate) fn permits_at(
        &self,
        workload: WorkloadId,
        destination: &Destination,
    ) -> impl Iterator<Item = (&Arc<Held>, &Compiled)> {
        let entries = self.by_destination.get(&workload).and_then(|table| table.get(destination));
        entries
            .into_iter()
            .flatten()
            .flat_map(|(held, index)| held.at(*index).map(move |compiled| (held, compiled)))
    }

    /// The credentials that calls of this workload may have brought to this destination, now or before: their secrets
    /// may be stored there.
    pub(crate) fn known_at(&self, workload: WorkloadId, destination: &Destination) -> &[CredentialId] {
        let known = self.known.get(&workload).and_then(|table| table.get(destination));
        known.map(Vec::as_slice).unwrap_or_default()
    }

    /// The workload that shows this, with what of it holds. `None`: nobody known, or two at once.
    pub fn recognise(&self, showing: &Showing<'_>) -> Option<Recognised> {
        self.workloads.recognise(showing, |key| self.key.workload_hash(key))
    }

    /// The workload whose networks have this address, and no other's: where a lock lets only it send from there.
    pub fn resident(&self, address: IpAddr) -> Option<Recognised> {
        self.workloads.resident(address)
    }

    /// Whether some active permit of this workload names this host, at any port.
    pub fn names_host(&self, workload: WorkloadId, host: &Host) -> bool {
        let table = self.by_destination.get(&workload);
        table.is_some_and(|table| table.keys().any(|destination| destination.host() == host))
    }

    /// The destination that some active permit of this workload names for this host and port. `port` None: the default
    /// of the scheme. https wins over http; None: no permit names it.
    pub fn destination_for(
        &self,
        workload: WorkloadId,
        host: &Host,
        port: Option<u16>,
    ) -> Option<Destination> {
        let table = self.by_destination.get(&workload)?;
        [Scheme::Https, Scheme::Http].into_iter().find_map(|scheme| {
            let wanted = Destination::new(scheme, host.clone(), port.unwrap_or(scheme.default_port()));
            table.contains_key(&wanted).then_some(wanted)
        })
    }

    /// Why this workload, which has no permit at the destination now, is refused there: the newest of its placeholders
    /// that names the destination waits, was denied or was revoked. `None`: no placeholder of it ever named it.
    pub fn why_dormant(
        &self,
        workload: WorkloadId,
        destination: &Destination,
        now: Timestamp,
    ) -> Option<Refusal> {
        let held = self.dormant.get(&workload)?.get(destination)?;
        let refusal = held.permits_at(now).err()?;
        Some(refusal.with(|facts| {
            facts.destination = Some(destination.clone());
            facts.credential = held.credential_name.clone();
            facts.placeholder = Some(held.id);
        }))
    }

    /// What is to be done when this placeholder is misused; nothing any more where it does not count.
    pub fn on_misuse(&self, placeholder: PlaceholderId) -> OnMisuse {
        let held = self.by_id.get(&placeholder).filter(|held| matches!(held.standing, Standing::Active(_)));
        // What is frozen already is not frozen again: a storm of misuse costs one change.
        let done = |held: &&Arc<Held>| held.frozen && held.on_misuse == OnMisuse::Freeze;
        held.filter(|held| !done(held)).map_or(OnMisuse::Record, |held| held.on_misuse)
    }

    /// Whether this placeholder was issued to this workload, which shows what its holder has to.
    ///
    /// # Errors
    /// `unknown-placeholder`, `wrong-workload`.
    pub fn may_hold(&self, placeholder: PlaceholderId, principal: &Principal) -> Result<(), Refusal> {
        self.held_of(placeholder)?.require_holder(principal)
    }

    /// Whether this workload may be handed the placeholder now. It need not be approved yet.
    ///
    /// # Errors
    /// As [`Self::may_hold`], and why it does not count any more.
    pub fn may_fetch(
        &self,
        placeholder: PlaceholderId,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let held = self.held_of(placeholder)?;
        held.require_holder(principal)?;
        held.require_standing(now)
    }

    fn held_of(&self, placeholder: PlaceholderId) -> Result<&Arc<Held>, Refusal> {
        let unknown = || Refusal::new(Code::UnknownPlaceholder, "no such placeholder is in force");
        self.by_id.get(&placeholder).ok_or_else(unknown)
    }

    /// Whether what was armed with this placeholder may go on: neither frozen nor revoked nor bereft of credential, workload or
    /// approval, and within its time. Whether it has uses left does not matter to what has begun.
    pub fn is_live(&self, placeholder: PlaceholderId, now: Timestamp) -> bool {
        self.by_id.get(&placeholder).is_some_and(|held| held.may_go_on(now))
    }

    /// How many bytes of the body must be read before `authorize`: the largest bound of the permits of this workload
    /// at this destination that look at the body, or None if none does.
    pub fn body_bound(&self, workload: WorkloadId, destination: &Destination) -> Option<u64> {
        self.permits_at(workload, destination).filter_map(|(_, compiled)| compiled.permit.bound()).max()
    }

    /// How many approvers have to sign for one call there.
    pub(crate) fn needed<'n>(
        &self,
        to: &Destination,
        credentials: impl Iterator<Item = (&'n Name, CredentialKind)>,
    ) -> usize {
        let rules = self.approvers.rules();
        let needed = |(name, kind)| rules.needed_at(std::slice::from_ref(to), name, kind);
        credentials.map(needed).max().unwrap_or(usize::MAX)
    }

    /// Whether enough approvers signed the text of this question as this approval asks it.
    pub fn is_signed(&self, question: &Question, approval: &CallApproval) -> bool {
        self.approvers.tally_call(question, approval).is_complete()
    }

    /// Whose signatures count.
    pub fn approvers(&self) -> &Arc<Approvers> {
        &self.approvers
    }

    /// Why it is not known who the approvers are, in words: then nobody's signature counts, and nothing is permitted.
    pub fn approvers_unknown(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Whether the text is a placeholder of this broker, whole and unaltered.
    pub(crate) fn is_placeholder(&self, text: &str) -> bool {
        let known = |core| self.is_held(core);
        let cores = self.key.sightings(text.as_bytes(), &known);
        let whole = self.key.placeholder_hash(text);
        cores.into_iter().any(|core| self.held(core).is_some_and(|held| held.text == whole))
    }

    /// The broker's lookup key.
    pub fn lookup_key(&self) -> &LookupKey {
        &self.key
    }
}

/// Notes that this placeholder's credential may be known at the destination.
fn note(
    known: &mut IdMap<WorkloadId, HashMap<Destination, Vec<CredentialId>>>,
    held: &Held,
    to: &Destination,
) {
    let table = known.entry(held.workload).or_default();
    let Some(credentials) = table.get_mut(to) else {
        table.insert(to.clone(), vec![held.credential]);
        return;
    };
    if !credentials.contains(&held.credential) {
        credentials.push(held.credential);
    }
}

fn revoked(held: &Held) -> Held {
    Held {
        id: held.id,
        text: held.text,
        credential: held.credential,
        credential_name: held.credential_name.clone(),
        workload: held.workload,
        not_before: held.not_before,
        expires: held.expires,
        daily: held.daily,
        holder: held.holder,
        frozen: held.frozen,
        uses: held.uses,
        on_misuse: held.on_misuse,
        standing: Standing::Revoked,
        captured: None,
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySet").field("placeholders", &self.by_core.len()).finish_non_exhaustive()
    }
}
