//! Bodies: how large, and what fields a form has. JSON is left to `tree`.

use super::fields::{Rule, add_field};
use super::space::{Atom, Axis, Content, Space};
use super::{Part, tree};
use crate::constraint::{Constraint, Scalar, ValueType};
use crate::permit::BodyRule;
use std::collections::BTreeSet;

/// Adds the axes of the body.
pub(super) fn add(space: &mut Space<'_>) {
    match space.content {
        Content::Empty => {}
        Content::Form => {
            add_size(space);
            add_form(space);
        }
        Content::Json => {
            add_size(space);
            tree::add(space);
        }
        Content::Opaque => add_size(space),
    }
}

/// The most bytes that a part allows. `None`: any number.
pub(super) fn most_bytes(part: &Part<'_>) -> Option<u64> {
    match &part.permit.body {
        BodyRule::Any { max_bytes } => *max_bytes,
        BodyRule::None => Some(0),
        BodyRule::Form { max_bytes, .. } | BodyRule::Json { max_bytes, .. } => Some(*max_bytes),
    }
}

fn add_size(space: &mut Space<'_>) {
    let bounds: BTreeSet<u64> = space.parts().filter_map(most_bytes).filter(|most| *most > 0).collect();
    let lows = [0].into_iter().chain(bounds.iter().copied());
    let mut atoms: Vec<Atom> = lows.zip(&bounds).map(|(low, high)| Atom::UpTo(low, *high)).collect();
    atoms.push(Atom::Beyond(bounds.last().copied().unwrap_or(0)));
    let allows = |part: &Part<'_>, atom: &Atom| match (most_bytes(part), atom) {
        (None, _) => true,
        (Some(most), Atom::UpTo(_, high)) => *high <= most,
        (Some(_), _) => false,
    };
    space.add(Axis::Size, atoms, allows, |_| ());
}

/// Adds the axis of the messages of a WebSocket.
pub(super) fn add_messages(space: &mut Space<'_>) {
    let Some(own) = space.part.permit.messages.map(u64::from) else { return };
    let most = |part: &Part<'_>| part.permit.messages.map_or(0, u64::from);
    let bounds: BTreeSet<u64> = space.parts().map(most).filter(|most| (1..=own).contains(most)).collect();
    let lows = [0].into_iter().chain(bounds.iter().copied());
    let atoms = lows.zip(&bounds).map(|(low, high)| Atom::UpTo(low, *high)).collect();
    let allows = |part: &Part<'_>, atom: &Atom| matches!(atom, Atom::UpTo(_, high) if *high <= most(part));
    space.add(Axis::Message, atoms, allows, |_| ());
}

/// The field that some frameworks read as the method: refused wherever no rule lists it.
const METHOD: &str = "_method";

fn add_form(space: &mut Space<'_>) {
    let own = match &space.part.permit.place {
        cloakroom_model::Place::Form(field) => Some(field.to_string()),
        _ => None,
    };
    let mut keys: BTreeSet<String> = BTreeSet::new();
    for part in space.parts() {
        if let BodyRule::Form { fields, .. } = &part.permit.body {
            keys.extend(fields.keys().filter(|key| own.as_ref() != Some(key)).cloned());
        }
    }
    for key in &keys {
        add_field(space, Axis::Field(key.clone()), &|part| rule(part, key));
    }
    let others = |part: &Part<'_>, atom: &Atom| match (&part.permit.body, atom) {
        (BodyRule::Any { .. }, _) | (_, Atom::Absent) => true,
        (BodyRule::Form { closed, .. }, Atom::Present) => !closed,
        _ => false,
    };
    let twice = Atom::Repeated(vec!["1".into(), "1".into()]);
    space.add(Axis::OtherFields, vec![Atom::Absent, Atom::Present, twice], others, |atom| {
        *atom == Atom::Absent
    });
}

/// How long the longest form of the part is, with every byte escaped. `None`: there is no longest.
///
/// `may_be`: whether the field, or any field that nobody names, may be there, and there more than once.
pub(super) fn longest_form(part: &Part<'_>, may_be: impl Fn(Option<&str>) -> (bool, bool)) -> Option<u64> {
    let BodyRule::Form { fields, .. } = &part.permit.body else { return None };
    if may_be(None).0 || matches!(part.permit.place, cloakroom_model::Place::Form(_)) {
        return None;
    }
    fields.iter().try_fold(0_u64, |length, (key, rule)| match may_be(Some(key)) {
        (false, _) => Some(length),
        (true, true) => None,
        (true, false) => {
            let value = longest_value(&rule.constraint)?;
            Some(length.saturating_add(2 + 3 * (key.len() as u64).saturating_add(value)))
        }
    })
}

/// In bytes.
fn longest_value(rule: &Constraint) -> Option<u64> {
    /// A sign, sixteen digits, a point, nine digits.
    const NUMBER: u64 = 27;
    if let Some(list) = &rule.one_of {
        let length = |scalar: &Scalar| match scalar {
            Scalar::Text(text) => text.len() as u64,
            Scalar::Number(number) => number.to_string().len() as u64 + 10,
            Scalar::Boolean(_) => 5,
        };
        return Some(list.iter().map(length).max().unwrap_or(0));
    }
    match rule.value_type {
        Some(ValueType::Number | ValueType::Integer) => Some(NUMBER),
        Some(ValueType::Boolean) => Some(5),
        _ => rule.max_length.map(|most| most.saturating_mul(4)),
    }
}

/// What a part says about one form field.
pub(super) fn rule(part: &Part<'_>, key: &str) -> Rule {
    match &part.permit.body {
        BodyRule::Form { closed, fields, .. } => match fields.get(key) {
            Some(rule) => Rule::Listed(rule.clone()),
            None if *closed || key == METHOD => Rule::Absent,
            None => Rule::Once,
        },
        _ if key == METHOD => Rule::Absent,
        _ => Rule::Anything,
    }
}
