//! What travels about credentials: secrets come sealed, and never go back.

use super::SourceView;
use cloakroom_egress::custody::{DropOff, Intake};
use cloakroom_model::{Code, CredentialId, CredentialKind, Destination, Name};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/v1/intake`: what secrets are sealed to on their way in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub struct IntakeView(
    /// The public half of the intake key.
    pub Intake,
);

/// `POST /api/v1/credentials`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    /// The operator's name for it.
    #[schema(value_type = String)]
    pub name: Name,
    /// How it is usually placed.
    #[schema(value_type = String)]
    pub kind: CredentialKind,
    /// Where it may go at all.
    #[schema(value_type = Vec<String>)]
    pub destinations: Vec<Destination>,
    /// The sealed secret.
    #[schema(value_type = Object)]
    pub secret: DropOff,
}

/// `POST /api/v1/credentials/{name}/rotate`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// The new secret, sealed under the credential's name.
    #[schema(value_type = Object)]
    pub secret: DropOff,
    /// For so many seconds the former secret is taken out of replies as well.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grace: Option<u64>,
}

/// A credential as shown: by name and age, never by content.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CredentialView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: CredentialId,
    /// Its name.
    #[schema(value_type = String)]
    pub name: Name,
    /// How it is usually placed.
    #[schema(value_type = String)]
    pub kind: CredentialKind,
    /// Where it may go at all.
    #[schema(value_type = Vec<String>)]
    pub destinations: Vec<Destination>,
    /// Counts rotations, from 1.
    pub generation: u32,
    /// When it was deposited (RFC 3339).
    pub created: String,
    /// When the present generation was deposited.
    pub rotated: String,
    /// Placeholders that stand for it and are pending or active.
    pub placeholders: usize,
    /// Where its secret lives, if elsewhere.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<SourceView>,
    /// When the client certificate ends, where it is one (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate_expires: Option<String>,
    /// How the making of its access tokens goes, where they are made; only in `show`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub renewal: Option<RenewalView>,
    /// What became of its grant at the authorization server, where that is asked: `revoked`, `refused` or `tried-again`; only in `remove`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revocation: Option<String>,
}

/// How the making of access tokens goes, since the broker's start.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RenewalView {
    /// `unused`, `fresh`, `due`, `unavailable` or `login-required`.
    pub state: String,
    /// The last time that one was made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last: Option<String>,
    /// From then on the next call has another one made, or tries to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
    /// Until then the one that there is can be used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ends: Option<String>,
    /// The refusal that calls get, where the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub code: Option<Code>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}
