//! The options of `credential add --grant …`: how access tokens are made.

use super::parse_setting;
use clap::{ArgGroup, Args};
use std::path::PathBuf;

/// How access tokens are made, where the secret is not placed itself.
#[derive(Args)]
#[command(group = ArgGroup::new("how").args(["grant", "client_id", "device"]).multiple(true))]
pub(crate) struct GrantArguments {
    /// The secret is a grant: the broker exchanges it for access tokens, and places those
    #[arg(long, value_name = "GRANT", conflicts_with = "kind")]
    pub(crate) grant: Option<GrantKind>,
    /// Where it is exchanged [default: what is known of the preset's service]
    #[arg(long, value_name = "URL", requires = "how")]
    pub(crate) token_endpoint: Option<String>,
    /// The OAuth client's id. Without --grant, a person logs in (authorization-code)
    #[arg(long, value_name = "ID", conflicts_with_all = ["kind", "from"])]
    pub(crate) client_id: Option<String>,
    /// Read the OAuth client's secret from this file (for refresh tokens; elsewhere it is the secret itself)
    #[arg(long, value_name = "FILE", requires = "how")]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// Send the OAuth client's secret in the body (client_secret_post) instead of as Basic credentials
    #[arg(long, requires = "how")]
    pub(crate) client_secret_in_body: bool,
    /// Read the key that the OAuth client authenticates with from this file: private_key_jwt (RFC 7523, section 2.2)
    #[arg(long, value_name = "FILE", requires = "how", conflicts_with = "client_secret_file")]
    pub(crate) client_key_file: Option<PathBuf>,
    /// The scope to ask for
    #[arg(long, requires = "how")]
    pub(crate) scope: Option<String>,
    /// The JWT's issuer, or the GitHub App's id; of a login, the authorization server that names its endpoints (RFC 8414)
    #[arg(long, value_name = "NAME", requires = "how")]
    pub(crate) issuer: Option<String>,
    /// On whose behalf: the JWT's subject
    #[arg(long, value_name = "NAME", requires = "grant")]
    pub(crate) subject: Option<String>,
    /// The JWT's audience [default: the token endpoint]; of a token exchange, what the access token is for
    #[arg(long, value_name = "URL", requires = "grant")]
    pub(crate) audience: Option<String>,
    /// What kind of token is exchanged [default: access-token]
    #[arg(long, value_name = "KIND", requires = "grant")]
    pub(crate) subject_token_type: Option<TokenKind>,
    /// Read the token of the one who acts for the subject from this file
    #[arg(long, value_name = "FILE", requires = "grant")]
    pub(crate) actor_token_file: Option<PathBuf>,
    /// What kind of token that is [default: access-token]
    #[arg(long, value_name = "KIND", requires = "actor_token_file")]
    pub(crate) actor_token_type: Option<TokenKind>,
    /// How the JWT is signed [default: RS256]
    #[arg(long, requires = "how")]
    pub(crate) algorithm: Option<Algorithm>,
    /// The signing key's id, of a grant or of a key of kind hmac or http-signature
    #[arg(long, value_name = "ID")]
    pub(crate) key_id: Option<String>,
    /// The GitHub App's installation
    #[arg(long, value_name = "ID", requires = "grant")]
    pub(crate) installation: Option<String>,
    /// Only these repositories of the installation; may be repeated
    #[arg(long, value_name = "NAME", requires = "grant")]
    pub(crate) repository: Vec<String>,
    /// Only these permissions of the installation; may be repeated
    #[arg(long, value_name = "NAME=ACCESS", requires = "grant", value_parser = parse_setting)]
    pub(crate) permission: Vec<(String, String)>,
}

/// What is exchanged for access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum GrantKind {
    /// A login with a browser (RFC 6749, section 4.1; RFC 7636); no secret is read.
    AuthorizationCode,
    /// A login by a code that is typed in anywhere (RFC 8628); no secret is read.
    DeviceCode,
    /// A refresh token (RFC 6749, section 6).
    RefreshToken,
    /// The OAuth client's own secret (RFC 6749, section 4.4).
    ClientCredentials,
    /// A private key, in PEM, that signs assertions (RFC 7523).
    JwtBearer,
    /// A token that another server issued (RFC 8693).
    TokenExchange,
    /// The key file of a Google service account.
    GoogleServiceAccount,
    /// The broker's own token, for Google's workload identity federation: the configuration file that gcloud writes, which has no secret in it.
    GoogleFederation,
    /// A GitHub App's private key, in PEM.
    GithubApp,
}

/// What kind of token is exchanged (RFC 8693, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TokenKind {
    /// An access token of that server.
    AccessToken,
    /// A refresh token of that server.
    RefreshToken,
    /// An ID token (OpenID Connect).
    IdToken,
    /// A JWT of anybody's whom the server trusts.
    Jwt,
    /// A SAML 1.1 assertion, in base64url.
    Saml1,
    /// A SAML 2.0 assertion, in base64url.
    Saml2,
}

impl TokenKind {
    /// Its name in a grant.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "access-token",
            Self::RefreshToken => "refresh-token",
            Self::IdToken => "id-token",
            Self::Jwt => "jwt",
            Self::Saml1 => "saml1",
            Self::Saml2 => "saml2",
        }
    }
}

/// How assertions are signed (RFC 7518, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[value(name = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[value(name = "ES256")]
    Es256,
    /// ECDSA on P-384 with SHA-384.
    #[value(name = "ES384")]
    Es384,
    /// Ed25519.
    #[value(name = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// Its name in a JWT.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}
