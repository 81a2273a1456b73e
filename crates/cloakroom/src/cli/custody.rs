//! `cloakroom custody …`: the root key that everything is sealed under.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum CustodyCommand {
    /// Show whether secrets open, who wraps the root key, and which of its versions are in use
    #[command(after_help = "Example:\n  cloakroom custody status")]
    Status,
    /// Wipe every root key and every secret from memory at once; nothing opens until you unseal
    #[command(after_help = "Example:\n  cloakroom custody seal")]
    Seal,
    /// Unseal: bring a passphrase or a share, where one is wanted, or let the provider be asked again
    #[command(
        after_help = "Examples:\n  cloakroom custody unseal\n  cloakroom custody unseal < share\n  cloakroom custody unseal --file share"
    )]
    Unseal(UnsealCustody),
}

/// Options of `custody unseal`.
#[derive(Args)]
pub(crate) struct UnsealCustody {
    /// Read the passphrase or the share from this file instead of stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}
