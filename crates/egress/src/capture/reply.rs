//! What is known of the replies of token endpoints (RFC 6749, sections 5.1 and 5.2, and what Google, Microsoft, GitHub and Slack add).
//!
//! SECURITY: a reply is built anew of the members that are listed here. Whatever else stands in it, in its head or in its body, stays
//! behind: a token that nobody expected has no way through.

use super::document::{self, Members, Value};
use bytes::Bytes;
use cloakroom_model::{Code, Refusal, Token};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::time::Duration;
use zeroize::Zeroizing;

/// What becomes of a member.
#[derive(Clone, Copy)]
enum Rule {
    Token(Token),
    /// A short text, a number, a boolean or null, that is no secret.
    Plain,
    Object(&'static [(&'static str, Rule)]),
}

/// Members of a reply that grants something.
const GRANTED: &[(&str, Rule)] = &[
    // RFC 6749, section 5.1; OpenID Connect Core, section 3.1.3.3; RFC 8693, section 2.2.1.
    ("access_token", Rule::Token(Token::AccessToken)),
    ("refresh_token", Rule::Token(Token::RefreshToken)),
    ("id_token", Rule::Token(Token::IdToken)),
    ("token_type", Rule::Plain),
    ("expires_in", Rule::Plain),
    ("scope", Rule::Plain),
    ("issued_token_type", Rule::Plain),
    // GitHub Apps and Google: when the refresh token ends.
    ("refresh_token_expires_in", Rule::Plain),
    // Microsoft identity platform; its older endpoint says numbers as text.
    ("ext_expires_in", Rule::Plain),
    ("expires_on", Rule::Plain),
    ("not_before", Rule::Plain),
    ("resource", Rule::Plain),
    // Slack, oauth.v2.access: the user's token is nested.
    ("ok", Rule::Plain),
    ("app_id", Rule::Plain),
    ("bot_user_id", Rule::Plain),
    ("is_enterprise_install", Rule::Plain),
    ("team", Rule::Object(NAMED)),
    ("enterprise", Rule::Object(NAMED)),
    ("authed_user", Rule::Object(AUTHED_USER)),
];

const NAMED: &[(&str, Rule)] = &[("id", Rule::Plain), ("name", Rule::Plain)];

const AUTHED_USER: &[(&str, Rule)] = &[
    ("id", Rule::Plain),
    ("scope", Rule::Plain),
    ("access_token", Rule::Token(Token::AccessToken)),
    ("refresh_token", Rule::Token(Token::RefreshToken)),
    ("token_type", Rule::Plain),
    ("expires_in", Rule::Plain),
];

/// Members of an error: RFC 6749, section 5.2, and what tells Microsoft's, GitHub's and Slack's support which one it was.
const REFUSED: &[(&str, Rule)] = &[
    ("error", Rule::Plain),
    ("error_description", Rule::Plain),
    ("error_uri", Rule::Plain),
    ("interval", Rule::Plain),
    ("ok", Rule::Plain),
    ("needed", Rule::Plain),
    ("provided", Rule::Plain),
    ("correlation_id", Rule::Plain),
    ("trace_id", Rule::Plain),
    ("timestamp", Rule::Plain),
    ("message", Rule::Plain),
    ("documentation_url", Rule::Plain),
];

/// The longest text that is no token: a list of scopes, a description.
const LONGEST_PLAIN: usize = 4096;
/// The longest token.
const LONGEST_TOKEN: usize = 16 * 1024;
/// Said in place of what is withheld of an error.
const WITHHELD: &str = "{\"error\":\"server_error\",\"error_description\":\"cloakroom withheld the reply's body: it is no error of a token endpoint (RFC 6749, section 5.2)\"}";

/// A token that a reply grants.
pub(super) struct Granted {
    pub(super) token: Token,
    pub(super) secret: Zeroizing<String>,
    /// How long it is good, where that is said.
    pub(super) valid_for: Option<Duration>,
}

/// A reply, read.
pub(super) struct Reading {
    status: StatusCode,
    fields: HeaderMap,
    content: Content,
}

