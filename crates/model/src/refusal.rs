//! A *no*: a stable code, a fixed sentence, and typed facts that help the reader.

use crate::{ApprovalId, Destination, EventKind, Name, PlaceholderId, RequestId, Severity, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $text:literal $status:literal $title:literal $hint:literal;)*) => {
        /// Every reason for which a call is not made. Closed, and never renamed: programs branch on it.
        ///
        /// Each has a page in `docs/refusals/`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it stands in the answer, in kebab case.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)* } }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> u16 { match self { $(Self::$variant => $status,)* } }

            /// The `title` member of the problem document (RFC 9457): the same for each occurrence.
            pub const fn title(self) -> &'static str { match self { $(Self::$variant => $title,)* } }

            /// What the reader can do next.
            pub const fn hint(self) -> &'static str { match self { $(Self::$variant => $hint,)* } }
        }
    };
}

codes! {
    /// The request is not well-formed HTTP.
    MalformedCall "malformed-call" 400 "the request is not well-formed"
        "send one complete HTTP/1.1 request; no limit or grammar rule may be exceeded";
    /// Two programs could read the request differently.
    AmbiguousCall "ambiguous-call" 400 "the request can be read in more than one way"
        "send one Host, one length, a path without dot segments, encoded slashes or double encoding, and no duplicate keys";
    /// No workload, or a wrong workload key.
    UnknownWorkload "unknown-workload" 407 "the workload is not known"
        "send the workload key: Proxy-Authorization (http://NAME:KEY@HOST:PORT in the proxy setting), or the Cloakroom-Workload header in base-URL mode";
    /// No placeholder in the call, or one this broker does not know.
    UnknownPlaceholder "unknown-placeholder" 403 "no placeholder that this broker knows was found"
        "put the placeholder, unchanged, where the credential would stand; ask the operator for a new one if it was replaced";
    /// The placeholder belongs to another workload.
    WrongWorkload "wrong-workload" 403 "this placeholder belongs to another workload"
        "use a placeholder that was issued to this workload";
    /// Issued, but not approved yet.
    PlaceholderPending "placeholder-pending" 403 "the placeholder waits for approval"
        "ask the approver to run: cloakroom approval list";
    /// Revoked, or its credential was removed, or its approval no longer verifies.
    PlaceholderRevoked "placeholder-revoked" 403 "the placeholder was revoked"
        "ask the operator to issue a new placeholder";
    /// Frozen by an operator, or after a misuse.
    PlaceholderFrozen "placeholder-frozen" 403 "the placeholder is frozen"
        "ask the operator why, and to run: cloakroom placeholder thaw ID";
    /// Before its beginning.
    PlaceholderNotYet "placeholder-not-yet" 403 "the placeholder does not count yet"
        "wait until it begins: 'cloakroom placeholder show ID' says when";
    /// Past its end.
    PlaceholderExpired "placeholder-expired" 403 "the placeholder has expired"
        "ask the operator to issue a new placeholder";
    /// All its uses are gone.
    PlaceholderSpent "placeholder-spent" 403 "the placeholder has no uses left"
        "ask the operator to issue a new placeholder; do not retry with this one";
    /// No permit names this scheme, host and port.
    DestinationNotPermitted "destination-not-permitted" 403 "no permit names this destination"
        "call a destination that the policy names; 'cloakroom placeholder show ID' lists them";
    /// A permit names the destination but not this method, path, query or header.
    CallNotPermitted "call-not-permitted" 403 "no permit allows this call"
        "compare method, path, query keys and headers with the policy: cloakroom policy explain FILE -- METHOD URL";
    /// The placeholder stands somewhere else than the permit says.
    PlaceNotPermitted "place-not-permitted" 403 "the placeholder stands in the wrong place"
        "put the placeholder exactly once, in the place that the permit names, and nowhere else";
    /// The body breaks a constraint.
    BodyNotPermitted "body-not-permitted" 403 "the body is not what the permit allows"
        "compare content type, size and fields with the policy";
    /// Too many calls in the permit's window, or too many connections.
    RateLimited "rate-limited" 429 "the rate of this permit is used up"
        "wait for the time that Retry-After names, then call again";
    /// A human has to approve this very call.
    ApprovalRequired "approval-required" 403 "each such call waits for a human"
        "a human approves such calls one by one: have the approval that is named here granted, then send exactly the same call again";
    /// A human said no.
    ApprovalDenied "approval-denied" 403 "the approval was denied"
        "ask the approver what would be acceptable";
    /// The destination's name resolves to a special-purpose address.
    AddressNotPermitted "address-not-permitted" 403 "the destination resolves to an address that is not public"
        "the operator can allow a range: cloakroom serve --allow-address CIDR";
    /// No connection, or it broke.
    UpstreamUnreachable "upstream-unreachable" 502 "the destination could not be reached"
        "check that the destination is up; the call may be repeated if the placeholder has uses left";
    /// The destination's certificate does not verify.
    UpstreamUntrusted "upstream-untrusted" 502 "the destination could not prove who it is"
        "a private certificate authority can be added: cloakroom serve --upstream-ca FILE";
    /// The destination was too slow.
    UpstreamTimeout "upstream-timeout" 504 "the destination did not answer in time"
        "try again later; the call may have taken effect upstream";
    /// The reply cannot be searched for the secret.
    ResponseNotScrubbable "response-not-scrubbable" 502 "the reply could not be searched for the secret"
        "the call may have taken effect upstream; ask for an encoding of gzip, deflate, br, zstd or identity";
    /// The broker has no key to open secrets with.
    BrokerSealed "broker-sealed" 503 "the broker cannot open its secrets"
        "the operator has to unseal the broker: cloakroom custody unseal; where it is open, to repair the credential's record";
    /// No access token can be had from the authorization server now.
    CredentialUnavailable "credential-unavailable" 503 "what the placeholder stands for could not be had"
        "nothing was sent to the destination; try again after the time that Retry-After names";
    /// The grant behind the credential was revoked or has expired.
    LoginRequired "login-required" 503 "the credential needs a new login"
        "the operator has to log in again and deposit the new grant: cloakroom credential rotate NAME";
    /// A lock that the operator insists on is not proved.
    NotLocked "not-locked" 503 "the lock on the workload's network is not proved"
        "nothing was sent; the operator has to prove the lock: cloakroom lock check NAME";
    /// The record cannot be written, so the call is not made.
    JournalUnavailable "journal-unavailable" 503 "the journal cannot be written"
        "nothing was sent; try again when the operator has repaired the disk";
    /// A fault of the broker.
    InternalFault "internal-fault" 500 "the broker failed"
        "tell the operator the request id; 'cloakroom explain ID' shows what is known";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What helps the reader beyond the code. Every field is a name the operator chose or a parsed noun: none can
/// hold a secret or raw workload bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Where the call wanted to go.
    pub destination: Option<Destination>,
    /// The workload that asked.
    pub workload: Option<Name>,
    /// The credential behind the placeholder.
    pub credential: Option<Name>,
    /// The placeholder, for the record; the answer does not show it.
    pub placeholder: Option<PlaceholderId>,
    /// The permit that came closest, by its name in the policy.
    pub permit: Option<String>,
    /// The rule that did not hold, in words from the policy: a key, a field, a pointer, a place.
    pub rule: Option<String>,
    /// The approval that the call waits for.
    pub approval: Option<ApprovalId>,
    /// Where a human decides on it: a page of the console.
    pub decide: Option<String>,
    /// Seconds after which a repeat can succeed.
    pub retry_after: Option<u32>,
    /// Whether the use that was spent for the call was given back.
    pub use_returned: bool,
    /// Who took the last use, where it is known and the placeholder is spent.
    pub last_use: Option<LastUse>,
    /// What the reader can do next, where the code's own hint is for another situation.
    pub hint: Option<&'static str>,
    /// The call lacks a Basic credential that a 401 challenge would bring (RFC 9110, section 11.6.1).
    pub challenge: bool,
}

