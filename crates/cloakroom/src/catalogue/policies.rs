//! Ready-made policies: small, legible starting points, with words to fill in.

use super::files::POLICIES;
use super::unknown;
use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest value of a parameter, in bytes.
const LONGEST: usize = 200;

/// One ready-made policy.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ready {
    /// The service it is for.
    pub(crate) service: String,
    /// What it allows, and what it does not.
    pub(crate) about: String,
    /// Where the service writes down these calls.
    pub(crate) source: String,
    /// The policy file; `<name>` stands for a parameter.
    pub(crate) policy: String,
    /// Each parameter, and what it is.
    #[serde(default)]
    pub(crate) parameters: BTreeMap<String, String>,
}

impl Ready {
    /// The policy file with every parameter filled in.
    pub(crate) fn filled(&self, values: &BTreeMap<String, String>) -> Result<String, Failure> {
        if let Some(stray) = values.keys().find(|key| !self.parameters.contains_key(*key)) {
            let known: Vec<&str> = self.parameters.keys().map(String::as_str).collect();
            return Err(unknown("parameter", stray, &known, "this policy takes no such parameter"));
        }
        let mut text = self.policy.clone();
        for (name, what) in &self.parameters {
            let Some(value) = values.get(name) else {
                return Err(Failure::bad_input(format!("the parameter {name:?} is missing: {what}"))
                    .hinting(format!("add --set {name}=VALUE")));
            };
            text = text.replace(&format!("<{name}>"), checked(name, value)?);
        }
        Ok(text)
    }
}

/// SECURITY: a value stands inside quotes of a policy file, in a path or in a constraint. What could end the quotes, or turn one segment
/// into a pattern or several, is refused.
fn checked<'v>(name: &str, value: &'v str) -> Result<&'v str, Failure> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@+ ".contains(&byte);
    let fine = (1..=LONGEST).contains(&value.len())
        && value.bytes().all(plain)
        && !matches!(value, "." | "..")
        && value.trim() == value;
    if fine {
        return Ok(value);
    }
    Err(Failure::bad_input(format!("{name:?} cannot be {value:?}"))
        .hinting("use letters, digits and - _ . @ +, or write the policy file by hand"))
}

/// The ready-made policy of this name.
pub(crate) fn ready(name: &str) -> Result<Ready, Failure> {
    let Some((known, text)) = POLICIES.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = ready_made().collect();
        return Err(unknown("ready-made policy", name, &names, "see \"cloakroom catalogue list\""));
    };
    toml::from_str(text)
        .map_err(|error| Failure::failed(format!("catalogue/policies/{known}.toml: {}", error.message())))
}

/// The names of all ready-made policies, sorted.
pub(crate) fn ready_made() -> impl Iterator<Item = &'static str> {
    POLICIES.iter().map(|(name, _)| *name)
}
