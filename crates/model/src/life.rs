//! The life of a placeholder: its stages, and the changes that lead from one to another.
//!
//! ```text
//!             grant                  spend ───► spent ──give back─► active
//!  pending ───────────► active ──┬── expire ──► expired
//!     │                  ▲  │    └── revoke ──► revoked       (revoke leads there from every stage)
//!     │ deny        thaw │  │ freeze
//!     ▼                  │  ▼
//!   denied              frozen                               (pending and spent ones can be frozen too)
//! ```
//!
//! [`Life::after`] is the whole of it: a store keeps a life as it was read, or as a change made it, and knows no other way.

use crate::{PlaceholderState, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a placeholder ended of itself, once that is on record. What is refused is decided by the clock and the count, not by
/// this: the record follows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Its uses are gone.
    Spent,
    /// Its time is over.
    Expired,
}

impl End {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spent => "spent",
            Self::Expired => "expired",
        }
    }
}

impl std::str::FromStr for End {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::Spent, Self::Expired].into_iter().find(|one| one.as_str() == text);
        known.ok_or("not an end of a placeholder")
    }
}

/// Where a placeholder is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Waits for its approval.
    Pending,
    /// Counts.
    Active,
    /// Refused until it is thawed.
    Frozen,
    /// Its uses are gone.
    Spent,
    /// Its time is over.
    Expired,
    /// The approver said no.
    Denied,
    /// Ended by an operator, by a misuse, or with its family.
    Revoked,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Active, Self::Frozen, Self::Spent, Self::Expired, Self::Denied, Self::Revoked];

    /// The stage's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Frozen => "frozen",
            Self::Spent => "spent",
            Self::Expired => "expired",
            Self::Denied => "denied",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What changes a life. Each is a journal record: the acts of people and of misuse by the acts themselves, those of clock and
/// count by [`Change::act`] once they are observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Enough approvers signed.
    Grant,
    /// An approver said no.
    Deny,
    /// It is refused from now on.
    Freeze,
    /// It is not refused any more for having been frozen.
    Thaw,
    /// Its last use was taken.
    Spend,
    /// A use was given back: nothing of the call had been sent.
    GiveBack,
    /// Its time is over.
    Expire,
    /// It ends for good.
    Revoke,
}

impl Change {
    /// Every change.
    pub const ALL: [Self; 8] = [
        Self::Grant,
        Self::Deny,
        Self::Freeze,
        Self::Thaw,
        Self::Spend,
        Self::GiveBack,
        Self::Expire,
        Self::Revoke,
    ];

    /// What the journal calls it.
    pub const fn act(self) -> &'static str {
        match self {
            Self::Grant => "approval granted",
            Self::Deny => "approval denied",
            Self::Freeze => "placeholder frozen",
            Self::Thaw => "placeholder thawed",
            Self::Spend => "placeholder spent",
            Self::GiveBack => "placeholder has uses again",
            Self::Expire => "placeholder expired",
            Self::Revoke => "placeholder revoked",
        }
    }
}

/// A life as it is stored. Fields are private: it is read as it was stored, or made by a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    state: PlaceholderState,
    frozen: Option<Timestamp>,
    end: Option<End>,
}

impl Life {
    /// As it was stored.
    pub const fn stored(state: PlaceholderState, frozen: Option<Timestamp>, end: Option<End>) -> Self {
        Self { state, frozen, end }
    }

    /// What the approver and the operator made of it.
    pub const fn state(self) -> PlaceholderState {
        self.state
    }

    /// Since when it is frozen.
    pub const fn frozen(self) -> Option<Timestamp> {
        self.frozen
    }

    /// How it ended of itself, as far as that is on record.
    pub const fn end(self) -> Option<End> {
        self.end
    }

    /// The stage that is on record.
    pub const fn stage(self) -> Stage {
        match (self.state, self.end, self.frozen) {
            (PlaceholderState::Revoked, ..) => Stage::Revoked,
            (PlaceholderState::Denied, ..) => Stage::Denied,
            (_, Some(End::Expired), _) => Stage::Expired,
            (_, Some(End::Spent), _) => Stage::Spent,
            (_, None, Some(_)) => Stage::Frozen,
            (PlaceholderState::Pending, ..) => Stage::Pending,
            (PlaceholderState::Active, ..) => Stage::Active,
        }
    }