/// The last use of a placeholder. The owner who finds it spent sees whether it was theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// When.
    pub at: Timestamp,
    /// The address it came from.
    pub peer: String,
    /// The call.
    pub request: RequestId,
}

/// A refusal: the code, one fixed sentence that says why here, and facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    code: Code,
    reason: &'static str,
    facts: Box<Facts>,
    event: Option<EventKind>,
    unsent: bool,
}

impl Refusal {
    /// A refusal with the reason that holds for this occurrence.
    pub fn new(code: Code, reason: &'static str) -> Self {
        Self { code, reason, facts: Box::default(), event: None, unsent: false }
    }

    /// Adds facts.
    #[must_use]
    pub fn with(mut self, add: impl FnOnce(&mut Facts)) -> Self {
        add(&mut self.facts);
        self
    }

    /// Marks this refusal as a security event.
    #[must_use]
    pub fn as_event(mut self, kind: EventKind) -> Self {
        self.event = Some(kind);
        self
    }

    /// Says that no byte of the call was handed to a connection to its destination: there is proof of it, not the lack of an answer.
    #[must_use]
    pub fn unsent(mut self) -> Self {
        self.unsent = true;
        self
    }

    /// Says that some of the call may have been sent, whatever is known of a later attempt.
    #[must_use]
    pub fn maybe_sent(mut self) -> Self {
        self.unsent = false;
        self
    }

    /// Whether it is proved that no byte of the call was sent.
    pub fn is_unsent(&self) -> bool {
        self.unsent
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The fixed sentence.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// What the reader can do next: of this occurrence, or of the code.
    pub fn hint(&self) -> &'static str {
        self.facts.hint.unwrap_or(self.code.hint())
    }

    /// The facts.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether this is a security event, and how grave.
    pub fn event(&self) -> Option<Severity> {
        self.event.map(EventKind::severity)
    }

    /// Which security event this is, if it is one.
    pub fn event_kind(&self) -> Option<EventKind> {
        self.event
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.reason)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_as_it_serialises() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_string(code).ok(), Some(format!("\"{code}\"")));
        }
    }
}
