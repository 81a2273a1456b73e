//! What an access token is made of: a grant, an OAuth client, a token endpoint. JSON, sealed as a whole.

use super::dpop::Prover;
use super::token_exchange::TokenExchange;
use cloakroom_model::Destination;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest recipe, in bytes: a private key, scopes, names.
pub(super) const LONGEST: usize = 16 * 1024;

/// How access tokens are had. Read from what was deposited, and written again when the refresh token is replaced.
///
/// SECURITY: neither `Clone` nor `Debug`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// Where the grant is exchanged: nowhere else does any of this go.
    pub(super) token_endpoint: String,
    /// How placeholders begin, where access tokens do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) prefix: String,
    /// What is exchanged.
    pub(super) grant: Grant,
    /// Where the grant is revoked when nobody needs it any more (RFC 7009).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revocation_endpoint: Option<String>,
    /// The private key that access tokens are bound to (RFC 9449), where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) proof_key: Option<String>,
    /// A refresh was asked for, and its answer is not kept (yet): see `refresh`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) unanswered: bool,
    /// How a person logs in, where the grant came of a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) login: Option<Course>,
}

/// How a person logs in: all that a new login needs beside the OAuth client.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Course {
    /// The authorization server's identifier, where its metadata was read (RFC 8414, section 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) issuer: Option<String>,
    /// Where a person is sent (RFC 6749, section 3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) authorization_endpoint: Option<String>,
    /// Where a device code is asked for (RFC 8628, section 3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) device_authorization_endpoint: Option<String>,
    /// Whether the server says that it names itself in each answer (RFC 9207, section 3).
    #[serde(default)]
    pub(super) names_itself: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<String>,
    /// What the access token is for (RFC 8707).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) resource: Vec<String>,
    /// What this server wants to be asked besides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) parameters: BTreeMap<String, String>,
}

/// What is exchanged for an access token.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Grant {
    /// RFC 6749, section 6.
    RefreshToken {
        client: OAuthClient,
        refresh_token: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
    /// An access token without an end, and no refresh token beside it.
    AccessToken { client: OAuthClient, access_token: String },
    /// RFC 6749, section 4.4.
    ClientCredentials {
        client: OAuthClient,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
    /// RFC 7523, section 2.1; also what Google service accounts do.
    JwtBearer {
        signer: Signer,
        issuer: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        /// Else the token endpoint.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audience: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
    /// RFC 8693.
    TokenExchange(TokenExchange),
    /// An installation of a GitHub App: `POST /app/installations/ID/access_tokens`, narrowed.
    GithubApp {
        signer: Signer,
        app: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        repositories: Vec<String>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        permissions: BTreeMap<String, String>,
    },
}

/// An OAuth client, and how it authenticates (RFC 6749, section 2.3).
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OAuthClient {
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
    #[serde(default)]
    pub(super) authentication: Authentication,
    /// The key that it signs with, where it authenticates by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signer: Option<Signer>,
}

/// RFC 8414, `token_endpoint_auth_methods_supported`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Authentication {
    /// `client_secret_basic`; without a secret, `none`.
    #[default]
    Basic,
    /// `client_secret_post`; without a secret, `none`.
    Post,
    /// `private_key_jwt` (RFC 7523, section 2.2).
    PrivateKeyJwt,
}

/// A private key that signs assertions.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signer {
    /// PEM: PKCS#8, or PKCS#1 and SEC1 where the algorithm has them.
    pub(super) private_key: String,
    pub(super) algorithm: Algorithm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key_id: Option<String>,
}

/// RFC 7518, section 3.1; RFC 8037. What signs assertions of ours, and what may sign those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum Algorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "ES384")]
    Es384,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// Every one.
    pub(super) const ALL: [Self; 4] = [Self::Rs256, Self::Es256, Self::Es384, Self::EdDsa];
}

