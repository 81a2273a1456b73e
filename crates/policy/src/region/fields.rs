//! Query keys, headers and form fields: absent, there once with some value, or there more often.

use super::Part;
use super::space::{Atom, Axis, Content, Space};
use super::values::{Sample, untyped};
use crate::constraint::Constraint;
use crate::decide::body::{FORM, is_json, kind_of};
use crate::permit::{Approve, FieldRule};
use cloakroom_model::{Place, same_variable};
use std::collections::BTreeSet;

/// Adds an axis for each query key that anybody lists.
pub(super) fn add_query(space: &mut Space<'_>) {
    let keys: BTreeSet<String> = space.parts().flat_map(|part| part.permit.query.keys().cloned()).collect();
    for key in keys {
        add_field(space, Axis::Query(key.clone()), &|part| match part.permit.query.get(&key) {
            Some(rule) => Rule::Listed(rule.clone()),
            None => Rule::Absent,
        });
    }
}

/// What a part says about one field.
pub(super) enum Rule {
    Listed(FieldRule),
    /// It may not be there.
    Absent,
    /// At most once, with any value.
    Once,
    Anything,
}

impl Rule {
    pub(super) fn allows(&self, atom: &Atom) -> bool {
        match (self, atom) {
            (Self::Anything, _) | (Self::Once, Atom::Absent | Atom::Once(_)) => true,
            (Self::Absent, Atom::Absent) => true,
            (Self::Absent | Self::Once, _) => false,
            (Self::Listed(rule), Atom::Absent) => !rule.constraint.required,
            (Self::Listed(rule), Atom::Once(value)) => keeps(&rule.constraint, value),
            (Self::Listed(rule), Atom::Repeated(values)) => {
                let keeps = |value: &String| keeps(&rule.constraint, &Sample::Untyped(value.clone()));
                rule.repeat && values.iter().all(keeps)
            }
            (Self::Listed(_), _) => false,
        }
    }

    fn constraint(&self) -> Option<&Constraint> {
        match self {
            Self::Listed(rule) => Some(&rule.constraint),
            _ => None,
        }
    }
}

fn keeps(constraint: &Constraint, value: &Sample) -> bool {
    constraint.broken_by(value.given()).is_none()
}

/// Adds the axis of one field.
///
/// Of a field that may repeat, the call that brings every value the part allows breaks all that any repetition breaks; so does
/// one that brings a value for each rule that some value breaks.
pub(super) fn add_field<'p>(space: &mut Space<'p>, axis: Axis, rule: &dyn Fn(&Part<'p>) -> Rule) {
    let rules: Vec<Rule> = space.parts().map(rule).collect();
    let constraints: Vec<&Constraint> = rules.iter().filter_map(Rule::constraint).collect();
    let values: Vec<Sample> =
        untyped(&constraints).into_iter().filter(|value| !value.text().contains('\0')).collect();
    let own = &rules[0];
    let allowed = || values.iter().filter(|value| own.allows(&Atom::Once((*value).clone())));
    let mut all: Vec<String> = Vec::new();
    for rule in rules.iter().filter_map(Rule::constraint) {
        let breaks = |text: &str| !keeps(rule, &Sample::Untyped(text.to_owned()));
        if !all.iter().any(|text| breaks(text)) {
            all.extend(allowed().map(Sample::text).find(|text| breaks(text)).map(str::to_owned));
        }
    }
    while let Some(first) = allowed().next().filter(|_| all.len() < 2) {
        all.push(first.text().to_owned());
    }
    let once = values.into_iter().map(Atom::Once);
    let repeated = (!all.is_empty()).then_some(Atom::Repeated(all));
    let atoms = [Atom::Absent].into_iter().chain(once).chain(repeated).collect();
    space.add(axis, atoms, |part, atom| rule(part).allows(atom), |atom| *atom == Atom::Absent);
}

