//! A call that shows a region: built from what is left, and judged by the decision itself.

use super::body::rule;
use super::fields::alias;
use super::path::Length;
use super::space::{Atom, Axis, Content, Mask, Space};
use super::subtract::{Left, names_a_field};
use super::tree::{Tree, other_case};
use super::values::Sample;
use crate::Policy;
use crate::decide::body::BodyView;
use crate::decide::json_body::{folded, index};
use crate::decide::message::Message;
use crate::decide::place::Wanted;
use crate::decide::{self, Waits};
use crate::escape::{bare, plain};
use crate::permit::{Permit, RangeRule};
use crate::pointer::Pointer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloakroom_model::{Call, HeaderForm, LookupKey, Path, Payload, Place, Query, RequestId, Timestamp, Way};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What stands for the placeholder.
pub(crate) const PLACEHOLDER: &str = "PLACEHOLDER";

/// No example has a larger body that is written down.
const LARGEST_BODY: usize = 4 << 20;
/// A longer one is not shown.
const LONGEST_SHOWN: usize = 1000;
/// Nor has any a longer array.
const LONGEST_ARRAY: usize = 1000;

/// One call, as a workload would make it. What it wrote into it is a policy's text or made up here.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Example {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// Its headers, in order. The placeholder is `PLACEHOLDER`.
    pub headers: Vec<(String, String)>,
    /// The body, where it is text of a readable length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How long the body is, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u64>,
    /// In which text message of the WebSocket the placeholder stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<u32>,
    #[serde(skip)]
    bytes: Vec<u8>,
}

/// What becomes of an example under a policy: in which ways it may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Fate {
    /// With nothing more, with parts of the reply asked for; and the same after a human was asked.
    ways: [bool; 4],
}

impl Fate {
    fn allow(&mut self, waits: bool, in_pieces: bool) {
        self.ways[usize::from(waits) * 2 + usize::from(in_pieces)] = true;
    }

    /// Whether a way is open here that is not there: one that is asked about is open where the same is not asked about, and
    /// one in pieces is wider than one that is not.
    pub(crate) fn exceeds(self, other: Self) -> bool {
        let [plain, pieces, asked, asked_pieces] = other.ways;
        let open =
            [plain || pieces, pieces, plain || pieces || asked || asked_pieces, pieces || asked_pieces];
        self.ways.iter().zip(open).any(|(own, other)| *own && !other)
    }
}

impl Example {
    /// What the decision says.
    pub(crate) fn judged_by(&self, policy: &Policy) -> Fate {
        let key = LookupKey::from_bytes(&[0; 32]);
        let wanted = Wanted { key: &key, text: key.placeholder_hash(PLACEHOLDER) };
        let in_pieces = self.headers.iter().any(|(name, _)| name == "range");
        let mut fate = Fate::default();
        for permit in policy.permits() {
            if let Some(waits) = self.is_allowed_by(permit, &wanted) {
                fate.allow(waits == Waits::Yes, in_pieces && permit.range == RangeRule::Pass);
            }
        }
        fate
    }

    /// `None` for a call that this permit refuses.
    fn is_allowed_by(&self, permit: &Permit, wanted: &Wanted<'_>) -> Option<Waits> {
        let call = self.call(permit)?;
        let view = BodyView::new(&call);
        match (&permit.place, self.message) {
            (Place::WebSocket(pointer), Some(number)) => {
                decide::judge_opening(permit, &call, &view).ok()?;
                let text = message_with(pointer)?;
                decide::judge_message(permit, &call, &Message::new(&text, number), wanted).ok()?;
                Some(Waits::No)
            }
            (Place::WebSocket(_), None) | (_, Some(_)) => None,
            (_, None) => decide::judge(permit, &call, &view, wanted).ok().map(|judged| judged.waits),
        }
    }