enum Content {
    /// Built of these members; where a token stands, its number in the order of [`Reading::granted`].
    Json(Vec<Part>),
    Form(Vec<Part>),
    Fixed(&'static str),
}

/// A member of the reply to come.
enum Part {
    Member(String, Value),
    Object(String, Vec<Part>),
    Token(String, Box<Granted>),
}

impl Reading {
    /// Reads a reply whose codings are undone.
    ///
    /// # Errors
    /// `response-not-scrubbable` for whatever is neither a grant nor an error of a token endpoint.
    pub(super) fn of(status: StatusCode, fields: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let kind = Kind::of(fields);
        let members = match kind {
            Kind::Json => document::json(body),
            Kind::Form => document::form(body),
            Kind::Other => None,
        };
        let content = match (status, members) {
            (StatusCode::OK, Some(members)) => grant(kind, members)?,
            (status, Some(members)) if is_error(status) => {
                refusal(kind, members).unwrap_or(Content::Fixed(WITHHELD))
            }
            (status, None) if is_error(status) => Content::Fixed(WITHHELD),
            _ => {
                return Err(unknown(
                    "the token endpoint's reply is neither a grant nor an error of a known form",
                ));
            }
        };
        let mut kept = HeaderMap::new();
        // RFC 6749, section 5.1. Nothing of the server's own head goes on but a number.
        kept.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        kept.extend(seconds_to_wait(fields).map(|value| (header::RETRY_AFTER, value)));
        let kind = match &content {
            Content::Form(_) => HeaderValue::from_static("application/x-www-form-urlencoded"),
            Content::Json(_) | Content::Fixed(_) => HeaderValue::from_static("application/json"),
        };
        kept.insert(header::CONTENT_TYPE, kind);
        Ok(Self { status, fields: kept, content })
    }

    /// The tokens that it grants, in order.
    pub(super) fn granted(&self) -> Vec<&Granted> {
        let mut granted = Vec::new();
        if let Content::Json(parts) | Content::Form(parts) = &self.content {
            collect(parts, &mut granted);
        }
        granted
    }

    /// The reply with these texts in place of the tokens; a token without one is left out.
    pub(super) fn rewritten(self, texts: &[Option<Box<str>>]) -> (StatusCode, HeaderMap, Bytes) {
        let mut texts = texts.iter();
        let body = match self.content {
            Content::Json(parts) => document::write_json(&members(parts, &mut texts)),
            Content::Form(parts) => document::write_form(&members(parts, &mut texts)),
            Content::Fixed(text) => text.to_owned(),
        };
        (self.status, self.fields, body.into())
    }
}

fn collect<'p>(parts: &'p [Part], granted: &mut Vec<&'p Granted>) {
    for part in parts {
        match part {
            Part::Member(..) => {}
            Part::Object(_, parts) => collect(parts, granted),
            Part::Token(_, token) => granted.push(token),
        }
    }
}

fn members<'t>(parts: Vec<Part>, texts: &mut impl Iterator<Item = &'t Option<Box<str>>>) -> Members {
    let mut members = Members::new();
    for part in parts {
        match part {
            Part::Member(name, value) => members.push((name, value)),
            Part::Object(name, parts) => members.push((name, Value::Object(self::members(parts, texts)))),
            Part::Token(name, _) => {
                let text = texts.next().and_then(Option::as_deref);
                members.extend(text.map(|text| (name, Value::Text(Zeroizing::new(text.to_owned())))));
            }
        }
    }
    members
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Form,
    Other,
}

impl Kind {
    fn of(fields: &HeaderMap) -> Self {
        let mut values = fields.get_all(header::CONTENT_TYPE).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Self::Other };
        let text = value.to_str().unwrap_or_default();
        let name = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            "application/json" | "text/json" | "text/javascript" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            name if name.starts_with("application/") && name.ends_with("+json") => Self::Json,
            _ => Self::Other,
        }
    }

    fn content(self, parts: Vec<Part>) -> Content {
        match self {
            Self::Form => Content::Form(parts),
            Self::Json | Self::Other => Content::Json(parts),
        }
    }
}

