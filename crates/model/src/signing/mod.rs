//! How a call is signed, as data. What is not a word of these grammars cannot be said: no template, no expression, no code.

mod hmac;
mod known;
mod message;
mod words;

pub use hmac::{Carrier, Digest, Encoding, Hmac, Output, Part, TimeForm};
pub use message::{Component, Message, MessageAlgorithm};

use http::HeaderName;
use std::fmt;

/// What is signed, and how the signature is written. Displays in one canonical notation, which is what approvers see and what is
/// stored, so a change of a ready-made scheme changes no approved policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Signing {
    /// A keyed hash of parts of the call.
    Hmac(Hmac),
    /// A signature of HTTP Message Signatures (RFC 9421).
    Message(Message),
}

/// Why a text is no scheme: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SigningError(pub(crate) String);

impl Signing {
    /// Reads what follows the word `hmac` of a place: the name of a ready-made scheme, or a whole one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_hmac(text: &str) -> Result<Self, SigningError> {
        let text = text.trim();
        let known = known::SCHEMES.iter().find(|known| known.name == text);
        Hmac::parse(known.map_or(text, |known| known.scheme)).map(Self::Hmac)
    }

    /// Reads what follows the word `http-signature` of a place.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_message(text: &str) -> Result<Self, SigningError> {
        Message::parse(text).map(Self::Message)
    }

    /// The names of the ready-made schemes.
    pub fn known() -> impl Iterator<Item = &'static str> {
        known::SCHEMES.iter().map(|known| known.name)
    }

    /// The header in which the placeholder stands.
    pub fn home(&self) -> HeaderName {
        match self {
            Self::Hmac(scheme) => scheme.home().0.clone(),
            Self::Message(_) => message::INPUT,
        }
    }

    /// What stands where the placeholder belongs in the value of [`Signing::home`]; `None` where the value has another form.
    pub fn placeholder_in<'v>(&self, value: &'v str) -> Option<&'v str> {
        match self {
            Self::Hmac(scheme) => scheme.placeholder_in(value),
            Self::Message(scheme) => scheme.placeholder_in(value),
        }
    }

    /// A value of [`Signing::home`] with this placeholder, as a workload may write it.
    pub fn example(&self, placeholder: &str) -> String {
        match self {
            Self::Hmac(scheme) => scheme.example(placeholder),
            Self::Message(scheme) => scheme.example(placeholder),
        }
    }

    /// The headers that belong to the signature: they are made anew, whatever the workload sent.
    pub fn replaced(&self) -> Vec<HeaderName> {
        match self {
            Self::Hmac(scheme) => scheme.headers().cloned().collect(),
            Self::Message(scheme) => scheme.replaced(),
        }
    }

    /// The query keys that belong to the signature, in the same way.
    pub fn replaced_keys(&self) -> Vec<&str> {
        match self {
            Self::Hmac(scheme) => scheme.keys().collect(),
            Self::Message(_) => Vec::new(),
        }
    }

    /// Whether the body is part of what is signed, and so has to be read whole.
    pub fn covers_body(&self) -> bool {
        match self {
            Self::Hmac(scheme) => scheme.reads_body(),
            Self::Message(scheme) => scheme.covers(&Component::Field(message::DIGEST)),
        }
    }

    /// Parts of a call that somebody could change without the signature's notice, in words.
    pub fn uncovered(&self) -> Vec<&'static str> {
        let (method, path, query, body) = match self {
            Self::Hmac(scheme) => scheme.coverage(),
            Self::Message(scheme) => scheme.coverage(),
        };
        let named = [(method, "the method"), (path, "the path"), (query, "the query"), (body, "the body")];
        named.into_iter().filter(|(covered, _)| !covered).map(|(_, name)| name).collect()
    }
}

impl fmt::Display for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hmac(scheme) => write!(f, "hmac {scheme}"),
            Self::Message(scheme) => write!(f, "http-signature {scheme}"),
        }
    }
}

fn wrong<T>(text: impl Into<String>) -> Result<T, SigningError> {
    Err(SigningError(text.into()))
}

#[cfg(test)]
mod tests;
