//! An AWS role that the broker assumes: as whom it asks, and how much of the role a session gets.
//!
//! ```text
//!  the broker's own token, or an access key ─► AWS STS ─► keys of one session, in memory, for one permit of one placeholder
//! ```

mod sessions;
mod sts;

pub(crate) use sessions::{Asking, Sessions, Whose};
pub(super) use sts::seconds_of;

use super::ask;
use crate::custody::AccessKey;
use serde::{Deserialize, Serialize};

/// The longest inline session policy that AWS STS takes, in characters.
const LONGEST_POLICY: usize = 2048;

/// A role, as it is deposited and sealed.
///
/// SECURITY: neither `Clone` nor `Debug`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Role {
    /// Where STS answers.
    endpoint: String,
    /// The role's ARN.
    role: String,
    /// The region of the endpoint, for the signature.
    region: String,
    /// How long a session lives, in seconds.
    seconds: u32,
    /// As whom the broker asks.
    proof: Proof,
    /// How much of the role a session gets.
    #[serde(default)]
    narrowing: Narrowing,
    /// What the role's trust policy may demand of callers of another account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
}

/// What a session gets of a role, as approvers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleSession {
    /// What follows from the permit.
    Permit,
    /// All of it.
    Whole,
    /// What this policy leaves of it: JSON, as it was deposited.
    Policy(String),
}

/// As whom the broker asks.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Proof {
    /// Itself, with a token of its own: `AssumeRoleWithWebIdentity`.
    WebIdentity {
        /// For whom the token is.
        audience: String,
    },
    /// The holder of an access key: `AssumeRole`.
    AccessKey {
        /// As AWS hands it out.
        key: String,
    },
}

/// How much of the role a session gets.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Narrowing {
    /// What follows from the permit; a permit from which nothing follows has no session.
    #[default]
    Permit,
    /// All of it.
    Whole,
    /// What this policy leaves of it.
    Policy(String),
}

impl Role {
    /// Reads and checks what was deposited.
    ///
    /// # Errors
    /// One sentence, which holds nothing of it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() > super::recipe::LONGEST {
            return Err("the role is longer than 16 KiB");
        }
        let role: Self =
            serde_json::from_slice(bytes).map_err(|_| "the role is not complete or not of a known form")?;
        role.check()?;
        Ok(role)
    }

    /// As it is sealed.
    pub(crate) fn write(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// What placeholders for it are made like: the key id of a session.
    pub(crate) fn likeness() -> String {
        format!("ASIA{}", "A".repeat(16))
    }

    /// The same with another access key: what `credential rotate` deposits. `None` where there is none.
    pub(crate) fn with_key(mut self, fresh: &str) -> Option<Self> {
        let Proof::AccessKey { key } = &mut self.proof else { return None };
        fresh.clone_into(key);
        Some(self)
    }

    /// What may be said of it: its ARN, and what a session gets of it.
    pub(crate) fn describe(&self) -> (String, RoleSession) {
        let session = match &self.narrowing {
            Narrowing::Permit => RoleSession::Permit,
            Narrowing::Whole => RoleSession::Whole,
            Narrowing::Policy(policy) => RoleSession::Policy(policy.clone()),
        };
        (self.role.clone(), session)
    }

    fn check(&self) -> Result<(), &'static str> {
        ask::endpoint(&self.endpoint).ok_or("the STS endpoint is no https:// URL with a host and a path")?;
        let arn = self.role.starts_with("arn:") && self.role.len() <= 2048 && is_word(&self.role);
        arn.then_some(()).ok_or("a role is named by its ARN: arn:aws:iam::ACCOUNT:role/NAME")?;
        let region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let plain = !self.region.is_empty() && self.region.bytes().all(region);
        plain.then_some(()).ok_or("a region is named like eu-west-1")?;
        let fits = (900..=43_200).contains(&self.seconds);
        fits.then_some(()).ok_or("a session lives for 15 minutes to 12 hours")?;
        let external =
            self.external_id.as_deref().is_none_or(|id| (2..=1224).contains(&id.len()) && is_word(id));
        external.then_some(()).ok_or("an external id has 2 to 1224 characters and no spaces")?;
        match &self.proof {
            Proof::WebIdentity { audience } if is_word(audience) => {}
            Proof::WebIdentity { .. } => return Err("the token's audience is missing"),
            Proof::AccessKey { key } => drop(AccessKey::deposited(key.as_bytes())?),
        }
        let Narrowing::Policy(policy) = &self.narrowing else { return Ok(()) };
        let is_object =
            serde_json::from_str::<serde_json::Value>(policy).is_ok_and(|policy| policy.is_object());
        (is_object && policy.len() <= LONGEST_POLICY)
            .then_some(())
            .ok_or("a session policy is a JSON object of at most 2048 characters")
    }
}

