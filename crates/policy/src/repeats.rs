//! What a permit allows of a request that comes again.

use crate::authorized::Use;
use crate::permit::Permit;
use cloakroom_model::Call;
use serde::{Deserialize, Serialize};

/// How long a request is remembered, in minutes. The canonical text says so.
pub const WINDOW_MINUTES: u64 = 10;
/// How often one use goes out at most.
pub const MOST_SENDS: u8 = 5;
/// The longest reply that is kept, in KiB.
pub const MOST_KEPT_KIB: usize = 256;

/// Fields that number the attempts of one request, or trace them: they differ, and it is the same request.
pub(crate) const OF_THE_ATTEMPT: [&str; 5] =
    ["amz-sdk-request", "traceparent", "tracestate", "x-stainless-retry-count", "x-stripe-client-telemetry"];

/// What a permit says of repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Repeats {
    /// Which requests go out again under the use that they took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry: Option<Retry>,
    /// Whether replies are kept and given to whoever asks the same again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<Store>,
}

/// What tells that a request is the same as an earlier one. It is the same in everything that goes out, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Retry {
    /// It bears an `Idempotency-Key` too.
    IdempotencyKey,
    /// Nothing more.
    SameRequest,
}

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Store {
    /// The reply, without secrets.
    Response,
}

impl Repeats {
    pub(crate) fn is_silent(&self) -> bool {
        self.retry.is_none() && self.store.is_none()
    }

    /// Whether `outer` allows at least as much.
    pub(crate) fn within(self, outer: Self) -> bool {
        let retry = match (self.retry, outer.retry) {
            (None, _) | (_, Some(Retry::SameRequest)) => true,
            (own, wider) => own == wider,
        };
        retry && (self.store.is_none() || outer.store.is_some())
    }

    /// COMPAT: nothing where the permit says nothing, as in texts that were signed before there were repeats.
    pub(crate) fn lines(self) -> Vec<String> {
        let mut lines = Vec::new();
        let more = MOST_SENDS - 1;
        lines.extend(self.retry.map(|retry| {
            let which = match retry {
                Retry::IdempotencyKey => "the same request with an Idempotency-Key",
                Retry::SameRequest => "the same request",
            };
            format!("retry: {which}, repeated within {WINDOW_MINUTES} minutes, goes out again without taking a use, {more} times at most")
        }));
        lines.extend(self.store.map(|Store::Response| {
            format!(
                "replies: of at most {MOST_KEPT_KIB} KiB are kept in memory for {WINDOW_MINUTES} minutes; the same request is answered with the kept one, and neither goes out nor takes a use"
            )
        }));
        lines
    }

    pub(crate) fn warning(self) -> Option<String> {
        self.retry.map(|_| format!("one use may reach the destination {MOST_SENDS} times"))
    }
}

impl Permit {
    pub(crate) fn repeats_toml(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.repeats.retry.map(|retry| match retry {
            Retry::IdempotencyKey => "retry = \"idempotency-key\"".to_owned(),
            Retry::SameRequest => "retry = \"same-request\"".to_owned(),
        }));
        lines.extend(self.repeats.store.map(|Store::Response| "store = \"response\"".to_owned()));
        lines
    }
}

/// A call whose repeats mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeatable {
    /// SHA-256 over who asks, by which permits, and everything that goes out but the secret and the count of attempts.
    pub request: [u8; 32],
    /// Whether it may go out again under the use that it took.
    pub again: bool,
    /// Whether its reply is kept.
    pub store: bool,
}

impl Repeatable {
    /// What all permits of the call allow; `None`: nothing.
    pub(crate) fn of(call: &Call, uses: &[Use], hash: impl FnOnce() -> Option<[u8; 32]>) -> Option<Self> {
        if call.upgrade.is_some() || uses.is_empty() {
            return None;
        }
        let keyed = has_one_key(call);
        let may = |retry: Option<Retry>| match retry {
            None => false,
            Some(Retry::IdempotencyKey) => keyed,
            Some(Retry::SameRequest) => true,
        };
        let mut counted = uses.iter().filter(|used| used.is_counted()).peekable();
        let again = counted.peek().is_some() && counted.all(|used| may(used.repeats().retry));
        let store = uses.iter().all(|used| used.repeats().store.is_some());
        if !again && !store {
            return None;
        }
        Some(Self { request: hash()?, again, store })
    }
}

fn has_one_key(call: &Call) -> bool {
    let mut keys = call.headers.get_all("idempotency-key").iter();
    keys.next().is_some_and(|key| !key.is_empty()) && keys.next().is_none()
}
