//! HTTP Message Signatures (RFC 9421): which components of a call are covered, and what the signature says of itself.
//!
//! ```text
//! ed25519 over @method @authority @path @query content-digest; expires 300; nonce; tag "app"
//! ALGORITHM [key ENCODING] over COMPONENT… [; label NAME] [; expires SECONDS] [; alg] [; nonce] [; tag "TEXT"]
//! ```

use super::Encoding;
use super::hmac::key_spelling;
use super::words::{Quoted, Word, split};
use super::{SigningError, wrong};
use http::HeaderName;
use std::fmt;

pub(super) const INPUT: HeaderName = HeaderName::from_static("signature-input");
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("signature");
pub(super) const DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// A scheme. The signature always says when it was created and, where there is one, the id of the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// What signs.
    pub algorithm: MessageAlgorithm,
    /// How a shared key is spelled.
    pub key: Encoding,
    /// What is covered, in this order.
    pub over: Vec<Component>,
    /// The signature's own name in its fields.
    pub label: Box<str>,
    /// Seconds for which the signature is good.
    pub expires: Option<u32>,
    /// Whether the signature names its algorithm.
    pub alg: bool,
    /// Whether it has a nonce.
    pub nonce: bool,
    /// What it is for.
    pub tag: Option<Box<str>>,
}

/// What signs (RFC 9421, section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageAlgorithm {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA over P-256 with SHA-256.
    EcdsaP256,
    /// ECDSA over P-384 with SHA-384.
    EcdsaP384,
    /// RSASSA-PSS with SHA-512.
    RsaPss,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaV1_5,
    /// HMAC with SHA-256.
    Hmac,
}

/// One covered component (RFC 9421, section 2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// `@method`
    Method,
    /// `@target-uri`
    TargetUri,
    /// `@authority`
    Authority,
    /// `@scheme`
    Scheme,
    /// `@request-target`
    RequestTarget,
    /// `@path`
    Path,
    /// `@query`
    Query,
    /// `@query-param` with this name, which occurs once.
    QueryParam(Box<str>),
    /// A header. `content-digest` (RFC 9530) is made of the body that goes out.
    Field(HeaderName),
}

/// More components are no scheme that a person could judge.
const MOST: usize = 32;

const FORM: &str = "an HTTP message signature is written: ALGORITHM over COMPONENT…, then any of ; label NAME ; expires SECONDS \
     ; alg ; nonce ; tag \"TEXT\" (docs/signing.md)";

impl Message {
    pub(super) fn parse(text: &str) -> Result<Self, SigningError> {
        let words = split(text)?;
        let mut clauses = words.split(|word| *word == Word::End);
        let words = clauses.next().unwrap_or_default();
        let (key, at) = key_spelling(words)?;
        let (Some(Word::Plain(algorithm)), Some([Word::Plain(over), components @ ..])) =
            (words.first(), words.get(at..))
        else {
            return wrong(FORM);
        };
        let algorithm = MessageAlgorithm::ALL.into_iter().find(|known| known.as_str() == algorithm);
        let algorithm = algorithm.filter(|_| over == "over").ok_or_else(|| {
            let known: Vec<&str> = MessageAlgorithm::ALL.iter().map(|known| known.as_str()).collect();
            SigningError(format!(
                "an HTTP message signature begins with one of {} and then over",
                known.join(", ")
            ))
        })?;
        if key != Encoding::Raw && algorithm != MessageAlgorithm::Hmac {
            return wrong("a private key is deposited in PEM: only a shared one is spelled in another way");
        }
        let mut scheme = Self {
            algorithm,
            key,
            over: self::components(components)?,
            label: "sig1".into(),
            expires: None,
            alg: false,
            nonce: false,
            tag: None,
        };
        let mut seen: Vec<&str> = Vec::new();
        for clause in clauses {
            let name = scheme.option(clause)?;
            if seen.contains(&name) {
                return wrong(format!("{name} is said twice"));
            }
            seen.push(name);
        }
        Ok(scheme)
    }

