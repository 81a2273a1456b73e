//! The access token of a GitHub App's installation, narrowed: to what was deposited with the grant, and to what the policy needs.

use super::recipe::Grant;
use bytes::Bytes;
use cloakroom_policy::{Access, Narrowing};
use serde_json::json;
use std::collections::BTreeMap;

impl Grant {
    /// Whether what is asked for can follow the policy: an installation gives as many access tokens as are wanted, each narrowed on its own.
    pub(super) fn is_narrowable(&self) -> bool {
        matches!(self, Self::GithubApp { .. })
    }
}

/// What is asked for: no more than the operator deposited, and no more than the policy needs where that is known.
///
/// # Errors
/// Where nothing is left: without any repository named, GitHub would give all.
pub(super) fn narrowed(
    repositories: &[String],
    permissions: &BTreeMap<String, String>,
    narrowing: Option<&Narrowing>,
) -> Result<Bytes, &'static str> {
    let mut body = json!({});
    let repositories = match narrowing {
        None => repositories.to_vec(),
        Some(needed) => {
            let listed = |name: &&String| {
                repositories.is_empty() || repositories.iter().any(|own| own.eq_ignore_ascii_case(name))
            };
            let both: Vec<String> = needed.repositories.iter().filter(listed).cloned().collect();
            if both.is_empty() {
                return Err("the policy needs none of the repositories that the grant was narrowed to");
            }
            both
        }
    };
    if !repositories.is_empty() {
        body["repositories"] = json!(repositories);
    }
    let permissions = match narrowing.and_then(|needed| needed.permissions.as_ref()) {
        None => permissions.clone(),
        Some(needed) => {
            let both: BTreeMap<String, String> =
                needed.iter().filter_map(|(name, access)| least(permissions, name, *access)).collect();
            if both.is_empty() {
                return Err("the policy needs none of the permissions that the grant was narrowed to");
            }
            both
        }
    };
    if !permissions.is_empty() {
        body["permissions"] = json!(permissions);
    }
    Ok(body.to_string().into())
}

/// A permission with the smaller of both accesses. Reading metadata goes with every installation.
fn least(deposited: &BTreeMap<String, String>, name: &str, needed: Access) -> Option<(String, String)> {
    let own = match deposited.get(name).map(String::as_str) {
        Some(own) => own,
        None if deposited.is_empty() || name == "metadata" => needed.as_str(),
        None => return None,
    };
    let access = if needed == Access::Read { "read" } else { own };
    Some((name.to_owned(), access.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(deposited: &[(&str, &str)], repositories: &[&str], needed: Option<Narrowing>) -> Option<String> {
        let permissions = deposited.iter().map(|(name, access)| ((*name).into(), (*access).into())).collect();
        let repositories: Vec<String> = repositories.iter().map(|name| (*name).into()).collect();
        let body = narrowed(&repositories, &permissions, needed.as_ref()).ok()?;
        String::from_utf8(body.to_vec()).ok()
    }

    fn needs(repositories: &[&str], permissions: Option<&[(&'static str, Access)]>) -> Option<Narrowing> {
        let repositories = repositories.iter().map(|name| (*name).into()).collect();
        Some(Narrowing { repositories, permissions: permissions.map(|all| all.iter().copied().collect()) })
    }

    #[test]
    fn no_more_is_asked_for_than_both_the_grant_and_the_policy_say() {
        let issues = |access| needs(&["demo"], Some(&[("issues", access)]));
        let all = [("issues", "write"), ("contents", "read")];
        for (deposited, repositories, needed, expected) in [
            (&[][..], &[][..], None, Some("{}")),
            (
                &all,
                &["demo", "other"],
                None,
                Some(
                    r#"{"permissions":{"contents":"read","issues":"write"},"repositories":["demo","other"]}"#,
                ),
            ),
            (
                &[],
                &[],
                issues(Access::Read),
                Some(r#"{"permissions":{"issues":"read"},"repositories":["demo"]}"#),
            ),
            (
                &all,
                &["Demo"],
                issues(Access::Read),
                Some(r#"{"permissions":{"issues":"read"},"repositories":["demo"]}"#),
            ),
            (
                &all,
                &[],
                needs(&["demo"], None),
                Some(r#"{"permissions":{"contents":"read","issues":"write"},"repositories":["demo"]}"#),
            ),
            (
                &all,
                &[],
                needs(&["demo"], Some(&[("contents", Access::Write)])),
                Some(r#"{"permissions":{"contents":"read"},"repositories":["demo"]}"#),
            ),
            (&all, &["other"], issues(Access::Read), None),
            (&[("contents", "read")], &[], issues(Access::Read), None),
        ] {
            // The order of members has no meaning.
            let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            let body = asked(deposited, repositories, needed.clone());
            assert_eq!(body.as_deref().map(read), expected.map(read), "{needed:?}");
        }
    }
}
