//! For the operator's eyes: what is legal but wide (lint), what changes (diff), how a call is judged (explain).

use crate::Policy;
use crate::contain::outside;
use crate::decide::{Mismatch, shape};
use crate::escape::quoted;
use crate::permit::{BodyRule, Permit};
use crate::template::Template;
use crate::text::{facts, warnings};
use cloakroom_model::{Code, Destination, Path, Query, Refusal, Upgrade};
use std::collections::BTreeSet;

/// What a change of policy newly allows and newly refuses.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Diff {
    /// Calls with their rules that the new policy has and the old one is not proved to allow.
    pub allowed: Vec<String>,
    /// Calls with their rules that the old policy has and the new one is not proved to allow.
    pub refused: Vec<String>,
    /// How the two compare.
    pub verdict: Verdict,
    /// What the comparison is worth.
    pub note: &'static str,
}

/// How a new policy compares with an old one. Equal and narrower are proved; the others say what was not proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Each contains the other.
    Equal,
    /// The old policy contains the new one.
    Narrower,
    /// The new policy contains the old one, and is not proved to be contained in it.
    Wider,
    /// Neither is proved to contain the other.
    Both,
}

impl Verdict {
    fn of(allowed: &[String], refused: &[String]) -> Self {
        match (allowed.is_empty(), refused.is_empty()) {
            (true, true) => Self::Equal,
            (true, false) => Self::Narrower,
            (false, true) => Self::Wider,
            (false, false) => Self::Both,
        }
    }

    /// As JSON says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Narrower => "narrower",
            Self::Wider => "wider",
            Self::Both => "both",
        }
    }
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

    /// What `new` newly allows and newly refuses: a call together with all rules that hold for it is one line. A line is left
    /// out only where the other policy is proved to allow all of it.
    pub fn diff(old: &Self, new: &Self) -> Diff {
        let (allowed, refused) = (lines(old, new), lines(new, old));
        let verdict = Verdict::of(&allowed, &refused);
        let note = "equal and narrower are proved; a line may be allowed by several permits of the other policy together";
        Diff { allowed, refused, verdict, note }
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

/// The calls of `inner` that are not proved to be in `outer`, each with everything that holds for it, as one line.
fn lines(outer: &Policy, inner: &Policy) -> Vec<String> {
    let line = |(permit, call): (&Permit, &Template)| {
        let alone = Permit { calls: [call.clone()].into(), ..permit.clone() };
        facts(&alone).join("; ")
    };
    outside(outer, inner).into_iter().map(line).collect::<BTreeSet<_>>().into_iter().collect()
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
