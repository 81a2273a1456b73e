//! A grant without its refresh token: what a login was told, and what the server's metadata adds.

use super::discovery::{self, Metadata};
use super::sign_on::Provider;
use super::{LoggedIn, LoginCode, LoginError};
use crate::mint::ask::{Asker, Form, Reply, ask_proving, endpoint, fields, head};
use crate::mint::dpop::{Prover, fresh_key};
use crate::mint::exchange::{Failure, Granted, understand};
use crate::mint::recipe::{Authentication, Course, Grant, OAuthClient, Recipe, Signer};
use crate::upstream::Upstream;
use cloakroom_model::{Destination, Timestamp};
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What the CLI deposits for a login. Endpoints are named, or the issuer is, whose metadata names them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    flow: Flow,
    #[serde(default)]
    issuer: Option<String>,
    #[serde(default)]
    authorization_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint: Option<String>,
    #[serde(default)]
    device_authorization_endpoint: Option<String>,
    #[serde(default)]
    revocation_endpoint: Option<String>,
    #[serde(default)]
    prefix: String,
    client: Client,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    resource: Vec<String>,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    /// Access tokens have to be bound to a key, whatever the metadata say.
    #[serde(default)]
    bound: bool,
}

/// How a person logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Flow {
    /// Authorization code with PKCE (RFC 6749 section 4.1, RFC 7636).
    Browser,
    /// Device authorization (RFC 8628).
    Device,
}

/// As deposited: how the client authenticates may be left to the server's metadata.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Client {
    id: String,
    #[serde(default)]
    secret: Option<String>,
    #[serde(default)]
    authentication: Option<Authentication>,
    #[serde(default)]
    signer: Option<Signer>,
}

/// A grant without its refresh token.
pub(super) struct Draft {
    pub(super) client: OAuthClient,
    pub(super) course: Course,
    token_endpoint: String,
    revocation_endpoint: Option<String>,
    prefix: String,
    /// The key that access tokens will be bound to, and whether they have to be.
    proof_key: Option<String>,
    pub(super) prover: Option<Prover>,
    must_be_bound: bool,
}

impl Draft {
    pub(super) async fn of(
        document: &[u8],
        asker: Asker,
        upstream: &Upstream,
    ) -> Result<(Self, Flow), LoginError> {
        let document: Document = serde_json::from_slice(document)
            .map_err(|_| incomplete("the login is not complete or not of a known form"))?;
        let metadata = match &document.issuer {
            Some(issuer) => discovery::metadata(issuer, asker, upstream).await?,
            None => Metadata::default(),
        };
        let flow = document.flow;
        Ok((document.with(metadata)?.checked()?, flow))
    }

    /// From the grant that an earlier login made: what was said then holds.
    pub(super) fn again(recipe: Recipe) -> Result<Self, LoginError> {
        let none = || incomplete("this credential was not made by a login: deposit a new secret instead");
        let course = recipe.login.ok_or_else(none)?;
        let client = match recipe.grant {
            Grant::RefreshToken { client, .. } | Grant::AccessToken { client, .. } => client,
            _ => return Err(none()),
        };
        let Recipe { token_endpoint, revocation_endpoint, prefix, proof_key, .. } = recipe;
        let bound = Bound::if_wanted(proof_key.is_some())?;
        let Bound { proof_key, prover } = bound;
        let must_be_bound = proof_key.is_some();
        Self { client, course, token_endpoint, revocation_endpoint, prefix, proof_key, prover, must_be_bound }
            .checked()
    }

    /// For a person's single sign-on, at a provider that says this of itself. The client's secret is added by whoever exchanges the code.
    pub(super) fn of_provider(
        provider: &Provider,
        metadata: Metadata,
        nonce: &str,
    ) -> Result<Self, LoginError> {
        let in_body = metadata.wants_secret_in_body();
        let authentication = if in_body { Authentication::Post } else { Authentication::Basic };
        let client = Client {
            id: provider.client_id.clone(),
            secret: None,
            authentication: Some(authentication),
            signer: None,
        };
        let document = Document {
            flow: Flow::Browser,
            issuer: Some(provider.issuer.clone()),
            authorization_endpoint: None,
            token_endpoint: None,
            device_authorization_endpoint: None,
            revocation_endpoint: None,
            prefix: String::new(),
            client,
            scope: Some(provider.scope()),
            resource: Vec::new(),
            parameters: BTreeMap::from([("nonce".to_owned(), nonce.to_owned())]),
            bound: false,
        };
        document.with(metadata)?.checked()
    }

    /// Where the code, and the client's secret with it, goes.
    pub(super) fn token_destination(&self) -> Result<Destination, LoginError> {
        let unreadable = || incomplete("the token endpoint cannot be read");
        endpoint(&self.token_endpoint).map(|(to, _)| to).ok_or_else(unreadable)
    }

    pub(super) fn checked(self) -> Result<Self, LoginError> {
        self.client.check().map_err(incomplete)?;
        let course = &self.course;
        let urls = [
            &course.authorization_endpoint,
            &course.device_authorization_endpoint,
            &self.revocation_endpoint,
            &Some(self.token_endpoint.clone()),
        ]
        .into_iter()
        .flatten()
        .all(|url| endpoint(url).is_some());
        urls.then_some(self).ok_or(incomplete("an endpoint is no https:// URL with a host and a path"))
    }

