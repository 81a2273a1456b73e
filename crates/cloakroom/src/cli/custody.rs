//! `cloakroom custody …`: the root key that everything is sealed under.

use clap::{Args, Subcommand};
use cloakroom_egress::age::Recipient;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum CustodyCommand {
    /// Show whether secrets open, who wraps the root key, and which of its versions are in use
    #[command(after_help = "Example:\n  cloakroom custody status")]
    Status,
    /// Make shares of the key that wraps the root key: any so many of them unseal together, fewer open nothing
    #[command(
        after_help = "Examples:\n  cloakroom custody init --shares 5 --threshold 3\n  cloakroom custody init --shares 5 --threshold 3 --to age1… --to age1… --to age1… --to age1… --to age1… --out shares\n\nNo broker runs on the data directory meanwhile. Each share is shown once."
    )]
    Init(InitCustody),
    /// Make another version of the root key: what is sealed from now on is sealed under it
    #[command(after_help = "Example:\n  cloakroom custody rotate-kek && cloakroom custody rewrap")]
    RotateKek,
    /// Bring everything under the current root key while calls go on, then destroy the older ones
    #[command(
        after_help = "Example:\n  cloakroom custody rewrap\n\nWhat is cut off goes on when the broker starts, or when this is run again."
    )]
    Rewrap,
    /// Wipe every root key and every secret from memory at once; nothing opens until you unseal
    #[command(after_help = "Example:\n  cloakroom custody seal")]
    Seal,
    /// Unseal: bring a passphrase or a share, where one is wanted, or let the provider be asked again
    #[command(
        after_help = "Examples:\n  cloakroom custody unseal\n  cloakroom custody unseal < share\n  cloakroom custody unseal --file share"
    )]
    Unseal(UnsealCustody),
}

/// Options of `custody init`.
#[derive(Args)]
pub(crate) struct InitCustody {
    /// How many shares are made
    #[arg(long, value_name = "N")]
    pub(crate) shares: u8,
    /// How many of them are needed together: at least 2
    #[arg(long, value_name = "K")]
    pub(crate) threshold: u8,
    /// Encrypt a share to this age recipient, the first share to the first; as many as there are shares
    #[arg(long = "to", value_name = "AGE_RECIPIENT", requires = "out")]
    pub(crate) recipients: Vec<Recipient>,
    /// Write the encrypted shares into this directory: share-1.age, share-2.age, …
    #[arg(long, value_name = "DIR", requires = "recipients")]
    pub(crate) out: Option<PathBuf>,
    /// The passphrase of a data directory that was made with one
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// Options of `custody unseal`.
#[derive(Args)]
pub(crate) struct UnsealCustody {
    /// Read the passphrase or the share from this file instead of stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}
