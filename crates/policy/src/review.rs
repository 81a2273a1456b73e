//! For the operator's eyes: what changes (diff), how a call is judged (explain). What is wide is left to `lint`.

use crate::Policy;
use crate::contain::{Why, reasons};
use crate::decide::{Mismatch, shape};
use crate::permit::Permit;
use crate::region::{self, Example, Part};
use crate::text::facts;
use cloakroom_model::{Code, Destination, Path, Query, Refusal, Upgrade};

/// What a change of policy newly allows and newly refuses.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Diff {
    /// Regions of calls that the new policy allows and the old one does not.
    pub allowed: Vec<Change>,
    /// Regions of calls that the old policy allows and the new one does not.
    pub refused: Vec<Change>,
    /// How the two compare.
    pub verdict: Verdict,
    /// Whether each change is shown by a call, so that the verdict is exact.
    pub exact: bool,
}

/// One region of calls that one policy allows and the other does not.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// The permit that allows it.
    pub permit: String,
    /// Method, destination and path.
    pub call: String,
    /// What tells these calls from those that the other policy allows too. None: it allows no such call.
    pub rules: Vec<String>,
    /// How sure it is.
    pub proof: Proof,
    /// One of the calls: the decision itself judged it by both policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<Example>,
}

/// How sure a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The example is allowed by one policy and refused, or asked about, by the other.
    Shown,
    /// Both allow the calls; one allows more of them in the same time.
    MoreOften,
    /// The other policy is not proved to allow all of it, and no call shows that it does not.
    NotProved,
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
    fn of(allowed: &[Change], refused: &[Change]) -> Self {
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
    /// What `new` newly allows and newly refuses, region by region.
    pub fn diff(old: &Self, new: &Self) -> Diff {
        let (allowed, refused) = (changes(old, new), changes(new, old));
        let verdict = Verdict::of(&allowed, &refused);
        let exact = allowed.iter().chain(&refused).all(|change| change.proof != Proof::NotProved);
        Diff { allowed, refused, verdict, exact }
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

/// What `inner` allows and `outer` does not.
fn changes(outer: &Policy, inner: &Policy) -> Vec<Change> {
    let short = region::short(outer, inner);
    let (short_outer, short_inner) = short.as_ref().map_or((outer, inner), |(one, other)| (one, other));
    let mut changes = Vec::new();
    for uncovered in reasons(short_outer, short_inner) {
        let Part { permit, call } = uncovered.part;
        let change = |rules: Vec<String>, proof, example| Change {
            permit: permit.name.clone(),
            call: format!("may {} {}{}", call.method(), permit.to, call.shown_path()),
            // Where lengths were shortened, the words would tell of the short ones.
            rules: if short.is_some() { Vec::new() } else { rules },
            proof,
            example,
        };
        for why in uncovered.why {
            match why {
                Why::Wider(regions) => changes.extend(regions.into_iter().map(|region| {
                    let shows =
                        |example: &Example| example.judged_by(inner).exceeds(example.judged_by(outer));
                    let example = region.example.filter(shows);
                    let proof = if example.is_some() { Proof::Shown } else { Proof::NotProved };
                    change(region.rules, proof, example)
                })),
                Why::MoreOften(example) => {
                    let both =
                        |example: &Example| !example.judged_by(inner).exceeds(example.judged_by(outer));
                    let rate = permit.rate.map_or("not limited".to_owned(), |rate| rate.to_string());
                    let rules = vec![format!("rate: {rate}; more than the other policy gives these calls")];
                    changes.push(change(rules, Proof::MoreOften, example.filter(both)));
                }
                Why::Unknown => changes.push(change(facts(permit), Proof::NotProved, None)),
            }
        }
    }
    changes
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
