//! The options of a login: `credential add` without a secret, and `credential login`.

use super::parse_setting;
use clap::Args;

/// How a person logs in, where the secret is what comes of that.
#[derive(Args)]
pub(crate) struct LoginArguments {
    /// Log in by a code that is typed in anywhere, instead of by a browser here (RFC 8628)
    #[arg(long, conflicts_with_all = ["kind", "from", "secret_file"])]
    pub(crate) device: bool,
    /// Where the browser is sent to log in [default: what is known of the preset's service, or of the issuer]
    #[arg(long, value_name = "URL", requires = "how")]
    pub(crate) authorization_endpoint: Option<String>,
    /// Where a device code is asked for [default: what is known of the preset's service, or of the issuer]
    #[arg(long, value_name = "URL", requires = "how")]
    pub(crate) device_endpoint: Option<String>,
    /// Where the grant is revoked when the credential is removed [default: what is known of the preset's service, or of the issuer]
    #[arg(long, value_name = "URL", requires = "how")]
    pub(crate) revocation_endpoint: Option<String>,
    /// What the access token is for (RFC 8707); may be repeated
    #[arg(long, value_name = "URL", requires = "how")]
    pub(crate) resource: Vec<String>,
    /// A further parameter of the authorization request, such as prompt=consent; may be repeated
    #[arg(long, value_name = "NAME=VALUE", requires = "how", value_parser = parse_setting)]
    pub(crate) parameter: Vec<(String, String)>,
    /// Refuse access tokens that are not bound to a key of the broker's (DPoP, RFC 9449) [default: bound where the metadata offer it]
    #[arg(long, requires = "how")]
    pub(crate) bound: bool,
    #[command(flatten)]
    pub(crate) redirect: RedirectArguments,
}

/// Where the authorization server sends the browser back to.
#[derive(Args)]
pub(crate) struct RedirectArguments {
    /// Where the browser is sent back to: "loopback" for a port of this command, or the URL that is registered
    /// [default: the console's /oauth/callback]
    #[arg(long, value_name = "WHERE")]
    pub(crate) redirect: Option<String>,
}

/// `credential login`.
#[derive(Args)]
pub(crate) struct LoginAgainArguments {
    /// Name or id
    pub(crate) name: String,
    /// Log in by a code that is typed in anywhere, instead of by a browser here (RFC 8628)
    #[arg(long)]
    pub(crate) device: bool,
    #[command(flatten)]
    pub(crate) redirect: RedirectArguments,
}
