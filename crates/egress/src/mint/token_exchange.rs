//! OAuth token exchange (RFC 8693): a token that somebody else issued, for an access token that is good where the call goes.

use super::ask::Form;
use super::exchange::Failure;
use super::recipe::{OAuthClient, printable};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

/// Section 2.1.
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What is exchanged, for what, and on whose behalf.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenExchange {
    /// The OAuth client that asks, where the server wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<OAuthClient>,
    /// On whose behalf the access token is good.
    pub(super) subject: Presented,
    /// Who acts for that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) actor: Option<Presented>,
    /// The services it is for, by the names that the server knows them by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) audience: Vec<String>,
    /// The same, by their addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) resource: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<String>,
}

/// A token and what it is.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Presented {
    pub(super) token: String,
    #[serde(rename = "type")]
    pub(super) kind: TokenType,
}

/// Section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TokenType {
    AccessToken,
    RefreshToken,
    IdToken,
    Jwt,
    Saml1,
    Saml2,
}

impl TokenType {
    const fn uri(self) -> &'static str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::RefreshToken => "urn:ietf:params:oauth:token-type:refresh_token",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
            Self::Saml1 => "urn:ietf:params:oauth:token-type:saml1",
            Self::Saml2 => "urn:ietf:params:oauth:token-type:saml2",
        }
    }
}

impl TokenExchange {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        self.client.as_ref().map(OAuthClient::check).transpose()?;
        let presented = [Some(&self.subject), self.actor.as_ref()].into_iter().flatten();
        for one in presented {
            printable(&one.token)
                .ok_or("a token to exchange is empty or has other than printable characters")?;
        }
        // Section 2.1: an absolute URI without a fragment.
        let absolute = |uri: &String| uri.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty());
        let fine =
            self.resource.iter().all(|uri| printable(uri).is_some() && absolute(uri) && !uri.contains('#'));
        fine.then_some(()).ok_or("a resource to exchange for is no absolute URI without a fragment")
    }

    pub(super) fn secrets(&self) -> Vec<&str> {
        let client = self.client.iter().filter_map(|client| client.secret.as_deref());
        client
            .chain([self.subject.token.as_str()])
            .chain(self.actor.iter().map(|one| one.token.as_str()))
            .collect()
    }

    /// Section 2.1.
    pub(super) fn write(
        &self,
        audience: &str,
        now: u64,
        form: &mut Form,
        fields: &mut HeaderMap,
    ) -> Result<(), &'static str> {
        form.add("grant_type", GRANT_TYPE);
        form.add("subject_token", &self.subject.token);
        form.add("subject_token_type", self.subject.kind.uri());
        if let Some(actor) = &self.actor {
            form.add("actor_token", &actor.token);
            form.add("actor_token_type", actor.kind.uri());
        }
        form.add("requested_token_type", TokenType::AccessToken.uri());
        self.audience.iter().for_each(|name| form.add("audience", name));
        self.resource.iter().for_each(|uri| form.add("resource", uri));
        form.add_some("scope", self.scope.as_deref());
        self.client.as_ref().map_or(Ok(()), |client| client.authenticate(audience, now, form, fields))
    }
}

/// That the server issued what was asked for (section 2.2.1): it may issue something that is no access token and say so here.
pub(super) fn require_access_token(body: &[u8]) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Said {
        issued_token_type: String,
    }
    let said = serde_json::from_slice::<Said>(body).map(|said| said.issued_token_type).unwrap_or_default();
    // Some servers name the format of the access token.
    if [TokenType::AccessToken, TokenType::Jwt].iter().any(|kind| kind.uri() == said) {
        return Ok(());
    }
    Err(Failure::Unavailable("the token endpoint issued something else than an access token", None))
}
