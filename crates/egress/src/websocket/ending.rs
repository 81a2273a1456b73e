//! How a channel ended, and what each side is told.

use super::hop::Gone;
use super::violation::{Status, Violation};
use cloakroom_model::Refusal;

/// Which peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Workload,
    Upstream,
}

/// Why a channel ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Both sides said Close.
    Closed,
    /// A side went away without a Close.
    Lost(Side),
    /// A side broke the protocol or a bound.
    Broke(Side, Violation),
    /// Policy refuses a message, or a placeholder does not count any more.
    Refused(Refusal),
    /// The broker stops.
    Draining,
    /// Nobody said anything for too long.
    Idle,
}

/// What a Close frame says.
pub(crate) type Farewell = (Status, &'static str);

impl Ending {
    pub(crate) fn gone(side: Side, gone: Gone) -> Self {
        match gone {
            Gone::Lost => Self::Lost(side),
            Gone::Violation(violation) => Self::Broke(side, violation),
        }
    }

    /// What a side is told. Nothing is said to one that is gone, or that has had its Close.
    pub(crate) fn farewell(&self, to: Side) -> Option<Farewell> {
        match (self, to) {
            (Self::Closed, _) => None,
            (Self::Lost(side), _) if *side == to => None,
            (Self::Lost(_), Side::Workload) => Some((Status::BadGateway, "the destination went away")),
            (Self::Broke(side, violation), _) if *side == to => Some((violation.status, violation.reason)),
            (Self::Broke(_, Violation { status: Status::TooBig, reason }), Side::Workload) => {
                Some((Status::TooBig, reason))
            }
            (Self::Broke(..), Side::Workload) => {
                Some((Status::BadGateway, "the destination broke the protocol"))
            }
            (Self::Refused(refusal), Side::Workload) => Some((Status::Policy, refusal.code().as_str())),
            (Self::Draining, Side::Workload) => Some((Status::GoingAway, "the broker stops")),
            (Self::Idle, Side::Workload) => Some((Status::GoingAway, "nothing was said for too long")),
            // An upstream learns nothing about the workload or about policy.
            (_, Side::Upstream) => Some((Status::GoingAway, "")),
        }
    }
}
