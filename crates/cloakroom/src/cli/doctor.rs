//! `cloakroom doctor` as it stands on the command line.

use clap::Args;
use std::path::PathBuf;

/// Options of `doctor`.
#[derive(Args)]
pub(crate) struct DoctorArguments {
    /// The broker's settings file: its name servers are asked instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Look from a workload's environment: programs that are started from here have to believe the authority
    #[arg(long)]
    pub(crate) as_workload: bool,
    /// The authority's certificate [default: ca.pem of the data directory, or that of "cloakroom run"]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}
