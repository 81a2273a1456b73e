//! Where secrets live that are not deposited, and what was lent.

use cloakroom_model::LeaseId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a secret lives that is read elsewhere, and how that goes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SourceView {
    /// The kind of source.
    pub from: String,
    /// Where the secret is.
    pub place: String,
    /// How the broker logs in there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub login: Option<String>,
    /// When what is placed now was read; none where nothing is at hand.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub read: Option<String>,
    /// What it is lent by.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub lease: Option<LeaseId>,
    /// Why the last reading failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trouble: Option<String>,
}

/// What a source has lent and was not given back yet.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LeaseView {
    /// Its id here.
    #[schema(value_type = String)]
    pub id: LeaseId,
    /// The credential's name, or its id where that is not known any more.
    pub credential: String,
    /// For which generation of it.
    pub generation: u32,
    /// `asked`, `held` or `ending`.
    pub state: String,
    /// When it was asked for (RFC 3339).
    pub asked: String,
    /// When the source ends it by itself, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires: Option<String>,
    /// How often the source was asked to end it.
    pub attempts: u32,
    /// Why it is not gone yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trouble: Option<String>,
}
