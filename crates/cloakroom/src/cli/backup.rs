//! `cloakroom backup` and `cloakroom restore`.

use clap::Args;
use cloakroom_egress::age::Recipient;
use std::path::PathBuf;

/// Options of `backup`.
#[derive(Args)]
pub(crate) struct BackupArguments {
    /// The file to write; one that is there is not overwritten
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Encrypt to this age recipient; any one of several can restore
    #[arg(long = "to", value_name = "AGE_RECIPIENT", required = true)]
    pub(crate) recipients: Vec<Recipient>,
}

/// Options of `restore`.
#[derive(Args)]
pub(crate) struct RestoreArguments {
    /// The backup
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The file with the age identity that it was encrypted to
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: PathBuf,
}
