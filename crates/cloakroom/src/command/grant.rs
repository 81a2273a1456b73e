//! From the options of `credential add --grant …` and the secret to the grant that is sealed.

use crate::catalogue::Service;
use crate::cli::{AddCredential, Algorithm, GrantArguments, GrantKind, TokenKind};
use crate::failure::Failure;
use crate::secret_input;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

/// The grant as custody reads it: JSON.
pub(super) fn document(
    new: &AddCredential,
    kind: GrantKind,
    known: Option<&Service>,
    secret: &Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let options = &new.grant;
    let secret = std::str::from_utf8(secret)
        .map_err(|_| Failure::bad_input("the secret is not text").hinting("pipe in exactly the secret"))?;
    let (endpoint, grant) = match kind {
        GrantKind::RefreshToken => {
            let grant =
                json!({ "client": client(options, None)?, "refresh_token": secret, "scope": options.scope });
            (endpoint(options, known)?, json!({ "refresh-token": bare(grant) }))
        }
        GrantKind::AuthorizationCode | GrantKind::DeviceCode => {
            return Err(Failure::bad_input("a login takes no secret"));
        }
        GrantKind::ClientCredentials => {
            let secret = options.client_key_file.is_none().then_some(secret);
            let grant = json!({ "client": client(options, secret)?, "scope": options.scope });
            (endpoint(options, known)?, json!({ "client-credentials": bare(grant) }))
        }
        GrantKind::JwtBearer => {
            let grant = json!({
                "signer": signer(options, secret, options.algorithm.unwrap_or(Algorithm::Rs256)),
                "issuer": needed(options.issuer.as_ref(), "--issuer NAME")?,
                "subject": options.subject, "audience": options.audience, "scope": options.scope,
            });
            (endpoint(options, known)?, json!({ "jwt-bearer": bare(grant) }))
        }
        GrantKind::TokenExchange => {
            let grant = token_exchange(options, &new.login.resource, secret)?;
            (endpoint(options, known)?, json!({ "token-exchange": grant }))
        }
        GrantKind::GoogleServiceAccount => service_account(options, secret)?,
        GrantKind::GoogleFederation => return federation(options, secret),
        GrantKind::GithubApp => {
            let installation = needed(options.installation.as_ref(), "--installation ID")?;
            let endpoint = match &options.token_endpoint {
                Some(endpoint) => endpoint.clone(),
                None => format!("https://api.github.com/app/installations/{installation}/access_tokens"),
            };
            let permissions: Map<String, Value> = options
                .permission
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().into()))
                .collect();
            let grant = json!({
                "signer": signer(options, secret, Algorithm::Rs256),
                "app": needed(options.issuer.as_ref(), "--issuer APP_ID")?,
                "repositories": options.repository, "permissions": permissions,
            });
            (endpoint, json!({ "github-app": bare(grant) }))
        }
    };
    let prefix = known.and_then(|known| known.prefixes.first()).cloned().unwrap_or_default();
    let document = json!({ "token_endpoint": endpoint, "prefix": prefix, "grant": grant });
    serde_json::to_vec(&document).map(Zeroizing::new).map_err(|error| Failure::failed(error.to_string()))
}

fn endpoint(options: &GrantArguments, known: Option<&Service>) -> Result<String, Failure> {
    let of_service = known.and_then(|known| known.oauth.as_ref()).map(|oauth| &oauth.token);
    needed(options.token_endpoint.as_ref().or(of_service), "--token-endpoint URL").cloned()
}

pub(super) fn client(options: &GrantArguments, secret: Option<&str>) -> Result<Value, Failure> {
    let from_file = match (&options.client_secret_file, secret) {
        (Some(file), None) => {
            let bytes = secret_input::read(Some(file), "the OAuth client's secret")?;
            let text = String::from_utf8(bytes.to_vec());
            Some(text.map_err(|_| Failure::bad_input("the OAuth client's secret is not text"))?)
        }
        _ => None,
    };
    let key = match &options.client_key_file {
        Some(file) => {
            let pem = String::from_utf8(secret_input::read(Some(file), "the OAuth client's key")?.to_vec());
            let pem = pem.map_err(|_| Failure::bad_input("the OAuth client's key is not in PEM"))?;
            Some(signer(options, &pem, options.algorithm.unwrap_or(Algorithm::Rs256)))
        }
        None => None,
    };
    // Said by the option, or by the key; else the server's metadata may say it.
    let authentication = match (options.client_secret_in_body, &key) {
        (_, Some(_)) => Some("private-key-jwt"),
        (true, None) => Some("post"),
        (false, None) => None,
    };
    Ok(bare(json!({
        "id": needed(options.client_id.as_ref(), "--client-id ID")?,
        "secret": secret.or(from_file.as_deref()),
        "authentication": authentication,
        "signer": key,
    })))
}