/// Printable, and without blanks.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

    fn role() -> serde_json::Value {
        serde_json::json!({
            "endpoint": "https://sts.eu-west-1.amazonaws.com/", "role": "arn:aws:iam::1:role/backup",
            "region": "eu-west-1", "seconds": 900, "proof": { "web-identity": { "audience": "sts.amazonaws.com" } },
        })
    }

    #[test]
    fn a_role_one_step_wrong_is_refused_in_words_that_do_not_repeat_it() {
        let read = |value: &serde_json::Value| Role::read(value.to_string().as_bytes()).map(|_| ());
        assert_eq!(read(&role()), Ok(()));
        let key = format!("aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {CANARY}");
        for (member, good, bad) in [
            (
                "endpoint",
                serde_json::json!("https://sts.amazonaws.com/"),
                serde_json::json!("http://sts.amazonaws.com/"),
            ),
            ("endpoint", "https://127.0.0.1:1/".into(), "https://sts.amazonaws.com".into()),
            ("role", "arn:aws-cn:iam::1:role/x".into(), "backup".into()),
            ("role", "arn:aws:iam::1:role/x".into(), "arn:aws:iam::1:role/a b".into()),
            ("region", "us-gov-west-1".into(), "eu/west".into()),
            ("seconds", 43_200.into(), 43_201.into()),
            ("seconds", 900.into(), 899.into()),
            ("external_id", "ab".into(), "a".into()),
            ("narrowing", "whole".into(), "everything".into()),
            ("narrowing", serde_json::json!({"policy": "{}"}), serde_json::json!({"policy": "[]"})),
            (
                "narrowing",
                "permit".into(),
                serde_json::json!({"policy": format!("{{\"x\":\"{}\"}}", "x".repeat(2048))}),
            ),
            (
                "proof",
                serde_json::json!({"access-key": {"key": key}}),
                serde_json::json!({"access-key": {"key": CANARY}}),
            ),
            (
                "proof",
                serde_json::json!({"web-identity": {"audience": "a"}}),
                serde_json::json!({"web-identity": {"audience": ""}}),
            ),
        ] {
            let (mut value, mut wrong) = (role(), role());
            value[member] = good;
            wrong[member] = bad;
            assert_eq!(read(&value), Ok(()), "{value}");
            let error = read(&wrong).unwrap_err();
            assert!(!error.contains(CANARY), "{error}");
        }
        let mut more = role();
        more["more"] = 1.into();
        assert!(read(&more).is_err());
    }

    #[test]
    fn a_rotated_key_replaces_a_key_and_nothing_else() {
        let of = |value: serde_json::Value| Role::read(value.to_string().as_bytes()).unwrap();
        assert!(of(role()).with_key("x").is_none(), "the broker's own token is not rotated here");
        let key = |secret: &str| {
            format!("aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {secret}")
        };
        let mut value = role();
        value["proof"] = serde_json::json!({"access-key": {"key": key("another-secret")}});
        let rotated = of(value).with_key(&key(CANARY)).unwrap().write().unwrap();
        assert!(String::from_utf8(rotated).unwrap().contains(CANARY));
    }
}