    /// The call for people: request line, headers, body. What is not printable ASCII is escaped.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{} {}", self.method, bare(&self.url))];
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {}", plain(value))));
        let is_text = std::str::from_utf8(&self.bytes).is_ok();
        lines.extend(match (&self.body, self.body_bytes) {
            (Some(text), _) => Some(format!("body: {}", plain(text))),
            (None, Some(length)) if is_text => Some(format!("body: {length} bytes of text")),
            (None, Some(length)) => Some(format!("body: {length} bytes that are neither a form nor json")),
            (None, None) => None,
        });
        lines.extend(self.message.map(|number| format!("placeholder in text message {number}")));
        lines
    }

    /// From its parts.
    #[cfg(test)]
    pub(crate) fn of(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self {
            method: method.to_owned(),
            url: url.to_owned(),
            headers,
            body: None,
            body_bytes: (!body.is_empty()).then_some(body.len() as u64),
            message: None,
            bytes: body.to_vec(),
        }
    }

    /// The canonical call. What `model` refuses is no call.
    fn call(&self, permit: &Permit) -> Option<Call> {
        let origin = permit.to.to_string();
        let rest = self.url.strip_prefix(&origin)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
        }
        let bytes = Bytes::copy_from_slice(&self.bytes);
        let body = match self.body_bytes {
            // Longer than what is built: only its length is known.
            Some(length) if length > bytes.len() as u64 => {
                Payload { head: bytes, rest: Some(Payload::unread()), length: Some(length), trailers: None }
            }
            _ => Payload::complete(bytes),
        };
        Some(Call {
            request: RequestId::new(Timestamp::from_millis(0), [0; 10]),
            way: Way::Connect,
            method: self.method.parse().ok()?,
            destination: permit.to.clone(),
            path: Path::parse(path).ok()?,
            query: Query::parse(query).ok()?,
            headers,
            upgrade: permit.upgrade,
            body,
        })
    }
}

fn message_with(pointer: &str) -> Option<Vec<u8>> {
    let mut root = Value::Null;
    put(&mut root, Pointer::parse(pointer)?.tokens());
    serde_json::to_vec(&root).ok()
}

fn put(value: &mut Value, tokens: &[String]) {
    match tokens.split_first() {
        None => *value = Value::String(PLACEHOLDER.into()),
        Some((first, rest)) => {
            let mut member = Value::Null;
            put(&mut member, rest);
            *value = Value::Object(Map::from_iter([(first.clone(), member)]));
        }
    }
}

/// Builds a call from what is left. `None` where that takes more than an example may have.
pub(super) fn build<'s>(space: &'s Space<'_>, left: &'s Left) -> Option<Example> {
    let mut chosen: Vec<usize> = left.masks.iter().map(|mask| mask.trailing_zeros() as usize).collect();
    for (axis, bit) in space.tree.chosen(&space.atoms, &left.masks)? {
        chosen[axis] = bit;
    }
    let own = matches!(space.part.permit.place, Place::Form(_));
    if space.content == Content::Form && !own {
        let (axis, bit) = names_a_field(space, &left.masks)?;
        chosen[axis] = bit;
    }
    let mut builder = Builder { space, chosen, left: &left.masks, headers: Vec::new(), query: Vec::new() };
    builder.add_place();
    let path = builder.path()?;
    builder.add_query();
    builder.add_headers()?;
    let (bytes, length) = builder.body()?;
    let message = builder.message();
    let permit = space.part.permit;
    let query = joined(&builder.query);
    let query = if query.is_empty() { query } else { format!("?{query}") };
    let text = String::from_utf8(bytes.clone()).ok().filter(|text| (1..=LONGEST_SHOWN).contains(&text.len()));
    Some(Example {
        method: space.part.call.method().to_owned(),
        url: format!("{}{path}{query}", permit.to),
        headers: builder.headers,
        body: text,
        body_bytes: length,
        message,
        bytes,
    })
}

