//! One call of a permit: a method and a path template.
//!
//! ```text
//! GET /v1/charges/{id}/events/{rest...}
//!     literal      one    literal  the tail: one segment or more
//! ```

use crate::escape::bare;
use cloakroom_model::Path;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A piece of a path template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Piece {
    /// A decoded segment, matched exactly. Empty only as the last one: a trailing slash.
    Literal(Box<str>),
    /// Any one segment that is not empty.
    One(Box<str>),
    /// The remaining segments, one or more; only as the last piece.
    Tail(Box<str>),
}

/// Method and path template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Template {
    pieces: Vec<Piece>,
    method: Box<str>,
}

/// Why a text is not a template. The remedy is in the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("a call is a method, a blank and a path: \"GET /v1/charges/{{id}}\"")]
    Form,
    #[error("{0:?} is not a method: methods are upper-case words such as GET, POST or DELETE")]
    Method(String),
    #[error("{0} is never forwarded, so no permit can name it")]
    NeverForwarded(String),
    #[error("a path has no '?' or '#': query keys go into query = {{ allow = [\"KEY\"] }}")]
    Query,
    #[error("wildcards are not supported: write {{name}} for one segment, {{rest...}} for the tail")]
    Wildcard,
    #[error(
        "{0:?} is not a parameter: write {{name}} or {{rest...}} as a whole segment, with letters, digits and '_'"
    )]
    Parameter(String),
    #[error("{{{0}...}} stands for the tail, so it has to be the last segment")]
    TailInside(String),
    #[error("the parameter {0:?} occurs twice: give each its own name")]
    Repeated(String),
    #[error("write the character itself, not its percent-encoding: paths are matched after decoding")]
    Encoded,
    #[error(
        "the segment {0:?} can never match: dot segments, empty segments, ';', backslashes and control characters are refused in every call"
    )]
    Segment(String),
}

/// The most segments a template may have.
const MOST_SEGMENTS: usize = 64;

impl Template {
    /// Parses `METHOD /path/{name}/{rest...}`.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let (method, path) = text.split_once(' ').ok_or(TemplateError::Form)?;
        check_method(method)?;
        let rest = path.strip_prefix('/').ok_or(TemplateError::Form)?;
        if path.contains(['?', '#']) {
            return Err(TemplateError::Query);
        }
        let segments: Vec<&str> = rest.split('/').collect();
        if segments.len() > MOST_SEGMENTS {
            return Err(TemplateError::Form);
        }
        let last = segments.len() - 1;
        let mut pieces: Vec<Piece> = Vec::with_capacity(segments.len());
        for (index, segment) in segments.iter().enumerate() {
            let piece = Piece::parse(segment, index == last)?;
            if let Some(name) = piece.name().filter(|name| pieces.iter().any(|p| p.name() == Some(name))) {
                return Err(TemplateError::Repeated(name.into()));
            }
            pieces.push(piece);
        }
        Ok(Self { pieces, method: method.into() })
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    /// Whether the path matches; case exact, on decoded segments.
    pub(crate) fn matches_path(&self, path: &Path) -> bool {
        let segments = path.segments();
        let at = |index: usize| segments.get(index).map(|segment| segment.decoded());
        if self.would_hide_bundle(segments.len(), at) {
            return false;
        }
        for (index, piece) in self.pieces.iter().enumerate() {
            match (piece, segments.get(index)) {
                (Piece::Literal(literal), Some(segment)) if **literal == *segment.decoded() => {}
                (Piece::One(_), Some(segment)) if !segment.decoded().is_empty() => {}
                // The last segment of a path alone may be empty (a trailing slash), and a tail is more than that.
                (Piece::Tail(_), Some(segment)) => return !segment.decoded().is_empty(),
                _ => return false,
            }
        }
        segments.len() == self.pieces.len()
    }

