//! A region in words: what part of a permit it is.

use super::space::{Axis, Content, Space};
use super::subtract::Left;
use super::{Part, body, class};
use crate::constraint::Constraint;
use crate::decide::json_body::folded;
use crate::escape::quoted;
use crate::permit::{BodyRule, FieldRule};
use crate::pointer::Pointer;
use crate::text::{constraint_text, facts, field_text};

/// One line for each rule by which the region's calls are not in the covers. No line: none of them allows any of it.
pub(super) fn rules(space: &Space<'_>, left: &Left, met: &[Part<'_>]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let own = &space.part;
    let (mut paths, mut treatments) = (Vec::new(), Vec::new());
    for cover in met {
        if !space.length.is_of(cover.call) {
            paths.push(cover.call.shown_path());
        } else if !space.content.may_be_in(cover) {
            lines.push(format!("body: {}", content(space.content)));
        } else if !class::is_kept(own, cover, space.content) {
            treatments.extend(treatment(cover));
        }
    }
    lines.truncate(1);
    treatments.retain(|words| !treatment(own).contains(words));
    treatments.sort();
    treatments.dedup();
    lines.extend(treatments.into_iter().map(|words| format!("without: {words}")));
    let mut axes: Vec<usize> = left.outside.iter().map(|(axis, _)| *axis).collect();
    axes.sort_unstable();
    axes.dedup();
    let outside = left.outside.iter().filter(|(axis, _)| space.axes[*axis].is_path());
    paths.extend(outside.map(|(_, cover)| space.covers[*cover].part.call.shown_path()));
    paths.sort();
    paths.dedup();
    let mut add = |line: String| {
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    if !paths.is_empty() {
        add(format!("path: {}; not: {}", own.call.shown_path(), paths.join(" or ")));
    }
    for axis in axes.into_iter().filter(|axis| !space.axes[*axis].is_path()) {
        let of = &space.axes[axis];
        let covers = left.outside.iter().filter(|(own, _)| *own == axis).map(|(_, cover)| *cover);
        let mut others: Vec<String> =
            covers.map(|cover| says(space, of, &space.covers[cover].part)).collect();
        others.sort();
        others.dedup();
        add(format!(
            "{}: {}; not: {}",
            subject(space, of),
            says(space, of, &space.part),
            others.join(" or ")
        ));
    }
    lines
}

/// What becomes of calls for what they do.
fn treatment(part: &Part<'_>) -> Vec<String> {
    facts(part.permit)
        .into_iter()
        .filter(|fact| {
            ["approve: ", "speaks: ", "counts as ", "calls that are not"]
                .iter()
                .any(|start| fact.starts_with(start))
        })
        .collect()
}

fn content(content: Content) -> &'static str {
    match content {
        Content::Empty => "empty",
        Content::Form => "form",
        Content::Json => "json",
        Content::Opaque => "neither a form nor json that can be read",
    }
}

fn subject(space: &Space<'_>, axis: &Axis) -> String {
    let pointer = |node: &usize| match space.tree.nodes[*node].pointer() {
        pointer if pointer.is_empty() => "json body".to_owned(),
        pointer => format!("json {}", quoted(&pointer)),
    };
    match axis {
        Axis::Segment(_) => "path".into(),
        Axis::Query(key) => format!("query key {}", quoted(key)),
        Axis::Header(name) => format!("header {}", quoted(name)),
        Axis::Alias(name) => format!("headers that some servers read as {}", quoted(name)),
        Axis::Range => "range requests".into(),
        Axis::Message => "messages that may carry the credential".into(),
        Axis::Size => "size of the body".into(),
        Axis::Field(key) => format!("form field {}", quoted(key)),
        Axis::OtherFields => "other form fields".into(),
        Axis::Node(node) => pointer(node),
        Axis::Others(node) => format!("other members of {}", pointer(node)),
        Axis::Variant(node, name) => {
            format!("members of {} that differ from {} by case", pointer(node), quoted(name))
        }
    }
}

/// What a part says about an axis.
fn says(space: &Space<'_>, axis: &Axis, part: &Part<'_>) -> String {
    let permit = part.permit;
    match axis {
        Axis::Segment(_) => part.call.shown_path(),
        Axis::Query(key) => permit.query.get(key).map_or("absent".into(), field_text),
        Axis::Header(name) => permit.headers.get(name).map_or("not constrained".into(), header),
        Axis::Alias(_) => "absent".into(),
        Axis::Range => match permit.range {
            crate::permit::RangeRule::Pass => "forwarded".into(),
            crate::permit::RangeRule::Drop => "not forwarded".into(),
        },
        Axis::Message => format!("the first {}", permit.messages.unwrap_or(0)),
        Axis::Size => body::most_bytes(part).map_or("any".into(), |most| format!("at most {most} bytes")),
        Axis::Field(key) => field(part, key),
        Axis::OtherFields => match &permit.body {
            BodyRule::Form { closed: true, .. } => "none".into(),
            BodyRule::Form { .. } => "any, each at most once".into(),
            _ => "any".into(),
        },
        Axis::Node(node) => json(part, &space.tree.nodes[*node].tokens),
        Axis::Others(_) | Axis::Variant(..) => match &permit.body {
            BodyRule::Json { only: true, .. } => "none".into(),
            BodyRule::Json { .. } if matches!(axis, Axis::Variant(..)) => variant(space, axis, part),
            _ => "any".into(),
        },
    }
}

fn header(rule: &Constraint) -> String {
    format!("{}, at most one of this name", constraint_text(rule))
}

fn field(part: &Part<'_>, key: &str) -> String {
    match &part.permit.body {
        BodyRule::Form { closed, fields, .. } => match fields.get(key) {
            Some(rule) => field_text(rule),
            None if *closed || key == "_method" => "absent".into(),
            None => field_text(&FieldRule::default()),
        },
        _ => "any".into(),
    }
}

fn json(part: &Part<'_>, at: &[String]) -> String {
    let BodyRule::Json { only, fields, .. } = &part.permit.body else { return "any".into() };
    let pointers =
        || fields.iter().filter_map(|(key, rule)| Some((Pointer::parse(key)?.tokens().to_vec(), rule)));
    if let Some((_, rule)) = pointers().find(|(tokens, _)| tokens == at) {
        return constraint_text(rule);
    }
    let required = pointers().any(|(tokens, rule)| tokens.starts_with(at) && rule.required);
    match pointers().any(|(tokens, _)| tokens.starts_with(at)) {
        true if required => "has members, required".into(),
        true => "has members".into(),
        false if at.is_empty() => "any".into(),
        false if *only => "absent".into(),
        false => "not constrained".into(),
    }
}

/// Whether a name of this case is listed there by the part.
fn variant(space: &Space<'_>, axis: &Axis, part: &Part<'_>) -> String {
    let (Axis::Variant(node, name), BodyRule::Json { fields, .. }) = (axis, &part.permit.body) else {
        return "any".into();
    };
    let at = &space.tree.nodes[*node].tokens;
    let alike = fields.keys().filter_map(|key| Pointer::parse(key)).any(|pointer| {
        let tokens = pointer.tokens();
        tokens.len() > at.len() && tokens.starts_with(at) && folded(&tokens[at.len()]) == *name
    });
    if alike { "none".into() } else { "any".into() }
}