/// Adds an axis for each header that anybody constrains, and for those that some servers take for it.
pub(super) fn add_headers(space: &mut Space<'_>) {
    let names: BTreeSet<String> =
        space.parts().flat_map(|part| part.permit.headers.keys().cloned()).collect();
    for name in &names {
        let constraints: Vec<&Constraint> =
            space.parts().filter_map(|part| part.permit.headers.get(name)).collect();
        let values = header_values(name, &constraints, space.content);
        let repeated = vec![values.first().map(|value| value.text().to_owned()).unwrap_or_default()];
        let mut atoms: Vec<Atom> = vec![Atom::Absent];
        atoms.extend(values.into_iter().map(Atom::Once));
        let read = matches!(space.content, Content::Form | Content::Json);
        match name.as_str() {
            // What can be read has exactly one type, and it is a plain one.
            "content-type" if read => drop(atoms.remove(0)),
            "content-encoding" if read => atoms.push(Atom::Repeated(repeated)),
            _ => atoms.extend([Atom::Repeated(repeated), Atom::NotAscii]),
        }
        let absent = |atom: &Atom| *atom == Atom::Absent;
        space.add(Axis::Header(name.clone()), atoms, |part, atom| header_allows(part, name, atom), absent);
        if alias(name, &names).is_some() {
            let allows = |part: &Part<'_>, atom: &Atom| {
                *atom == Atom::Absent || !part.permit.headers.keys().any(|own| same_variable(own, name))
            };
            space.add(Axis::Alias(name.clone()), vec![Atom::Absent, Atom::Present], allows, |_| ());
        }
    }
}

fn header_allows(part: &Part<'_>, name: &str, atom: &Atom) -> bool {
    let headers = &part.permit.headers;
    if *atom != Atom::Absent && headers.keys().any(|own| own != name && same_variable(own, name)) {
        return false;
    }
    match (headers.get(name), atom) {
        (None, _) => true,
        (Some(rule), Atom::Absent) => !rule.required,
        (Some(rule), Atom::Once(value)) => keeps(rule, value),
        (Some(_), _) => false,
    }
}

/// Another spelling of a header's name that gateways do not tell from it, and that is not among these.
pub(super) fn alias(name: &str, names: &BTreeSet<String>) -> Option<String> {
    let spellings = name.match_indices(['-', '_']).map(|(at, found)| {
        let other = if found == "-" { "_" } else { "-" };
        format!("{}{other}{}", &name[..at], &name[at + 1..])
    });
    spellings
        .filter(|spelling| http::HeaderName::from_bytes(spelling.as_bytes()).is_ok())
        .find(|spelling| !names.contains(spelling))
}

/// The values of a header that stand for all others, where the body is of this kind.
fn header_values(name: &str, constraints: &[&Constraint], content: Content) -> Vec<Sample> {
    let possible = |value: &Sample| {
        let text = value.text();
        text.trim() == text && http::HeaderValue::from_str(text).is_ok_and(|value| value.to_str().is_ok())
    };
    let mut values = untyped(constraints);
    let readable: Option<fn(&str) -> bool> = match (name, content) {
        ("content-type", Content::Form) => Some(|text| kind_of(text).is_some_and(|kind| kind == FORM)),
        ("content-type", Content::Json) => Some(|text| kind_of(text).is_some_and(|kind| is_json(&kind))),
        ("content-encoding", Content::Form | Content::Json) => {
            Some(|text| text.eq_ignore_ascii_case("identity"))
        }
        _ => None,
    };
    let Some(readable) = readable else {
        values.retain(possible);
        return values;
    };
    let usual: &[&str] = match (name, content) {
        ("content-encoding", _) => &["identity", "Identity"],
        (_, Content::Form) => &["application/x-www-form-urlencoded", "Application/x-www-form-urlencoded"],
        _ => &["application/json", "a/b+json", "/+json"],
    };
    values.extend(usual.iter().map(|text| Sample::Untyped((*text).to_owned())));
    let padded = constraints.iter().filter_map(|rule| rule.max_length).flat_map(|most| [most, most + 1]);
    for length in padded.filter_map(|length| usize::try_from(length).ok()) {
        let pad = |text: &&str| Some(format!("{text}{};", " ".repeat(length.checked_sub(text.len() + 1)?)));
        values.extend(usual.iter().filter_map(pad).map(Sample::Untyped));
    }
    values.retain(|value| possible(value) && readable(value.text()));
    values
}

/// Whether a part allows no call at all: its placeholder stands in a header that it has to refuse, or in messages that nobody
/// can be asked about.
pub(super) fn is_dead(part: &Part<'_>) -> bool {
    if matches!(part.permit.place, Place::WebSocket(_)) && part.permit.approve != Approve::Once {
        return true;
    }
    let own = match &part.permit.place {
        Place::Header(name, _) => name.as_str(),
        Place::Cookie(_) => "cookie",
        _ => return false,
    };
    part.permit.headers.keys().any(|name| same_variable(name, own))
}
