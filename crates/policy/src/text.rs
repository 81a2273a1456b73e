//! The canonical text: what an approver reads, and what is signed.
//!
//! One fact in a line, two blanks before the facts of a permit. Whatever a person chose stands in quotes with everything
//! but printable ASCII escaped, so no value can look like a line of its own, and equal texts mean equal policies (T74, T75).

use crate::Policy;
use crate::class::{Known, Refuse, Speaks, Terms};
use crate::constraint::{Constraint, Scalar};
use crate::escape::quoted;
use crate::permit::{Approve, BodyRule, FieldRule, Permit, RangeRule, Rate};
use crate::signing_text;
use cloakroom_model::{Destination, Host, Place, Scheme, Upgrade};
use std::collections::BTreeMap;

/// All permits.
pub(crate) fn policy(policy: &Policy) -> String {
    let count = policy.permits().len();
    let mut text = format!("permits: {count} (whatever none of them allows is refused)\n");
    for (index, permit) in policy.permits().iter().enumerate() {
        text.push_str(&format!("\npermit {} of {count}: {}\n", index + 1, quoted(&permit.name)));
        for line in facts(permit) {
            text.push_str(&format!("  {line}\n"));
        }
        for line in warnings(permit) {
            text.push_str(&format!("  ! {line}\n"));
        }
    }
    text
}

/// Every fact of a permit but its name, a line each.
pub(crate) fn facts(permit: &Permit) -> Vec<String> {
    let Permit {
        name: _,
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
        repeats,
        tokens,
    } = permit;
    let mut lines: Vec<String> =
        calls.iter().map(|call| format!("may {} {to}{}", call.method(), call.shown_path())).collect();
    lines.push(format!("with the credential in: {}", place_text(place)));
    lines.extend(tokens.lines());
    lines.extend(signing_text::lines(place));
    // COMPAT: permits without an upgrade have the text that was signed before there were upgrades.
    lines.extend(messages.map(|count| format!("messages that may carry the credential: the first {count}")));
    lines.extend(upgrade.map(|upgrade| {
        let Upgrade::WebSocket = upgrade;
        "protocol: websocket (only calls that ask for it)".to_owned()
    }));
    lines.extend(query_lines(query, place));
    lines.extend(header_lines(headers));
    lines.extend(body_lines(body, place));
    lines.push(rate.map_or("rate: not limited".into(), rate_text));
    lines.push(match approve {
        Approve::Once => "approve: once, with this policy".into(),
        Approve::Writes => {
            "approve: once, with this policy, and each call that is not known to read waits for a human"
                .into()
        }
        Approve::EachCall => "approve: each call waits for a human".into(),
    });
    lines.extend(terms_lines(terms, to));
    lines.extend(repeats.lines());
    lines.push(match range {
        RangeRule::Drop => "range requests: not forwarded".into(),
        RangeRule::Pass => "range requests: forwarded".into(),
    });
    lines
}

/// COMPAT: permits that say nothing about reads and writes have the text that was signed before there were classes.
fn terms_lines(terms: &Terms, to: &Destination) -> Vec<String> {
    let Terms { speaks, reads, writes, refuse } = terms;
    let spoken = match speaks {
        Speaks::Http => None,
        Speaks::GraphQl => Some("graphql (its operation says whether a call reads or writes)"),
        Speaks::JsonRpc => Some("json-rpc (only listed methods count as reads)"),
        Speaks::Mcp => Some("mcp (only its own reading methods and listed tools count as reads)"),
        Speaks::Aws => Some("aws (actions named Describe, List or Get count as reads)"),
    };
    let mut lines: Vec<String> = spoken.map(|words| format!("speaks: {words}")).into_iter().collect();
    for (what, all) in [("a read", reads), ("a write", writes)] {
        lines.extend(all.iter().map(|known| format!("counts as {what}: {}", known_text(known, to))));
    }
    lines.extend(refuse.map(|Refuse::Writes| "calls that are not known to read: refused".to_owned()));
    lines
}

fn known_text(known: &Known, to: &Destination) -> String {
    match known {
        Known::Call(call) => format!("{} {to}{}", call.method(), call.shown_path()),
        Known::Method(name) => format!("the method {}", quoted(name)),
        Known::Tool(name) => format!("the tool {}", quoted(name)),
        Known::Action(name) => format!("the action {}", quoted(name)),
    }
}

/// What an approver should look at twice. Follows from the facts, adds none.
pub(crate) fn warnings(permit: &Permit) -> Vec<String> {
    let mut lines = Vec::new();
    if permit.to.scheme() == Scheme::Http {
        lines.push("plain http: everyone on the way can read the credential".to_owned());
    }
    lines.extend(permit.repeats.warning());
    lines.extend(signing_text::warning(&permit.place));
    if permit.place.is_in_url() {
        lines.push("the credential stands in the URL, where the upstream's logs keep it".to_owned());
    }
    if permit.upgrade == Some(Upgrade::WebSocket) {
        lines.push("what is said on the websocket after the handshake is not constrained".to_owned());
    }
    if is_punycode(&permit.to) {
        lines.push("the host is an internationalised name (xn--): compare it letter by letter".to_owned());
    }
    if permit.range == RangeRule::Pass {
        lines.push(
            "range requests can fetch an echoed credential in pieces that are not recognised".to_owned(),
        );
    }
    lines
}

