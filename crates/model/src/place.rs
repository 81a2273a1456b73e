//! Where in a call the placeholder stands, and so where the secret is put.

use crate::signing::SigningError;
use crate::{Signing, ends_here, overrides_method};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// How a header carries the placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderForm {
    /// The whole value is the placeholder.
    Raw,
    /// `Bearer PLACEHOLDER` (RFC 6750). `token PLACEHOLDER` is accepted and kept as written.
    Bearer,
    /// The user name inside `Basic` (RFC 7617).
    BasicUser,
    /// The password inside `Basic` (RFC 7617).
    BasicPassword,
}

/// One place. Displays in the policy file's notation: `header authorization bearer`, `query key`, `json /a/b`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Place {
    /// A request header; the name is lower case.
    Header(http::HeaderName, HeaderForm),
    /// A cookie of this name.
    Cookie(Box<str>),
    /// The value of this query key.
    Query(Box<str>),
    /// The path segment that the permit's template calls by this name.
    Path(Box<str>),
    /// The string at this JSON pointer (RFC 6901) of a JSON body.
    Json(Box<str>),
    /// The value of this field of a form body.
    Form(Box<str>),
    /// The string at this JSON pointer of one of the first text messages of a WebSocket.
    WebSocket(Box<str>),
    /// The access key id of a call that is signed with AWS Signature Version 4, for exactly this region and service.
    SigV4 {
        /// The region, such as `eu-west-1`.
        region: Box<str>,
        /// The service as signatures name it, such as `s3`.
        service: Box<str>,
    },
    /// Where the id of the key stands in a call that is signed by this scheme; or the signature, where there is no id.
    Signed(Arc<Signing>),
    /// A header of its own, which does not go out. The credential is the client certificate of the connection.
    Mtls(http::HeaderName),
}

/// Why a text is not a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The first word is unknown.
    #[error(
        "a place is one of: header NAME [bearer|basic-user|basic-password|raw], cookie NAME, query KEY, path NAME, json /POINTER, form FIELD, websocket json /POINTER, sigv4 REGION SERVICE, hmac SCHEME, http-signature SCHEME, mtls HEADER"
    )]
    Kind,
    /// A header name that is not a token, or one the broker itself sets.
    #[error("{0:?} is not a header a credential can stand in")]
    Header(String),
    /// The last word of a header place.
    #[error("{0:?} is not one of bearer, basic-user, basic-password, raw")]
    Form(String),
    /// A JSON pointer that does not begin with a slash.
    #[error("a JSON pointer begins with '/' (RFC 6901)")]
    Pointer,
    /// A cookie name that is not a token.
    #[error("{0:?} is not a cookie name")]
    Cookie(String),
    /// A region or service that no signature could name.
    #[error("{0:?} is not a region or service: lower-case letters, digits and hyphens")]
    Scope(String),
    /// A scheme that cannot be followed.
    #[error(transparent)]
    Scheme(#[from] SigningError),
}

/// Headers about the form of a message, beside those that [`ends_here`] names: a credential there would change how the call
/// or its reply is read.
const RESERVED: [&str; 4] = ["content-encoding", "accept-encoding", "range", "if-range"];

