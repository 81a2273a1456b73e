//! What the catalogue knows of a destination, for the remarks beside an approval. It widens nothing: remarks are words.

use super::service::{OAuth, Service, service, services};
use cloakroom_model::Destination;
use std::sync::OnceLock;

/// How many scopes are named of a service that says nothing else about its credentials.
const MOST_SCOPES: usize = 6;

/// What is known of the service at a destination: of all its data files together.
pub(crate) fn known_at(to: &Destination) -> Option<cloakroom_policy::Service> {
    static ALL: OnceLock<Vec<Service>> = OnceLock::new();
    let all = ALL.get_or_init(|| services().filter_map(|name| service(name).ok()).collect());
    let here = all.iter().filter(|service| service.destinations.contains(to)).map(of_service);
    let servers = all.iter().filter_map(|service| authorization_server(service, to));
    here.chain(servers).reduce(together)
}

fn together(
    mut known: cloakroom_policy::Service,
    other: cloakroom_policy::Service,
) -> cloakroom_policy::Service {
    if !known.title.split("; ").any(|title| title == other.title) {
        known.title = format!("{}; {}", known.title, other.title);
    }
    known.power = match (known.power, other.power) {
        (Some(one), Some(two)) => Some(format!("{one}; {two}")),
        (one, two) => one.or(two),
    };
    known.reads.extend(other.reads);
    known.speaks.extend(other.speaks);
    known
        .grants
        .extend(other.grants.into_iter().filter(|call| !known.grants.contains(call)).collect::<Vec<_>>());
    known
}

/// The authorization server of a service, where its token endpoint is at this destination.
fn authorization_server(known: &Service, to: &Destination) -> Option<cloakroom_policy::Service> {
    let url = known.oauth.as_ref()?.token.as_str();
    let path =
        url.find("://").and_then(|scheme| url[scheme + 3..].find('/').map(|slash| scheme + 3 + slash))?;
    let at: Destination = url[..path].parse().ok()?;
    (at == *to).then(|| cloakroom_policy::Service {
        title: known.title.clone(),
        grants: vec![format!("POST {}", &url[path..])],
        ..Default::default()
    })
}

fn of_service(known: &Service) -> cloakroom_policy::Service {
    cloakroom_policy::Service {
        title: known.title.clone(),
        power: known.power.clone().or_else(|| known.oauth.as_ref().and_then(scopes)),
        reads: known.reads.clone(),
        speaks: known.speaks.iter().map(|(call, protocol)| (call.clone(), protocol.clone())).collect(),
        grants: Vec::new(),
    }
}

/// Access tokens can do what their scopes say; which those are is not known here.
fn scopes(oauth: &OAuth) -> Option<String> {
    let all: Vec<&str> = oauth.scopes.values().take(MOST_SCOPES).map(String::as_str).collect();
    (!all.is_empty())
        .then(|| format!("an access token can do what its scopes say, which may be: {}", all.join(", ")))
}
