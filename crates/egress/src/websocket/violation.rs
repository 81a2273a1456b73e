//! Why a channel is ended, as its Close frame says it.

/// The status codes that we send (RFC 6455, section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The broker stops.
    GoingAway,
    /// The peer broke the protocol.
    Protocol,
    /// A text that is none.
    NotText,
    /// A message that policy refuses, or a placeholder that does not count any more.
    Policy,
    /// A message beyond the bound.
    TooBig,
    /// The other hop is gone.
    BadGateway,
}

impl Status {
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::Protocol => 1002,
            Self::NotText => 1007,
            Self::Policy => 1008,
            Self::TooBig => 1009,
            Self::BadGateway => 1014,
        }
    }
}

/// A rule that a peer broke: the status of the Close frame that tells it so, and one fixed sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) status: Status,
    pub(crate) reason: &'static str,
}

impl Violation {
    pub(crate) const fn protocol(reason: &'static str) -> Self {
        Self { status: Status::Protocol, reason }
    }

    pub(crate) const fn not_text(reason: &'static str) -> Self {
        Self { status: Status::NotText, reason }
    }

    pub(crate) const fn too_big(reason: &'static str) -> Self {
        Self { status: Status::TooBig, reason }
    }
}
