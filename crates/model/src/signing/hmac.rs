//! A keyed hash of parts of a call (RFC 2104), and the fields that it is written into.
//!
//! ```text
//! sha256 over "v0:" seconds ":" body; header x-slack-signature = "v0=" hex; header x-slack-request-timestamp = seconds
//! ALGORITHM [key ENCODING] over PART…  ; header NAME = PART…  ; query KEY = PART…
//! ```

use super::words::{Quoted, Word, split};
use super::{SigningError, wrong};
use crate::Place;
use http::HeaderName;
use std::fmt;

/// A scheme.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hmac {
    /// The hash.
    pub digest: Digest,
    /// How the deposited key spells the bytes that it stands for.
    pub key: Encoding,
    /// What is signed: the bytes of these parts, one after the other.
    pub over: Vec<Part>,
    /// What is written.
    pub outputs: Vec<Output>,
}

/// A hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Digest {
    /// SHA-1, for services that know nothing else. As a keyed hash it is not broken (RFC 6194, section 3).
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How bytes are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As they are; of keys only.
    Raw,
    /// Lower-case hexadecimal.
    Hex,
    /// Base64 with padding (RFC 4648, section 4).
    Base64,
    /// The other alphabet, without padding (RFC 4648, section 5).
    Base64Url,
}

/// How the time is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeForm {
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    /// `2026-01-31T12:00:00Z`.
    Iso,
    /// `2026-01-31T12:00:00.000Z`.
    IsoMillis,
    /// `Sat, 31 Jan 2026 12:00:00 GMT` (RFC 9110, section 5.6.7).
    HttpDate,
}

/// One part of what is signed, or of what is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// A fixed text.
    Text(Box<str>),
    /// The method.
    Method,
    /// Host and port, as `Host` has them.
    Host,
    /// The path as it is sent.
    Path,
    /// The query as it is sent, without its question mark, and without the keys that the scheme writes.
    Query,
    /// Path and query, with the question mark where there is a query.
    Target,
    /// The whole URL.
    Url,
    /// The only value of this header.
    Header(HeaderName),
    /// The body.
    Body,
    /// A hash of the body.
    BodyHash(Digest, Encoding),
    /// When the call goes out, by the broker's clock.
    Time(TimeForm),
    /// The id of the key, which was deposited with it.
    KeyId,
    /// The keyed hash. Only in what is written.
    Signature(Encoding),
}

/// One field that is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Output {
    /// Where.
    pub carrier: Carrier,
    /// Its value.
    pub parts: Vec<Part>,
}

/// What carries a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// A header.
    Header(HeaderName),
    /// A query key, at the end of the query.
    Query(Box<str>),
}

/// More parts or fields than that are no scheme that a person could judge.
const MOST_PARTS: usize = 32;
const MOST_OUTPUTS: usize = 8;

const FORM: &str = "a scheme is written: ALGORITHM [key ENCODING] over PART…; header NAME = PART…; or it is one of the ready-made \
     ones (docs/signing.md)";

impl Hmac {
    pub(super) fn parse(text: &str) -> Result<Self, SigningError> {
        let words = split(text)?;
        let mut clauses = words.split(|word| *word == Word::End);
        let (digest, key, over) = signed(clauses.next().unwrap_or_default())?;
        let outputs = clauses.map(output).collect::<Result<Vec<_>, _>>()?;
        let scheme = Self { digest, key, over, outputs };
        scheme.check()?;
        Ok(scheme)
    }

