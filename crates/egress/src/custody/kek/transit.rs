//! A root key wrapped by a key of the transit engine of Vault or OpenBao, which never leaves the server.
//!
//! The key has versions. Where it was rotated, the root key is wrapped anew by the newest of them, so that the server's operator can
//! raise `min_decryption_version` and retire the older ones.
//!
//! SPEC: <https://openbao.org/api-docs/secret/transit/#encrypt-data>, `#decrypt-data`, `#read-key`

use super::provider::{Answer, Provider, ProviderError};
use super::service::{WayOut, of_failure, secret_text};
use crate::secret::Secret;
use crate::source::Desk;
use crate::source::vault::{Access, Login, Reply, Session, document, encoded, is_path, is_word, says};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{Destination, Scheme};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::str::FromStr;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A key of a transit engine, and what lets the broker use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransitSettings {
    /// `https://HOST[:PORT]`.
    pub server: String,
    /// The namespace, where the server has them.
    pub namespace: Option<String>,
    /// Where the engine is mounted.
    pub mount: String,
    /// The key's name.
    pub key: String,
    /// How the broker logs in.
    pub login: TransitLogin,
    /// The file with what lets it in: read for each login, so that it can be replaced.
    pub secret: PathBuf,
}

/// How the broker logs in at the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransitLogin {
    /// With a login token.
    Token,
    /// With a role's id, and one of its secret ids.
    AppRole {
        /// Where the method is mounted.
        mount: String,
        /// The role's id.
        role_id: String,
    },
    /// With a JWT that somebody else signed.
    Jwt {
        /// Where the method is mounted.
        mount: String,
        /// The role.
        role: String,
    },
    /// With a certificate and its private key.
    Certificate {
        /// Where the method is mounted.
        mount: String,
        /// The role, where it is not found by the certificate.
        role: Option<String>,
    },
}

/// The engine.
pub(in crate::custody) struct Transit {
    settings: TransitSettings,
    way_out: WayOut,
    desk: Desk,
}

impl TransitSettings {
    /// Whether it makes sense, before anything is asked.
    ///
    /// # Errors
    /// One sentence.
    pub fn check(&self) -> Result<(), &'static str> {
        if !is_path(&self.mount) || !is_path(&self.key) || self.key.contains('/') {
            return Err("the mount is a path of names, and the key has a name");
        }
        let to = self.server.parse::<Destination>().ok().filter(|to| to.scheme() == Scheme::Https);
        to.ok_or("the server is no https:// URL of a host, and perhaps a port, alone")?;
        if !self.namespace.as_deref().is_none_or(is_path) {
            return Err("the namespace is no path of names");
        }
        Ok(())
    }
}

impl Transit {
    pub(in crate::custody) fn new(settings: TransitSettings, way_out: WayOut) -> Self {
        Self { settings, way_out, desk: Desk::default() }
    }

    /// The server, as whom the broker comes: with what is in the file now.
    fn access(&self) -> Result<Access, ProviderError> {
        let text = secret_text(&self.settings.secret)?.as_str().to_owned();
        let login = match &self.settings.login {
            TransitLogin::Token => Login::Token { token: text },
            TransitLogin::AppRole { mount, role_id } => {
                Login::AppRole { mount: mount.clone(), role_id: role_id.clone(), secret_id: text }
            }
            TransitLogin::Jwt { mount, role } => {
                Login::Jwt { mount: mount.clone(), role: role.clone(), jwt: text }
            }
            TransitLogin::Certificate { mount, role } => {
                Login::Certificate { mount: mount.clone(), role: role.clone(), pem: text }
            }
        };
        let TransitSettings { server, namespace, .. } = &self.settings;
        Access::new(server.clone(), namespace.clone(), login).map_err(ProviderError::Refused)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply, ProviderError> {
        let access = self.access()?;
        let asker = self.way_out.asker();
        let asked = Session::ask(&access, &asker, &self.desk, (method, path), body).await;
        asked.map_err(of_failure)
    }

    fn path(&self, what: &str) -> String {
        format!("{}/{what}/{}", encoded(&self.settings.mount), encoded(&self.settings.key))
    }

    async fn encrypt(&self, context: &[u8], root: &Secret) -> Result<Vec<u8>, ProviderError> {
        let plaintext = Zeroizing::new(STANDARD.encode(root.expose()));
        let body = json!({ "plaintext": *plaintext, "associated_data": STANDARD.encode(context) });
        let reply = self.ask(Method::POST, &self.path("encrypt"), Some(&body)).await?;
        let reply = good(&reply)?;
        let ciphertext = reply["data"]["ciphertext"].as_str().filter(|text| version(text).is_some());
        ciphertext.map(|text| text.as_bytes().to_vec()).ok_or(ODD)
    }

    async fn decrypt(&self, context: &[u8], wrapped: &[u8]) -> Result<Secret, ProviderError> {
        let ciphertext = std::str::from_utf8(wrapped).ok().filter(|text| version(text).is_some());
        let ciphertext = ciphertext.ok_or(FOREIGN)?;
        let body = json!({ "ciphertext": ciphertext, "associated_data": STANDARD.encode(context) });
        let reply = self.ask(Method::POST, &self.path("decrypt"), Some(&body)).await?;
        let reply = good(&reply)?;
        let text = reply["data"]["plaintext"].as_str().ok_or(ODD)?;
        STANDARD.decode(text).map(|bytes| Secret::new(Zeroizing::new(bytes))).map_err(|_| ODD)
    }

    /// The newest version of the key that may encrypt; `None` where the broker may not ask that.
    async fn newest(&self) -> Result<Option<u64>, ProviderError> {
        let reply = self.ask(Method::GET, &self.path("keys"), None).await?;
        if reply.status == StatusCode::FORBIDDEN {
            return Ok(None);
        }
        Ok(good(&reply)?["data"]["latest_version"].as_u64())
    }
}

impl Provider for Transit {
    fn name(&self) -> &'static str {
        "transit"
    }