    /// The life after a change at this time; `None` where the change is not possible. A change that was made before changes
    /// nothing again.
    #[must_use]
    pub fn after(self, change: Change, at: Timestamp) -> Option<Self> {
        use PlaceholderState::{Active, Denied, Pending, Revoked};
        let stage = self.stage();
        let is_over = matches!(stage, Stage::Denied | Stage::Revoked | Stage::Expired);
        match change {
            Change::Revoke => Some(Self { state: Revoked, ..self }),
            _ if is_over => None,
            Change::Grant => (self.state == Pending).then_some(Self { state: Active, ..self }),
            Change::Deny => (self.state == Pending).then_some(Self { state: Denied, ..self }),
            // Freezing twice keeps the first time.
            Change::Freeze => Some(Self { frozen: self.frozen.or(Some(at)), ..self }),
            Change::Thaw => Some(Self { frozen: None, ..self }),
            Change::Expire => Some(Self { end: Some(End::Expired), ..self }),
            Change::Spend => (self.state == Active).then_some(Self { end: Some(End::Spent), ..self }),
            Change::GiveBack => (stage == Stage::Spent).then_some(Self { end: None, ..self }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const AT: Timestamp = Timestamp::from_millis(1);

    fn every_life() -> Vec<Life> {
        use PlaceholderState::{Active, Denied, Pending, Revoked};
        let states = [Pending, Active, Denied, Revoked];
        let each = |state| {
            [None, Some(AT)].into_iter().flat_map(move |frozen| {
                [None, Some(End::Spent), Some(End::Expired)].map(|end| Life::stored(state, frozen, end))
            })
        };
        states.into_iter().flat_map(each).collect()
    }

    /// The diagram at the head of this file, row by row.
    #[test]
    fn every_change_leads_where_the_diagram_says_and_nowhere_else() {
        use Change::{Deny, Expire, Freeze, Grant, Revoke, Spend, Thaw};
        let table = [
            (Stage::Pending, Grant, Stage::Active),
            (Stage::Pending, Deny, Stage::Denied),
            (Stage::Pending, Freeze, Stage::Frozen),
            (Stage::Pending, Thaw, Stage::Pending),
            (Stage::Pending, Expire, Stage::Expired),
            (Stage::Pending, Revoke, Stage::Revoked),
            (Stage::Active, Freeze, Stage::Frozen),
            (Stage::Active, Thaw, Stage::Active),
            (Stage::Active, Spend, Stage::Spent),
            (Stage::Active, Expire, Stage::Expired),
            (Stage::Active, Revoke, Stage::Revoked),
        ];
        let fresh = |stage| {
            let state =
                if stage == Stage::Pending { PlaceholderState::Pending } else { PlaceholderState::Active };
            Life::stored(state, None, None)
        };
        for stage in [Stage::Pending, Stage::Active] {
            for change in Change::ALL {
                let row = table.iter().find(|(from, with, _)| (*from, *with) == (stage, change));
                let reached = fresh(stage).after(change, AT).map(Life::stage);
                assert_eq!(reached, row.map(|(.., to)| *to), "{stage} {change:?}");
            }
        }
    }

    #[test]
    fn what_is_over_stays_over_and_only_revoking_is_left_to_do() {
        for life in every_life() {
            let over = matches!(life.stage(), Stage::Denied | Stage::Revoked | Stage::Expired);
            for change in Change::ALL {
                let next = life.after(change, AT).map(Life::stage);
                if change == Change::Revoke {
                    assert_eq!(next, Some(Stage::Revoked), "{life:?}");
                } else if over {
                    assert_eq!(next, None, "{life:?} {change:?}");
                }
            }
        }
    }

    #[test]
    fn a_frozen_life_thaws_to_what_it_was_whatever_was_decided_meanwhile() {
        let pending = Life::stored(PlaceholderState::Pending, None, None);
        let frozen = pending.after(Change::Freeze, AT).unwrap();
        assert_eq!(frozen.after(Change::Freeze, Timestamp::from_millis(9)), Some(frozen));
        assert_eq!(frozen.after(Change::Thaw, AT), Some(pending));
        let granted = frozen.after(Change::Grant, AT).unwrap();
        assert_eq!(granted.stage(), Stage::Frozen);
        assert_eq!(granted.after(Change::Thaw, AT).unwrap().stage(), Stage::Active);
        assert_eq!(frozen.after(Change::Deny, AT).unwrap().stage(), Stage::Denied);
    }

    #[test]
    fn a_spent_life_counts_again_only_where_a_use_is_given_back() {
        let active = Life::stored(PlaceholderState::Active, None, None);
        let spent = active.after(Change::Spend, AT).unwrap();
        assert_eq!(spent.after(Change::Thaw, AT).map(Life::stage), Some(Stage::Spent));
        assert_eq!(spent.after(Change::Grant, AT), None);
        assert_eq!(spent.after(Change::GiveBack, AT), Some(active));
        assert_eq!(active.after(Change::GiveBack, AT), None);
        assert_eq!(spent.after(Change::Expire, AT).map(Life::stage), Some(Stage::Expired));
    }

    #[test]
    fn every_stage_is_reached_from_the_first_and_each_has_its_word() {
        let mut reached = BTreeSet::new();
        let mut open = vec![Life::stored(PlaceholderState::Pending, None, None)];
        while let Some(life) = open.pop() {
            if reached.insert(format!("{life:?}")) {
                open.extend(Change::ALL.into_iter().filter_map(|change| life.after(change, AT)));
            }
        }
        for stage in Stage::ALL {
            assert!(
                every_life()
                    .iter()
                    .any(|life| life.stage() == stage && reached.contains(&format!("{life:?}")))
            );
        }
        let words: BTreeSet<_> = Stage::ALL.iter().map(|stage| stage.to_string()).collect();
        assert_eq!(words.len(), Stage::ALL.len());
    }
}