    /// Adds who the client is.
    pub(super) fn authenticate(&self, form: &mut Form, fields: &mut HeaderMap) -> Result<(), LoginError> {
        let audience = self.course.issuer.as_deref().unwrap_or(&self.token_endpoint);
        let now = Timestamp::now().millis() / 1000;
        self.client.authenticate(audience, now, form, fields).map_err(incomplete)
    }

    /// Asks the token endpoint, with a proof where access tokens are bound to a key.
    pub(super) async fn asked(
        &self,
        form: impl Fn() -> Form,
        asker: Asker,
        upstream: &Upstream,
    ) -> Result<Reply, LoginError> {
        let question = |path: &str| {
            let (mut form, mut fields) = (form(), fields());
            self.authenticate(&mut form, &mut fields).map_err(LoginError::reason)?;
            let body = form.finish(&mut fields);
            Ok((head(Method::POST, path, fields)?, body))
        };
        Ok(ask_proving(upstream, asker, &self.token_endpoint, self.prover.as_ref(), question).await?)
    }

    /// What the token endpoint said.
    pub(super) fn understand(&self, reply: &Reply) -> Result<Granted, Failure> {
        understand(reply, StatusCode::OK, self.prover.is_some())
    }

    /// The grant. The access token that came along is not kept where a refresh token did: the first call has its own made.
    pub(super) fn finish(self, granted: Granted) -> Result<LoggedIn, LoginError> {
        let Self { client, course, token_endpoint, revocation_endpoint, prefix, proof_key, .. } = self;
        if self.must_be_bound && !granted.is_bound {
            let reason = "the access token is not bound to the key, as it has to be";
            return Err(LoginError::new(LoginCode::ReplyNotUsable, reason));
        }
        let grant = match (granted.refresh_token, granted.says_when) {
            (Some(refresh_token), _) => Grant::RefreshToken { client, refresh_token, scope: None },
            (None, false) => {
                let access_token = String::from_utf8(granted.access_token.expose().to_vec());
                let access_token = access_token.map_err(|_| incomplete("the access token is no text"))?;
                Grant::AccessToken { client, access_token }
            }
            (None, true) => {
                let reason = "the access token ends, and the authorization server gave no refresh token";
                return Err(LoginError::new(LoginCode::ReplyNotUsable, reason));
            }
        };
        let recipe = Recipe {
            token_endpoint,
            prefix,
            grant,
            revocation_endpoint,
            // A server that binds nothing has no use for proofs.
            proof_key: proof_key.filter(|_| granted.is_bound),
            unanswered: false,
            login: Some(course),
        };
        Ok(LoggedIn { recipe })
    }
}

impl Document {
    fn with(self, metadata: Metadata) -> Result<Draft, LoginError> {
        if self.issuer.is_none() && self.token_endpoint.is_none() {
            return Err(incomplete("neither the issuer nor the token endpoint is known"));
        }
        if metadata.refuses_s256() && self.flow == Flow::Browser {
            let reason = "the authorization server does not support PKCE with S256";
            return Err(LoginError::new(LoginCode::MetadataNotUsable, reason));
        }
        let Client { id, secret, authentication, signer } = self.client;
        let by_metadata = match (&secret, &signer) {
            (_, Some(_)) => Authentication::PrivateKeyJwt,
            (Some(_), None) if metadata.wants_secret_in_body() => Authentication::Post,
            _ => Authentication::Basic,
        };
        let authentication = authentication.unwrap_or(by_metadata);
        let Bound { proof_key, prover } = Bound::if_wanted(self.bound || metadata.binds_access_tokens())?;
        let no_token = || incomplete("the authorization server's metadata name no token endpoint");
        Ok(Draft {
            client: OAuthClient { id, secret, authentication, signer },
            token_endpoint: self.token_endpoint.or(metadata.token_endpoint).ok_or_else(no_token)?,
            revocation_endpoint: self.revocation_endpoint.or(metadata.revocation_endpoint),
            prefix: self.prefix,
            proof_key,
            prover,
            must_be_bound: self.bound,
            course: Course {
                issuer: self.issuer,
                authorization_endpoint: self.authorization_endpoint.or(metadata.authorization_endpoint),
                device_authorization_endpoint: self
                    .device_authorization_endpoint
                    .or(metadata.device_authorization_endpoint),
                names_itself: metadata.authorization_response_iss_parameter_supported,
                scope: self.scope,
                resource: self.resource,
                parameters: self.parameters,
            },
        })
    }
}

/// A key to bind access tokens to.
struct Bound {
    proof_key: Option<String>,
    prover: Option<Prover>,
}

impl Bound {
    fn if_wanted(is_wanted: bool) -> Result<Self, LoginError> {
        let proof_key = is_wanted.then(fresh_key).transpose().map_err(incomplete)?;
        let prover = proof_key.as_deref().map(Prover::of).transpose().map_err(incomplete)?;
        Ok(Self { proof_key, prover })
    }
}

pub(super) fn incomplete(reason: &'static str) -> LoginError {
    LoginError::new(LoginCode::NotComplete, reason)
}
