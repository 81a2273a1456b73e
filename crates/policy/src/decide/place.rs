//! Finding the placeholder at the permit's place: exactly it, exactly once, in plain spelling.

use super::body::BodyView;
use super::{Mismatch, Stage};
use crate::json::{Json, Node};
use crate::permit::Permit;
use crate::pointer::Pointer;
use crate::sigv4;
use crate::spot::{Signature, Spot};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{Call, HeaderForm, KeyedHash, LookupKey, Pair, Place, Segment, Signing};
use http::HeaderName;
use http::header::AUTHORIZATION;
use std::ops::Range;
use std::sync::Arc;

/// The placeholder that is looked for.
pub(crate) struct Wanted<'a> {
    pub(crate) key: &'a LookupKey,
    pub(crate) text: KeyedHash,
}

impl Wanted<'_> {
    fn is(&self, text: &str) -> bool {
        self.key.placeholder_hash(text) == self.text
    }
}

/// Where the placeholder stands, if it stands at the permit's place.
pub(super) fn find(
    permit: &Permit,
    call: &Call,
    body: &BodyView<'_>,
    wanted: &Wanted<'_>,
) -> Result<Spot, Mismatch> {
    let at = |mismatch: Mismatch| mismatch.rule(permit.place.to_string());
    match &permit.place {
        Place::Header(name, form) => header(call, name, *form, wanted).map_err(at),
        Place::Cookie(name) => cookie(call, name, wanted).map_err(at),
        Place::Query(key) => pair(call.query.pairs(), key, wanted).map(Spot::Query).map_err(at),
        Place::Path(name) => path(permit, call, name, wanted).map_err(at),
        Place::Json(pointer) => json(body, pointer, wanted).map_err(at),
        Place::Form(field) => pair(body.form()?, field, wanted).map(Spot::Form).map_err(at),
        Place::SigV4 { region, service } => {
            signature(call, region, service, wanted).map(Spot::SigV4).map_err(at)
        }
        Place::Signed(scheme) => signed(call, scheme, wanted).map_err(at),
        Place::Mtls(name) => {
            header(call, name, HeaderForm::Raw, wanted).map(|_| Spot::Mtls(name.clone())).map_err(at)
        }
        Place::WebSocket(_) => {
            Err(at(elsewhere("the permit wants the placeholder in a message, not in the handshake")))
        }
    }
}

/// As [`find`], for a call that the permit may not be for. Without the template a `path` place is any one segment.
pub(crate) fn find_in_any_call(
    permit: &Permit,
    call: &Call,
    body: &BodyView<'_>,
    wanted: &Wanted<'_>,
) -> Result<Spot, Mismatch> {
    match permit.place {
        Place::Path(_) => {
            let exact = call.path.segments().iter().position(|segment| is_exact(segment, wanted));
            exact.map(Spot::Path).ok_or_else(|| elsewhere(NOT_EXACT))
        }
        _ => find(permit, call, body, wanted),
    }
}

pub(super) fn elsewhere(reason: &'static str) -> Mismatch {
    Mismatch::new(Stage::Place, reason)
}

const NOT_EXACT: &str = "what stands at the place is not exactly the placeholder";
const ABSENT: &str = "nothing stands at the place";
const TWICE: &str = "the place occurs more than once";

/// The only value of a header.
pub(crate) fn only_value<'c>(call: &'c Call, name: &HeaderName) -> Result<&'c str, &'static str> {
    let mut values = call.headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(ABSENT),
        (Some(value), None) => value.to_str().map_err(|_| NOT_EXACT),
        (Some(_), Some(_)) => Err(TWICE),
    }
}

fn header(call: &Call, name: &HeaderName, form: HeaderForm, wanted: &Wanted<'_>) -> Result<Spot, Mismatch> {
    let value = only_value(call, name).map_err(elsewhere)?;
    let exact = match form {
        HeaderForm::Raw => wanted.is(value),
        HeaderForm::Bearer => {
            let text = after_scheme(value, &["bearer", "token", "dpop"]);
            text.ok_or_else(|| elsewhere("the header has another scheme than Bearer"))
                .map(|text| wanted.is(text))?
        }
        HeaderForm::BasicUser | HeaderForm::BasicPassword => {
            let (user, password) =
                basic(value).ok_or_else(|| elsewhere("the header is no Basic credential"))?;
            wanted.is(if form == HeaderForm::BasicUser { &user } else { &password })
        }
    };
    if exact { Ok(Spot::Header(name.clone(), form)) } else { Err(elsewhere(NOT_EXACT)) }
}

fn after_scheme<'v>(value: &'v str, schemes: &[&str]) -> Option<&'v str> {
    let (scheme, rest) = value.split_once(' ')?;
    schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(rest)
}

/// User and password of a Basic header (RFC 7617); base64 in its one canonical spelling.
pub(crate) fn basic(value: &str) -> Option<(String, String)> {
    let decoded = STANDARD.decode(after_scheme(value, &["basic"])?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Name and value of each cookie.
pub(crate) fn cookies(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split(';').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.trim(), value.trim())
    })
}