    fn check(&self) -> Result<(), SigningError> {
        let Self { digest: _, key: _, over, outputs } = self;
        if outputs.len() > MOST_OUTPUTS || over.len() > MOST_PARTS {
            return wrong("a scheme signs at most 32 parts and writes at most 8 fields");
        }
        let carriers: Vec<&Carrier> = outputs.iter().map(|output| &output.carrier).collect();
        if carriers.iter().enumerate().any(|(at, carrier)| carriers[..at].contains(carrier)) {
            return wrong("a scheme writes the same field twice");
        }
        if over.iter().all(|part| matches!(part, Part::Text(_) | Part::Time(_) | Part::KeyId)) {
            return wrong("a scheme signs something of the call");
        }
        let own = |part: &Part| matches!(part, Part::Header(name) if self.headers().any(|own| own == name));
        if over.iter().any(own) {
            return wrong("a scheme signs a header that it writes: name what is written instead");
        }
        outputs.iter().try_for_each(Output::check)?;
        if !outputs.iter().any(|output| output.has(|part| matches!(part, Part::Signature(_)))) {
            return wrong("a scheme writes its signature: hex, base64 or base64url");
        }
        let is_time = |part: &Part| matches!(part, Part::Time(_));
        if over.iter().any(is_time) && !outputs.iter().any(|output| output.has(is_time)) {
            return wrong("the time is signed and never sent: nobody could verify it");
        }
        if self.home_output().is_none() {
            return wrong(
                "no header could carry the placeholder: it stands where the key id is, or else the signature",
            );
        }
        Ok(())
    }

    /// The header output with the key id; where there is none, with the signature.
    fn home_output(&self) -> Option<(&HeaderName, &Output)> {
        let with = |wanted: fn(&Part) -> bool| {
            self.outputs.iter().find_map(|output| match &output.carrier {
                Carrier::Header(name) if output.has(wanted) => Some((name, output)),
                _ => None,
            })
        };
        if self.outputs.iter().any(|output| output.has(|part| *part == Part::KeyId)) {
            return with(|part| *part == Part::KeyId);
        }
        with(|part| matches!(part, Part::Signature(_)))
    }

    pub(super) fn home(&self) -> (&HeaderName, &[Part]) {
        // INVARIANT: no scheme without one is made; an empty one is never found in a call.
        self.home_output().map_or((&http::header::AUTHORIZATION, &[]), |(name, output)| (name, &output.parts))
    }

    fn is_home(&self, part: &Part) -> bool {
        let by_key = self.outputs.iter().any(|output| output.has(|part| *part == Part::KeyId));
        if by_key { *part == Part::KeyId } else { matches!(part, Part::Signature(_)) }
    }

    pub(super) fn placeholder_in<'v>(&self, value: &'v str) -> Option<&'v str> {
        let (_, parts) = self.home();
        let mut rest = value;
        let mut found = None;
        let mut parts = parts.iter().peekable();
        while let Some(part) = parts.next() {
            if let Part::Text(text) = part {
                rest = rest.strip_prefix(&**text)?;
                continue;
            }
            // Between two variables there is a text: the scheme was checked.
            let end = match parts.peek() {
                Some(Part::Text(text)) => rest.find(&**text)?,
                _ => rest.len(),
            };
            let own = &rest[..end];
            if own.is_empty() || !own.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                return None;
            }
            if self.is_home(part) && found.replace(own).is_some() {
                return None;
            }
            rest = &rest[end..];
        }
        found.filter(|_| rest.is_empty())
    }

    pub(super) fn example(&self, placeholder: &str) -> String {
        let (_, parts) = self.home();
        let one = |part: &Part| match part {
            Part::Text(text) => text.to_string(),
            part if self.is_home(part) => placeholder.to_owned(),
            _ => "0".to_owned(),
        };
        parts.iter().map(one).collect()
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.outputs.iter().filter_map(|output| match &output.carrier {
            Carrier::Header(name) => Some(name),
            Carrier::Query(_) => None,
        })
    }

    /// The query keys that it writes.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().filter_map(|output| match &output.carrier {
            Carrier::Query(key) => Some(&**key),
            Carrier::Header(_) => None,
        })
    }

    pub(super) fn reads_body(&self) -> bool {
        let reads = |part: &Part| matches!(part, Part::Body | Part::BodyHash(..));
        self.over.iter().any(reads) || self.outputs.iter().any(|output| output.has(reads))
    }

    /// Method, path, query, body.
    pub(super) fn coverage(&self) -> (bool, bool, bool, bool) {
        let has = |wanted: &[Part]| self.over.iter().any(|part| wanted.contains(part));
        let body = self.over.iter().any(|part| matches!(part, Part::Body | Part::BodyHash(..)));
        (
            has(&[Part::Method]),
            has(&[Part::Path, Part::Target, Part::Url]),
            has(&[Part::Query, Part::Target, Part::Url]),
            body,
        )
    }
}