    fn option(&mut self, clause: &[Word]) -> Result<&'static str, SigningError> {
        match clause {
            [Word::Plain(word), Word::Plain(label)] if word == "label" => {
                if !is_key(label) {
                    return wrong(format!(
                        "{label:?} is not a label: letters, digits, and _ - . behind a letter"
                    ));
                }
                self.label = label.as_str().into();
                Ok("label")
            }
            [Word::Plain(word), Word::Plain(seconds)] if word == "expires" => {
                let plain = !seconds.starts_with('0') && seconds.bytes().all(|byte| byte.is_ascii_digit());
                let seconds = seconds.parse().ok().filter(|seconds| plain && (1..=86_400).contains(seconds));
                self.expires =
                    Some(seconds.ok_or_else(|| {
                        SigningError("expires is a number of seconds from 1 to 86400".into())
                    })?);
                Ok("expires")
            }
            [Word::Plain(word)] if word == "alg" => {
                self.alg = true;
                Ok("alg")
            }
            [Word::Plain(word)] if word == "nonce" => {
                self.nonce = true;
                Ok("nonce")
            }
            [Word::Plain(word), Word::Text(tag)] if word == "tag" && !tag.contains('\n') => {
                self.tag = Some(tag.clone());
                Ok("tag")
            }
            _ => wrong(FORM),
        }
    }

    /// The tag in quotes.
    pub fn quoted_tag(&self) -> Option<String> {
        self.tag.as_deref().map(|tag| Quoted(tag).to_string())
    }

    pub(super) fn placeholder_in<'v>(&self, value: &'v str) -> Option<&'v str> {
        key_id(value.strip_prefix(&*self.label)?.strip_prefix('=')?)
    }

    pub(super) fn example(&self, placeholder: &str) -> String {
        format!("{}=();keyid=\"{placeholder}\"", self.label)
    }

    pub(super) fn replaced(&self) -> Vec<HeaderName> {
        let digest = self.covers(&Component::Field(DIGEST)).then_some(DIGEST);
        [INPUT, SIGNATURE].into_iter().chain(digest).collect()
    }

    pub(super) fn covers(&self, component: &Component) -> bool {
        self.over.contains(component)
    }

    /// Method, path, query, body.
    pub(super) fn coverage(&self) -> (bool, bool, bool, bool) {
        let target = self.covers(&Component::TargetUri) || self.covers(&Component::RequestTarget);
        (
            self.covers(&Component::Method),
            target || self.covers(&Component::Path),
            target || self.covers(&Component::Query),
            self.covers(&Component::Field(DIGEST)),
        )
    }
}

/// The `keyid` of the one member of a `Signature-Input` field (RFC 8941: an inner list of strings, and its parameters).
fn key_id(member: &str) -> Option<&str> {
    let mut rest = member.strip_prefix('(')?;
    while let Some(after) = rest.trim_start_matches(' ').strip_prefix('"') {
        rest = after.split_once('"').map(|(_, rest)| rest)?;
        // The parameters of a component.
        while let Some(parameter) = rest.strip_prefix(';') {
            rest = value(parameter)?.2;
        }
    }
    rest = rest.trim_start_matches(' ').strip_prefix(')')?;
    let mut found = None;
    while let Some(parameter) = rest.strip_prefix(';') {
        let (name, text, after) = value(parameter)?;
        // SECURITY: of two the last would count (RFC 8941, section 3.1.2); nobody sends two.
        if name == "keyid" && found.replace(text?).is_some() {
            return None;
        }
        rest = after;
    }
    found.filter(|_| rest.is_empty())
}

