//! What people and API tokens may do on the operators' side.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// One kind of task. Whoever has any role may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the broker: credentials, workloads, placeholders, members.
    Operator,
    /// Says yes or no to what placeholders and calls may do. The role lets ask; what counts is the signature.
    Approver,
    /// Reads the record too.
    Auditor,
    /// Reads what there is.
    Reader,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Operator, Self::Approver, Self::Auditor, Self::Reader];

    /// The role's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
            Self::Reader => "reader",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|role| role.as_str() == text);
        known.ok_or("a role is operator, approver, auditor or reader")
    }
}

/// The roles of one person or API token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// All of them.
    pub fn all() -> Self {
        Role::ALL.into_iter().collect()
    }

    /// Whether this one is among them.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every one of these is among them.
    pub fn include(&self, other: &Self) -> bool {
        self.0.is_superset(&other.0)
    }

    /// These, and that one.
    #[must_use]
    pub fn and(mut self, role: Role) -> Self {
        self.0.insert(role);
        self
    }

    /// These, but for that one.
    #[must_use]
    pub fn without(mut self, role: Role) -> Self {
        self.0.remove(&role);
        self
    }

    /// Those of these that are among the others too.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).copied().collect())
    }

    /// In a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Role> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().collect())
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(Role::as_str).collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_written_as_words_and_nothing_else_is_a_role() {
        let roles: Roles = [Role::Reader, Role::Operator, Role::Reader].into_iter().collect();
        assert_eq!(serde_json::to_string(&roles).unwrap(), r#"["operator","reader"]"#);
        assert_eq!(serde_json::from_str::<Roles>(r#"["reader","operator"]"#).unwrap(), roles);
        assert_eq!(roles.to_string(), "operator, reader");
        assert!(serde_json::from_str::<Roles>(r#"["root"]"#).is_err() && "root".parse::<Role>().is_err());
        assert!(
            Roles::all().include(&roles) && !roles.include(&Roles::all()) && roles.include(&Roles::default())
        );
    }
}
