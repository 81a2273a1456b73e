//! The normal form written as a policy file.

use crate::Policy;
use crate::class::{Refuse, Speaks, Terms};
use crate::constraint::{Constraint, Scalar};
use crate::permit::{Approve, BodyRule, FieldRule, Permit, RangeRule};
use std::collections::BTreeMap;

pub(crate) fn policy(policy: &Policy) -> String {
    let mut text = "version = 1\n".to_owned();
    for written in policy.permits().iter().map(permit) {
        text.push_str(&written);
    }
    text
}

/// One permit, after a blank line.
pub(crate) fn permit(permit: &Permit) -> String {
    let Permit {
        name,
        to,
        calls,
        place,
        query,
        headers,
        body,
        rate,
        approve,
        range,
        upgrade,
        messages,
        terms,
        repeats: _,
        tokens: _,
    } = permit;
    let calls: Vec<String> = calls.iter().map(|call| string(&call.to_string())).collect();
    let mut lines = vec![
        "\n[[permit]]".to_owned(),
        format!("name = {}", string(name)),
        format!("to = {}", string(&to.to_string())),
        format!("call = [{}]", calls.join(", ")),
        format!("place = {}", string(&place.to_string())),
    ];
    lines.extend(messages.map(|count| format!("messages = {count}")));
    lines.extend(upgrade.map(|upgrade| format!("upgrade = \"{}\"", upgrade.as_str())));
    if !query.is_empty() {
        lines.push(format!("query = {{ {} }}", fields(query).join(", ")));
    }
    if !headers.is_empty() {
        lines.push(format!("headers = {}", constraints(headers)));
    }
    lines.extend(body_text(body).map(|body| format!("body = {{ {body} }}")));
    lines.extend(rate.map(|rate| format!("rate = \"{rate}\"")));
    lines.extend(match approve {
        Approve::Once => None,
        Approve::Writes => Some("approve = \"writes\"".to_owned()),
        Approve::EachCall => Some("approve = \"each-call\"".to_owned()),
    });
    lines.extend(terms_text(terms));
    lines.extend(permit.repeats_toml());
    lines.extend(permit.tokens_toml());
    lines.extend((*range == RangeRule::Pass).then(|| "range = \"pass\"".to_owned()));
    lines.join("\n") + "\n"
}

fn terms_text(terms: &Terms) -> Vec<String> {
    let Terms { speaks, reads, writes, refuse } = terms;
    let mut lines = Vec::new();
    lines.extend((*speaks != Speaks::Http).then(|| format!("speaks = \"{}\"", speaks.as_str())));
    for (key, all) in [("reads", reads), ("writes", writes)] {
        let items: Vec<String> = all.iter().map(|known| string(&known.to_string())).collect();
        lines.extend((!items.is_empty()).then(|| format!("{key} = [{}]", items.join(", "))));
    }
    lines.extend(refuse.map(|Refuse::Writes| "refuse = \"writes\"".to_owned()));
    lines
}

fn body_text(body: &BodyRule) -> Option<String> {
    Some(match body {
        BodyRule::Any { max_bytes: None } => return None,
        BodyRule::Any { max_bytes: Some(max) } => format!("type = \"any\", max_bytes = {max}"),
        BodyRule::None => "type = \"none\"".into(),
        BodyRule::Form { max_bytes, closed: true, fields: rules } => {
            let rules = fields(rules);
            let rules = if rules.is_empty() { "fields = {}".to_owned() } else { rules.join(", ") };
            format!("type = \"form\", max_bytes = {max_bytes}, {rules}")
        }
        BodyRule::Form { max_bytes, closed: false, fields } => {
            let repeat: Vec<String> = fields.keys().map(|key| string(key)).collect();
            let repeat =
                if repeat.is_empty() { String::new() } else { format!(", repeat = [{}]", repeat.join(", ")) };
            format!("type = \"form\", max_bytes = {max_bytes}{repeat}")
        }
        BodyRule::Json { max_bytes, only, fields } => {
            let only = if *only { ", only = true" } else { "" };
            let fields =
                if fields.is_empty() { String::new() } else { format!(", fields = {}", constraints(fields)) };
            format!("type = \"json\", max_bytes = {max_bytes}{only}{fields}")
        }
    })
}

/// `fields` and `repeat` of a query or form.
fn fields(rules: &BTreeMap<String, FieldRule>) -> Vec<String> {
    let mut parts = Vec::new();
    let repeat: Vec<String> =
        rules.iter().filter(|(_, rule)| rule.repeat).map(|(key, _)| string(key)).collect();
    if !repeat.is_empty() {
        parts.push(format!("repeat = [{}]", repeat.join(", ")));
    }
    if !rules.is_empty() {
        let rules = rules.iter().map(|(key, rule)| (key, &rule.constraint));
        parts.push(format!("fields = {}", constraint_table(rules)));
    }
    parts
}

fn constraints(rules: &BTreeMap<String, Constraint>) -> String {
    constraint_table(rules.iter())
}

fn constraint_table<'a>(rules: impl Iterator<Item = (&'a String, &'a Constraint)>) -> String {
    let entries: Vec<String> =
        rules.map(|(key, rule)| format!("{} = {{ {} }}", string(key), constraint(rule))).collect();
    format!("{{ {} }}", entries.join(", "))
}

fn constraint(constraint: &Constraint) -> String {
    let Constraint { one_of, value_type, min, max, max_length, required } = constraint;
    let mut parts = Vec::new();
    if let Some(list) = one_of {
        let items: Vec<String> = list.iter().map(scalar).collect();
        parts.push(format!("in = [{}]", items.join(", ")));
    }
    parts.extend(value_type.map(|value_type| format!("type = \"{}\"", value_type.as_str())));
    parts.extend(min.map(|min| format!("min = {min}")));
    parts.extend(max.map(|max| format!("max = {max}")));
    parts.extend(max_length.map(|max| format!("max_length = {max}")));
    parts.extend(required.then(|| "required = true".to_owned()));
    parts.join(", ")
}

fn scalar(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Boolean(value) => value.to_string(),
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => string(text),
    }
}

/// A TOML basic string; everything but printable ASCII escaped.
fn string(text: &str) -> String {
    let mut written = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => written.extend(['\\', c]),
            ' '..='~' => written.push(c),
            _ => written.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    written + "\""
}
