//! A security event: something that a workload in good order does not do, or that should never be found in the books.

use crate::{Destination, PlaceholderId, RequestId, Timestamp, WorkloadId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much it should worry the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A misuse that a careless program also makes.
    Notice,
    /// A placeholder where it does not belong.
    Warning,
    /// The books do not agree with what was signed or recorded.
    Critical,
}

impl Severity {
    /// The severity's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident $text:literal $severity:ident;)*) => {
        /// Every kind of security event. Closed, and never renamed: programs branch on it. `docs/events.md` tells of each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum EventKind { $($(#[$doc])* $variant,)* }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The kind's word, in kebab case.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)* } }

            /// How grave it is.
            pub const fn severity(self) -> Severity { match self { $(Self::$variant => Severity::$severity,)* } }
        }
    };
}

events! {
    /// A placeholder whose uses are gone was used again.
    SpentUsed "spent-used" Warning;
    /// A placeholder was shown by another workload than its own.
    OtherWorkload "other-workload" Warning;
    /// The placeholder's workload did not show what its placeholder demands of the holder.
    HolderUnproven "holder-unproven" Warning;
    /// A revoked placeholder was used, or one whose credential or approval does not count any more.
    RevokedUsed "revoked-used" Warning;
    /// A text with the core of a placeholder and another end: somebody altered it.
    Altered "altered" Warning;
    /// The root keys were wiped: an operator sealed the broker, or whoever wraps them went away.
    CustodySealed "custody-sealed" Critical;
    /// The broker opens secrets again.
    CustodyUnsealed "custody-unsealed" Notice;
    /// A placeholder of this broker's making that is in none of its rows.
    NotInRows "not-in-rows" Notice;
    /// A placeholder on its way to a destination that none of its permits names.
    WrongDestination "wrong-destination" Warning;
    /// A placeholder somewhere else in the call than its permit says.
    WrongPlace "wrong-place" Warning;
    /// A placeholder that was to be fetched once was fetched again.
    SecondClaim "second-claim" Warning;
    /// A row is stored as approved and no approval verifies for it.
    ApprovalForged "approval-forged" Critical;
    /// The store and the journal tell different stories.
    RecordsDisagree "records-disagree" Critical;
    /// A start found the data directory to be an older copy: it knows less than the epoch file.
    RolledBack "rolled-back" Critical;
    /// A call without a placeholder to a destination that no permit names.
    UnnamedDestination "unnamed-destination" Notice;
    /// The address of a name was asked for that no permit names.
    UnnamedName "unnamed-name" Notice;
    /// The name in a TLS handshake is not the host of its tunnel.
    MisnamedTunnel "misnamed-tunnel" Notice;
    /// A guest showed the nonce of another boot than that of its number's workload.
    OtherBoot "other-boot" Warning;
    /// A connection from a balancer does not say whom it speaks for.
    SilentBalancer "silent-balancer" Notice;
    /// What was under way ended because its placeholder or credential ended.
    CutShort "cut-short" Notice;
    /// A witness does not take the journal's checkpoints.
    WitnessSilent "witness-silent" Warning;
    /// A source was asked to end a lease, and has not.
    LeaseLingers "lease-lingers" Warning;
    /// The console's certificate could not be renewed; the former one is shown on.
    CertificateNotRenewed "certificate-not-renewed" Warning;
    /// Events could not be delivered and were dropped.
    Undelivered "undelivered" Notice;
}

impl EventKind {
    /// Whether somebody used a placeholder in a way that its holder in good order does not: what `on-misuse` acts upon.
    pub const fn is_misuse(self) -> bool {
        matches!(
            self,
            Self::SpentUsed
                | Self::OtherWorkload
                | Self::HolderUnproven
                | Self::RevokedUsed
                | Self::Altered
                | Self::WrongDestination
                | Self::WrongPlace
                | Self::SecondClaim
        )
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One security event. Ids, parsed nouns and an address: nothing here can hold a secret or a stranger's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityEvent {
    /// When.
    pub at: Timestamp,
    /// What kind.
    pub event: EventKind,
    /// How grave.
    pub severity: Severity,
    /// The placeholder it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub placeholder: Option<PlaceholderId>,
    /// The workload that asked, where one proved itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub workload: Option<WorkloadId>,
    /// Where the call came from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<String>,
    /// Where the call wanted to go.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub destination: Option<Destination>,
    /// The call.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request: Option<RequestId>,
}

impl SecurityEvent {
    /// Of this kind, now; about nothing yet.
    pub fn new(event: EventKind) -> Self {
        Self {
            at: Timestamp::now(),
            event,
            severity: event.severity(),
            placeholder: None,
            workload: None,
            peer: None,
            destination: None,
            request: None,
        }
    }

    /// Adds what it is about.
    #[must_use]
    pub fn with(mut self, add: impl FnOnce(&mut Self)) -> Self {
        add(&mut self);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_written_as_it_serialises() {
        for kind in EventKind::ALL {
            assert_eq!(serde_json::to_string(kind).ok(), Some(format!("\"{kind}\"")));
        }
    }

    #[test]
    fn what_is_not_known_is_left_out_and_read_back() {
        let event = SecurityEvent::new(EventKind::Undelivered);
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<SecurityEvent>(&text).unwrap(), event);
        assert!(!text.contains("placeholder"), "{text}");
    }
}
