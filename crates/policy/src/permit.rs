//! One permit in normal form: destination, call shape, place and bounds.

use crate::class::Terms;
use crate::constraint::Constraint;
use crate::repeats::Repeats;
use crate::sigv4;
use crate::template::Template;
use crate::tokens::Tokens;
use cloakroom_model::{Destination, Place, Upgrade};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One tuple. Two permits that mean the same are equal.
///
/// INVARIANT: whoever adds a field here has to render it in `text.rs` and `toml_text.rs`; both take the struct apart by
/// name, so that a forgotten field does not compile (T74).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Permit {
    pub(crate) name: String,
    pub(crate) to: Destination,
    pub(crate) calls: BTreeSet<Template>,
    pub(crate) place: Place,
    /// Absent keys are refused. The key of a query place is not listed; it belongs to the placeholder.
    pub(crate) query: BTreeMap<String, FieldRule>,
    /// Header names in lower case. Absent names are free.
    pub(crate) headers: BTreeMap<String, Constraint>,
    pub(crate) body: BodyRule,
    pub(crate) rate: Option<Rate>,
    pub(crate) approve: Approve,
    pub(crate) range: RangeRule,
    /// The protocol that a call has to ask for; where there is none, it may ask for none.
    ///
    /// COMPAT: policies stored before there were upgrades do not have this and the next key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) upgrade: Option<Upgrade>,
    /// How many text messages from the first on may carry the placeholder; there exactly where the place is in messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) messages: Option<u8>,
    /// What tells reads from writes.
    ///
    /// COMPAT: policies stored before there were classes do not have this key.
    #[serde(default, skip_serializing_if = "Terms::is_silent")]
    pub(crate) terms: Terms,
    /// What is allowed of a request that comes again.
    ///
    /// COMPAT: policies stored before there were repeats do not have this key.
    #[serde(default, skip_serializing_if = "Repeats::is_silent")]
    pub(crate) repeats: Repeats,
    /// What becomes of tokens in the reply, and whether one that was captured is presented.
    ///
    /// COMPAT: policies stored before there was capture do not have this key.
    #[serde(default, skip_serializing_if = "Tokens::is_silent")]
    pub(crate) tokens: Tokens,
}

impl Permit {
    /// Whether it matters to this permit what a call does.
    pub(crate) fn is_classified(&self) -> bool {
        self.approve == Approve::Writes || !self.terms.is_silent()
    }

    /// How many bytes of a body have to be read to judge a call by this permit, and to sign it. `None`: it does not look inside.
    pub(crate) fn bound(&self) -> Option<u64> {
        let BodyRule::Any { max_bytes } = &self.body else { return self.body.bound() };
        let of_class =
            self.terms.looks_inside().then(|| max_bytes.unwrap_or(MOST_CLASSIFIED).min(MOST_CLASSIFIED));
        // What is signed is a hash of the body, which S3 takes from a header and others expect to be computed.
        let of_signature = match &self.place {
            Place::SigV4 { service, .. } if !sigv4::streams(service) => {
                Some(max_bytes.unwrap_or(sigv4::MOST_BODY))
            }
            Place::Signed(scheme) if scheme.covers_body() => Some(max_bytes.unwrap_or(sigv4::MOST_BODY)),
            _ => None,
        };
        of_class.max(of_signature)
    }
}

/// The largest body that is read only to classify its call. A larger one is not known to read.
const MOST_CLASSIFIED: u64 = 1 << 20;

/// What holds for one query key or form field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldRule {
    pub(crate) repeat: bool,
    pub(crate) constraint: Constraint,
}

/// What holds for the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum BodyRule {
    /// Not looked into.
    Any { max_bytes: Option<u64> },
    /// There is none.
    None,
    /// `application/x-www-form-urlencoded`. Closed: only the listed fields. Otherwise the listed ones may repeat.
    Form { max_bytes: u64, closed: bool, fields: BTreeMap<String, FieldRule> },
    /// `application/json` or `+json`. Keys are JSON pointers; with `only`, other members are refused.
    Json { max_bytes: u64, only: bool, fields: BTreeMap<String, Constraint> },
}

impl BodyRule {
    /// How many bytes have to be read to judge by this rule. `None`: it does not look inside.
    pub(crate) fn bound(&self) -> Option<u64> {
        match self {
            Self::Any { .. } | Self::None => None,
            Self::Form { max_bytes, .. } | Self::Json { max_bytes, .. } => Some(*max_bytes),
        }
    }
}

/// Whether a human approves the policy, or calls too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Approve {
    Once,
    /// Reads pass, and each call that is not known to read waits.
    Writes,
    EachCall,
}

/// What becomes of `Range` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RangeRule {
    /// Not forwarded: two partial replies can split a secret between them (T06).
    Drop,
    Pass,
}

/// At most this many calls at once; one more comes free after each `period / count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    pub(crate) count: u32,
    pub(crate) per: Period,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Period {
    Second,
    Minute,
    Hour,
    Day,
}

impl Period {
    pub(crate) const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
            Self::Day => "d",
        }
    }
}

impl Rate {
    /// The largest count: the state of a rate limit counts in microseconds.
    const MOST: u32 = 100_000;

    /// Parses `10/min`. `None` for everything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (count, per) = text.split_once('/')?;
        let digits = !count.starts_with('0') && count.bytes().all(|b| b.is_ascii_digit());
        let count = count.parse().ok().filter(|count| digits && (1..=Self::MOST).contains(count))?;
        let per = match per {
            "s" | "sec" | "second" => Period::Second,
            "min" | "minute" => Period::Minute,
            "h" | "hour" => Period::Hour,
            "d" | "day" => Period::Day,
            _ => return None,
        };
        Some(Self { count, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_and_a_period() {
        for (written, canonical) in
            [("10/min", "10/min"), ("1/s", "1/s"), ("5/hour", "5/h"), ("7/day", "7/d")]
        {
            assert_eq!(Rate::parse(written).map(|r| r.to_string()).as_deref(), Some(canonical));
        }
        for bad in [
            "", "10", "10/", "/min", "0/min", "-1/min", "+1/min", "010/min", "1.5/s", "10/week", "100001/s",
            "1 /s",
        ] {
            assert_eq!(Rate::parse(bad), None, "{bad}");
        }
    }
}