/// A parameter's name, its value where it is a string, and what follows.
fn value(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let text = text.trim_start_matches(' ');
    let end = text.find(['=', ';', ')', ' ']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    is_key(name).then_some(())?;
    let Some(rest) = rest.strip_prefix('=') else { return Some((name, None, rest)) };
    if let Some(rest) = rest.strip_prefix('"') {
        let (own, rest) = rest.split_once('"')?;
        // A backslash would escape; no placeholder has one.
        return (!own.contains('\\')).then_some((name, Some(own), rest));
    }
    let end = rest.find([';', ')', ' ']).unwrap_or(rest.len());
    let (own, rest) = rest.split_at(end);
    let bare = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b'(');
    (!own.is_empty() && own.bytes().all(bare)).then_some((name, None, rest))
}

/// Whether a text is a key of structured fields, without `*` (RFC 8941, section 3.1.2).
fn is_key(text: &str) -> bool {
    let good =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.');
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(good)
}

fn components(words: &[Word]) -> Result<Vec<Component>, SigningError> {
    let mut all = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let component = match word {
            Word::Plain(word) if word == "@query-param" => match words.next() {
                Some(Word::Text(name)) if !name.contains(['\n', '"', '\\']) => {
                    Component::QueryParam(name.clone())
                }
                _ => return wrong("@query-param is followed by the key in quotes"),
            },
            Word::Plain(word) => Component::parse(word)?,
            _ => return wrong(FORM),
        };
        if all.contains(&component) {
            return wrong(format!("{component} is covered twice"));
        }
        all.push(component);
    }
    if all.is_empty() || all.len() > MOST {
        return wrong("a signature covers 1 to 32 components");
    }
    Ok(all)
}

impl Component {
    const DERIVED: [(&'static str, Self); 7] = [
        ("@method", Self::Method),
        ("@target-uri", Self::TargetUri),
        ("@authority", Self::Authority),
        ("@scheme", Self::Scheme),
        ("@request-target", Self::RequestTarget),
        ("@path", Self::Path),
        ("@query", Self::Query),
    ];

    fn parse(word: &str) -> Result<Self, SigningError> {
        if let Some((_, component)) = Self::DERIVED.iter().find(|(known, _)| *known == word) {
            return Ok(component.clone());
        }
        let unsure = crate::ends_here(word) && word != "content-length";
        let own = word == INPUT.as_str() || word == SIGNATURE.as_str();
        match HeaderName::from_bytes(word.as_bytes()) {
            Ok(_) if own => wrong("a signature cannot cover its own fields"),
            Ok(name) if !unsure && !crate::overrides_method(word) && word != "accept-encoding" => {
                Ok(Self::Field(name))
            }
            _ => wrong(format!("{word:?} is no component of a request that can be covered")),
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueryParam(name) => write!(f, "@query-param {}", Quoted(name)),
            Self::Field(name) => f.write_str(name.as_str()),
            derived => {
                let word = Self::DERIVED.iter().find(|(_, known)| known == derived).map(|(word, _)| *word);
                f.write_str(word.unwrap_or_default())
            }
        }
    }
}

impl MessageAlgorithm {
    const ALL: [Self; 6] =
        [Self::Ed25519, Self::EcdsaP256, Self::EcdsaP384, Self::RsaPss, Self::RsaV1_5, Self::Hmac];

    /// Its registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256-sha256",
            Self::EcdsaP384 => "ecdsa-p384-sha384",
            Self::RsaPss => "rsa-pss-sha512",
            Self::RsaV1_5 => "rsa-v1_5-sha256",
            Self::Hmac => "hmac-sha256",
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm.as_str())?;
        if self.key != Encoding::Raw {
            write!(f, " key {}", self.key.as_str())?;
        }
        f.write_str(" over")?;
        self.over.iter().try_for_each(|component| write!(f, " {component}"))?;
        if &*self.label != "sig1" {
            write!(f, "; label {}", self.label)?;
        }
        if let Some(seconds) = self.expires {
            write!(f, "; expires {seconds}")?;
        }
        for (said, word) in [(self.alg, "alg"), (self.nonce, "nonce")] {
            if said {
                write!(f, "; {word}")?;
            }
        }
        self.tag.iter().try_for_each(|tag| write!(f, "; tag {}", Quoted(tag)))
    }
}
