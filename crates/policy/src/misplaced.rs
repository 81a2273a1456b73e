//! A placeholder where it does not belong, in a call that is refused for another reason: which one, if any.
//!
//! A call that is allowed has one spot for each placeholder, and a stray is what stands beside it. A refused call has none yet,
//! so each permit at its destination is asked where the placeholder would belong, whatever else the permit says. An honest
//! mistake, the right place of a wrong call, finds its spot and is no event.

use crate::allow::Asker;
use crate::decide::Stage;
use crate::decide::body::BodyView;
use crate::decide::place::{self, Wanted};
use crate::search::{self, Finding};
use crate::{Spot, set::Held};
use cloakroom_model::{EventKind, Refusal};
use std::sync::Arc;

/// Where the placeholders of a refused call may stand.
#[derive(Default)]
struct Places {
    spots: Vec<Spot>,
    /// Some permit wants its placeholder in the body, which has no one reading: where in it one stands is not known.
    body_unread: bool,
}

impl Asker<'_> {
    /// The same refusal; as a security event of the placeholder that stands outside every place of its permits at the
    /// destination, or at two of them, if it was no event yet.
    pub(crate) fn marked_if_misplaced(&self, refusal: Refusal, findings: &[Finding]) -> Refusal {
        if refusal.event_kind().is_some() {
            return refusal;
        }
        let Some(held) = self.misplaced(findings) else { return refusal };
        refusal.as_event(EventKind::WrongPlace).with(|facts| {
            // SECURITY: what is done on misuse is done to the placeholder that was misused.
            if facts.placeholder != Some(held.id) {
                facts.placeholder = Some(held.id);
                facts.credential.clone_from(&held.credential_name);
                facts.permit = None;
            }
        })
    }

    fn misplaced(&self, findings: &[Finding]) -> Option<Arc<Held>> {
        let body = BodyView::new(self.call);
        let mut places = Places::default();
        for core in search::cores(findings) {
            if let Some(held) = self.policies.held(core) {
                self.see_places(&held, &body, &mut places);
            }
        }
        let spots: Vec<&Spot> = places.spots.iter().collect();
        let strays = search::strays(self.call, findings, &spots, self.policies);
        let mut meant = strays.filter(|stray| !(places.body_unread && stray.is_in_body()));
        // A placeholder without a permit that counts has no place, so none can be wrong.
        meant.find_map(|stray| self.policies.held(stray.core()).filter(|held| !held.permits().is_empty()))
    }

    /// Adds the one spot of a placeholder. At a second one it stands twice, so that is left to be a stray.
    fn see_places(&self, held: &Held, body: &BodyView<'_>, places: &mut Places) {
        let wanted = Wanted { key: self.policies.lookup_key(), text: held.text };
        let here = held.permits().iter().filter(|compiled| compiled.permit.to == self.call.destination);
        let (mut own, mut unread) = (None, false);
        for compiled in here {
            match place::find_in_any_call(&compiled.permit, self.call, body, &wanted) {
                Ok(spot) => own = own.or(Some(spot)),
                Err(mismatch) => unread |= mismatch.stage == Stage::Body,
            }
        }
        places.body_unread |= unread && own.is_none();
        places.spots.extend(own);
    }
}