impl Output {
    fn has(&self, wanted: impl Fn(&Part) -> bool) -> bool {
        self.parts.iter().any(wanted)
    }

    fn check(&self) -> Result<(), SigningError> {
        let of_call = |part: &Part| {
            !matches!(
                part,
                Part::Text(_) | Part::BodyHash(..) | Part::Time(_) | Part::KeyId | Part::Signature(_)
            )
        };
        if self.parts.is_empty() || self.parts.len() > MOST_PARTS || self.has(of_call) {
            return wrong(
                "what is written is made of texts, the time, the key id, hashes of the body and the signature",
            );
        }
        // SECURITY: a line feed would end the field.
        if self.has(|part| matches!(part, Part::Text(text) if text.contains('\n'))) {
            return wrong("what is written has no line feed");
        }
        let variable = |part: &Part| !matches!(part, Part::Text(_));
        if self.parts.windows(2).any(|two| variable(&two[0]) && variable(&two[1])) {
            return wrong("between two values that are written stands a text");
        }
        Ok(())
    }
}

fn signed(words: &[Word]) -> Result<(Digest, Encoding, Vec<Part>), SigningError> {
    let plain = |at: usize| match words.get(at) {
        Some(Word::Plain(word)) => word.as_str(),
        _ => "",
    };
    let digest = Digest::parse(plain(0)).ok_or_else(|| SigningError(FORM.into()))?;
    let (key, at) = key_spelling(words)?;
    if plain(at) != "over" {
        return wrong(FORM);
    }
    let over = parts(words.get(at + 1..).unwrap_or_default())?;
    if over.iter().any(|part| matches!(part, Part::Signature(_))) {
        return wrong("a signature cannot sign itself");
    }
    Ok((digest, key, over))
}

/// How the key is spelled, and where what follows begins.
pub(super) fn key_spelling(words: &[Word]) -> Result<(Encoding, usize), SigningError> {
    match words.get(1..3) {
        Some([Word::Plain(key), spelled]) if key == "key" => {
            let word = if let Word::Plain(word) = spelled { word } else { "" };
            let known = Encoding::parse(word).filter(|encoding| *encoding != Encoding::Raw);
            Ok((known.ok_or_else(|| SigningError("a key is spelled hex, base64 or base64url".into()))?, 3))
        }
        _ => Ok((Encoding::Raw, 1)),
    }
}

fn output(words: &[Word]) -> Result<Output, SigningError> {
    let (carrier, rest) = match words {
        [Word::Plain(kind), Word::Plain(name), Word::Is, rest @ ..] if kind == "header" => {
            match Place::parse(&format!("header {name}")) {
                Ok(Place::Header(name, _)) => (Carrier::Header(name), rest),
                _ => return wrong(format!("{name:?} is not a header that a signature could stand in")),
            }
        }
        [Word::Plain(kind), Word::Text(key), Word::Is, rest @ ..] if kind == "query" => {
            (Carrier::Query(key.clone()), rest)
        }
        _ => return wrong("what is written is said so: header NAME = PART…, or query \"KEY\" = PART…"),
    };
    Ok(Output { carrier, parts: parts(rest)? })
}

