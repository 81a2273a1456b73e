//! `[console.single-sign-on]`: the provider by which people log in, as written and as meant.

use crate::failure::Failure;
use cloakroom_admin::SingleSignOn;
use cloakroom_egress::login::Provider;
use cloakroom_model::{Name, Role, Roles};
use serde::Deserialize;
use std::collections::BTreeMap;

/// As written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SignOn {
    issuer: String,
    client_id: String,
    client_secret: Option<Name>,
    #[serde(default)]
    scopes: Vec<String>,
    groups: Option<String>,
    #[serde(default)]
    roles: BTreeMap<String, Roles>,
}

impl SignOn {
    /// What is meant, where it goes together.
    pub(super) fn setting(self) -> Result<SingleSignOn, Failure> {
        let wrong = |why: &str, hint: &str| {
            Err(Failure::bad_input(format!("[console.single-sign-on] {why}")).hinting(hint.to_owned()))
        };
        let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        // OpenID Connect Core 1.0, section 2: no query, no fragment. Compared to the letter.
        let is_issuer = self
            .issuer
            .strip_prefix("https://")
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        if !is_issuer || !word(&self.issuer) || self.issuer.contains(['?', '#', '@']) {
            return wrong(
                "issuer is no https:// URL",
                "write issuer = \"https://id.example.com\", as the provider writes it",
            );
        }
        if !word(&self.client_id) || !self.scopes.iter().all(|scope| word(scope)) {
            return wrong("client-id or a scope is empty or has blanks", "write client-id = \"cloakroom\"");
        }
        if self.groups.is_some() == self.roles.is_empty() {
            return wrong(
                "groups and roles go together",
                "name the claim and what its groups may do, or neither",
            );
        }
        if self.roles.values().any(|roles| roles.is_empty() || roles.has(Role::Approver)) {
            return wrong(
                "roles: a group is operator, auditor or reader",
                "to approve takes a passkey: cloakroom approver enrol NAME --passkey",
            );
        }
        let Self { issuer, client_id, client_secret, scopes, groups, roles } = self;
        Ok(SingleSignOn::new(Provider { issuer, client_id, scopes, groups }, client_secret, roles))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_named_to_the_letter_and_no_group_approves() {
        let good = "issuer = \"https://id.example.com\"\nclient-id = \"cloakroom\"\nscopes = [\"groups\"]\ngroups = \"groups\"\nroles = { admins = [\"operator\"] }";
        let fine = |text: &str| toml::from_str::<SignOn>(text).is_ok_and(|written| written.setting().is_ok());
        assert!(fine(good));
        assert!(fine(
            "issuer = \"https://id.example.com/realms/a\"\nclient-id = \"c\"\nclient-secret = \"sso\""
        ));
        for (part, other) in [
            ("https://id", "http://id"),
            ("https://id.example.com", "https://"),
            ("https://id.example.com", "https:///x"),
            (".com\"", ".com?a\""),
            (".com\"", ".com/#\""),
            ("https://id", "https://u@id"),
            ("\"cloakroom\"", "\"\""),
            ("[\"groups\"]", "[\"a b\"]"),
            ("groups = \"groups\"", ""),
            ("{ admins = [\"operator\"] }", "{}"),
            ("[\"operator\"]", "[\"approver\"]"),
            ("[\"operator\"]", "[]"),
            ("[\"operator\"]", "[\"root\"]"),
            ("client-id", "client_id"),
        ] {
            let text = good.replacen(part, other, 1);
            assert!(text != good && !fine(&text), "{part} {other}");
        }
    }
}
