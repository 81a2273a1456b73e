//! How the broker logs in: with a token that it was given, an AppRole, a JWT, a certificate.
//!
//! SPEC: <https://openbao.org/api-docs/auth/approle/#login-with-approle>, <https://openbao.org/api-docs/auth/jwt/#jwt-login>,
//! <https://openbao.org/api-docs/auth/cert/#login-with-tls-certificate-method>,
//! <https://openbao.org/api-docs/auth/token/#lookup-a-token-self>

use super::super::file;
use super::session::Session;
use super::{Access, Asker, document, encoded, is_path, is_word};
use crate::custody::ClientCertificate;
use crate::mint::Failure;
use crate::secret::Secret;
use crate::source::Desk;
use crate::upstream::Identity;
use cloakroom_model::Timestamp;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// What lets the broker in.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Login {
    /// A login token that the operator had made.
    Token { token: String },
    /// A role's id and one of its secret ids.
    AppRole { mount: String, role_id: String, secret_id: String },
    /// A JWT that somebody else signed.
    Jwt { mount: String, role: String, jwt: String },
    /// The same from a file, read anew for each login: Kubernetes replaces it before it ends.
    JwtFile { mount: String, role: String, path: PathBuf },
    /// A certificate and its private key, shown in the TLS handshake.
    Certificate {
        mount: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<String>,
        pem: String,
    },
}

impl Login {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Token { token } => is_word(token).then_some(()).ok_or("the login token is no word"),
            Self::AppRole { mount, role_id, secret_id } => {
                let fine =
                    is_path(mount) && role_id.len() <= 512 && !role_id.is_empty() && is_word(secret_id);
                fine.then_some(()).ok_or("an AppRole login needs its mount, the role's id and a secret id")
            }
            Self::Jwt { mount, role, jwt } => {
                let fine = is_path(mount) && !role.is_empty() && is_word(jwt);
                fine.then_some(()).ok_or("a JWT login needs its mount, a role and a JWT")
            }
            Self::JwtFile { mount, role, path } => {
                let fine = is_path(mount) && !role.is_empty();
                fine.then_some(()).ok_or("a JWT login needs its mount and a role")?;
                file::check(path)
            }
            Self::Certificate { mount, pem, .. } => {
                is_path(mount).then_some(()).ok_or("a login by certificate needs its mount")?;
                // Its end is for the handshake to judge.
                let read = ClientCertificate::read(&secret(pem), Timestamp::from_millis(0));
                read.map(drop)
                    .map_err(|_| "a login by certificate needs the certificate and its private key, in PEM")
            }
        }
    }

    /// Its word.
    pub(in crate::source) const fn name(&self) -> &'static str {
        match self {
            Self::Token { .. } => "token",
            Self::AppRole { .. } => "approle",
            Self::Jwt { .. } | Self::JwtFile { .. } => "jwt",
            Self::Certificate { .. } => "cert",
        }
    }

    /// Whether what it reads on this machine may be read.
    pub(in crate::source) fn allowed(&self, desk: &Desk) -> Result<(), &'static str> {
        match self {
            Self::JwtFile { path, .. } => file::allowed(path, desk),
            _ => Ok(()),
        }
    }

    /// What connections to the server show of the broker.
    pub(super) fn identity(&self) -> Option<Identity> {
        match self {
            Self::Certificate { pem, .. } => Some(Identity::new(secret(pem))),
            _ => None,
        }
    }

    /// Takes another secret.
    pub(in crate::source) fn renew(&mut self, fresh: &str) -> Option<()> {
        let secret = match self {
            Self::Token { token } => token,
            Self::AppRole { secret_id, .. } => secret_id,
            Self::Jwt { jwt, .. } => jwt,
            Self::JwtFile { .. } => return None,
            Self::Certificate { pem, .. } => pem,
        };
        fresh.clone_into(secret);
        Some(())
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(Zeroizing::new(text.as_bytes().to_vec()))
}

impl Access {
    /// Logs in.
    ///
    /// # Errors
    /// [`Failure::Refused`] where the server does not let the broker in: only another secret helps.
    pub(super) async fn log_in(&self, asker: &Asker<'_>, desk: &Desk) -> Result<Session, Failure> {
        match &self.login {
            Login::Token { token } => self.look_up(asker, token).await,
            Login::AppRole { mount, role_id, secret_id } => {
                self.exchange(asker, mount, &json!({ "role_id": role_id, "secret_id": secret_id })).await
            }
            Login::Jwt { mount, role, jwt } => {
                self.exchange(asker, mount, &json!({ "role": role, "jwt": jwt })).await
            }
            Login::JwtFile { mount, role, path } => {
                let jwt = file::read(path, desk).await?;
                let body = json!({ "role": role, "jwt": jwt.as_str() });
                // The file is replaced by others: the next one may do.
                let later = |failure| match failure {
                    Failure::Refused(why) => Failure::Unavailable(why, None),
                    failure => failure,
                };
                self.exchange(asker, mount, &body).await.map_err(later)
            }
            Login::Certificate { mount, role, .. } => {
                let body = role.as_ref().map_or_else(|| json!({}), |role| json!({ "name": role }));
                self.exchange(asker, mount, &body).await
            }
        }
    }

    async fn exchange(&self, asker: &Asker<'_>, mount: &str, body: &Value) -> Result<Session, Failure> {
        let path = format!("auth/{}/login", encoded(mount));
        let reply = self.ask(asker, None, (Method::POST, &path), Some(body)).await?;
        if matches!(reply.status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        {
            return Err(Failure::Refused("the server does not let the broker in"));
        }
        let granted = &document(&reply)?["auth"];
        let token = granted["client_token"].as_str().filter(|token| is_word(token));
        let token = token.ok_or(Failure::Unavailable("the server's login brought no login token", None))?;
        Ok(Session::new(token, granted, true))
    }

    /// A token that was given is asked what it is: so a dead one is told from one that may not read.
    async fn look_up(&self, asker: &Asker<'_>, token: &str) -> Result<Session, Failure> {
        let secret = secret(token);
        let reply = self.ask(asker, Some(&secret), (Method::GET, "auth/token/lookup-self"), None).await?;
        if reply.status == StatusCode::FORBIDDEN {
            return Err(Failure::Refused("the server does not take the login token any more"));
        }
        let mut data = document(&reply)?;
        data["data"]["lease_duration"] = data["data"]["ttl"].clone();
        Ok(Session::new(token, &data["data"], false))
    }
}

impl Session {
    pub(super) fn new(token: &str, granted: &Value, own: bool) -> Self {
        let now = Instant::now();
        // 0: a token that does not end.
        let lasts =
            granted["lease_duration"].as_u64().filter(|seconds| *seconds > 0).map(Duration::from_secs);
        Self {
            token: secret(token),
            accessor: granted["accessor"].as_str().filter(|text| is_word(text)).map(str::to_owned),
            renewable: granted["renewable"].as_bool().unwrap_or(false),
            had: now,
            ends: lasts.and_then(|lasts| now.checked_add(lasts)),
            own,
        }
    }
}
