//! Vault and OpenBao: a server that is spoken to, and what is read there.
//!
//! SPEC: <https://openbao.org/api-docs/>, which for all that is used here is what Vault's says.

mod kv;
mod lease;
mod login;
mod session;

pub(super) use kv::VaultKv;
pub(crate) use lease::spans;
pub(super) use lease::{Ended, VaultLease};
pub(crate) use login::Login;
pub(crate) use session::Session;
pub(super) use session::Sessions;

pub(crate) use super::asker::Reply;
use super::asker::{Asker, Question};
use crate::mint::{Failure, retry_after};
use crate::secret::Secret;
use cloakroom_model::{Destination, Scheme};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Vault asks for it from those who might be tricked into a request; harmless elsewhere.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// A server, and as whom the broker comes.
///
/// SECURITY: all that is here goes to this server and nowhere else.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    /// `https://HOST[:PORT]`.
    server: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    pub(in crate::source) login: Login,
}

impl Access {
    /// A server and a login.
    ///
    /// # Errors
    /// One sentence, where they make no sense.
    pub(crate) fn new(server: String, namespace: Option<String>, login: Login) -> Result<Self, &'static str> {
        let access = Self { server, namespace, login };
        access.check().map(|()| access)
    }

    fn check(&self) -> Result<(), &'static str> {
        self.destination().ok_or("the server is no https:// URL of a host, and perhaps a port, alone")?;
        if !self.namespace.as_deref().is_none_or(is_path) {
            return Err("the namespace is no path of names");
        }
        self.login.check()
    }

    pub(in crate::source) fn is_at_the_server_of(&self, other: &Self) -> bool {
        (&self.server, &self.namespace) == (&other.server, &other.namespace)
    }

    fn place(&self) -> String {
        let namespace =
            self.namespace.as_deref().map(|name| format!(" namespace {name}")).unwrap_or_default();
        format!("{}{namespace}", self.server)
    }

    fn destination(&self) -> Option<Destination> {
        let to: Destination = self.server.parse().ok()?;
        (to.scheme() == Scheme::Https).then_some(to)
    }

    /// Asks the server, with this login token where there is one, and showing the certificate that lets the broker in, where one does.
    async fn ask(
        &self,
        asker: &Asker<'_>,
        token: Option<&Secret>,
        (method, path): (Method, &str),
        body: Option<&Value>,
    ) -> Result<Reply, Failure> {
        let identity = self.login.identity();
        let odd = Failure::Unavailable("the server's address cannot be read", None);
        let destination = self.destination().ok_or(odd)?;
        let mut fields = HeaderMap::new();
        let unwritable =
            |_| Failure::Unavailable("what lets the broker in cannot be written into a header", None);
        if let Some(token) = token {
            let mut value = HeaderValue::from_bytes(token.expose()).map_err(unwritable)?;
            value.set_sensitive(true);
            fields.insert(TOKEN, value);
        }
        if let Some(namespace) = &self.namespace {
            fields.insert(NAMESPACE, HeaderValue::from_str(namespace).map_err(unwritable)?);
        }
        fields.insert(REQUEST, HeaderValue::from_static("true"));
        if body.is_some() {
            fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = body.map(Value::to_string).unwrap_or_default().into_bytes();
        let question = Question { method, target: format!("/v1/{path}"), fields, body: Zeroizing::new(body) };
        asker.ask_as(identity.as_ref(), &destination, question).await
    }
}

/// What any answer but a good one means; what the server says in words is not repeated.
fn unwilling(reply: &Reply) -> Failure {
    let reason = match reply.status.as_u16() {
        403 => "the server does not permit the broker to read there",
        404 => "the source has no such secret, or no such version of it",
        429 | 500..=599 => "the server is sealed, busy or not available",
        300..=399 => "the server sends the broker elsewhere, where it does not go",
        400 => "the server does not understand what it is asked for",
        _ => "the server answered with something else than a secret",
    };
    Failure::Unavailable(reason, retry_after(&reply.fields))
}

/// The JSON of a good answer.
pub(crate) fn document(reply: &Reply) -> Result<Value, Failure> {
    if reply.status != StatusCode::OK {
        return Err(unwilling(reply));
    }
    serde_json::from_slice(&reply.body)
        .map_err(|_| Failure::Unavailable("the server answered with something else than a secret", None))
}

/// Whether an error of the server is this one.
pub(crate) fn says(body: &[u8], error: &str) -> bool {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = document["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().filter_map(Value::as_str).any(|text| text.contains(error))
}

/// Names with slashes between them, as mounts and secrets have.
pub(crate) fn is_path(text: &str) -> bool {
    let name = |part: &str| {
        !matches!(part, "" | "." | "..") && part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'%')
    };
    text.len() <= 512 && text.split('/').all(name)
}

/// A path as it stands in a URL.
pub(crate) fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(byte.into())
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// One word of visible characters.
pub(crate) fn is_word(text: &str) -> bool {
    (1..=8192).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