fn cookie(call: &Call, name: &str, wanted: &Wanted<'_>) -> Result<Spot, Mismatch> {
    let header = only_value(call, &http::header::COOKIE).map_err(elsewhere)?;
    let mut named = cookies(header).filter(|(own, _)| *own == name);
    match (named.next(), named.next()) {
        (None, _) => Err(elsewhere(ABSENT)),
        (Some(_), Some(_)) => Err(elsewhere(TWICE)),
        (Some((_, value)), None) if wanted.is(value) => Ok(Spot::Cookie(name.into())),
        (Some(_), None) => Err(elsewhere(NOT_EXACT)),
    }
}

fn pair(pairs: &[Pair], key: &str, wanted: &Wanted<'_>) -> Result<usize, Mismatch> {
    let mut named = pairs.iter().enumerate().filter(|(_, pair)| pair.key() == key);
    match (named.next(), named.next()) {
        (None, _) => Err(elsewhere(ABSENT)),
        (Some(_), Some(_)) => Err(elsewhere(TWICE)),
        (Some((index, pair)), None) => {
            // SECURITY: an encoded placeholder is an attempt to slip past somebody's search (T15).
            let spelled = Pair::join(std::slice::from_ref(pair), |_| None);
            let plain = spelled.split_once('=').is_some_and(|(_, value)| value == pair.value());
            if plain && wanted.is(pair.value()) { Ok(index) } else { Err(elsewhere(NOT_EXACT)) }
        }
    }
}

/// The signature whose access key id is the placeholder. It is not verified: the workload has no key to sign with, and the call
/// is signed anew.
fn signature(call: &Call, region: &str, service: &str, wanted: &Wanted<'_>) -> Result<Signature, Mismatch> {
    let presigned = sigv4::in_query(&call.query).map_err(elsewhere)?;
    let in_header = call.headers.contains_key(AUTHORIZATION);
    let (signature, scope) = match presigned {
        Some(_) if in_header => return Err(elsewhere("the call is signed in its header and in its query")),
        Some((index, scope)) => (Signature::Query(index), scope),
        None => {
            let value = only_value(call, &AUTHORIZATION).map_err(elsewhere)?;
            let scope = sigv4::in_authorization(value);
            let none = "the header is no signature of AWS Signature Version 4 (AWS4-HMAC-SHA256)";
            (Signature::Header, scope.ok_or_else(|| elsewhere(none))?)
        }
    };
    if (scope.region, scope.service) != (region, service) {
        return Err(elsewhere("the call is signed for another region or service"));
    }
    if wanted.is(scope.access_key) { Ok(signature) } else { Err(elsewhere(NOT_EXACT)) }
}

/// The header of a scheme, where it has the scheme's form with the placeholder in it. What else the workload says of the signature is
/// thrown away: the call is signed anew.
fn signed(call: &Call, scheme: &Arc<Signing>, wanted: &Wanted<'_>) -> Result<Spot, Mismatch> {
    let value = only_value(call, &scheme.home()).map_err(elsewhere)?;
    let none = "the header has not the form of the scheme, with the placeholder in it";
    let text = scheme.placeholder_in(value).ok_or_else(|| elsewhere(none))?;
    if wanted.is(text) { Ok(Spot::Signed(Arc::clone(scheme))) } else { Err(elsewhere(NOT_EXACT)) }
}

fn path(permit: &Permit, call: &Call, name: &str, wanted: &Wanted<'_>) -> Result<Spot, Mismatch> {
    let matching =
        permit.calls.iter().filter(|t| t.method() == call.method.as_str() && t.matches_path(&call.path));
    let mut segments = matching.filter_map(|template| template.parameter(name));
    let exact = segments
        .find(|index| call.path.segments().get(*index).is_some_and(|segment| is_exact(segment, wanted)));
    exact.map(Spot::Path).ok_or_else(|| elsewhere(NOT_EXACT))
}

fn is_exact(segment: &Segment, wanted: &Wanted<'_>) -> bool {
    segment.encoded() == segment.decoded() && wanted.is(segment.decoded())
}

fn json(body: &BodyView<'_>, pointer: &str, wanted: &Wanted<'_>) -> Result<Spot, Mismatch> {
    let Some(root) = body.json()? else { return Err(elsewhere(ABSENT)) };
    in_json(root, body.head(), pointer, wanted).map(Spot::Json)
}

/// The literal at the pointer, where it is exactly the placeholder, in plain spelling.
pub(super) fn in_json(
    root: &Node,
    bytes: &[u8],
    pointer: &str,
    wanted: &Wanted<'_>,
) -> Result<Range<usize>, Mismatch> {
    let pointer = Pointer::parse(pointer).ok_or_else(|| elsewhere(ABSENT))?;
    let node = resolve(root, &pointer).ok_or_else(|| elsewhere(ABSENT))?;
    let literal = bytes.get(node.span.clone()).unwrap_or_default();
    match &node.value {
        Json::Text(text) if wanted.is(text) && literal == format!("\"{text}\"").as_bytes() => {
            Ok(node.span.clone())
        }
        _ => Err(elsewhere(NOT_EXACT)),
    }
}

fn resolve<'n>(root: &'n Node, pointer: &Pointer) -> Option<&'n Node> {
    pointer.tokens().iter().try_fold(root, |node, token| match &node.value {
        Json::Object(members) => members.iter().find(|(name, _)| name == token).map(|(_, node)| node),
        Json::Array(items) => items.get(super::json_body::index(token)?),
        _ => None,
    })
}
