//! The options of parcels: `credential add --sealed-for`, `credential add --sealed`; and `drop-off`.

use clap::{Args, Subcommand};
use cloakroom_egress::custody::DropKey;
use std::path::PathBuf;
use std::time::Duration;

/// A secret that is sealed here and handed in elsewhere.
#[derive(Args)]
pub(crate) struct ParcelArguments {
    /// Seal the secret to this drop-off key and print it as a parcel, which only that broker opens; no broker is asked
    #[arg(long, value_name = "KEY")]
    pub(crate) sealed_for: Option<DropKey>,
    /// How long the parcel is good for, at most 90d
    #[arg(long, value_name = "SPAN", default_value = "7d", requires = "sealed_for", value_parser = crate::span::parse)]
    pub(crate) good_for: Duration,
    /// Seal only if the key belongs to a machine that runs the image with this manifest, by its evidence
    #[arg(long, value_name = "MANIFEST", requires_all = ["sealed_for", "evidence", "machine"])]
    pub(crate) image: Option<PathBuf>,
    /// What that machine says of itself: see "cloakroom drop-off evidence"
    #[arg(long, value_name = "FILE", requires = "image")]
    pub(crate) evidence: Option<PathBuf>,
    /// That machine, by the fingerprint that its operator was shown
    #[arg(long, value_name = "FINGERPRINT", requires = "image")]
    pub(crate) machine: Option<String>,
    /// Hand in this parcel: it becomes what its label says, once; - reads stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "kind", "to", "preset", "secret_file", "sealed_for", "grant", "from", "client_id", "assume_role"])]
    pub(crate) sealed: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum DropOffCommand {
    /// Show the keys that secrets are sealed to elsewhere; the first time, make one
    #[command(after_help = "Example:\n  cloakroom drop-off show")]
    Show,
    /// Have the machine's TPM vouch for the current key, and for what the machine was started with
    #[command(
        after_help = "Examples:\n  cloakroom drop-off evidence > evidence.json\n  cloakroom drop-off evidence --nonce 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
    )]
    Evidence {
        /// The question that it answers: 32 bytes in hexadecimal [default: random]
        #[arg(long, value_name = "HEX")]
        nonce: Option<String>,
    },
    /// Make a new key; the one before opens parcels for a while
    #[command(
        after_help = "Examples:\n  cloakroom drop-off rotate\n  cloakroom drop-off rotate --overlap 30d\n  cloakroom drop-off rotate --overlap now      parcels under way open no more"
    )]
    Rotate {
        /// For how long the key before opens parcels: a span, at most 90d; or now, which ends every other key
        #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = crate::span::parse_or_now)]
        overlap: Duration,
    },
}
