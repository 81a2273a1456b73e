//! What a route asks of its caller: one word in the table of routes, and here what it means.

use super::Caller;
use crate::{Problem, ProblemCode};
use cloakroom_model::Role;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whoever has any role.
    Read,
    /// Whoever may see what workloads wrote and what is on record.
    Inspect,
    /// Approvers. What counts is the signature in the request.
    Approve,
    /// Approvers and operators: to end what was granted is never wrong to ask.
    Withdraw,
    /// Operators.
    Operate,
    /// Operators that are people and are so here: neither an API token nor a provider's group makes anybody who outlives it.
    People,
    /// Whoever has any role, for what is their own; the handler looks whose it is.
    Own,
    /// Whoever is at the admin socket or on the operators' link.
    Local,
}

impl Access {
    /// Lets the caller past, or says what is missing.
    pub(crate) fn require(self, caller: &Caller) -> Result<(), Problem> {
        if self.admits(caller) {
            return Ok(());
        }
        let detail = match self {
            Self::People if caller.has(Role::Operator) && caller.is_by_groups() => {
                "whom a provider's group makes an operator may not do this; an operator whom somebody here made may"
            }
            Self::People if caller.has(Role::Operator) => "an API token may not do this; a person may",
            Self::Local => "this is done at the broker's own machine",
            _ => "the role for this is missing",
        };
        let hint = match self {
            Self::Local => "run the command there: cloakroom --help".to_owned(),
            _ => format!(
                "it takes: {}",
                self.roles().iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" or ")
            ),
        };
        Err(Problem::new(ProblemCode::RoleMissing, detail).hinting(hint))
    }

    /// Who that is, for the document.
    pub(crate) fn words(self) -> String {
        let roles = self.roles().iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
        match self {
            Self::People => format!("{roles}, no API token, and nobody by a provider's group"),
            Self::Own => format!("{roles}; but for operators only what is their own"),
            Self::Local => "whoever is at the admin socket".to_owned(),
            _ => roles,
        }
    }

    fn admits(self, caller: &Caller) -> bool {
        let has_one = self.roles().iter().any(|role| caller.has(*role));
        match self {
            Self::Local => caller.is_local(),
            Self::People => has_one && !caller.is_api_token() && !caller.is_by_groups(),
            _ => has_one,
        }
    }

    fn roles(self) -> &'static [Role] {
        use Role::{Approver, Auditor, Operator};
        match self {
            Self::Read | Self::Own => &Role::ALL,
            Self::Inspect => &[Operator, Approver, Auditor],
            Self::Approve => &[Approver],
            Self::Withdraw => &[Operator, Approver],
            Self::Operate | Self::People | Self::Local => &[Operator],
        }
    }
}
