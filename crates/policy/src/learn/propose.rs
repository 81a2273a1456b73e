//! The policy that a lesson proposes, as a file with comments. Nothing is permitted by it.

use super::general::{Why, pieces, widened, written};
use super::kind::Kind;
use super::shape::{Body, Key, Member, Names, Seen};
use super::{Lesson, place};
use crate::Policy;
use crate::class::Terms;
use crate::constraint::Constraint;
use crate::escape::plain;
use crate::permit::{Approve, BodyRule, FieldRule, Permit, RangeRule};
use crate::pointer::escaped;
use crate::repeats::Repeats;
use crate::template::Template;
use crate::tokens::Tokens;
use crate::toml_text;
use cloakroom_model::{Destination, Place, Upgrade};
use std::collections::BTreeMap;

/// What a lesson proposes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// A policy file with comments. It parses, but where there was nothing to propose.
    pub toml: String,
    /// How many permits it has.
    pub permits: usize,
    /// How many calls it is made from.
    pub calls: u64,
    /// What could not be proposed, in words.
    pub left_out: Vec<String>,
}

/// Calls of one destination, method and place, with paths of one length.
type Group = (Destination, String, Option<(String, bool)>, usize);

pub(super) fn policy(lesson: &Lesson) -> Proposed {
    let mut groups: BTreeMap<Group, Vec<(&Key, &Seen)>> = BTreeMap::new();
    for (key, seen) in &lesson.shapes {
        let group = (key.to.clone(), key.method.clone(), key.place.clone(), key.path.len());
        groups.entry(group).or_default().push((key, seen));
    }
    let mut drafts: BTreeMap<(String, String), Draft> = BTreeMap::new();
    let mut left_out = Vec::new();
    for ((to, method, place, _), shapes) in groups {
        let paths = widened(shapes.iter().map(|(key, _)| pieces(&key.path)).collect());
        for (path, (_, seen)) in paths.iter().zip(&shapes) {
            let (text, parameters) = written(path);
            let call = format!("{method} {text}");
            let Ok(template) = Template::parse(&call) else {
                left_out.push(format!(
                    "{} {to}{}: no policy can name this call",
                    plain(&method),
                    plain(&text)
                ));
                continue;
            };
            let (written, sure) =
                place.clone().unwrap_or_else(|| ("header authorization bearer".into(), false));
            let draft = drafts.entry((format!("{to} {written}"), call)).or_insert_with(|| Draft {
                to: to.clone(),
                place: written,
                sure,
                template,
                parameters,
                seen: None,
            });
            draft.sure |= sure;
            match &mut draft.seen {
                Some(known) => known.merge((*seen).clone()),
                none => *none = Some((*seen).clone()),
            }
        }
    }
    if lesson.left_out > 0 {
        left_out.push(format!("{} calls: there were too many different ones", lesson.left_out));
    }
    let mut permits: Vec<Commented> = Vec::new();
    for ((to, call), draft) in drafts {
        match draft.permit() {
            Some(permit) => join(&mut permits, permit),
            None => {
                left_out.push(format!("{} at {}: no permit can say what was seen", plain(&call), plain(&to)))
            }
        }
    }
    let mut toml = heading(lesson.calls, permits.len(), &left_out);
    for (number, permit) in permits.iter_mut().enumerate() {
        permit.name(number + 1);
        toml.push_str(&permit.written());
    }
    Proposed { permits: permits.len(), calls: lesson.calls, toml, left_out }
}

/// A permit, and what was generalised in it.
struct Commented {
    permit: Permit,
    notes: Vec<String>,
}

impl Commented {
    /// Names tell permits apart.
    fn name(&mut self, number: usize) {
        let first = self.permit.calls.first().map(|call| format!("{} {}", call.method(), call.shown_path()));
        let mut name = format!("learned {number}: {}", first.unwrap_or_default());
        name.truncate(100);
        self.permit.name = name;
    }

    fn written(&self) -> String {
        let notes: String = self.notes.iter().map(|note| format!("# {note}\n")).collect();
        format!("\n{notes}{}", toml_text::permit(&self.permit).trim_start_matches('\n'))
    }
}

/// Calls with the same rules are one permit.
fn join(permits: &mut Vec<Commented>, mut new: Commented) {
    const MOST_CALLS: usize = 64;
    let same = |known: &&mut Commented| {
        let alike = Permit { calls: new.permit.calls.clone(), ..known.permit.clone() };
        // A placeholder in the path has its place in each call.
        alike == new.permit && known.permit.calls.len() < MOST_CALLS
    };
    match permits.iter_mut().find(same) {
        Some(known) => {
            known.permit.calls.append(&mut new.permit.calls);
            known.notes.extend(new.notes);
        }
        None => permits.push(new),
    }
}

