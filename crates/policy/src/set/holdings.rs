//! What a workload may be told of what it holds.

use super::{Held, PolicySet};
use crate::text;
use cloakroom_model::{Destination, Name, PlaceholderId, Principal, Refusal, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A placeholder, as its own workload may see it: what it is good for, and nothing of its text.
#[derive(Clone, Debug)]
pub struct Holding {
    /// Which one.
    pub placeholder: PlaceholderId,
    /// The credential that it stands for.
    pub credential: Option<Name>,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// Why it does not count now.
    pub dormant: Option<Refusal>,
    /// What it permits, in the order of its policy; nothing where it does not count.
    pub permits: Vec<HeldPermit>,
}

/// One permit in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPermit {
    /// What the policy calls it.
    pub name: String,
    /// Where it leads.
    pub to: Destination,
    /// Methods and paths.
    pub calls: Vec<String>,
    /// Where in the call the placeholder stands, as a policy file has it.
    pub place: String,
    /// Every fact of it, a line each, as the approver read it.
    pub facts: Vec<String>,
}

impl PolicySet {
    /// What this workload holds: what counts, and of what does not count the newest at each destination. The newest first.
    pub fn holdings(&self, principal: &Principal, now: Timestamp) -> Vec<Holding> {
        let workload = principal.workload();
        let active =
            self.by_destination.get(&workload).into_iter().flat_map(|table| table.values().flatten());
        let dormant = self.dormant.get(&workload).into_iter().flat_map(|table| table.values());
        let all: BTreeMap<PlaceholderId, &Arc<Held>> =
            active.map(|(held, _)| held).chain(dormant).map(|held| (held.id, held)).collect();
        let own = all.into_values().rev().filter(|held| held.require_holder(principal).is_ok());
        own.map(|held| held.told(now)).collect()
    }
}

impl Held {
    fn told(&self, now: Timestamp) -> Holding {
        let (permits, dormant) = match self.permits_at(now) {
            Ok(permits) => (permits, None),
            Err(refusal) => (&[][..], Some(refusal)),
        };
        let permits = permits.iter().map(|compiled| {
            let permit = &compiled.permit;
            HeldPermit {
                name: permit.name.clone(),
                to: permit.to.clone(),
                calls: permit.calls.iter().map(ToString::to_string).collect(),
                place: permit.place.to_string(),
                facts: text::facts(permit),
            }
        });
        Holding {
            placeholder: self.id,
            credential: self.credential_name.clone(),
            expires: self.expires,
            dormant,
            permits: permits.collect(),
        }
    }
}