fn signer(options: &GrantArguments, private_key: &str, algorithm: Algorithm) -> Value {
    bare(json!({ "private_key": private_key, "algorithm": algorithm.name(), "key_id": options.key_id }))
}

/// RFC 8693: the secret is the subject's token.
fn token_exchange(options: &GrantArguments, resource: &[String], subject: &str) -> Result<Value, Failure> {
    let kind = |kind: Option<TokenKind>| kind.unwrap_or(TokenKind::AccessToken).name();
    let actor = match &options.actor_token_file {
        Some(file) => {
            let token = String::from_utf8(secret_input::read(Some(file), "the actor's token")?.to_vec());
            let token = token.map_err(|_| Failure::bad_input("the actor's token is not text"))?;
            Some(json!({ "token": token, "type": kind(options.actor_token_type) }))
        }
        None => None,
    };
    let client = options.client_id.as_ref().map(|_| client(options, None)).transpose()?;
    Ok(bare(json!({
        "client": client,
        "subject": { "token": subject, "type": kind(options.subject_token_type) },
        "actor": actor,
        "audience": options.audience.iter().collect::<Vec<_>>(),
        "resource": resource,
        "scope": options.scope,
    })))
}

/// The key file that Google hands out, as it is.
#[derive(Deserialize)]
struct ServiceAccount {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    token_uri: String,
}

/// The configuration of an external account, as gcloud writes it. How its programs come by a token does not matter here: the broker signs one.
#[derive(Deserialize)]
struct ExternalAccount {
    audience: String,
    token_url: String,
    service_account_impersonation_url: Option<String>,
}

fn federation(options: &GrantArguments, text: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let file: ExternalAccount = serde_json::from_str(text).map_err(|_| {
        Failure::bad_input("this is not the configuration of an external account")
            .hinting("pipe in what gcloud iam workload-identity-pools create-cred-config writes")
    })?;
    let endpoint = options.token_endpoint.as_ref().unwrap_or(&file.token_url);
    let named = options.token_endpoint.as_deref().and_then(authority);
    // SECURITY: such files are handed around. Whoever gets the broker's own token can be the credential's service account.
    let expected = |url: &String| {
        authority(url).is_some_and(|host| host.ends_with(".googleapis.com") || named == Some(host))
    };
    if !expected(endpoint) || !file.service_account_impersonation_url.as_ref().is_none_or(expected) {
        return Err(Failure::bad_input(
            "the file would send the broker's own token to somebody else than Google",
        )
        .hinting("if that is meant, name who gets it: --token-endpoint URL"));
    }
    let federation = bare(json!({
        "token_endpoint": endpoint,
        "provider": file.audience,
        "audience": options.audience,
        "scope": needed(options.scope.as_ref(), "--scope SCOPE")?,
        "impersonation": file.service_account_impersonation_url,
    }));
    let document = serde_json::to_vec(&json!({ "federation": federation }));
    document.map(Zeroizing::new).map_err(|error| Failure::failed(error.to_string()))
}

/// Host and port of an `https://` URL.
fn authority(url: &str) -> Option<&str> {
    url.strip_prefix("https://").map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default())
}

fn service_account(options: &GrantArguments, text: &str) -> Result<(String, Value), Failure> {
    let file: ServiceAccount = serde_json::from_str(text).map_err(|_| {
        Failure::bad_input("this is not the key file of a service account")
            .hinting("pipe in the JSON file with client_email, private_key and token_uri")
    })?;
    let grant = json!({
        "signer": bare(json!({ "private_key": file.private_key, "algorithm": "RS256", "key_id": file.private_key_id })),
        "issuer": file.client_email,
        "subject": options.subject,
        "scope": needed(options.scope.as_ref(), "--scope SCOPE")?,
    });
    let endpoint = options.token_endpoint.clone().unwrap_or(file.token_uri);
    Ok((endpoint, json!({ "jwt-bearer": bare(grant) })))
}

pub(super) fn needed<'o, T: ?Sized>(option: Option<&'o T>, how: &str) -> Result<&'o T, Failure> {
    option.ok_or_else(|| Failure::bad_input("the grant is not complete").hinting(format!("add {how}")))
}

/// Without the members that say nothing.
pub(super) fn bare(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}
