//! The shape of one call: names, types, lengths and counts.

use super::kind::Kind;
use super::place;
use crate::constraint::Given;
use crate::decide::body::BodyView;
use crate::json::{Json, Node};
use cloakroom_model::{Call, Destination, Pair, Place};
use std::collections::BTreeMap;

/// What tells one shape from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) to: Destination,
    pub(super) method: String,
    /// The place as policy files write it; none where nobody could tell.
    pub(super) place: Option<(String, bool)>,
    pub(super) path: Vec<Step>,
}

/// One segment of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Text(String),
    /// Too long to be kept.
    Long,
    /// The placeholder.
    Credential,
}

/// Nothing longer is kept, and no more names of one call.
const LONGEST: usize = 120;
const MOST_NAMES: usize = 64;
/// The members of all JSON bodies of one shape together.
const MOST_MEMBERS: usize = 256;
/// No member further down is looked at.
const DEEPEST: usize = 6;

/// What was seen of calls of one shape.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) calls: u64,
    pub(super) query: Names,
    pub(super) body: Body,
    pub(super) upgrade: bool,
}

/// Names of a query or form.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) known: BTreeMap<String, Name>,
    /// Some name could not be kept.
    pub(super) more: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) kind: Kind,
    pub(super) repeats: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    Form(Names, u64),
    Json(Member, u64),
    /// Something else of at most this size; no size: it was not declared.
    Other(Option<u64>),
}

/// A JSON value and what is in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    pub(super) kind: Kind,
    pub(super) members: BTreeMap<String, Member>,
    /// Some member could not be kept.
    pub(super) more: bool,
    /// The placeholder stands somewhere in it.
    pub(super) carries: bool,
}

/// The shape of a call.
pub(super) fn of(call: &Call, is_placeholder: impl Fn(&str) -> bool) -> (Key, Seen) {
    let body = BodyView::new(call);
    let found = place::of(call, &body, &is_placeholder);
    let step = |(index, segment): (usize, &cloakroom_model::Segment)| match found
        .as_ref()
        .and_then(|found| found.segment)
    {
        Some(own) if own == index => Step::Credential,
        _ if segment.decoded().len() > LONGEST => Step::Long,
        _ => Step::Text(segment.decoded().to_owned()),
    };
    let place = found.as_ref().map(|found| (found.place.to_string(), found.sure));
    let key = Key {
        to: call.destination.clone(),
        method: call.method.to_string(),
        place: place.filter(|(text, _)| text.len() <= LONGEST && Place::parse(text).is_ok()),
        path: call.path.segments().iter().enumerate().map(step).collect(),
    };
    let own = found.map(|found| found.place);
    let own_key = match &own {
        Some(Place::Query(key)) => Some(&**key),
        _ => None,
    };
    let seen = Seen {
        calls: 1,
        query: Names::of(call.query.pairs(), own_key),
        body: Body::of(call, &body, own.as_ref()),
        upgrade: call.upgrade.is_some(),
    };
    (key, seen)
}

impl Seen {
    pub(super) fn merge(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.query.merge(other.query);
        self.upgrade |= other.upgrade;
        self.body.merge(other.body);
    }
}

impl Names {
    fn of(pairs: &[Pair], own: Option<&str>) -> Self {
        let mut names = Self::default();
        for pair in pairs.iter().filter(|pair| Some(pair.key()) != own) {
            let kind = Kind::of(Given::Untyped(pair.value()));
            names.add(pair.key().to_owned(), Name { kind, repeats: false }, true);
        }
        names
    }

    /// `again`: a name that is there already occurs twice.
    fn add(&mut self, name: String, seen: Name, again: bool) {
        if let Some(known) = self.known.get_mut(&name) {
            known.kind = known.kind.and(seen.kind);
            known.repeats |= again || seen.repeats;
        } else if self.known.len() < MOST_NAMES && name.len() <= LONGEST && !name.is_empty() {
            self.known.insert(name, seen);
        } else {
            self.more = true;
        }
    }

    fn merge(&mut self, other: Self) {
        self.more |= other.more;
        for (name, seen) in other.known {
            self.add(name, seen, false);
        }
    }
}

impl Body {
    fn of(call: &Call, view: &BodyView<'_>, own: Option<&Place>) -> Self {
        if view.is_empty() {
            return Self::None;
        }
        let length = call.body.whole().map(|body| body.len() as u64).or(call.body.length);
        if let (Some(pairs), Some(length)) = (view.form_if_it_is_one(), length) {
            let own = match own {
                Some(Place::Form(field)) => Some(&**field),
                _ => None,
            };
            return Self::Form(Names::of(pairs, own), length);
        }
        match (view.json_if_it_is_one(), length) {
            (Some(root), Some(length)) => {
                let own = match own {
                    Some(Place::Json(pointer)) => Some(&**pointer),
                    _ => None,
                };
                let mut left = MOST_NAMES;
                Self::Json(Member::of(root, "", own, &mut left), length)
            }
            _ => Self::Other(length),
        }
    }

    fn merge(&mut self, other: Self) {
        let old = std::mem::replace(self, Self::None);
        *self = match (old, other) {
            (Self::None, other) | (other, Self::None) => other,
            (Self::Form(mut own, size), Self::Form(others, more)) => {
                own.merge(others);
                Self::Form(own, size.max(more))
            }
            (Self::Json(mut own, size), Self::Json(others, more)) => {
                // However many calls there are, the tree stays small.
                let mut left = MOST_MEMBERS.saturating_sub(own.count());
                own.merge(others, &mut left);
                Self::Json(own, size.max(more))
            }
            (own, other) => Self::Other(own.size().zip(other.size()).map(|(own, other)| own.max(other))),
        };
    }

    fn size(&self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Form(_, size) | Self::Json(_, size) => Some(*size),
            Self::Other(size) => *size,
        }
    }
}

impl Member {
    /// `own` is the pointer of the placeholder, which is no part of what is learned.
    fn of(node: &Node, at: &str, own: Option<&str>, left: &mut usize) -> Self {
        let given = match &node.value {
            Json::Null => Given::Null,
            Json::Boolean(value) => Given::Boolean(*value),
            Json::Number(text) => Given::Number(text),
            Json::Text(text) => Given::Text(text),
            Json::Array(_) => Given::Array,
            Json::Object(_) => Given::Object,
        };
        let mut member = Self { kind: Kind::of(given), ..Self::default() };
        let Json::Object(members) = &node.value else { return member };
        for (name, node) in members {
            let pointer = format!("{at}/{}", crate::pointer::escaped(name));
            if own == Some(pointer.as_str()) {
                continue;
            }
            let carries = own.is_some_and(|own| own.starts_with(&format!("{pointer}/")));
            let deep = pointer.matches('/').count() > DEEPEST;
            if *left == 0 || name.len() > LONGEST || deep {
                member.more = true;
                continue;
            }
            *left -= 1;
            let below = Self { carries, ..Self::of(node, &pointer, own, left) };
            member.members.insert(name.clone(), below);
        }
        member
    }

    fn count(&self) -> usize {
        self.members.values().map(|member| 1 + member.count()).sum()
    }

    fn merge(&mut self, other: Self, left: &mut usize) {
        self.kind = self.kind.and(other.kind);
        self.more |= other.more;
        self.carries |= other.carries;
        for (name, member) in other.members {
            if let Some(known) = self.members.get_mut(&name) {
                known.merge(member, left);
            } else if *left > member.count() {
                *left -= 1 + member.count();
                self.members.insert(name, member);
            } else {
                self.more = true;
            }
        }
    }
}
