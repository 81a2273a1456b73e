//! What an authorization server says of itself (RFC 8414; OpenID Connect Discovery 1.0).

use super::{LoginCode, LoginError};
use crate::mint::ask::{Asker, ask, endpoint, fields, head};
use crate::upstream::Upstream;
use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;

/// What is taken of the metadata.
#[derive(Default, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    #[serde(default)]
    pub(super) authorization_endpoint: Option<String>,
    #[serde(default)]
    pub(super) token_endpoint: Option<String>,
    #[serde(default)]
    pub(super) device_authorization_endpoint: Option<String>,
    #[serde(default)]
    pub(super) revocation_endpoint: Option<String>,
    #[serde(default)]
    pub(super) jwks_uri: Option<String>,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    dpop_signing_alg_values_supported: Option<Vec<String>>,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// Asks the issuer, first as RFC 8414 says, then as OpenID Connect does.
pub(super) async fn metadata(
    issuer: &str,
    asker: Asker,
    upstream: &Upstream,
) -> Result<Metadata, LoginError> {
    let unusable = |reason| LoginError::new(LoginCode::MetadataNotUsable, reason);
    for url in well_known(issuer).ok_or(unusable("the issuer is no https:// URL, or has a query"))? {
        let (destination, path) = endpoint(&url).ok_or(unusable("the issuer cannot be asked"))?;
        let head = head(Method::GET, path, fields()).map_err(unusable)?;
        let reply = ask(upstream, asker, destination, head, Bytes::new()).await?;
        if reply.status() != StatusCode::OK {
            continue;
        }
        let metadata: Metadata = serde_json::from_slice(reply.body())
            .map_err(|_| unusable("the authorization server's metadata cannot be read"))?;
        // SECURITY: else one server could speak for another (RFC 8414, section 3.3): to the letter, as it says.
        if metadata.issuer != issuer {
            let reason = "the metadata are those of another issuer than was asked";
            return Err(LoginError::new(LoginCode::WrongIssuer, reason));
        }
        return Ok(metadata);
    }
    Err(unusable("the issuer has no metadata where RFC 8414 and OpenID Connect put them"))
}

impl Metadata {
    /// Whether it says which methods of PKCE there are, and not S256. One that says nothing may well know it.
    pub(super) fn refuses_s256(&self) -> bool {
        self.code_challenge_methods_supported.as_ref().is_some_and(|all| !all.iter().any(|one| one == "S256"))
    }

    /// Whether it binds access tokens to keys of the only kind that is made here (RFC 9449, section 5.1).
    pub(super) fn binds_access_tokens(&self) -> bool {
        self.dpop_signing_alg_values_supported
            .as_ref()
            .is_some_and(|all| all.iter().any(|one| one == "ES256"))
    }

    /// Whether the client's secret is taken in the body only (RFC 8414: Basic where nothing is said).
    pub(super) fn wants_secret_in_body(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_deref().unwrap_or_default();
        let has = |name: &str| methods.iter().any(|one| one == name);
        has("client_secret_post") && !has("client_secret_basic")
    }
}

/// RFC 8414, section 3.1 puts the words before the issuer's path, OpenID Connect after it.
fn well_known(issuer: &str) -> Option<[String; 2]> {
    let rest = issuer.strip_prefix("https://").filter(|rest| !rest.contains(['?', '#']))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/');
    let behind = if path.is_empty() { String::new() } else { format!("/{path}") };
    Some([
        format!("https://{authority}/.well-known/oauth-authorization-server{behind}"),
        format!("https://{authority}{behind}/.well-known/openid-configuration"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_words_stand_where_each_standard_puts_them() {
        let urls = |issuer| well_known(issuer).unwrap();
        let host = "https://as.example.com";
        assert_eq!(
            urls("https://as.example.com"),
            [
                format!("{host}/.well-known/oauth-authorization-server"),
                format!("{host}/.well-known/openid-configuration")
            ]
        );
        assert_eq!(
            urls("https://as.example.com/tenant/"),
            [
                format!("{host}/.well-known/oauth-authorization-server/tenant"),
                format!("{host}/tenant/.well-known/openid-configuration")
            ]
        );
        for bad in ["http://as.example.com", "https://as.example.com?x", "https://as.example.com/#x", "as"] {
            assert!(well_known(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn metadata_that_say_nothing_of_a_method_are_told_from_those_that_lack_it() {
        let read = |rest: &str| -> Metadata {
            serde_json::from_str(&format!(r#"{{"issuer":"https://a","other":1{rest}}}"#)).unwrap()
        };
        assert!(!read("").refuses_s256() && !read("").wants_secret_in_body());
        assert!(read(r#","code_challenge_methods_supported":["plain"]"#).refuses_s256());
        assert!(!read(r#","code_challenge_methods_supported":["plain","S256"]"#).refuses_s256());
        assert!(
            read(r#","token_endpoint_auth_methods_supported":["client_secret_post"]"#).wants_secret_in_body()
        );
        let both = r#","token_endpoint_auth_methods_supported":["client_secret_post","client_secret_basic"]"#;
        assert!(!read(both).wants_secret_in_body());
    }
}
