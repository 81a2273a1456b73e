//! What travels about those who use the console and the admin API over the network.

use cloakroom_model::{ApiTokenId, ApprovalId, MemberId, Name, Roles, SessionId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/v1/whoami`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WhoView {
    /// As the record names the caller.
    pub name: String,
    /// What the caller may do.
    #[schema(value_type = Vec<String>)]
    pub roles: Roles,
    /// The session, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub session: Option<SessionId>,
}

/// `POST /api/v1/members`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// What others call that person.
    #[schema(value_type = String)]
    pub name: Name,
    /// What the person may do. To become an approver takes the signatures of those there are.
    #[schema(value_type = Vec<String>)]
    pub roles: Roles,
}

/// `POST /api/v1/members/sign-on`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSubject {
    /// What others call that person.
    #[schema(value_type = String)]
    pub name: Name,
    /// What the person may do. To approve takes a passkey.
    #[schema(value_type = Vec<String>)]
    pub roles: Roles,
    /// What the provider calls that person: the claim `sub`, never an e-mail address.
    pub subject: String,
}

/// A person who uses the console.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    /// The id.
    #[schema(value_type = String)]
    pub id: MemberId,
    /// The name.
    #[schema(value_type = String)]
    pub name: Name,
    /// What the person may do now.
    #[schema(value_type = Vec<String>)]
    pub roles: Roles,
    /// What the provider of the single sign-on calls that person, where it is by that that the person logs in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<String>,
    /// Since when.
    pub created: String,
}

/// What came of a link for a passkey.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EnrolledView {
    /// `enrolled` where the person has logged in by it; `pending` where it counts once approvers have signed.
    pub state: String,
    /// The approval that waits for the approvers' signatures, where one does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub id: Option<ApprovalId>,
    /// The member, where the link was for one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub member: Option<MemberView>,
}

/// A browser that is logged in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Its id, which opens nothing.
    #[schema(value_type = String)]
    pub id: SessionId,
    /// Whose it is.
    pub name: String,
    /// Since when (RFC 3339).
    pub begun: String,
    /// When it was used last, to the minute.
    pub used: String,
    /// When it ends at the latest.
    pub ends: String,
    /// Whether it is the one that asks.
    pub is_this: bool,
}

/// `POST /api/v1/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiToken {
    /// What it is for.
    #[schema(value_type = String)]
    pub name: Name,
    /// What it may do: some of its maker's roles.
    #[schema(value_type = Vec<String>)]
    pub roles: Roles,
    /// Seconds until it ends.
    pub expires_in: u64,
}

/// A new API token with its text, which is not kept and never shown again.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct IssuedApiToken {
    /// The API token.
    #[serde(flatten)]
    pub token: ApiTokenView,
    /// What the program sends: `Authorization: Bearer` and this.
    pub text: String,
}

/// An API token as shown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApiTokenView {
    /// Its id, which opens nothing.
    #[schema(value_type = String)]
    pub id: ApiTokenId,
    /// What it is for.
    #[schema(value_type = String)]
    pub name: Name,
    /// What it may do.
    #[schema(value_type = Vec<String>)]
    pub roles: Roles,
    /// Who made it.
    pub owner: String,
    /// When it was made (RFC 3339).
    pub created: String,
    /// When it ends.
    pub expires: String,
    /// `active`, `expired` or `revoked`.
    pub state: String,
}
