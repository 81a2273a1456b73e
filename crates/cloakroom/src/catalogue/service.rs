//! One service: how its credentials look, where they go, what they are called, how they are had.

use super::files::SERVICES;
use super::unknown;
use crate::failure::Failure;
use cloakroom_model::{CredentialKind, Destination, Place};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is known of one service. Facts only; where each is written stands in `sources`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Service {
    /// What people call it.
    pub(crate) title: String,
    /// How its credential is usually placed.
    pub(crate) kind: CredentialKind,
    /// Where it goes.
    pub(crate) destinations: Vec<Destination>,
    /// The place for a policy.
    pub(crate) place: Place,
    /// How its credentials begin, where they all do.
    #[serde(default)]
    pub(crate) prefixes: Vec<String>,
    /// The environment variables that its programs read a credential from.
    #[serde(default)]
    pub(crate) environment: Vec<String>,
    /// The environment variables that its programs read a base URL from.
    #[serde(default)]
    pub(crate) base_url: Vec<String>,
    /// Calls that only read, although their method does not say so.
    #[serde(default)]
    pub(crate) reads: Vec<String>,
    /// What calls speak whose method does not say what they do, by `METHOD /path`: words of a policy's `speaks`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) speaks: BTreeMap<String, String>,
    /// What a credential can do where nothing narrows it, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) power: Option<String>,
    /// How an access token is had.
    #[serde(default)]
    pub(crate) oauth: Option<OAuth>,
    /// Where the facts are written.
    pub(crate) sources: Sources,
}

/// The authorization server's endpoints.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OAuth {
    /// Where a person is sent (RFC 6749 section 3.1).
    pub(crate) authorization: String,
    /// Where codes and refresh tokens are exchanged (RFC 6749 section 3.2).
    pub(crate) token: String,
    /// Where a device code is asked for (RFC 8628 section 3.1).
    #[serde(default)]
    pub(crate) device: Option<String>,
    /// Where an access or refresh token is revoked (RFC 7009).
    #[serde(default)]
    pub(crate) revocation: Option<String>,
    /// What the authorization request says besides, so that a refresh token comes of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) authorize: BTreeMap<String, String>,
    /// Scopes that agents ask for, and what each allows. Not all there are.
    #[serde(default)]
    pub(crate) scopes: BTreeMap<String, String>,
}

/// The page on which each group of facts is written, by the service itself.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sources {
    /// Of kind, destinations, place and prefixes.
    pub(crate) credential: String,
    /// Of the environment variables.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// Of the calls that only read.
    #[serde(default)]
    pub(crate) reads: Option<String>,
    /// Of what calls speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) speaks: Option<String>,
    /// Of what a credential can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) power: Option<String>,
    /// Of the endpoints and scopes.
    #[serde(default)]
    pub(crate) oauth: Option<String>,
}

/// The service of this name.
pub(crate) fn service(name: &str) -> Result<Service, Failure> {
    let Some((known, text)) = SERVICES.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = services().collect();
        let otherwise = "see \"cloakroom catalogue list\"; for others use --kind and --to";
        return Err(unknown("service", name, &names, otherwise));
    };
    toml::from_str(text)
        .map_err(|error| Failure::failed(format!("catalogue/{known}.toml: {}", error.message())))
}

/// The names of all services, sorted.
pub(crate) fn services() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|(name, _)| *name)
}