    /// SECURITY: a parameter or a tail stands for no endpoint that takes many operations in one call (T35): `/graphql`, `/$batch`,
    /// `/batch/…`. Who means one writes it out.
    pub(crate) fn would_hide_bundle<'s>(&self, length: usize, at: impl Fn(usize) -> Option<&'s str>) -> bool {
        let blind = |index: usize| match self.pieces.get(index) {
            Some(Piece::Literal(_)) => false,
            Some(Piece::One(_) | Piece::Tail(_)) => true,
            None => self.has_tail(),
        };
        let bundles = |index: usize| {
            const WORDS: [&str; 3] = ["batch", "$batch", "graphql"];
            blind(index)
                && at(index).is_some_and(|text| WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)))
        };
        // Most servers do not mind a slash at the end.
        let last = length.saturating_sub(1);
        let last = if at(last) == Some("") { last.saturating_sub(1) } else { last };
        // Other methods carry one operation each; a GET with a GraphQL query in its URL may only read.
        &*self.method == "POST" && (bundles(0) || bundles(last))
    }

    /// Whether some path could be matched by both, where their methods are the same.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let meet = |one: &Piece, two: &Piece| match (one, two) {
            (Piece::Literal(one), Piece::Literal(two)) => one == two,
            (Piece::Literal(text), _) | (_, Piece::Literal(text)) => !text.is_empty(),
            _ => true,
        };
        // A tail reaches as far as the other one does.
        let reaches = |it: &Self, far: usize| it.length() == far || (it.has_tail() && it.length() < far);
        let far = self.length().max(other.length());
        self.method == other.method
            && reaches(self, far)
            && reaches(other, far)
            && self.pieces.iter().zip(&other.pieces).all(|(one, two)| meet(one, two))
    }

    /// Which segment the one-segment parameter of this name stands for.
    pub(crate) fn parameter(&self, name: &str) -> Option<usize> {
        self.pieces.iter().position(|piece| matches!(piece, Piece::One(own) if **own == *name))
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// How many pieces there are.
    pub(crate) fn length(&self) -> usize {
        self.pieces.len()
    }

    pub(crate) fn has_tail(&self) -> bool {
        matches!(self.pieces.last(), Some(Piece::Tail(_)))
    }

    /// The names of the one-segment parameters.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter(|piece| matches!(piece, Piece::One(_))).filter_map(Piece::name)
    }

    /// Whether every segment is a parameter, so that any path of this length matches.
    pub(crate) fn is_open(&self) -> bool {
        self.pieces.iter().all(|piece| !matches!(piece, Piece::Literal(_)))
    }

    /// The path as written in a policy file.
    pub(crate) fn path_text(&self) -> String {
        self.pieces.iter().map(|piece| format!("/{piece}")).collect()
    }

    /// What stands before the tail, for an approver's eyes; `None` where there is no tail.
    pub(crate) fn shown_above_tail(&self) -> Option<String> {
        let (last, above) = self.pieces.split_last()?;
        let text: String = above.iter().map(|piece| format!("/{piece}")).collect();
        matches!(last, Piece::Tail(_)).then(|| bare(&format!("{text}/")))
    }

    /// The path for an approver's eyes.
    pub(crate) fn shown_path(&self) -> String {
        bare(&self.path_text())
    }
}

impl Piece {
    fn parse(segment: &str, last: bool) -> Result<Self, TemplateError> {
        if segment.contains(['{', '}']) {
            return Self::parse_parameter(segment, last);
        }
        if matches!(segment, "*" | "**") {
            return Err(TemplateError::Wildcard);
        }
        if segment.is_empty() && last {
            return Ok(Self::Literal("".into()));
        }
        let encoded = segment
            .as_bytes()
            .windows(3)
            .any(|w| w[0] == b'%' && w[1].is_ascii_hexdigit() && w[2].is_ascii_hexdigit());
        if encoded {
            return Err(TemplateError::Encoded);
        }
        Path::encode_segment(segment).ok_or_else(|| TemplateError::Segment(segment.into()))?;
        Ok(Self::Literal(segment.into()))
    }

