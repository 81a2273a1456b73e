//! What travels about logins. The OAuth client comes sealed; what a login brings never travels here.

use super::CredentialView;
use cloakroom_egress::custody::DropOff;
use cloakroom_model::{Destination, LoginId, Name};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /api/v1/logins`: a person will log in, and what comes of it becomes a credential.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLogin {
    /// The operator's name for the credential.
    #[schema(value_type = String)]
    pub name: Name,
    /// Where it may go at all.
    #[schema(value_type = Vec<String>)]
    pub destinations: Vec<Destination>,
    /// Server, OAuth client and scope, sealed: the client may have a secret.
    #[schema(value_type = Object)]
    pub document: DropOff,
    /// Where the browser is sent back to; absent: the console.
    #[serde(default)]
    pub redirect: Option<String>,
}

/// `POST /api/v1/credentials/{name}/login`: a new login for the same credential.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginAgain {
    /// By a code that is typed in anywhere, instead of a browser here.
    #[serde(default)]
    pub device: bool,
    /// Where the browser is sent back to; absent: the console.
    #[serde(default)]
    pub redirect: Option<String>,
}

/// `POST /api/v1/logins/{id}/answer`: what the browser was sent back with, where the console does not take it.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginAnswer {
    /// The query of the redirect.
    pub query: String,
}

/// A login as shown: what the person has to do, or what came of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LoginView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: LoginId,
    /// `waiting`, `done` or `failed`.
    pub state: String,
    /// The credential's name.
    #[schema(value_type = String)]
    pub name: Name,
    /// What to open in a browser, where that is how.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
    /// What to type in, where that is how.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_code: Option<String>,
    /// Where to type it in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verification_uri: Option<String>,
    /// The same with the code in it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verification_uri_complete: Option<String>,
    /// Until when it waits.
    pub expires: String,
    /// Why it came to nothing, as a word.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<String>,
    /// The same as a sentence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// What to do then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub credential: Option<CredentialView>,
}
