//! For the operator's eyes: what is legal but wide (lint), what changes (diff), how a call is judged (explain).

use crate::Policy;
use crate::decide::{Mismatch, shape};
use crate::escape::quoted;
use crate::permit::{BodyRule, Permit};
use crate::text::{facts, warnings};
use cloakroom_model::{Code, Destination, Path, Query, Refusal, Upgrade};
use std::collections::BTreeSet;

/// What a change of policy newly allows and newly refuses.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Diff {
    /// Calls and rules that only the new policy has.
    pub allowed: Vec<String>,
    /// Calls and rules that only the old policy has.
    pub refused: Vec<String>,
    /// What the comparison is worth.
    pub note: &'static str,
}

/// How one permit judges a method and a URL.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Explained {
    /// The permit's name.
    pub permit: String,
    /// Whether destination, method, path and query are allowed.
    pub allowed: bool,
    /// The refusal's code where they are not.
    pub code: Option<Code>,
    /// The first rule that does not hold.
    pub mismatch: Option<String>,
}

impl Policy {
    /// Warnings about what is legal but wide: tails, writes without body constraint, secrets in URLs, plain http.
    pub fn lint(&self) -> Vec<String> {
        let of_permit = |permit: &Permit| {
            let name = quoted(&permit.name);
            lints(permit).into_iter().map(move |line| format!("permit {name}: {line}")).collect::<Vec<_>>()
        };
        self.permits().iter().flat_map(of_permit).collect()
    }

    /// What `new` newly allows and newly refuses, permit by permit: a call together with all rules that hold for it is one
    /// line. It compares normal forms and proves no containment: a rule that is only narrowed appears on both sides.
    pub fn diff(old: &Self, new: &Self) -> Diff {
        let (old, new) = (tuples(old), tuples(new));
        Diff {
            allowed: new.difference(&old).cloned().collect(),
            refused: old.difference(&new).cloned().collect(),
            note: "compares normal forms, not meanings: a permit that was only narrowed or widened appears on both sides",
        }
    }

    /// How each permit judges `METHOD URL` (no headers, no body, no placeholder): first mismatch of each. `wss://` asks for a
    /// WebSocket over `https://`.
    ///
    /// # Errors
    /// `malformed-call` or `ambiguous-call` where the URL is no call that could be judged.
    pub fn explain(&self, method: &str, url: &str) -> Result<Vec<Explained>, Refusal> {
        let (url, asked) = match url.strip_prefix("ws") {
            Some(rest) => (&*format!("http{rest}"), Some(Upgrade::WebSocket)),
            None => (url, None),
        };
        let (to, path, query) = parse_url(url)?;
        let judge = |permit: &Permit| {
            shape::target(permit, &to, method, &path, &query).and_then(|()| shape::upgrade(permit, asked))
        };
        let explain = |permit: &Permit| explained(permit, judge(permit));
        Ok(self.permits().iter().map(explain).collect())
    }
}

fn lints(permit: &Permit) -> Vec<String> {
    let mut lines = warnings(permit);
    for call in &permit.calls {
        if call.has_tail() {
            lines.push(format!("{} {} allows every path below", call.method(), call.shown_path()));
        } else if call.is_open() && call.parameters().next().is_some() {
            lines.push(format!("{} {} names no part of the path", call.method(), call.shown_path()));
        }
        let writes = !matches!(call.method(), "GET" | "HEAD" | "OPTIONS" | "DELETE");
        if writes && matches!(permit.body, BodyRule::Any { .. }) {
            lines.push(format!("{} {} does not constrain the body", call.method(), call.shown_path()));
        }
    }
    if permit.rate.is_none() {
        lines.push("the rate is not limited".to_owned());
    }
    lines
}

/// Each call with everything that holds for it, as one line.
fn tuples(policy: &Policy) -> BTreeSet<String> {
    let of_permit = |permit: &Permit| {
        let lines = facts(permit);
        let (calls, rules): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.starts_with("may "));
        calls.into_iter().map(move |call| format!("{call}; {}", rules.join("; "))).collect::<Vec<_>>()
    };
    policy.permits().iter().flat_map(of_permit).collect()
}

fn explained(permit: &Permit, judged: Result<(), Mismatch>) -> Explained {
    let mismatch = judged.err();
    let words = |mismatch: &Mismatch| match &mismatch.rule {
        Some(rule) => format!("{}: {rule}", mismatch.reason),
        None => mismatch.reason.to_owned(),
    };
    Explained {
        permit: permit.name.clone(),
        allowed: mismatch.is_none(),
        code: mismatch.as_ref().map(|mismatch| mismatch.stage.code()),
        mismatch: mismatch.as_ref().map(words),
    }
}

fn parse_url(url: &str) -> Result<(Destination, Path, Query), Refusal> {
    let malformed = |reason| Refusal::new(Code::MalformedCall, reason);
    let after_scheme =
        url.find("://").map(|at| at + 3).ok_or_else(|| malformed("a URL begins with https:// or http://"))?;
    if url.contains('#') {
        return Err(malformed("a fragment is never sent"));
    }
    let authority_end = url[after_scheme..].find(['/', '?']).map_or(url.len(), |at| at + after_scheme);
    let to = Destination::parse(&url[..authority_end])
        .map_err(|_| malformed("the URL has no scheme, host and port that a permit could name"))?;
    let (path, query) = url[authority_end..].split_once('?').unwrap_or((&url[authority_end..], ""));
    let path = Path::parse(if path.is_empty() { "/" } else { path })?;
    Ok((to, path, Query::parse(query)?))
}
