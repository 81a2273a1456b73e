//! What follows from an approval, in words: shown beside the signed text, the same on every screen, and signed by nobody.
//!
//! INVARIANT: a remark adds no fact and decides nothing, so remarks may grow with each release while no approval dies of it.

use crate::class::{Class, Known, Refuse, Speaks, Terms, by_method};
use crate::escape::quoted;
use crate::permit::{Approve, BodyRule, Permit};
use crate::template::Template;
use crate::{Policy, look};
use cloakroom_model::{Destination, Host};

/// What is known of the credential, and of the services that it goes to.
pub struct Background<'k> {
    /// Where the credential may go at all; none: not known.
    pub destinations: Vec<Destination>,
    /// What is known of the service at a destination.
    pub service: &'k dyn Fn(&Destination) -> Option<Service>,
}

/// What is known of a service. Words of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// What people call it.
    pub title: String,
    /// What its credentials can do, whatever is permitted here.
    pub power: Option<String>,
    /// Calls that only read, though their method does not say so: `METHOD /path`.
    pub reads: Vec<String>,
    /// What calls speak: `METHOD /path`, and the word of a policy file.
    pub speaks: Vec<(String, String)>,
    /// Calls whose reply grants tokens: `METHOD /path`.
    pub grants: Vec<String>,
}

impl Background<'_> {
    /// Nothing is known.
    pub const fn none() -> Background<'static> {
        Background { destinations: Vec::new(), service: &|_| None }
    }
}

impl Policy {
    /// What follows from this policy for an approver, a line each: printable ASCII, at most a few hundred columns.
    pub fn remarks(&self, background: &Background<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        for (index, permit) in self.permits().iter().enumerate() {
            lines.push(format!("permit {} of {}: {}", index + 1, self.permits().len(), quoted(&permit.name)));
            lines.extend(of_permit(permit, background).into_iter().map(|line| format!("  {line}")));
        }
        lines.extend(beyond(self, background));
        lines
    }
}

fn of_permit(permit: &Permit, background: &Background<'_>) -> Vec<String> {
    let mut lines: Vec<String> = permit.calls.iter().map(|call| of_call(permit, call)).collect();
    if let Host::Name(name) = permit.to.host() {
        let known = (background.service)(&permit.to).is_some();
        // A host that the catalogue has is the one that it looks like.
        let remarks = if known { Vec::new() } else { look::host_remarks(name) };
        lines.extend(remarks.into_iter().map(|remark| format!("! {remark}")));
    }
    lines.extend(looks(permit));
    if let Some(service) = (background.service)(&permit.to) {
        lines.extend(undeclared(permit, &service));
        lines.extend(uncaptured(permit, &service).map(|words| format!("! {words}")));
    }
    lines
}

/// `reads: GET https://…/{id}: one segment, any, for {id}`.
fn of_call(permit: &Permit, call: &Template) -> String {
    let mut line = format!("{}: {} {}{}", class(permit, call), call.method(), permit.to, call.shown_path());
    let parameters: Vec<String> = call.parameters().map(|name| format!("{{{name}}}")).collect();
    if !parameters.is_empty() {
        line.push_str(&format!("; any one segment stands for {}", parameters.join(" and for ")));
    }
    if let Some(above) = call.shown_above_tail() {
        line.push_str(&format!("; every path below {above}, of one segment or more"));
    }
    for (all, verb) in
        [(&permit.terms.reads, Class::Read.verb()), (&permit.terms.writes, Class::Write.verb())]
    {
        let part =
            |known: &&Known| matches!(known, Known::Call(other) if other != call && other.overlaps(call));
        let parts: Vec<String> = all.iter().filter(part).map(|known| quoted(&known.to_string())).collect();
        if !parts.is_empty() {
            line.push_str(&format!("; but {} {verb}", parts.join(" and ")));
        }
    }
    line
}

