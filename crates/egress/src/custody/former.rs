//! What a credential was before it was rotated: used no more, and looked for in replies all the same.
//!
//! A call that went out with the former secret looks for it to its end, whatever happens here. This is about all others: while such a call
//! is under way, and for as long as the operator asked for, a destination may still show the former secret to anybody.

use super::signing_key::Unsent;
use super::{Custody, Derived};
use crate::scrub::NeedleCache;
use cloakroom_model::CredentialId;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

impl Custody {
    /// To be called before a deposited secret is replaced: sees to it that it is looked for in replies while a call is under way that went
    /// out with it, and for this grace. A restart ends that.
    ///
    /// What is made of grants, or read elsewhere, is remembered when it is made or read. A secret that does not open went nowhere.
    pub fn keep_former(&self, id: CredentialId, grace: Duration) {
        let held = self.held.load();
        let deposited = held.get(&id).filter(|held| held.mint.is_none() && held.sessions.is_none());
        let Some((held, opened)) = deposited.and_then(|held| Some((held, self.open(id).ok()?))) else {
            return;
        };
        let Ok(unsent) = Unsent::read(opened.kind, opened.secret.expose()) else { return };
        let parts = unsent.as_ref().map_or_else(|| vec![opened.secret.expose()], Unsent::parts);
        let Some(cache) = cache(&opened.derived) else { return };
        // Made where they are not at hand: a call that is armed at this moment takes these, and is known by them.
        if unsent.is_some() {
            cache.parts(&parts);
        } else {
            cache.needles(None, opened.secret.expose());
        }
        held.remembered.keep_former(&parts, &cache.all(), grace);
    }
}

fn cache(derived: &Derived) -> Option<&NeedleCache> {
    let made = derived.get_or_init(|| Arc::new(NeedleCache::default()) as Arc<dyn Any + Send + Sync>);
    made.downcast_ref()
}