impl Recipe {
    /// Reads and checks what was deposited.
    ///
    /// # Errors
    /// One sentence, which holds nothing of the recipe.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() > LONGEST {
            return Err("the grant is longer than 16 KiB");
        }
        let recipe: Self =
            serde_json::from_slice(bytes).map_err(|_| "the grant is not complete or not of a known form")?;
        recipe.endpoint().ok_or("the token endpoint is no https:// URL with a host and a path")?;
        if recipe.revocation_endpoint.as_deref().is_some_and(|url| super::ask::endpoint(url).is_none()) {
            return Err("the revocation endpoint is no https:// URL with a host and a path");
        }
        if !recipe.prefix.bytes().all(|byte| byte.is_ascii_graphic()) || recipe.prefix.len() > 32 {
            return Err("the prefix is not that of an access token");
        }
        recipe.prover()?;
        recipe.grant.check()?;
        Ok(recipe)
    }

    /// Whether each policy gets an access token of its own.
    pub(crate) fn is_narrowable(&self) -> bool {
        self.grant.is_narrowable()
    }

    /// As it is sealed.
    pub(crate) fn write(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// What placeholders for it are made like: an access token of the usual length.
    pub(crate) fn likeness(&self) -> String {
        format!("{}{}", self.prefix, "a".repeat(64))
    }

    /// Who proves possession of the key, where access tokens are bound to one.
    pub(super) fn prover(&self) -> Result<Option<Prover>, &'static str> {
        self.proof_key.as_deref().map(Prover::of).transpose()
    }

    /// Who the authorization server is, for assertions that are made for it: its issuer where that is known.
    pub(super) fn audience(&self) -> &str {
        let issuer = self.login.as_ref().and_then(|course| course.issuer.as_deref());
        issuer.unwrap_or(&self.token_endpoint)
    }

    /// The token endpoint's destination, and its path with query.
    pub(super) fn endpoint(&self) -> Option<(Destination, &str)> {
        super::ask::endpoint(&self.token_endpoint)
    }

    /// Everything in it that must not be seen in any reply.
    pub(super) fn secrets(&self) -> Vec<&str> {
        match &self.grant {
            Grant::RefreshToken { client, refresh_token, .. } => {
                client.secret.iter().map(String::as_str).chain([refresh_token.as_str()]).collect()
            }
            Grant::AccessToken { client, access_token } => {
                client.secret.iter().map(String::as_str).chain([access_token.as_str()]).collect()
            }
            Grant::ClientCredentials { client, .. } => client.secret.iter().map(String::as_str).collect(),
            Grant::TokenExchange(exchange) => exchange.secrets(),
            // A private key goes nowhere, so nobody can echo it.
            Grant::JwtBearer { .. } | Grant::GithubApp { .. } => Vec::new(),
        }
    }

    /// The same with another secret: what `credential rotate` deposits.
    pub(crate) fn with_secret(mut self, fresh: &str) -> Self {
        let fresh = fresh.to_owned();
        match &mut self.grant {
            Grant::RefreshToken { refresh_token, .. } => *refresh_token = fresh,
            Grant::AccessToken { access_token, .. } => *access_token = fresh,
            Grant::ClientCredentials { client, .. } => match &mut client.signer {
                Some(signer) => signer.private_key = fresh,
                None => client.secret = Some(fresh),
            },
            Grant::TokenExchange(exchange) => exchange.subject.token = fresh,
            Grant::JwtBearer { signer, .. } | Grant::GithubApp { signer, .. } => signer.private_key = fresh,
        }
        self
    }
}

impl Grant {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::RefreshToken { client, refresh_token, .. } => {
                client.check()?;
                printable(refresh_token)
                    .ok_or("the refresh token is empty or has other than printable characters")
            }
            Self::AccessToken { client, access_token } => {
                client.check()?;
                printable(access_token)
                    .ok_or("the access token is empty or has other than printable characters")
            }
            Self::ClientCredentials { client, .. } => {
                client.check()?;
                let has_own = client.secret.is_some() || client.signer.is_some();
                has_own.then_some(()).ok_or("client credentials need the OAuth client's secret or key")
            }
            Self::JwtBearer { signer, .. } => super::jwt::check(signer),
            Self::TokenExchange(exchange) => exchange.check(),
            Self::GithubApp { signer, app, .. } => {
                printable(app).ok_or("the app's id is missing")?;
                super::jwt::check(signer)
            }
        }
    }
}

impl OAuthClient {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if (self.authentication == Authentication::PrivateKeyJwt) != self.signer.is_some() {
            return Err("an OAuth client signs with a key exactly where it authenticates by private_key_jwt");
        }
        self.signer.as_ref().map(super::jwt::check).transpose()?;
        printable(&self.id).ok_or("the OAuth client's id is empty or has other than printable characters")?;
        let fine = self.secret.as_deref().is_none_or(|secret| printable(secret).is_some());
        fine.then_some(()).ok_or("the OAuth client's secret is empty or has other than printable characters")
    }
}

/// RFC 6749, appendix A: VSCHAR, at least one.
pub(super) fn printable(text: &str) -> Option<()> {
    (!text.is_empty() && text.bytes().all(|byte| (0x20..=0x7E).contains(&byte))).then_some(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::mint) const REFRESH: &str = r#"{"token_endpoint":"https://as.example.com/token","grant":{"refresh-token":{"client":{"id":"app","secret":"the client's secret"},"refresh_token":"the refresh token"}}}"#;

    #[test]
    fn a_recipe_is_read_and_written() {
        let recipe = Recipe::read(REFRESH.as_bytes()).unwrap();
        let again = recipe.write().unwrap();
        assert_eq!(Recipe::read(&again).map(|recipe| recipe.write().unwrap()).unwrap(), again);
        let (to, path) = recipe.endpoint().unwrap();
        assert_eq!((to.to_string().as_str(), path), ("https://as.example.com", "/token"));
        assert_eq!(recipe.secrets(), ["the client's secret", "the refresh token"]);
    }

    #[test]
    fn one_step_wrong_is_refused() {
        for (good, bad) in [
            ("https://as", "http://as"),
            (".com/token", ".com"),
            ("/token\"", "/to ken\""),
            ("/token\"", "/token#x\""),
            ("\"id\"", "\"name\""),
            ("\"app\"", "\"\""),
            ("refresh-token", "password"),
            ("\"the refresh token\"", "\"\""),
            ("\"the refresh token\"", "\"a\\r\\nb\""),
            ("{\"client\"", "{\"extra\":1,\"client\""),
        ] {
            let text = REFRESH.replacen(good, bad, 1);
            assert_ne!(text, REFRESH, "{good}");
            assert!(Recipe::read(text.as_bytes()).is_err(), "{bad}");
        }
        assert!(Recipe::read(&[b' '; LONGEST + 1]).is_err());
    }
}
