//! The body: its type, its size and its fields.

use super::shape::{Closed, fields};
use super::{Mismatch, Stage, json_body};
use crate::class::is_method_misspelled;
use crate::json::{self, Node};
use crate::permit::{BodyRule, Permit};
use cloakroom_model::{Call, Pair, Place, form_pairs};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use std::cell::OnceCell;

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// The body of one call, parsed at most once for all permits.
pub(crate) struct BodyView<'c> {
    call: &'c Call,
    form: OnceCell<Result<Vec<Pair>, &'static str>>,
    json: OnceCell<Result<Option<Node>, &'static str>>,
}

impl<'c> BodyView<'c> {
    pub(crate) fn new(call: &'c Call) -> Self {
        Self { call, form: OnceCell::new(), json: OnceCell::new() }
    }

    /// The pairs of a form; an empty body has none.
    pub(crate) fn form(&self) -> Result<&[Pair], Mismatch> {
        let parsed = self.form.get_or_init(|| {
            let Some(body) = readable(self.call, |kind| kind == FORM)? else { return Ok(Vec::new()) };
            let text = std::str::from_utf8(body).map_err(|_| "the form body is not UTF-8")?;
            form_pairs(text).map_err(|refusal| refusal.reason())
        });
        parsed.as_deref().map_err(|reason| Mismatch::new(Stage::Body, reason).rule("body: form"))
    }

    /// The value of a JSON body; an empty body has none.
    pub(crate) fn json(&self) -> Result<Option<&Node>, Mismatch> {
        let parsed = self.json.get_or_init(|| match readable(self.call, is_json)? {
            Some(body) => json::parse(body).map(Some),
            None => Ok(None),
        });
        match parsed {
            Ok(node) => Ok(node.as_ref()),
            Err(reason) => Err(Mismatch::new(Stage::Body, reason).rule("body: json")),
        }
    }

    /// What was read of the body, as it came.
    pub(crate) fn head(&self) -> &[u8] {
        &self.call.body.head
    }

    /// Whether there is no body.
    pub(crate) fn is_empty(&self) -> bool {
        self.call.body.whole().is_some_and(bytes::Bytes::is_empty)
    }

    /// The pairs, where the body is a form with one reading.
    pub(crate) fn form_if_it_is_one(&self) -> Option<&[Pair]> {
        self.form().ok().filter(|_| !self.is_empty())
    }

    /// The value, where the body is JSON with one reading.
    pub(crate) fn json_if_it_is_one(&self) -> Option<&Node> {
        self.json().ok().flatten()
    }

    /// All bytes, where they are all here and not encoded.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        plain(self.call).ok().flatten()
    }

    /// As [`BodyView::bytes`], where they are text.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

/// The bytes of a body that is complete, plain and of this type. `None`: it is empty.
fn readable(call: &Call, of_type: impl Fn(&str) -> bool) -> Result<Option<&[u8]>, &'static str> {
    match (plain(call)?, content_type(&call.headers)) {
        (None, _) => Ok(None),
        (Some(body), Some(kind)) if of_type(&kind) => Ok(Some(body)),
        _ => Err("the content type is not the one that the permit names"),
    }
}

/// The bytes of a body that is complete and not encoded. `None`: it is empty.
fn plain(call: &Call) -> Result<Option<&[u8]>, &'static str> {
    let body = call.body.whole().ok_or("the body is larger than what is read")?;
    if body.is_empty() {
        return Ok(None);
    }
    let codings = call.headers.get_all(CONTENT_ENCODING);
    if codings.iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err("the body is encoded, so it cannot be read");
    }
    Ok(Some(body))
}

/// The only content type, in lower case, where it has no parameter but `charset=utf-8`.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    kind_of(value.to_str().ok()?)
}

pub(crate) fn is_json(kind: &str) -> bool {
    kind == "application/json" || kind.ends_with("+json")
}

