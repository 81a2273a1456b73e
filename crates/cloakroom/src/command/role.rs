//! From the options of `credential add --assume-role …` to the role that is sealed.

use crate::cli::{Assume, RoleArguments};
use crate::failure::Failure;
use crate::secret_input;
use serde_json::{Value, json};
use std::path::Path;
use zeroize::Zeroizing;

/// The region of STS where none is named.
const REGION: &str = "us-east-1";
/// Whom AWS takes a token to be for, where nothing else was said to it.
const AUDIENCE: &str = "sts.amazonaws.com";
/// The shortest session that AWS gives, in seconds.
const SHORTEST: u64 = 900;

/// The role as custody reads it: JSON. An access key is read where it is assumed with one.
pub(super) fn document(
    options: &RoleArguments,
    role: &str,
    secret_file: Option<&Path>,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let region = options.region.as_deref().unwrap_or(REGION);
    let proof = match options.assume_with {
        Assume::WebIdentity => {
            if secret_file.is_some() {
                return Err(Failure::bad_input(
                    "a role that is assumed with the broker's own token has no secret",
                )
                .hinting("leave --secret-file out, or add --assume-with access-key"));
            }
            let audience = options.token_audience.as_deref().unwrap_or(AUDIENCE);
            json!({ "web-identity": { "audience": audience } })
        }
        Assume::AccessKey => {
            let key = secret_input::read(secret_file, "the access key")?;
            let key = std::str::from_utf8(&key)
                .map_err(|_| Failure::bad_input("the access key is not text").hinting("see docs/aws.md"))?;
            json!({ "access-key": { "key": key } })
        }
    };
    let narrowing: Value = match &options.session_policy {
        Some(file) => json!({ "policy": policy(file)? }),
        None if options.whole_role => "whole".into(),
        None => "permit".into(),
    };
    let mut document = json!({
        "endpoint": options.sts_endpoint.clone().unwrap_or_else(|| default_endpoint(region)),
        "role": role,
        "region": region,
        "seconds": options.session.map_or(SHORTEST, |span| span.as_secs()),
        "proof": proof,
        "narrowing": narrowing,
    });
    if let Some(id) = &options.external_id {
        document["external_id"] = id.as_str().into();
    }
    serde_json::to_vec(&document).map(Zeroizing::new).map_err(|error| Failure::failed(error.to_string()))
}

/// The policy in the fewest characters: AWS takes 2048.
fn policy(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file("read", file, &error))?;
    let policy: Value = serde_json::from_str(&text).map_err(|_| {
        Failure::bad_input(format!("{} is no policy in JSON", file.display()))
            .hinting("a session policy has the members Version and Statement")
    })?;
    Ok(policy.to_string())
}

/// SPEC: AWS STS, "Regions and endpoints".
fn default_endpoint(region: &str) -> String {
    let end = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://sts.{region}.{end}/")
}
