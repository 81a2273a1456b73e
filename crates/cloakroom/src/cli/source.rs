//! The options of `credential add --from …`: where a secret is read that lives elsewhere.

use clap::Args;

/// Where the secret is read, where it is not deposited itself.
#[derive(Args)]
pub(crate) struct SourceArguments {
    /// The secret lives elsewhere: the broker reads it there. What lets the broker in is the secret on stdin
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["kind", "grant"])]
    pub(crate) from: Option<SourceKind>,
    /// The server's URL: https, its host, and its port where that is not 443
    #[arg(long, value_name = "URL", requires = "from")]
    pub(crate) server: Option<String>,
    /// The server's namespace
    #[arg(long, value_name = "PATH", requires = "from")]
    pub(crate) namespace: Option<String>,
    /// How the broker logs in [default: token]
    #[arg(long, requires = "from")]
    pub(crate) login: Option<LoginKind>,
    /// Where that way of logging in is mounted [default: its name]
    #[arg(long, value_name = "PATH", requires = "from")]
    pub(crate) login_mount: Option<String>,
    /// Who the broker is: the AppRole's id, or the role of a JWT
    #[arg(long, value_name = "ROLE", requires = "from")]
    pub(crate) role: Option<String>,
    /// Where the key-value store is mounted [default: secret]
    #[arg(long, value_name = "PATH", requires = "from")]
    pub(crate) mount: Option<String>,
    /// Where the secret is
    #[arg(long, value_name = "PATH", requires = "from")]
    pub(crate) path: Option<String>,
    /// Which field of it
    #[arg(long, value_name = "NAME", requires = "from")]
    pub(crate) field: Option<String>,
    /// This version of it and no other [default: the newest]
    #[arg(long, value_name = "NUMBER", requires = "from")]
    pub(crate) secret_version: Option<u64>,
    /// Read it again after this time [default: 5m]
    #[arg(long, value_name = "SPAN", requires = "from", value_parser = crate::span::parse)]
    pub(crate) reread: Option<std::time::Duration>,
}

/// Where secrets live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SourceKind {
    /// A field of a secret in Vault's or OpenBao's key-value store, version 2.
    VaultKv,
}

/// How the broker logs in at Vault or OpenBao.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LoginKind {
    /// With a login token: the secret.
    Token,
    /// As an AppRole: the secret is a secret id.
    Approle,
    /// With a JWT: the secret.
    Jwt,
}