impl Place {
    /// Parses the policy file's notation.
    ///
    /// # Errors
    /// [`PlaceError`] naming what is wrong.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        match text.trim_start().split_once(char::is_whitespace) {
            Some(("hmac", scheme)) => return Ok(Self::Signed(Arc::new(Signing::parse_hmac(scheme)?))),
            Some(("http-signature", scheme)) => {
                return Ok(Self::Signed(Arc::new(Signing::parse_message(scheme)?)));
            }
            _ => {}
        }
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["header", name] => Self::header(name, "raw"),
            ["header", name, form] => Self::header(name, form),
            ["cookie", name] if http::HeaderName::from_bytes(name.as_bytes()).is_ok() => {
                Ok(Self::Cookie((*name).into()))
            }
            ["cookie", name] => Err(PlaceError::Cookie((*name).into())),
            ["query", key] => Ok(Self::Query((*key).into())),
            ["path", name] => Ok(Self::Path(name.trim_start_matches('{').trim_end_matches('}').into())),
            ["json", pointer] if pointer.starts_with('/') => Ok(Self::Json((*pointer).into())),
            ["websocket", "json", pointer] if pointer.starts_with('/') => {
                Ok(Self::WebSocket((*pointer).into()))
            }
            ["json", _] | ["websocket", "json", _] => Err(PlaceError::Pointer),
            ["sigv4", region, service] => {
                Ok(Self::SigV4 { region: scope_word(region)?, service: scope_word(service)? })
            }
            ["mtls", name] => match Self::header(name, "raw")? {
                Self::Header(name, _) => Ok(Self::Mtls(name)),
                _ => Err(PlaceError::Kind),
            },
            ["form", field] => Ok(Self::Form((*field).into())),
            _ => Err(PlaceError::Kind),
        }
    }

    fn header(name: &str, form: &str) -> Result<Self, PlaceError> {
        let parsed =
            http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| PlaceError::Header(name.into()))?;
        let name_text = parsed.as_str();
        if RESERVED.contains(&name_text) || ends_here(name_text) || overrides_method(name_text) {
            return Err(PlaceError::Header(name.into()));
        }
        let form = match form {
            "raw" => HeaderForm::Raw,
            "bearer" => HeaderForm::Bearer,
            "basic-user" => HeaderForm::BasicUser,
            "basic-password" => HeaderForm::BasicPassword,
            other => return Err(PlaceError::Form(other.into())),
        };
        Ok(Self::Header(parsed, form))
    }

    /// Whether reading this place needs the request body.
    pub fn is_in_body(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Form(_))
    }

    /// Whether the secret would stand in the URL, where upstream logs keep it.
    pub fn is_in_url(&self) -> bool {
        matches!(self, Self::Query(_) | Self::Path(_))
    }
}

/// A region or a service, as the credential scope of a signature spells it.
fn scope_word(word: &str) -> Result<Box<str>, PlaceError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if word.len() <= 64 && word.bytes().all(plain) {
        Ok(word.into())
    } else {
        Err(PlaceError::Scope(word.into()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name, form) => {
                let form = match form {
                    HeaderForm::Raw => "raw",
                    HeaderForm::Bearer => "bearer",
                    HeaderForm::BasicUser => "basic-user",
                    HeaderForm::BasicPassword => "basic-password",
                };
                write!(f, "header {name} {form}")
            }
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::Query(key) => write!(f, "query {key}"),
            Self::Path(name) => write!(f, "path {name}"),
            Self::Json(pointer) => write!(f, "json {pointer}"),
            Self::Form(field) => write!(f, "form {field}"),
            Self::WebSocket(pointer) => write!(f, "websocket json {pointer}"),
            Self::SigV4 { region, service } => write!(f, "sigv4 {region} {service}"),
            Self::Signed(scheme) => scheme.fmt(f),
            Self::Mtls(name) => write!(f, "mtls {name}"),
        }
    }
}

impl TryFrom<String> for Place {
    type Error = PlaceError;
    fn try_from(text: String) -> Result<Self, PlaceError> {
        Self::parse(&text)
    }
}

impl From<Place> for String {
    fn from(place: Place) -> String {
        place.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_text() {
        for text in [
            "header authorization bearer",
            "header x-api-key raw",
            "header authorization basic-password",
            "cookie sid",
            "query key",
            "path token",
            "json /a/b~1c/0",
            "form token",
            "websocket json /d/token",
            "sigv4 eu-west-1 s3",
            "mtls x-client-certificate",
            "hmac sha256 over body; header x-hub-signature-256 = \"sha256=\" hex",
            "http-signature ed25519 over @method @target-uri content-digest",
        ] {
            assert_eq!(Place::parse(text).map(|p| p.to_string()).as_deref(), Ok(text));
        }
        assert_eq!(
            Place::parse("header X-Api-Key").map(|p| p.to_string()).as_deref(),
            Ok("header x-api-key raw")
        );
        assert_eq!(Place::parse("path {token}"), Place::parse("path token"));
        let github = "hmac sha256 over body; header x-hub-signature-256 = \"sha256=\" hex";
        assert_eq!(Place::parse("hmac github").map(|p| p.to_string()).as_deref(), Ok(github));
    }

    #[test]
    fn a_place_that_frames_the_message_is_refused() {
        for text in [
            "header host",
            "header Transfer-Encoding",
            "header a:b",
            "json a",
            "websocket json a",
            "websocket /a",
            "websocket",
            "sigv4 eu-west-1",
            "sigv4 * s3",
            "sigv4 eu-west-1/x s3",
            "mtls",
            "mtls host",
            "mtls cloakroom-certificate",
            "hmac",
            "hmac body",
            "http-signature",
            "body x",
            "",
            "header authorization digest",
            "cookie a;b",
        ] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }
}