fn seconds_to_wait(fields: &HeaderMap) -> Option<HeaderValue> {
    let seconds: u32 = fields.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(HeaderValue::from(seconds))
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// A reply with status 200: a grant, or an error as GitHub and Slack say it.
fn grant(kind: Kind, members: Members) -> Result<Content, Refusal> {
    let is_refused = members.iter().any(|(name, value)| name == "error" && value.text().is_some());
    match (mentions_token(&members), is_refused) {
        (true, false) => {
            let parts = pick(members, GRANTED)?;
            let mut tokens = Vec::new();
            collect(&parts, &mut tokens);
            let empty = || unknown("the token endpoint's reply grants nothing that is known");
            if tokens.is_empty() { Err(empty()) } else { Ok(kind.content(parts)) }
        }
        (false, true) => refusal(kind, members),
        (true, true) => Err(unknown("the token endpoint's reply grants and refuses at once")),
        (false, false) => Err(unknown("the token endpoint's reply grants nothing that is known")),
    }
}

/// # Errors
/// Where it is no error of a known form, or names a token.
fn refusal(kind: Kind, members: Members) -> Result<Content, Refusal> {
    if mentions_token(&members) {
        return Err(unknown("the token endpoint's error holds a token"));
    }
    let parts = pick(members, REFUSED)?;
    Ok(kind.content(parts))
}

/// Whether some name, at any depth, is that of a token.
fn mentions_token(members: &Members) -> bool {
    members.iter().any(|(name, value)| {
        let is_token = name.ends_with("token") || name == "jwt" || name == "assertion";
        is_token || is_in(value)
    })
}

fn is_in(value: &Value) -> bool {
    match value {
        Value::Object(members) => mentions_token(members),
        Value::Array(items) => items.iter().any(is_in),
        Value::Text(_) | Value::Plain(_) => false,
    }
}

/// The members that are known, in their order.
fn pick(members: Members, rules: &[(&str, Rule)]) -> Result<Vec<Part>, Refusal> {
    let valid_for = valid_for(&members)?;
    let kind_is_known = kind_is_known(&members);
    let mut parts = Vec::new();
    for (name, value) in members {
        let Some((_, rule)) = rules.iter().find(|(known, _)| *known == name) else { continue };
        match (rule, value) {
            (Rule::Token(token), Value::Text(secret)) => {
                if !kind_is_known {
                    return Err(unknown("the token endpoint grants tokens of another type than bearer"));
                }
                if !is_token(&secret) {
                    return Err(unknown("a token in the token endpoint's reply cannot be taken for one"));
                }
                let valid_for = valid_for.filter(|_| *token != Token::RefreshToken);
                parts.push(Part::Token(name, Box::new(Granted { token: *token, secret, valid_for })));
            }
            // A server that grants none may say so.
            (Rule::Token(_), Value::Plain(text)) if *text == "null" => {}
            (Rule::Token(_), _) => {
                return Err(unknown("a token in the token endpoint's reply cannot be taken for one"));
            }
            (Rule::Plain, Value::Text(text)) => {
                if is_plain(&text) {
                    parts.push(Part::Member(name, Value::Text(text)));
                }
            }
            (Rule::Plain, value @ Value::Plain(_)) => parts.push(Part::Member(name, value)),
            (Rule::Object(rules), Value::Object(members)) => {
                parts.push(Part::Object(name, pick(members, rules)?));
            }
            (Rule::Plain | Rule::Object(_), _) => {}
        }
    }
    Ok(parts)
}

/// RFC 6750, section 2.1: what a header can carry; and no shorter than what can be found again in a reply.
fn is_token(text: &str) -> bool {
    (crate::custody::SHORTEST..=LONGEST_TOKEN).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a text holds nothing that could be a token: no run of its symbols as long as one. Scopes are often URLs, so a slash ends a run.
fn is_plain(text: &str) -> bool {
    let symbol = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~' | '+' | '=');
    let long = |run: &str| run.len() >= 40 && run.bytes().any(|byte| byte.is_ascii_digit());
    let parts = |run: &str| run.split('.').any(long);
    text.len() <= LONGEST_PLAIN
        && !text.split(|c: char| !symbol(c) && c != '.').any(parts)
        && !KNOWN_PREFIXES.iter().any(|prefix| text.contains(prefix))
}

/// How tokens of well-known services begin.
const KNOWN_PREFIXES: [&str; 12] =
    ["ya29.", "1//0", "eyJ", "gho_", "ghu_", "ghs_", "ghp_", "ghr_", "xoxb-", "xoxp-", "xoxe", "xapp-"];

/// How long what is granted is good. Some servers write the number as text.
fn valid_for(members: &Members) -> Result<Option<Duration>, Refusal> {
    let Some((_, value)) = members.iter().find(|(name, _)| name == "expires_in") else { return Ok(None) };
    let (Value::Text(text) | Value::Plain(text)) = value else { return Err(unknown(EXPIRES_IN)) };
    match text.as_str() {
        "null" => Ok(None),
        text => {
            text.parse().map(|seconds| Some(Duration::from_secs(seconds))).map_err(|_| unknown(EXPIRES_IN))
        }
    }
}

const EXPIRES_IN: &str = "the token endpoint's expires_in is no number of seconds";

/// Bearer (RFC 6750); Slack names whose token it is. A token of another type, such as one that is bound to a key, could not be used.
fn kind_is_known(members: &Members) -> bool {
    let kind = members.iter().find(|(name, _)| name == "token_type").and_then(|(_, value)| value.text());
    kind.is_none_or(|kind| ["bearer", "bot", "user"].iter().any(|known| kind.eq_ignore_ascii_case(known)))
}

fn unknown(reason: &'static str) -> Refusal {
    Refusal::new(Code::ResponseNotScrubbable, reason)
}
