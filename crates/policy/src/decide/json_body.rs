//! Constraints at pointers of a JSON body.

use super::{Mismatch, Stage};
use crate::constraint::{Constraint, Given};
use crate::json::{Json, Node};
use crate::pointer::Pointer;
use std::collections::BTreeMap;

/// What a permit says about the members along its pointers.
#[derive(Default)]
struct Rules<'a> {
    /// The rule of this very value, with its pointer.
    own: Option<(&'a str, &'a Constraint)>,
    /// Whether the placeholder stands here.
    place: bool,
    members: BTreeMap<String, Self>,
}

impl<'a> Rules<'a> {
    fn new(fields: &'a BTreeMap<String, Constraint>, place: Option<&str>) -> Option<Self> {
        let mut rules = Self::default();
        for (pointer, constraint) in fields {
            rules.descend(pointer)?.own = Some((pointer, constraint));
        }
        if let Some(place) = place {
            rules.descend(place)?.place = true;
        }
        Some(rules)
    }

    fn descend(&mut self, pointer: &str) -> Option<&mut Self> {
        let pointer = Pointer::parse(pointer)?;
        Some(
            pointer
                .tokens()
                .iter()
                .fold(self, |rules, token| rules.members.entry(token.clone()).or_default()),
        )
    }

    /// The first required pointer at or below.
    fn required(&self) -> Option<&'a str> {
        let own = self.own.filter(|(_, constraint)| constraint.required).map(|(pointer, _)| pointer);
        own.or_else(|| self.members.values().find_map(Self::required))
    }
}

/// An array index as a pointer spells it (RFC 6901, section 4).
pub(crate) fn index(token: &str) -> Option<usize> {
    let canonical = token == "0" || !token.starts_with('0');
    (canonical && token.bytes().all(|b| b.is_ascii_digit())).then(|| token.parse().ok()).flatten()
}

/// Checks the body; `None` is an empty one. With `only`, members that lead to no pointer are refused.
pub(super) fn check(
    root: Option<&Node>,
    fields: &BTreeMap<String, Constraint>,
    only: bool,
    place: Option<&str>,
) -> Result<(), Mismatch> {
    let rules =
        Rules::new(fields, place).ok_or_else(|| broken("a pointer of the permit does not parse", ""))?;
    match root {
        Some(root) => walk(root, &rules, only),
        None => rules.required().map_or(Ok(()), |pointer| Err(broken(MISSING, pointer))),
    }
}

const MISSING: &str = "a required json member is missing";

fn broken(reason: &'static str, rule: &str) -> Mismatch {
    Mismatch::new(Stage::Body, reason).rule(rule)
}

fn walk(node: &Node, rules: &Rules<'_>, only: bool) -> Result<(), Mismatch> {
    if let Some((pointer, constraint)) = rules.own
        && let Some(rule) = constraint.broken_by(given(&node.value))
    {
        return Err(broken("a json value breaks its constraint", &format!("{pointer}: {rule}")));
    }
    if rules.members.is_empty() {
        return match (only, rules.own.is_none() && !rules.place, &node.value) {
            // Nothing is named, and only what is named may come: an empty object.
            (true, true, Json::Object(members)) if members.is_empty() => Ok(()),
            (true, true, _) => Err(broken("a json member is not among those that the permit names", "only")),
            _ => Ok(()),
        };
    }
    match &node.value {
        Json::Object(members) => walk_object(members, rules, only),
        Json::Array(items) => walk_array(items, rules, only),
        // A server that coerces could find the member where this value is none (null, a string).
        _ => Err(broken("a json value has no members, and the permit names some in it", &names(rules))),
    }
}

fn walk_object(members: &[(String, Node)], rules: &Rules<'_>, only: bool) -> Result<(), Mismatch> {
    for (name, node) in members {
        match rules.members.get(name) {
            Some(rules) => walk(node, rules, only)?,
            // SECURITY: some readers match member names without regard to case (T31).
            None if rules.members.keys().any(|known| folded(known) == folded(name)) => {
                return Err(broken(
                    "a json member differs from a constrained one by case only",
                    &names(rules),
                ));
            }
            None if only => {
                return Err(broken("a json member is not among those that the permit names", &names(rules)));
            }
            None => {}
        }
    }
    let absent = |name: &&String| !members.iter().any(|(own, _)| own == *name);
    let missing =
        rules.members.iter().filter(|(name, _)| absent(name)).find_map(|(_, rules)| rules.required());
    missing.map_or(Ok(()), |pointer| Err(broken(MISSING, pointer)))
}

fn walk_array(items: &[Node], rules: &Rules<'_>, only: bool) -> Result<(), Mismatch> {
    if !rules.members.keys().all(|token| index(token).is_some()) {
        return Err(broken("a json value is an array, and the permit names members in it", &names(rules)));
    }
    for (at, node) in items.iter().enumerate() {
        match rules.members.get(&at.to_string()) {
            Some(rules) => walk(node, rules, only)?,
            None if only => {
                return Err(broken("a json array is longer than the permit names", &names(rules)));
            }
            None => {}
        }
    }
    let absent = |token: &String| index(token).is_none_or(|at| at >= items.len());
    let missing =
        rules.members.iter().filter(|(token, _)| absent(token)).find_map(|(_, rules)| rules.required());
    missing.map_or(Ok(()), |pointer| Err(broken(MISSING, pointer)))
}

fn names(rules: &Rules<'_>) -> String {
    rules.members.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Simple case folding as JSON readers do it: `\u{17f}` is an s, and `\u{212a}` a k.
pub(crate) fn folded(name: &str) -> String {
    name.chars().map(|c| if c == '\u{17f}' { 's' } else { c }).flat_map(char::to_lowercase).collect()
}

fn given(value: &Json) -> Given<'_> {
    match value {
        Json::Null => Given::Null,
        Json::Boolean(flag) => Given::Boolean(*flag),
        Json::Number(text) => Given::Number(text),
        Json::Text(text) => Given::Text(text),
        Json::Array(_) => Given::Array,
        Json::Object(_) => Given::Object,
    }
}