fn joined(pairs: &[(String, String)]) -> String {
    let pair = |(key, value): &(String, String)| {
        format!("{}={}", Query::encode_value(key), Query::encode_value(value))
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

struct Builder<'s, 'p> {
    space: &'s Space<'p>,
    /// An atom for each axis.
    chosen: Vec<usize>,
    left: &'s [Mask],
    headers: Vec<(String, String)>,
    query: Vec<(String, String)>,
}

impl<'s> Builder<'s, '_> {
    fn chosen(&self) -> Vec<(&'s Axis, &'s Atom)> {
        let atoms = self.chosen.iter().zip(&self.space.atoms);
        let axes = self.space.axes.iter().zip(atoms);
        axes.filter_map(|(axis, (bit, atoms))| Some((axis, atoms.get(*bit)?))).collect()
    }

    fn at(&self, wanted: &Axis) -> Option<&'s Atom> {
        self.chosen().into_iter().find(|(axis, _)| *axis == wanted).map(|(_, atom)| atom)
    }

    fn add_place(&mut self) {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let header = match &self.space.part.permit.place {
            Place::Header(name, HeaderForm::Raw) => Some((name.as_str(), PLACEHOLDER.to_owned())),
            Place::Header(name, HeaderForm::Bearer) => Some((name.as_str(), format!("Bearer {PLACEHOLDER}"))),
            Place::Header(name, HeaderForm::BasicUser) => {
                Some((name.as_str(), basic(&format!("{PLACEHOLDER}:"))))
            }
            Place::Header(name, HeaderForm::BasicPassword) => {
                Some((name.as_str(), basic(&format!("x:{PLACEHOLDER}"))))
            }
            Place::SigV4 { region, service } => Some((
                "authorization",
                format!(
                    "AWS4-HMAC-SHA256 Credential={PLACEHOLDER}/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature={}",
                    "0".repeat(64)
                ),
            )),
            Place::Mtls(name) => Some((name.as_str(), PLACEHOLDER.to_owned())),
            Place::Signed(scheme) => {
                self.headers.push((scheme.home().to_string(), scheme.example(PLACEHOLDER)));
                None
            }
            Place::Cookie(name) => Some(("cookie", format!("{name}={PLACEHOLDER}"))),
            Place::Query(key) => {
                self.query.push((key.to_string(), PLACEHOLDER.to_owned()));
                None
            }
            Place::Path(_) | Place::Json(_) | Place::Form(_) | Place::WebSocket(_) => None,
        };
        self.headers.extend(header.map(|(name, value)| (name.to_owned(), value)));
    }

    fn path(&self) -> Option<String> {
        let Length { segments, slash } = self.space.length;
        let mut path = String::new();
        for index in 0..segments {
            let text = match self.at(&Axis::Segment(index)) {
                Some(Atom::Segment(Some(text))) => text.clone(),
                _ if self.space.part.spot() == Some(index) => PLACEHOLDER.to_owned(),
                _ => self.unnamed_segment(index),
            };
            path.push_str(&format!("/{}", Path::encode_segment(&text)?));
        }
        Some(if slash { path + "/" } else { path })
    }

    /// A segment that no template has here.
    fn unnamed_segment(&self, index: usize) -> String {
        let named = |text: &String| {
            self.space.parts().any(|part| {
                matches!(part.call.pieces().get(index), Some(crate::template::Piece::Literal(own)) if **own == **text)
            })
        };
        let mut text = "x".to_owned();
        while named(&text) {
            text.push('x');
        }
        text
    }

    fn add_query(&mut self) {
        for (axis, atom) in self.chosen() {
            if let Axis::Query(key) = axis {
                self.query.extend(values(atom).into_iter().map(|value| (key.clone(), value)));
            }
        }
    }

    fn add_headers(&mut self) -> Option<()> {
        let names = self.space.parts().flat_map(|part| part.permit.headers.keys().cloned()).collect();
        for (axis, atom) in self.chosen() {
            match (axis, atom) {
                (Axis::Header(name), Atom::NotAscii) => self.headers.push((name.clone(), "\u{e9}".into())),
                (Axis::Header(name), Atom::Repeated(values)) => {
                    let value = values.first().cloned().unwrap_or_default();
                    self.headers.extend([(name.clone(), value.clone()), (name.clone(), value)]);
                }
                (Axis::Header(name), atom) => {
                    self.headers.extend(values(atom).into_iter().map(|value| (name.clone(), value)));
                }
                (Axis::Alias(name), Atom::Present) => self.headers.push((alias(name, &names)?, "x".into())),
                (Axis::Range, Atom::Present) => self.headers.push(("range".into(), "bytes=0-1".into())),
                _ => {}
            }
        }
        let kind = match self.space.content {
            Content::Form => "application/x-www-form-urlencoded",
            Content::Json => "application/json",
            Content::Empty | Content::Opaque => return Some(()),
        };
        if !self.headers.iter().any(|(name, _)| name == "content-type") {
            self.headers.push(("content-type".into(), kind.into()));
        }
        Some(())
    }

    /// The body, and its length where there is one.
    fn body(&self) -> Option<(Vec<u8>, Option<u64>)> {
        let bytes = match self.space.content {
            Content::Empty => return Some((Vec::new(), None)),
            // No text, so neither a form nor JSON.
            Content::Opaque => vec![0xff],
            Content::Form => joined(&self.form()).into_bytes(),
            Content::Json => self.json(0)?.into_bytes(),
        };
        let least = match self.at(&Axis::Size) {
            Some(Atom::UpTo(low, _) | Atom::Beyond(low)) => low + 1,
            _ => 1,
        };
        if least <= bytes.len() as u64 {
            let length = bytes.len() as u64;
            return Some((bytes, Some(length)));
        }
        if self.space.content == Content::Opaque {
            return Some((bytes, Some(least)));
        }
        let least = usize::try_from(least).ok().filter(|length| *length <= LARGEST_BODY)?;
        let mut bytes = bytes;
        match self.space.content {
            Content::Form => bytes = self.longer_form(least)?,
            _ => bytes.resize(least, b' '),
        }
        let length = bytes.len() as u64;
        Some((bytes, Some(length)))
    }

    /// The form with at least so many bytes: by longer values, where nobody tells them from the shorter ones, and by escapes.
    fn longer_form(&self, least: usize) -> Option<Vec<u8>> {
        let mut pairs = self.form();
        pairs.extend(self.further_fields());
        for at in 0..pairs.len() {
            let missing = least.saturating_sub(joined(&pairs).len());
            let (key, value) = pairs[at].clone();
            if value == PLACEHOLDER {
                continue;
            }
            let zeros = if value.contains('.') { "000000" } else { ".000000000" };
            let longer = [format!("{value}{}", "x".repeat(missing)), format!("{value}{zeros}")];
            let mut alike = longer.into_iter().filter(|longer| self.is_left(&key, longer));
            if let Some(longer) = alike.next().filter(|_| missing > 0) {
                pairs[at].1 = longer;
            }
        }
        let repeated = pairs
            .last()
            .cloned()
            .filter(|(key, _)| matches!(self.at(&Axis::Field(key.clone())), Some(Atom::Repeated(_))));
        while let Some(pair) = repeated.clone().filter(|_| joined(&pairs).len() < least) {
            pairs.push(pair);
        }
        escaped_to(&joined(&pairs), least).map(String::into_bytes)
    }

    /// Fields that are not there and may be.
    fn further_fields(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (axis, of) in self.space.axes.iter().enumerate() {
            let left = (0..self.space.atoms[axis].len()).filter(|bit| self.left[axis] >> bit & 1 == 1);
            let mut atoms = left.map(|bit| &self.space.atoms[axis][bit]);
            let absent = self.at(of) == Some(&Atom::Absent);
            match (of, atoms.find(|atom| matches!(atom, Atom::Once(_) | Atom::Present))) {
                (Axis::Field(key), Some(Atom::Once(value))) if absent => {
                    found.push((key.clone(), value.text().to_owned()));
                }
                (Axis::OtherFields, Some(Atom::Present)) if absent => {
                    found.push((self.unnamed_field(), "1".into()));
                }
                _ => {}
            }
        }
        found
    }

    /// Whether the field may have this value in what is left.
    fn is_left(&self, key: &str, value: &str) -> bool {
        let once = Atom::Once(Sample::Untyped(value.to_owned()));
        let Some(axis) =
            self.space.axes.iter().position(|axis| matches!(axis, Axis::Field(own) if own == key))
        else {
            return !value.contains('.');
        };
        let stands_for =
            |bit: &usize| {
                self.left[axis] >> bit & 1 == 1
                    && self.space.atoms[axis][*bit] != Atom::Absent
                    && self.space.covers.iter().all(|cover| {
                        (cover.masks[axis] >> bit & 1 == 1) == rule(&cover.part, key).allows(&once)
                    })
            };
        rule(&self.space.part, key).allows(&once)
            && (0..self.space.atoms[axis].len()).any(|bit| stands_for(&bit))
    }

    fn form(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        if let Place::Form(field) = &self.space.part.permit.place {
            pairs.push((field.to_string(), PLACEHOLDER.to_owned()));
        }
        for (axis, atom) in self.chosen() {
            match (axis, atom) {
                (Axis::Field(key), atom) => {
                    pairs.extend(values(atom).into_iter().map(|value| (key.clone(), value)));
                }
                (Axis::OtherFields, Atom::Present) => pairs.push((self.unnamed_field(), "1".into())),
                (Axis::OtherFields, Atom::Repeated(values)) => {
                    pairs.extend(values.iter().map(|value| (self.unnamed_field(), value.clone())));
                }
                _ => {}
            }
        }
        pairs
    }

    fn unnamed_field(&self) -> String {
        let named =
            |text: &str| self.space.axes.iter().any(|axis| matches!(axis, Axis::Field(own) if own == text));
        let own =
            |text: &str| matches!(&self.space.part.permit.place, Place::Form(field) if **field == *text);
        let mut text = "x".to_owned();
        while named(&text) || own(&text) {
            text.push('x');
        }
        text
    }

    fn json(&self, node: usize) -> Option<String> {
        let tree: &Tree = &self.space.tree;
        let quoted = |text: &str| serde_json::to_string(text).ok();
        match self.at(&Axis::Node(node))? {
            Atom::Placeholder => quoted(PLACEHOLDER),
            Atom::Once(Sample::Object) => {
                let mut members: Vec<(String, String)> = Vec::new();
                for child in &tree.nodes[node].children {
                    if self.at(&Axis::Node(*child)) != Some(&Atom::Absent) {
                        members.push((tree.nodes[*child].tokens.last()?.clone(), self.json(*child)?));
                    }
                }
                for name in self.unnamed_members(node)? {
                    members.push((name, "1".into()));
                }
                let members = members.iter().map(|(name, value)| Some(format!("{}:{value}", quoted(name)?)));
                Some(format!("{{{}}}", members.collect::<Option<Vec<_>>>()?.join(",")))
            }
            Atom::Once(Sample::Array) => self.array(node),
            Atom::Once(Sample::Null) => Some("null".into()),
            Atom::Once(Sample::Boolean(value)) => Some(value.to_string()),
            Atom::Once(Sample::Number(text)) => Some(text.clone()),
            Atom::Once(sample) => quoted(sample.text()),
            _ => None,
        }
    }

    fn array(&self, node: usize) -> Option<String> {
        let tree: &Tree = &self.space.tree;
        let mut items: BTreeMap<usize, String> = BTreeMap::new();
        for child in &tree.nodes[node].children {
            if self.at(&Axis::Node(*child)) != Some(&Atom::Absent) {
                items.insert(index(tree.nodes[*child].tokens.last()?)?, self.json(*child)?);
            }
        }
        let mut length = items.keys().last().map_or(0, |last| last + 1);
        // One more where items that nobody names are wanted, and none fills a gap.
        let others = self.at(&Axis::Others(node)) == Some(&Atom::Present);
        length += usize::from(others && items.len() == length);
        if length > LONGEST_ARRAY {
            return None;
        }
        let items = (0..length).map(|at| items.get(&at).cloned().unwrap_or_else(|| "1".into()));
        Some(format!("[{}]", items.collect::<Vec<_>>().join(",")))
    }

    /// The members that nobody names, and those that differ by case only.
    fn unnamed_members(&self, node: usize) -> Option<Vec<String>> {
        let tree: &Tree = &self.space.tree;
        let named: Vec<&String> =
            tree.nodes[node].children.iter().filter_map(|child| tree.nodes[*child].tokens.last()).collect();
        let mut found = Vec::new();
        for (axis, atom) in self.chosen() {
            match (axis, atom) {
                (Axis::Others(own), Atom::Present) if *own == node => {
                    let mut name = "x".to_owned();
                    while named.iter().any(|other| folded(other) == folded(&name)) {
                        name.push('x');
                    }
                    found.push(name);
                }
                (Axis::Variant(own, of), Atom::Present) if *own == node => {
                    let named: Vec<&str> = named.iter().map(|name| name.as_str()).collect();
                    found.push(other_case(of, &named)?);
                }
                _ => {}
            }
        }
        Some(found)
    }

    fn message(&self) -> Option<u32> {
        match self.at(&Axis::Message)? {
            Atom::UpTo(low, _) => u32::try_from(low + 1).ok(),
            _ => None,
        }
    }
}

fn values(atom: &Atom) -> Vec<String> {
    match atom {
        Atom::Once(value) => vec![value.text().to_owned()],
        Atom::Repeated(values) => values.clone(),
        _ => Vec::new(),
    }
}

/// The form with letters escaped that need no escape, until it is long enough.
fn escaped_to(form: &str, least: usize) -> Option<String> {
    let mut text = String::new();
    let mut left = form.len();
    let mut bytes = form.bytes();
    while let Some(byte) = bytes.next() {
        left -= 1;
        let long_enough = text.len() + 1 + left >= least;
        match byte {
            b'%' => {
                text.push('%');
                text.extend(bytes.by_ref().take(2).map(char::from));
                left -= 2;
            }
            b'&' | b'=' | b'+' => text.push(char::from(byte)),
            _ if long_enough => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    (text.len() >= least).then_some(text)
}
