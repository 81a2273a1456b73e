//! `cloakroom issuer …`: the broker as issuer of OpenID Connect tokens.

use clap::{Args, Subcommand};
use std::time::Duration;

#[derive(Subcommand)]
pub(crate) enum IssuerCommand {
    /// Show the issuer's URL and keys; with --json its two public documents too
    #[command(
        after_help = "Examples:\n  cloakroom issuer show\n  cloakroom issuer show --json | jq .key_set > jwks.json"
    )]
    Show,
    /// Publish a new key, which signs after a while; the one before is published until its last token has ended
    #[command(
        after_help = "Examples:\n  cloakroom issuer rotate\n  cloakroom issuer rotate --after now\n  cloakroom issuer rotate --withdraw"
    )]
    Rotate(RotateIssuer),
}

/// Options of `issuer rotate`.
#[derive(Args)]
pub(crate) struct RotateIssuer {
    /// When the new key begins to sign: a span, or now; by then every relying party has to have read it
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = crate::span::parse_or_now)]
    pub(crate) after: Duration,
    /// Withdraw every key at once, and sign with a new one: for keys that others may have
    #[arg(long, conflicts_with = "after")]
    pub(crate) withdraw: bool,
}