fn heading(calls: u64, permits: usize, left_out: &[String]) -> String {
    let mut lines = vec![
        format!(
            "# Proposed from {calls} calls, none of which was sent. Nothing is permitted by this file: read it, narrow it,"
        ),
        "# issue a placeholder with it, and have that approved.".to_owned(),
    ];
    lines.extend(left_out.iter().map(|what| format!("# left out: {what}")));
    if permits == 0 {
        lines.push("# There was no call to propose anything for.".to_owned());
    }
    lines.join("\n") + "\nversion = 1\n"
}

/// One permit to be.
struct Draft {
    to: Destination,
    place: String,
    /// Whether a placeholder stood at the place.
    sure: bool,
    template: Template,
    parameters: Vec<(String, Why)>,
    seen: Option<Seen>,
}

impl Draft {
    /// `None` where no policy file can say it.
    fn permit(self) -> Option<Commented> {
        let seen = self.seen?;
        let call = format!("{} {}", self.template.method(), self.template.shown_path());
        let mut notes = vec![format!("{call}: {} calls", seen.calls)];
        if !self.sure {
            notes.push("the place is a guess: no placeholder stood in these calls".to_owned());
        }
        let shown = |name: &str| format!("{{{name}}}");
        notes.extend(self.parameters.iter().filter(|(name, _)| name != place::PARAMETER).map(
            |(name, why)| format!("generalised: {} stands for any segment ({})", shown(name), why.words()),
        ));
        let place = Place::parse(&self.place).ok()?;
        let mut permit = Permit {
            name: "learned".to_owned(),
            to: self.to,
            calls: [self.template].into(),
            place,
            query: BTreeMap::new(),
            headers: BTreeMap::new(),
            body: BodyRule::None,
            rate: None,
            approve: Approve::Once,
            range: RangeRule::Drop,
            upgrade: seen.upgrade.then_some(Upgrade::WebSocket),
            messages: None,
            terms: Terms::default(),
            repeats: Repeats::default(),
            tokens: Tokens::default(),
        };
        permit.query = fields(&seen.query, "query keys", &mut notes);
        permit.body = body(&seen.body, &mut notes);
        let alone = Commented { permit, notes };
        Policy::parse("proposal", &format!("version = 1\n{}", alone.written())).is_ok().then_some(alone)
    }
}

fn fields(names: &Names, what: &str, notes: &mut Vec<String>) -> BTreeMap<String, FieldRule> {
    if names.more {
        notes.push(format!("left out: some {what}, too many or too long"));
    }
    let texts = names.known.values().any(|name| has_length(name.kind, false));
    if texts {
        notes.push(format!("generalised: values of {what} by type, lengths rounded up"));
    }
    let rule = |(name, seen): (&String, &super::shape::Name)| {
        (name.clone(), FieldRule { repeat: seen.repeats, constraint: seen.kind.constraint(false) })
    };
    names.known.iter().map(rule).collect()
}

fn has_length(kind: Kind, typed: bool) -> bool {
    kind.constraint(typed).max_length.is_some()
}

/// Bounds are powers of two: what was seen has room to vary.
fn room(size: u64) -> u64 {
    size.max(512).saturating_add(1).next_power_of_two().min(64 << 20)
}

fn body(seen: &Body, notes: &mut Vec<String>) -> BodyRule {
    match seen {
        Body::None => BodyRule::None,
        Body::Form(names, size) if !names.more => BodyRule::Form {
            max_bytes: room(*size),
            closed: true,
            fields: fields(names, "form fields", notes),
        },
        Body::Form(_, size) => {
            notes.push("generalised: any form field, there were too many".to_owned());
            BodyRule::Form { max_bytes: room(*size), closed: false, fields: BTreeMap::new() }
        }
        Body::Json(root, size) => {
            let mut found = BTreeMap::new();
            let complete = root.kind.is_object() && constraints(root, "", &mut found);
            if !complete {
                notes.push(
                    "generalised: any json body, for what was seen cannot be told member by member"
                        .to_owned(),
                );
                found.clear();
            } else {
                notes.push(
                    "generalised: json values by type, lengths rounded up; arrays with any items".to_owned(),
                );
            }
            BodyRule::Json { max_bytes: room(*size), only: complete, fields: found }
        }
        Body::Other(size) => {
            notes.push("not constrained: the body is neither a form nor json that can be read".to_owned());
            BodyRule::Any { max_bytes: size.map(room) }
        }
    }
}

/// The constraints of each member. `false` where they would refuse what was seen.
fn constraints(member: &Member, at: &str, found: &mut BTreeMap<String, Constraint>) -> bool {
    if member.more {
        return false;
    }
    member.members.iter().all(|(name, below)| {
        let pointer = format!("{at}/{}", escaped(name));
        if below.carries || (below.kind.is_object() && !below.members.is_empty()) {
            return constraints(below, &pointer, found);
        }
        found.insert(pointer, below.kind.constraint(true));
        !below.kind.is_odd()
    })
}
