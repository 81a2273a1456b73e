//! The options of `credential add --from …`, where a secret is read that lives elsewhere; and `lease`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Where the secret is read, where it is not deposited itself.
#[derive(Args)]
pub(crate) struct SourceArguments {
    /// The secret lives elsewhere: the broker reads it there. What lets the broker in is the secret on stdin
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["kind", "grant"])]
    pub(crate) from: Option<SourceKind>,
    /// The server's URL: https, its host, and its port where that is not 443; of AWS, where it is not the region's own
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
    pub(crate) login_role: Option<String>,
    /// Read the JWT from this file on the broker's machine, anew for each login; nothing is read from stdin then
    #[arg(long, value_name = "FILE", requires = "from")]
    pub(crate) jwt_file: Option<PathBuf>,
    /// Where the key-value store is mounted [default: secret]
    #[arg(long, value_name = "PATH", requires = "from")]
    pub(crate) mount: Option<String>,
    /// Where the secret is
    #[arg(long, value_name = "PATH", requires = "from")]
    pub(crate) path: Option<String>,
    /// Which field of it
    #[arg(long, value_name = "NAME", requires = "from")]
    pub(crate) field: Option<String>,
    /// The field with the user name that goes with it, in Basic credentials
    #[arg(long, value_name = "NAME", requires = "from")]
    pub(crate) user_field: Option<String>,
    /// This version of it and no other [default: the newest]
    #[arg(long, value_name = "NUMBER", requires = "from")]
    pub(crate) secret_version: Option<u64>,
    /// The region of AWS
    #[arg(long, value_name = "REGION", requires = "from")]
    pub(crate) aws_region: Option<String>,
    /// The label of the version at AWS [default: AWSCURRENT]
    #[arg(long, value_name = "LABEL", requires = "from")]
    pub(crate) stage: Option<String>,
    /// Read it again after this time [default: 5m]
    #[arg(long, value_name = "SPAN", requires = "from", value_parser = crate::span::parse)]
    pub(crate) reread: Option<std::time::Duration>,
}

impl SourceArguments {
    /// Whether there is a secret to deposit: not where the source is a file, or what lets the broker in is.
    pub(crate) fn takes_a_secret(&self) -> bool {
        self.from != Some(SourceKind::File) && self.jwt_file.is_none()
    }
}

/// Where secrets live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SourceKind {
    /// A field of a secret in Vault's or OpenBao's key-value store, version 2.
    VaultKv,
    /// A secret that Vault or OpenBao makes for this broker alone, such as a database login.
    VaultLease,
    /// A file on the broker's machine that somebody else writes: Kubernetes, systemd.
    File,
    /// A secret of AWS Secrets Manager; the secret on stdin is an access key.
    AwsSecretsManager,
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
    /// With a certificate in the TLS handshake: the secret is the certificate and its private key, in PEM.
    Cert,
}

/// What to do about leases.
#[derive(Subcommand)]
pub(crate) enum LeaseCommand {
    /// List the leases that are not known to be gone
    #[command(after_help = "Example:\n  cloakroom lease list")]
    List,
    /// Forget a lease that you know to be gone although the source does not say so
    #[command(
        after_help = "Example:\n  cloakroom lease dismiss ls_01HF7YAT00QTXS9F8T1S4ZKZ8M\n\nThe broker does not try to end it any more. Look at the source first."
    )]
    Dismiss {
        /// The lease's id
        id: String,
    },
}
