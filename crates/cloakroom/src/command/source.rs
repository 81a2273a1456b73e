//! From the options of `credential add --from …` and what lets the broker in to the source that is sealed.

use crate::catalogue::Service;
use crate::cli::{LoginKind, SourceArguments, SourceKind};
use crate::failure::Failure;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The source as custody reads it: JSON.
pub(super) fn document(
    options: &SourceArguments,
    kind: SourceKind,
    known: Option<&Service>,
    secret: &Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let secret = std::str::from_utf8(secret)
        .map_err(|_| Failure::bad_input("the secret is not text").hinting("pipe in exactly the secret"))?;
    let from = match kind {
        SourceKind::VaultKv => json!({ "vault-kv": bare(json!({
            "access": access(options, secret)?,
            "mount": options.mount.as_deref().unwrap_or("secret"),
            "path": needed(options.path.as_ref(), "--path PATH")?,
            "field": needed(options.field.as_ref(), "--field NAME")?,
            "version": options.secret_version,
        })) }),
        SourceKind::VaultLease => json!({ "vault-lease": bare(json!({
            "access": access(options, secret)?,
            "path": needed(options.path.as_ref(), "--path PATH")?,
            "field": needed(options.field.as_ref(), "--field NAME")?,
            "user_field": options.user_field,
        })) }),
        SourceKind::File => json!({ "file": bare(json!({
            "path": needed(options.path.as_ref(), "--path FILE")?,
            "field": options.field,
        })) }),
        SourceKind::AwsSecretsManager => json!({ "aws-secrets-manager": bare(json!({
            "key": secret,
            "region": needed(options.aws_region.as_ref(), "--aws-region REGION")?,
            "server": options.server,
            "secret": needed(options.path.as_ref(), "--path NAME")?,
            "stage": options.stage,
            "field": options.field,
        })) }),
    };
    let prefix = known.and_then(|known| known.prefixes.first()).cloned().unwrap_or_default();
    let reread = options.reread.map(|span| span.as_secs());
    let document = bare(json!({ "prefix": prefix, "reread": reread, "from": from }));
    serde_json::to_vec(&document).map(Zeroizing::new).map_err(|error| Failure::failed(error.to_string()))
}

fn access(options: &SourceArguments, secret: &str) -> Result<Value, Failure> {
    let login = match options.login.unwrap_or(LoginKind::Token) {
        LoginKind::Token => json!({ "token": { "token": secret } }),
        LoginKind::Approle => json!({ "app-role": {
            "mount": options.login_mount.as_deref().unwrap_or("approle"),
            "role_id": needed(options.login_role.as_ref(), "--login-role ROLE_ID")?,
            "secret_id": secret,
        } }),
        LoginKind::Jwt if options.jwt_file.is_some() => json!({ "jwt-file": {
            "mount": options.login_mount.as_deref().unwrap_or("jwt"),
            "role": needed(options.login_role.as_ref(), "--login-role NAME")?,
            "path": options.jwt_file,
        } }),
        LoginKind::Jwt => json!({ "jwt": {
            "mount": options.login_mount.as_deref().unwrap_or("jwt"),
            "role": needed(options.login_role.as_ref(), "--login-role NAME")?,
            "jwt": secret,
        } }),
        LoginKind::Cert => json!({ "certificate": bare(json!({
            "mount": options.login_mount.as_deref().unwrap_or("cert"),
            "role": options.login_role,
            "pem": secret,
        })) }),
    };
    let server = needed(options.server.as_ref(), "--server https://HOST")?;
    Ok(bare(json!({ "server": server, "namespace": options.namespace, "login": login })))
}

fn needed<'o, T: ?Sized>(option: Option<&'o T>, how: &str) -> Result<&'o T, Failure> {
    option.ok_or_else(|| Failure::bad_input("the source is not complete").hinting(format!("add {how}")))
}

/// Without the members that say nothing.
fn bare(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}