fn parts(words: &[Word]) -> Result<Vec<Part>, SigningError> {
    let mut parts: Vec<Part> = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let part = match word {
            Word::Text(text) => Part::Text(text.clone()),
            Word::Plain(word) if word == "header" => match words.next() {
                Some(Word::Plain(name)) => Part::header(name)?,
                _ => return wrong("header is followed by the header's name"),
            },
            Word::Plain(word) => Part::parse(word)
                .ok_or_else(|| SigningError(format!("{word:?} is no part of a call that a scheme knows")))?,
            Word::End | Word::Is => return wrong(FORM),
        };
        match (parts.last_mut(), &part) {
            // One spelling of one meaning.
            (Some(Part::Text(before)), Part::Text(text)) => *before = format!("{before}{text}").into(),
            _ => parts.push(part),
        }
    }
    Ok(parts)
}

impl Part {
    const PLAIN: [(&'static str, Self); 15] = [
        ("method", Self::Method),
        ("host", Self::Host),
        ("path", Self::Path),
        ("query", Self::Query),
        ("target", Self::Target),
        ("url", Self::Url),
        ("body", Self::Body),
        ("key-id", Self::KeyId),
        ("seconds", Self::Time(TimeForm::Seconds)),
        ("millis", Self::Time(TimeForm::Millis)),
        ("iso8601", Self::Time(TimeForm::Iso)),
        ("iso8601-millis", Self::Time(TimeForm::IsoMillis)),
        ("http-date", Self::Time(TimeForm::HttpDate)),
        ("hex", Self::Signature(Encoding::Hex)),
        ("base64", Self::Signature(Encoding::Base64)),
    ];

    fn parse(word: &str) -> Option<Self> {
        if let Some((_, part)) = Self::PLAIN.iter().find(|(plain, _)| *plain == word) {
            return Some(part.clone());
        }
        if word == Encoding::Base64Url.as_str() {
            return Some(Self::Signature(Encoding::Base64Url));
        }
        let (digest, encoding) = word.strip_prefix("body-")?.split_once('-')?;
        let encoding = Encoding::parse(encoding).filter(|encoding| *encoding != Encoding::Raw)?;
        Some(Self::BodyHash(Digest::parse(digest)?, encoding))
    }

    fn header(name: &str) -> Result<Self, SigningError> {
        // What is taken off, set or added on the way cannot be signed as it came.
        let unsure = crate::ends_here(name) || crate::overrides_method(name) || name == "accept-encoding";
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(header) if !unsure => Ok(Self::Header(header)),
            _ => wrong(format!("{name:?} is not a header that can be signed")),
        }
    }
}

impl Digest {
    const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|digest| digest.as_str() == word)
    }
}

impl Encoding {
    const ALL: [Self; 4] = [Self::Raw, Self::Hex, Self::Base64, Self::Base64Url];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.as_str() == word)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => Quoted(text).fmt(f),
            Self::Header(name) => write!(f, "header {name}"),
            Self::BodyHash(digest, encoding) => {
                write!(f, "body-{}-{}", digest.as_str(), encoding.as_str())
            }
            Self::Signature(encoding) => f.write_str(encoding.as_str()),
            plain => {
                let word = Self::PLAIN.iter().find(|(_, part)| part == plain).map(|(word, _)| *word);
                f.write_str(word.unwrap_or_default())
            }
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.carrier {
            Carrier::Header(name) => write!(f, "header {name} =")?,
            Carrier::Query(key) => write!(f, "query {} =", Quoted(key))?,
        }
        self.parts.iter().try_for_each(|part| write!(f, " {part}"))
    }
}

impl fmt::Display for Hmac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.digest.as_str())?;
        if self.key != Encoding::Raw {
            write!(f, " key {}", self.key.as_str())?;
        }
        f.write_str(" over")?;
        self.over.iter().try_for_each(|part| write!(f, " {part}"))?;
        self.outputs.iter().try_for_each(|output| write!(f, "; {output}"))
    }
}
