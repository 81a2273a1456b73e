//! The catalogue as the console offers it.

use super::{Service, ready, ready_made, service, services};
use cloakroom_admin::{Offer, OfferedLogin, OfferedPolicy};

/// Every service, sorted, with its ready-made policies.
pub(crate) fn offers() -> Vec<Offer> {
    services().filter_map(|name| Some(offer(name, service(name).ok()?))).collect()
}

fn offer(name: &'static str, known: Service) -> Offer {
    let policies = ready_made().filter_map(|policy| Some((policy, ready(policy).ok()?)));
    let policies = policies.filter(|(_, ready)| ready.service == name);
    Offer {
        name,
        title: known.title,
        kind: known.kind,
        destinations: known.destinations,
        place: known.place.to_string(),
        prefixes: known.prefixes,
        environment: known.environment,
        base_url: known.base_url,
        power: known.power,
        source: known.sources.credential,
        login: known.oauth.map(|oauth| OfferedLogin {
            authorization: oauth.authorization,
            token: oauth.token,
            revocation: oauth.revocation,
            parameters: oauth.authorize,
            scopes: oauth.scopes,
        }),
        policies: policies
            .map(|(name, ready)| OfferedPolicy { name, about: ready.about, text: ready.policy })
            .collect(),
    }
}
