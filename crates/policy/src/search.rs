//! Finding placeholders anywhere in a call, and making sure that none stands where it does not belong.
//!
//! A call is searched in pieces. Once permits have named the spots, the pieces in which something was found are searched
//! again with those spots cut out: what is found then is a stray (T14, T15, T16).

use crate::decide::place::{basic, cookies, only_value};
use crate::{PolicySet, Signature, Spot, sigv4};
use cloakroom_model::{Call, CoreId, HeaderForm, Pair, form_pairs};
use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};

/// A part of a call that is searched by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Path,
    Query,
    HeaderName(HeaderName),
    HeaderValues(HeaderName),
    Body,
    /// Never a spot, for they go nowhere; but what stands there was put there.
    Trailers,
}

/// A placeholder in a piece.
pub(crate) struct Finding {
    piece: Piece,
    core: CoreId,
}

impl Finding {
    pub(crate) fn core(&self) -> CoreId {
        self.core
    }

    pub(crate) fn is_in_body(&self) -> bool {
        self.piece == Piece::Body
    }
}

/// Every placeholder in the call.
pub(crate) fn call(call: &Call, policies: &PolicySet) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut look = |piece: Piece| {
        let found = in_rest(&piece, call, &[], policies);
        findings.extend(found.into_iter().map(|core| Finding { piece: piece.clone(), core }));
    };
    look(Piece::Path);
    look(Piece::Query);
    for name in call.headers.keys() {
        look(Piece::HeaderName(name.clone()));
        look(Piece::HeaderValues(name.clone()));
    }
    look(Piece::Body);
    look(Piece::Trailers);
    findings
}

/// A placeholder of ours that stands in the head of the call with another end than its own. The body is left out: to look
/// at each place of it would let a stranger buy much work (T96).
pub(crate) fn altered(call: &Call, policies: &PolicySet) -> Option<CoreId> {
    let known = |core| policies.is_held(core);
    let values = call.headers.keys().map(|name| Piece::HeaderValues(name.clone()));
    let mut pieces = [Piece::Path, Piece::Query].into_iter().chain(values);
    pieces.find_map(|piece| {
        let mut altered = None;
        rest_of(&piece, call, &[], &mut |text| {
            altered = altered.or_else(|| policies.lookup_key().altered(text, &known));
        });
        altered
    })
}

/// Which placeholders were found, each once.
pub(crate) fn cores(findings: &[Finding]) -> Vec<CoreId> {
    let mut cores: Vec<CoreId> = Vec::new();
    for finding in findings {
        if !cores.contains(&finding.core) {
            cores.push(finding.core);
        }
    }
    cores
}

/// The placeholders that stand anywhere but at these spots. A piece is searched when it is come to.
pub(crate) fn strays<'a>(
    call: &'a Call,
    findings: &'a [Finding],
    spots: &'a [&'a Spot],
    policies: &'a PolicySet,
) -> impl Iterator<Item = Finding> + 'a {
    let mut searched: Vec<&Piece> = Vec::new();
    findings.iter().flat_map(move |finding| {
        let piece = &finding.piece;
        let first = !searched.contains(&piece);
        searched.push(piece);
        let cores = if first { in_rest(piece, call, spots, policies) } else { Vec::new() };
        cores.into_iter().map(|core| Finding { piece: piece.clone(), core })
    })
}

/// Which placeholders stand in a text, each once.
pub(crate) fn in_text(text: &[u8], policies: &PolicySet) -> Vec<CoreId> {
    let known = |core| policies.is_held(core);
    policies.lookup_key().sightings(text, &known)
}

fn in_rest(piece: &Piece, call: &Call, spots: &[&Spot], policies: &PolicySet) -> Vec<CoreId> {
    let mut cores = Vec::new();
    rest_of(piece, call, spots, &mut |text| cores.extend(in_text(text, policies)));
    cores
}

/// Shows what remains of a piece without the spots, in each spelling that some server reads.
fn rest_of(piece: &Piece, call: &Call, spots: &[&Spot], see: &mut dyn FnMut(&[u8])) {
    match piece {
        Piece::Path => see(path(call, spots).as_bytes()),
        Piece::Query => {
            let cut = |index: usize| {
                spots.contains(&&Spot::Query(index)) || spots.contains(&&Spot::SigV4(Signature::Query(index)))
            };
            pairs(call.query.pairs(), cut, see);
        }
        Piece::HeaderName(name) => see(name.as_str().as_bytes()),
        Piece::HeaderValues(name) => header_values(call, name, spots, see),
        Piece::Body => body(call, spots, see),
        Piece::Trailers => trailers(call, see),
    }
}

fn path(call: &Call, spots: &[&Spot]) -> String {
    let segments = call.path.segments();
    let mut text = String::with_capacity(segments.iter().map(|segment| segment.decoded().len() + 1).sum());
    for (index, segment) in segments.iter().enumerate() {
        if index > 0 {
            text.push('/');
        }
        text.push_str(if spots.contains(&&Spot::Path(index)) { "" } else { segment.decoded() });
    }
    text
}

/// Pairs as they are sent and as they are decoded.
fn pairs(pairs: &[Pair], cut: impl Fn(usize) -> bool, see: &mut dyn FnMut(&[u8])) {
    if pairs.is_empty() {
        return;
    }
    let sent = Pair::join(pairs, |index| cut(index).then(String::new));
    let value = |(index, pair): (usize, &Pair)| {
        format!("{}={}", pair.key(), if cut(index) { "" } else { pair.value() })
    };
    let decoded: Vec<String> = pairs.iter().enumerate().map(value).collect();
    let decoded = decoded.join("&");
    see(sent.as_bytes());
    if decoded != sent {
        see(decoded.as_bytes());
    }
}