/// What calls of this template do, as far as it can be said before there is one.
fn class(permit: &Permit, call: &Template) -> &'static str {
    if permit.upgrade.is_some() {
        return "opens a websocket on which anything can be said, which counts as a write";
    }
    let Terms { speaks, reads, writes, refuse } = &permit.terms;
    let listed = |known: &std::collections::BTreeSet<Known>| {
        known.iter().any(|known| matches!(known, Known::Call(template) if template == call))
    };
    let by_body = *speaks != Speaks::Http && matches!(call.method(), "POST" | "GET");
    match (listed(reads), listed(writes), by_body) {
        (true, true, _) => "refused (listed both as a read and as a write)",
        (true, false, _) => Class::Read.verb(),
        (false, true, _) => Class::Write.verb(),
        (false, false, true) => match (refuse, permit.approve) {
            (Some(Refuse::Writes), _) => "reads (what is not known to read is refused)",
            (None, Approve::Once) => "reads or writes, as its body says",
            (None, _) => "reads or writes, as its body says; what is not known to read waits",
        },
        (false, false, false) => match by_method(call.method()) {
            Class::Write if *refuse == Some(Refuse::Writes) => "refused, for it writes",
            class => class.verb(),
        },
    }
}

/// Texts of the permit that look like others.
fn looks(permit: &Permit) -> Vec<String> {
    let mut texts: Vec<(&str, String)> = vec![("the name", permit.name.clone())];
    texts.extend(permit.calls.iter().map(|call| ("a path", call.path_text())));
    texts.extend(permit.query.keys().map(|key| ("a query key", key.clone())));
    texts.extend(permit.headers.keys().map(|key| ("a header", key.clone())));
    match &permit.body {
        BodyRule::Form { fields, .. } => texts.extend(fields.keys().map(|key| ("a form field", key.clone()))),
        BodyRule::Json { fields, .. } => {
            texts.extend(fields.keys().map(|key| ("a json member", key.clone())))
        }
        BodyRule::Any { .. } | BodyRule::None => {}
    }
    let remarks = |(what, text): (&str, String)| {
        look::remarks(&text)
            .into_iter()
            .map(move |remark| format!("! {what} {} {remark}", quoted(&text)))
            .collect::<Vec<_>>()
    };
    texts.into_iter().flat_map(remarks).collect()
}

/// What the catalogue says and the policy does not, where it matters to the policy.
fn undeclared(permit: &Permit, service: &Service) -> Vec<String> {
    if permit.approve != Approve::Writes && permit.terms.refuse.is_none() {
        return Vec::new();
    }
    let about = |text: &str| {
        let template = Template::parse(text).ok()?;
        permit.calls.iter().any(|call| call.overlaps(&template)).then_some(template)
    };
    let declared = |template: &Template| permit.terms.reads.contains(&Known::Call(template.clone()));
    let mut lines = Vec::new();
    for read in &service.reads {
        if about(read).is_some_and(|template| !declared(&template)) {
            lines.push(format!(
                "the catalogue ({}) says that {} only reads; the policy does not: reads = [{}]",
                service.title,
                quoted(read),
                quoted(read)
            ));
        }
    }
    for (call, protocol) in &service.speaks {
        if about(call).is_some() && permit.terms.speaks.as_str() != protocol {
            lines.push(format!(
                "the catalogue ({}) says that {} speaks {protocol}; the policy does not: speaks = {}",
                service.title,
                quoted(call),
                quoted(protocol)
            ));
        }
    }
    lines
}

/// A token endpoint whose tokens the workload would see.
pub(crate) fn uncaptured(permit: &Permit, service: &Service) -> Option<String> {
    let is_one = |text: &&String| {
        Template::parse(text).is_ok_and(|template| permit.calls.iter().any(|call| call.overlaps(&template)))
    };
    let call = service.grants.iter().find(is_one).filter(|_| permit.tokens.capture.is_none())?;
    let (title, call) = (&service.title, quoted(call));
    Some(format!(
        "the catalogue ({title}) says that the reply to {call} grants tokens, and the workload would see them: capture = \"oauth\""
    ))
}

/// What the credential could do that no permit here allows.
fn beyond(policy: &Policy, background: &Background<'_>) -> Vec<String> {
    let named = policy.destinations();
    let mut lines = Vec::new();
    let others: Vec<String> =
        background.destinations.iter().filter(|to| !named.contains(to)).map(ToString::to_string).collect();
    if !others.is_empty() {
        lines.push(format!(
            "beyond this: the credential may also go to {}, which no permit here names",
            others.join(", ")
        ));
    }
    let mut titles = Vec::new();
    for to in named.iter().chain(&background.destinations) {
        let Some(Service { title, power: Some(power), .. }) = (background.service)(to) else { continue };
        if !titles.contains(&title) {
            lines.push(format!("beyond this: {title}: {power}"));
            titles.push(title);
        }
    }
    lines
}