    fn parse_parameter(segment: &str, last: bool) -> Result<Self, TemplateError> {
        let bad = || TemplateError::Parameter(segment.into());
        let inner = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')).ok_or_else(bad)?;
        let (name, tail) = match inner.strip_suffix("...") {
            Some(name) => (name, true),
            None => (inner, false),
        };
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(word) {
            return Err(bad());
        }
        match (tail, last) {
            (false, _) => Ok(Self::One(name.into())),
            (true, true) => Ok(Self::Tail(name.into())),
            (true, false) => Err(TemplateError::TailInside(name.into())),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::One(name) | Self::Tail(name) => Some(name),
        }
    }
}

fn check_method(method: &str) -> Result<(), TemplateError> {
    // Methods are compared exactly (RFC 9110, section 9.1); real ones are upper case, and a lower-case one is a trick (T34).
    let valid = (1..=32).contains(&method.len())
        && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
        && method.as_bytes()[0].is_ascii_uppercase();
    if !valid {
        return Err(TemplateError::Method(method.into()));
    }
    if matches!(method, "CONNECT" | "TRACE" | "PRI") {
        return Err(TemplateError::NeverForwarded(method.into()));
    }
    Ok(())
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) => f.write_str(literal),
            Self::One(name) => write!(f, "{{{name}}}"),
            Self::Tail(name) => write!(f, "{{{name}...}}"),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path_text())
    }
}

impl TryFrom<String> for Template {
    type Error = TemplateError;
    fn try_from(text: String) -> Result<Self, TemplateError> {
        Self::parse(&text)
    }
}

impl From<Template> for String {
    fn from(template: Template) -> String {
        template.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(template: &str, path: &str) -> bool {
        Template::parse(template).unwrap().matches_path(&Path::parse(path).unwrap())
    }

    #[test]
    fn t29_a_template_matches_decoded_segments_exactly() {
        for (template, path, expected) in [
            ("GET /", "/", true),
            ("GET /", "/a", false),
            ("GET /v1/charges", "/v1/charges", true),
            ("GET /v1/charges", "/V1/Charges", false),
            ("GET /v1/charges", "/v1/charges/", false),
            ("GET /v1/charges/", "/v1/charges/", true),
            ("GET /v1/charges", "/v1/charges/x", false),
            ("GET /v1/charges", "/v1", false),
            ("GET /v1/charges/{id}", "/v1/charges/ch_1", true),
            ("GET /v1/charges/{id}", "/v1/charges/", false),
            ("GET /v1/charges/{id}", "/v1/charges/a/b", false),
            ("GET /v1/charges/{id}", "/v1/charges/a%20b", true),
            ("GET /a b/\u{e9}", "/a%20b/%C3%A9", true),
            ("GET /{rest...}", "/", false),
            ("GET /{rest...}", "/a", true),
            ("GET /{rest...}", "/a/b/", true),
            ("GET /r/{rest...}", "/r", false),
            ("GET /r/{rest...}", "/r/", false),
            ("GET /r/{rest...}", "/rx/a", false),
        ] {
            assert_eq!(matches(template, path), expected, "{template} {path}");
        }
    }

    #[test]
    fn a_template_that_could_mislead_is_refused() {
        for text in [
            "",
            "GET",
            "GET v1",
            "get /a",
            "G T /a",
            "CONNECT /a",
            "TRACE /a",
            "PRI /a",
            "GET  /a",
            "GET /a?b=1",
            "GET /a#b",
            "GET /*",
            "GET /a/**",
            "GET /a/{",
            "GET /a/{}",
            "GET /a/{a b}",
            "GET /a/x{id}",
            "GET /{rest...}/a",
            "GET /{a}/{a}",
            "GET /{a}/{a...}",
            "GET /a%20b",
            "GET /a//b",
            "GET /a/../b",
            "GET /./a",
            "GET /a;b",
            "GET /a\\b",
            "GET /a\u{7}",
        ] {
            assert!(Template::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_template_survives_its_text() {
        for text in ["GET /", "POST /v1/{id}/x y", "DELETE /a/{rest...}", "VERSION-CONTROL /a/"] {
            assert_eq!(Template::parse(text).map(|t| t.to_string()).as_deref(), Ok(text));
        }
    }
}
