//! `cloakroom doctor` as it stands on the command line.

use clap::Args;
use std::path::PathBuf;

/// What its help ends with.
pub(super) const EXAMPLES: &str = "Examples:\n  cloakroom doctor\n  cloakroom doctor --config /etc/cloakroom/stripe.toml --json\n  cloakroom doctor --as-workload --ca cloakroom-ca.pem\n  cloakroom doctor --kernel image/vmlinux\n\nChanges nothing. Ends with 1 where something is broken.";

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
    /// Boot this kernel for a moment, with KVM and emulated, to see what runs it here
    #[arg(long, value_name = "FILE")]
    pub(crate) kernel: Option<PathBuf>,
}