    fn wrap<'a>(&'a self, context: &'a [u8], root: &'a Secret) -> Answer<'a, Vec<u8>> {
        Box::pin(self.encrypt(context, root))
    }

    fn unwrap<'a>(&'a self, context: &'a [u8], wrapped: &'a [u8]) -> Answer<'a, Secret> {
        Box::pin(self.decrypt(context, wrapped))
    }

    fn rewrap<'a>(
        &'a self,
        context: &'a [u8],
        root: &'a Secret,
        wrapped: &'a [u8],
    ) -> Answer<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let made_with = std::str::from_utf8(wrapped).ok().and_then(version);
            match (made_with, self.newest().await?) {
                (Some(made_with), Some(newest)) if made_with < newest => {
                    let anew = self.encrypt(context, root).await?;
                    // What cannot be opened again is not put in place of what can.
                    let opened = self.decrypt(context, &anew).await?;
                    let is_same = bool::from(opened.expose().ct_eq(root.expose()));
                    is_same.then_some(Some(anew)).ok_or(FOREIGN)
                }
                _ => Ok(None),
            }
        })
    }
}

const ODD: ProviderError =
    ProviderError::Unavailable("the transit engine answered with something else than was asked for");
const FOREIGN: ProviderError =
    ProviderError::Refused("what was wrapped does not open with this key of the transit engine");

/// The version of the key that made a ciphertext: `vault:v3:…`.
fn version(ciphertext: &str) -> Option<u64> {
    let (version, text) = ciphertext.strip_prefix("vault:v")?.split_once(':')?;
    let fine = is_word(text) && version.bytes().all(|byte| byte.is_ascii_digit());
    fine.then(|| u64::from_str(version).ok()).flatten()
}

/// The JSON of a good answer. Errors are told by what the server says of them; none of its words is repeated.
fn good(reply: &Reply) -> Result<Value, ProviderError> {
    if reply.status == StatusCode::OK {
        return document(reply).map_err(|_| ODD);
    }
    let is = |text| says(&reply.body, text);
    Err(match reply.status.as_u16() {
        // A policy that was taken away can be given back: the server is asked again.
        403 => ProviderError::Unavailable("the server does not permit the broker to use the key"),
        400 if is("too old") => ProviderError::Refused(
            "the root key was wrapped by a version of the key that the server does not use any more (min_decryption_version)",
        ),
        400 if is("authentication failed") || is("invalid ciphertext") => FOREIGN,
        400 | 404 if is("key not found") => {
            ProviderError::Refused("the transit engine has no key of this name")
        }
        404 => ProviderError::Refused("the server has no transit engine at this mount"),
        429 | 500..=599 => ProviderError::Unavailable("the server is sealed, busy or not available"),
        _ => ProviderError::Unavailable("the transit engine does not do what it is asked for"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    const CANARY: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

    #[test]
    fn a_ciphertext_says_which_version_of_the_key_made_it() {
        assert_eq!(version("vault:v12:AAAA+/=="), Some(12));
        for text in
            ["", "vault:v1:", "vault:v:AAAA", "vault:vx:AAAA", "vault:v+1:AAAA", "v1:AAAA", "vault:v1:A A"]
        {
            assert_eq!(version(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_a_person_has_to_mend_is_told_from_what_passes() {
        let judged = |status: u16, error: &str| {
            let body = json!({ "errors": [format!("{error} {CANARY}")] }).to_string().into_bytes();
            let status = StatusCode::from_u16(status).unwrap();
            good(&Reply { status, fields: HeaderMap::new(), body: Zeroizing::new(body) }).unwrap_err()
        };
        for (status, error, words) in [
            (
                400,
                "ciphertext or signature version is disallowed by policy (too old)",
                "min_decryption_version",
            ),
            (400, "cipher: message authentication failed", "does not open"),
            (400, "invalid ciphertext: no prefix", "does not open"),
            (400, "encryption key not found", "no key of this name"),
            (404, "no handler for route", "no transit engine"),
        ] {
            let ProviderError::Refused(reason) = judged(status, error) else { panic!("{error}") };
            assert!(reason.contains(words) && !reason.contains(CANARY), "{reason}");
        }
        for status in [403, 429, 500, 503, 302, 204] {
            let ProviderError::Unavailable(reason) = judged(status, "busy") else { panic!("{status}") };
            assert!(!reason.contains(CANARY), "{reason}");
        }
    }
}
