//! What a policy would say to a call of which only method, destination and path are on record.

use crate::Policy;
use crate::class::{Class, by_method};
use crate::permit::{BodyRule, Permit};
use cloakroom_model::{Destination, Path, Place};

/// Where the journal keeps a placeholder out of a path.
const HIDDEN: &str = "{…}";

/// What is known of a recorded call's fate under a policy.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub enum Replayed {
    /// No permit has this destination, method and path: refused, whatever else the call had.
    Refused {
        /// What comes closest to being named.
        because: &'static str,
    },
    /// Nothing on record stands against it.
    Open {
        /// The permits that could allow it.
        permits: Vec<String>,
        /// What they look at and the record does not have.
        unknown: Vec<&'static str>,
    },
}

/// One tuple: a permit with one of its calls.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuple {
    /// The permit.
    pub permit: String,
    /// Where it leads.
    pub to: Destination,
    /// Method and path.
    pub call: String,
    /// Whether its method is none of those that only read, or the permit says that it writes.
    pub writes: bool,
}

impl Policy {
    /// Judges a recorded call. `path` is canonical; a segment that held the placeholder is written `{…}`.
    pub fn replay(&self, to: &Destination, method: &str, path: &str) -> Replayed {
        let hidden = path.split('/').skip(1).position(|segment| segment == HIDDEN);
        let plain = path.replace(HIDDEN, "placeholder");
        let Ok(path) = Path::parse(&plain) else {
            return Replayed::Refused { because: "the recorded path is no path" };
        };
        let at = |permit: &&Permit| permit.to == *to;
        let of_method = |permit: &&Permit| permit.calls.iter().any(|call| call.method() == method);
        let matches = |permit: &&Permit| {
            permit.calls.iter().any(|call| {
                let place = match &permit.place {
                    Place::Path(name) => call.parameter(name),
                    _ => None,
                };
                call.method() == method && call.matches_path(&path) && place == hidden
            })
        };
        let fits: Vec<&Permit> = self.permits().iter().filter(at).filter(matches).collect();
        if !fits.is_empty() {
            let mut unknown: Vec<&'static str> = fits.iter().flat_map(|permit| unknown(permit)).collect();
            unknown.sort_unstable();
            unknown.dedup();
            return Replayed::Open {
                permits: fits.iter().map(|permit| permit.name.clone()).collect(),
                unknown,
            };
        }
        let because = if !self.permits().iter().any(|permit| at(&permit)) {
            "no permit names the destination"
        } else if !self.permits().iter().filter(at).any(|permit| of_method(&permit)) {
            "no permit names the method there"
        } else {
            "no permit names the path there"
        };
        Replayed::Refused { because }
    }

    /// Every tuple.
    pub fn tuples(&self) -> Vec<Tuple> {
        let of_permit = |permit: &'_ Permit| {
            let tuple = |call: &crate::template::Template| Tuple {
                permit: permit.name.clone(),
                to: permit.to.clone(),
                call: format!("{} {}", call.method(), call.shown_path()),
                writes: writes(permit, call),
            };
            permit.calls.iter().map(tuple).collect::<Vec<_>>()
        };
        self.permits().iter().flat_map(of_permit).collect()
    }
}

/// Whether calls of this shape may write, before there are any.
fn writes(permit: &Permit, call: &crate::template::Template) -> bool {
    let listed = |known: &crate::class::Known| matches!(known, crate::class::Known::Call(own) if own == call);
    if permit.terms.refuse.is_some() || permit.terms.reads.iter().any(listed) {
        return false;
    }
    by_method(call.method()) == Class::Write || permit.terms.writes.iter().any(listed)
}

/// What the permit looks at and no record has.
fn unknown(permit: &Permit) -> Vec<&'static str> {
    let mut list = vec!["query keys"];
    list.extend((!permit.headers.is_empty()).then_some("headers"));
    list.extend((!matches!(permit.body, BodyRule::Any { max_bytes: None })).then_some("body"));
    list.extend((!matches!(permit.place, Place::Path(_))).then_some("place"));
    list.extend(permit.is_classified().then_some("whether it reads or writes"));
    list
}