fn is_punycode(destination: &Destination) -> bool {
    matches!(destination.host(), Host::Name(name) if name.split('.').any(|label| label.starts_with("xn--")))
}

/// The place, with what people chose in quotes.
pub(crate) fn place_text(place: &Place) -> String {
    match place {
        Place::Header(..) => place.to_string(),
        Place::Cookie(name) => format!("cookie {}", quoted(name)),
        Place::Query(key) => format!("query {}", quoted(key)),
        Place::Path(name) => format!("path segment {}", quoted(name)),
        Place::Json(pointer) => format!("json {}", quoted(pointer)),
        Place::Form(field) => format!("form {}", quoted(field)),
        Place::WebSocket(pointer) => format!("websocket text message, json {}", quoted(pointer)),
        Place::SigV4 { region, service } => {
            format!("a signature made anew (AWS Signature Version 4), region {region}, service {service}")
        }
        Place::Mtls(name) => {
            format!(
                "the connection, as its client certificate; the placeholder stands in header {name}, which is not sent"
            )
        }
        Place::Signed(scheme) => {
            format!("a signature made anew; the placeholder stands in header {}", scheme.home())
        }
    }
}

fn query_lines(query: &BTreeMap<String, FieldRule>, place: &Place) -> Vec<String> {
    let mut lines: Vec<String> =
        query.iter().map(|(key, rule)| format!("query key {}: {}", quoted(key), field_text(rule))).collect();
    let others = if query.is_empty() { "query keys" } else { "other query keys" };
    lines.push(match place {
        Place::Query(_) => format!("{others}: none but the credential's"),
        Place::SigV4 { .. } => format!("{others}: none but those of a presigned URL"),
        Place::Signed(scheme) if !scheme.replaced_keys().is_empty() => {
            let keys: Vec<String> = scheme.replaced_keys().into_iter().map(quoted).collect();
            format!("{others}: none but the signature's own ({})", keys.join(", "))
        }
        _ => format!("{others}: none"),
    });
    lines
}

fn header_lines(headers: &BTreeMap<String, Constraint>) -> Vec<String> {
    let line = |(name, rule): (&String, &Constraint)| {
        format!("header {}: {}, at most one of this name", quoted(name), constraint_text(rule))
    };
    let mut lines: Vec<String> = headers.iter().map(line).collect();
    let others = if headers.is_empty() { "headers" } else { "other headers" };
    lines.push(format!("{others}: not constrained"));
    lines
}

fn body_lines(body: &BodyRule, place: &Place) -> Vec<String> {
    match body {
        BodyRule::Any { max_bytes: None } => vec!["body: any (not constrained)".into()],
        BodyRule::Any { max_bytes: Some(max) } => {
            vec![format!("body: any (content not constrained), at most {max} bytes")]
        }
        BodyRule::None => vec!["body: none".into()],
        BodyRule::Form { max_bytes, closed, fields } => {
            let mut lines = vec![format!("body: empty or form, at most {max_bytes} bytes")];
            lines.extend(
                fields.iter().map(|(key, rule)| format!("form field {}: {}", quoted(key), field_text(rule))),
            );
            lines.push(match (closed, place) {
                (true, Place::Form(_)) => "other form fields: none but the credential's".into(),
                (true, _) => "other form fields: none".into(),
                (false, _) => "other form fields: any, each at most once".into(),
            });
            lines
        }
        BodyRule::Json { max_bytes, only, fields } => {
            let mut lines = vec![format!("body: empty or json, at most {max_bytes} bytes")];
            lines.extend(
                fields.iter().map(|(key, rule)| format!("json {}: {}", quoted(key), constraint_text(rule))),
            );
            lines.push(match (only, place) {
                (true, Place::Json(_)) => "other json members: none but the credential's".into(),
                (true, _) => "other json members: none".into(),
                (false, _) => "other json members: not constrained".into(),
            });
            lines
        }
    }
}

pub(crate) fn field_text(rule: &FieldRule) -> String {
    let FieldRule { repeat, constraint } = rule;
    let times = if *repeat { "may repeat" } else { "at most once" };
    format!("{}, {times}", constraint_text(constraint))
}

/// A constraint in words.
pub(crate) fn constraint_text(constraint: &Constraint) -> String {
    let Constraint { one_of, value_type, min, max, max_length, required } = constraint;
    let mut words = Vec::new();
    if let Some(list) = one_of {
        let items: Vec<String> = list.iter().map(scalar_text).collect();
        words.push(format!("one of {}", items.join(" or ")));
    }
    words.extend(value_type.map(|value_type| value_type.as_str().to_owned()));
    words.extend(min.map(|min| format!("at least {min}")));
    words.extend(max.map(|max| format!("at most {max}")));
    words.extend(max_length.map(|max| format!("at most {max} characters")));
    if constraint.is_free() {
        words.push("any value".to_owned());
    }
    if *required {
        words.push("required".to_owned());
    }
    words.join(", ")
}

fn scalar_text(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Boolean(value) => value.to_string(),
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => quoted(text),
    }
}

fn rate_text(rate: Rate) -> String {
    let seconds = rate.per.seconds();
    let period = match seconds {
        1 => "second",
        60 => "minute",
        3600 => "hour",
        _ => "day",
    };
    format!("rate: {rate} ({} at once, then spread evenly: {} in each {period})", rate.count, rate.count)
}