/// The type that a content type names, in lower case, where it has no parameter but `charset=utf-8`.
pub(crate) fn kind_of(value: &str) -> Option<String> {
    let value = value.to_ascii_lowercase();
    let (kind, parameters) = value.split_once(';').unwrap_or((&value, ""));
    let parameters = parameters.trim();
    let plain = parameters.is_empty() || matches!(parameters, "charset=utf-8" | "charset=\"utf-8\"");
    let kind = kind.trim();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"/+-._".contains(&b);
    (plain && kind.matches('/').count() == 1 && kind.bytes().all(token)).then(|| kind.to_owned())
}

/// Checks the body by the permit's rule.
pub(super) fn check(permit: &Permit, call: &Call, view: &BodyView<'_>) -> Result<(), Mismatch> {
    if let Some(max) = max_bytes(&permit.body) {
        check_size(call, max)?;
    }
    match &permit.body {
        BodyRule::Any { .. } => no_method_override(call),
        BodyRule::None if call.body.whole().is_some_and(bytes::Bytes::is_empty) => Ok(()),
        BodyRule::None => Err(Mismatch::new(Stage::Body, "the permit allows no body").rule("body: none")),
        BodyRule::Form { closed, fields: rules, .. } => {
            let own: &[&str] = match &permit.place {
                Place::Form(field) => &[field],
                _ => &[],
            };
            let closed = if *closed { Closed::Yes } else { Closed::No };
            let pairs = view.form()?;
            let overrides = |key| is_method_misspelled(key) || (key == "_method" && !rules.contains_key(key));
            if pairs.iter().any(|pair| overrides(pair.key())) {
                return Err(method_override());
            }
            fields(pairs, rules, closed, own)
        }
        BodyRule::Json { only, fields, .. } => {
            let place = match &permit.place {
                Place::Json(pointer) => Some(&**pointer),
                _ => None,
            };
            let looks_inside = *only || !fields.is_empty() || place.is_some();
            let root = view.json()?;
            if looks_inside { json_body::check(root, fields, *only, place) } else { Ok(()) }
        }
    }
}

fn max_bytes(rule: &BodyRule) -> Option<u64> {
    match rule {
        BodyRule::Any { max_bytes } => *max_bytes,
        BodyRule::None => None,
        BodyRule::Form { max_bytes, .. } | BodyRule::Json { max_bytes, .. } => Some(*max_bytes),
    }
}

fn check_size(call: &Call, max: u64) -> Result<(), Mismatch> {
    // A body that streams through is held to its declared length by the framing.
    let length = call.body.whole().map(|body| body.len() as u64).or(call.body.length);
    match length {
        Some(length) if length <= max => Ok(()),
        Some(_) => {
            Err(Mismatch::new(Stage::Body, "the body is larger than the permit allows").rule("max_bytes"))
        }
        None => Err(Mismatch::new(Stage::Body, "the body has no declared length").rule("max_bytes")),
    }
}

/// Some frameworks read another method out of a form (T33), whatever the parameters of its content type are.
fn no_method_override(call: &Call) -> Result<(), Mismatch> {
    if !call.headers.get_all(CONTENT_TYPE).iter().any(|value| is_some_form(value.as_bytes())) {
        return Ok(());
    }
    let pairs = call.body.head.split(|b| matches!(b, b'&' | b';'));
    let keys = pairs.map(|pair| pair.split(|b| *b == b'=').next().unwrap_or(pair).trim_ascii_start());
    let names_it = |key: &[u8]| {
        std::str::from_utf8(key).ok().and_then(|key| form_pairs(key).ok()).is_some_and(|pairs| {
            pairs.iter().any(|pair| pair.key() == "_method" || is_method_misspelled(pair.key()))
        })
    };
    if keys.into_iter().any(names_it) { Err(method_override()) } else { Ok(()) }
}

fn is_some_form(content_type: &[u8]) -> bool {
    let kind = content_type.split(|b| matches!(b, b';' | b',')).next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(FORM.as_bytes())
}

fn method_override() -> Mismatch {
    Mismatch::new(Stage::Headers, "a form field means another method, and the permit does not name it")
        .rule("_method")
}
