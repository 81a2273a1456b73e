//! What is known of a service that can be connected: words for a page and defaults for a form. It permits nothing.

use cloakroom_model::{CredentialKind, Destination};
use std::collections::BTreeMap;

/// One service of the catalogue.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Its short name.
    pub name: &'static str,
    /// What people call it.
    pub title: String,
    /// How its credential is usually placed.
    pub kind: CredentialKind,
    /// Where it goes.
    pub destinations: Vec<Destination>,
    /// The place for a policy.
    pub place: String,
    /// How its credentials begin, where they all do.
    pub prefixes: Vec<String>,
    /// The environment variables that its programs read a credential from.
    pub environment: Vec<String>,
    /// The environment variables that its programs read a base URL from.
    pub base_url: Vec<String>,
    /// What a credential can do where nothing narrows it.
    pub power: Option<String>,
    /// Where its own documentation tells of credentials.
    pub source: String,
    /// How an access token is had by a login.
    pub login: Option<OfferedLogin>,
    /// Ready-made policies for it.
    pub policies: Vec<OfferedPolicy>,
}

/// The endpoints of a service's authorization server.
#[derive(Clone, Debug)]
pub struct OfferedLogin {
    /// Where a person is sent.
    pub authorization: String,
    /// Where codes are exchanged.
    pub token: String,
    /// Where a grant is revoked.
    pub revocation: Option<String>,
    /// What the authorization request says besides.
    pub parameters: BTreeMap<String, String>,
    /// Scopes that agents ask for, and what each allows.
    pub scopes: BTreeMap<String, String>,
}

/// A ready-made policy, with `<words>` to fill in.
#[derive(Clone, Debug)]
pub struct OfferedPolicy {
    /// Its short name.
    pub name: &'static str,
    /// What it allows, and what it does not.
    pub about: String,
    /// The policy file.
    pub text: String,
}