fn header_values(call: &Call, name: &HeaderName, spots: &[&Spot], see: &mut dyn FnMut(&[u8])) {
    let forms: Vec<HeaderForm> = spots
        .iter()
        .filter_map(|spot| match spot {
            Spot::Header(own, form) if own == name => Some(*form),
            Spot::Mtls(own) if own == name => Some(HeaderForm::Raw),
            _ => None,
        })
        .collect();
    let spotted_cookies: Vec<&str> = spots
        .iter()
        .filter_map(|spot| match spot {
            Spot::Cookie(cookie) if *name == COOKIE => Some(&**cookie),
            _ => None,
        })
        .collect();
    if *name == AUTHORIZATION && spots.contains(&&Spot::SigV4(Signature::Header)) {
        let key = text_at(call, &Spot::SigV4(Signature::Header)).unwrap_or_default();
        return only_value(call, name)
            .map(|value| see(value.replacen(&key, "", 1).as_bytes()))
            .unwrap_or_default();
    }
    let scheme = spots.iter().find_map(|spot| match spot {
        Spot::Signed(scheme) if scheme.home() == *name => Some(scheme),
        _ => None,
    });
    if let Some(scheme) = scheme {
        let rest = |value: &str| scheme.placeholder_in(value).map(|text| value.replacen(text, "", 1));
        return only_value(call, name).ok().and_then(rest).iter().for_each(|rest| see(rest.as_bytes()));
    }
    // A spot is made only where the header has one value, so nothing is lost by looking at that one.
    match (forms.as_slice(), only_value(call, name)) {
        ([], Ok(value)) if !spotted_cookies.is_empty() => {
            let kept = cookies(value).map(|(name, value)| {
                format!("{name}={}", if spotted_cookies.contains(&name) { "" } else { value })
            });
            see(kept.collect::<Vec<_>>().join("; ").as_bytes());
        }
        ([], _) => call.headers.get_all(name).iter().for_each(|value| see(value.as_bytes())),
        (forms, Ok(value)) => rest_of_header(value, forms, see),
        (_, Err(_)) => {}
    }
}

/// The half of a Basic credential that is no spot; of other forms nothing remains.
fn rest_of_header(value: &str, forms: &[HeaderForm], see: &mut dyn FnMut(&[u8])) {
    if !forms.iter().all(|form| matches!(form, HeaderForm::BasicUser | HeaderForm::BasicPassword)) {
        return;
    }
    let Some((user, password)) = basic(value) else { return };
    for (half, form) in [(user, HeaderForm::BasicUser), (password, HeaderForm::BasicPassword)] {
        if !forms.contains(&form) {
            see(half.as_bytes());
        }
    }
}

fn body(call: &Call, spots: &[&Spot], see: &mut dyn FnMut(&[u8])) {
    let head = &call.body.head;
    if spots.iter().any(|spot| matches!(spot, Spot::Form(_))) {
        let parsed =
            std::str::from_utf8(head).ok().and_then(|text| form_pairs(text).ok()).unwrap_or_default();
        return pairs(&parsed, |index| spots.contains(&&Spot::Form(index)), see);
    }
    if !spots.iter().any(|spot| matches!(spot, Spot::Json(_))) {
        return see(head);
    }
    let mut rest = head.to_vec();
    for spot in spots {
        if let Spot::Json(span) = spot
            && let Some(literal) = rest.get_mut(span.clone())
        {
            literal.fill(b' ');
        }
    }
    see(&rest);
}

fn trailers(call: &Call, see: &mut dyn FnMut(&[u8])) {
    for (name, value) in call.body.trailers.iter().flat_map(|trailers| trailers.iter()) {
        see(name.as_str().as_bytes());
        see(value.as_bytes());
    }
}

/// The text at a spot.
pub(crate) fn text_at(call: &Call, spot: &Spot) -> Option<String> {
    match spot {
        Spot::Header(name, form) => {
            let value = only_value(call, name).ok()?;
            match form {
                HeaderForm::Raw => Some(value.to_owned()),
                HeaderForm::Bearer => value.split_once(' ').map(|(_, text)| text.to_owned()),
                HeaderForm::BasicUser => basic(value).map(|(user, _)| user),
                HeaderForm::BasicPassword => basic(value).map(|(_, password)| password),
            }
        }
        Spot::Cookie(name) => {
            let value = only_value(call, &COOKIE).ok()?;
            cookies(value).find(|(own, _)| *own == &**name).map(|(_, value)| value.to_owned())
        }
        Spot::Query(index) => call.query.pairs().get(*index).map(|pair| pair.value().to_owned()),
        Spot::Path(index) => call.path.segments().get(*index).map(|segment| segment.decoded().to_owned()),
        Spot::Json(span) => {
            let inside = span.start + 1..span.end.checked_sub(1)?;
            std::str::from_utf8(call.body.head.get(inside)?).ok().map(str::to_owned)
        }
        Spot::SigV4(signature) => sigv4::scope_at(call, *signature).map(|scope| scope.access_key.to_owned()),
        Spot::Mtls(name) => only_value(call, name).ok().map(str::to_owned),
        Spot::Signed(scheme) => {
            let value = only_value(call, &scheme.home()).ok()?;
            scheme.placeholder_in(value).map(str::to_owned)
        }
        Spot::Form(index) => {
            let text = std::str::from_utf8(&call.body.head).ok()?;
            form_pairs(text).ok()?.get(*index).map(|pair| pair.value().to_owned())
        }
    }
}
