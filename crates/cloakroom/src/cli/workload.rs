//! `cloakroom workload …`: those who may hold placeholders.

use clap::{Args, Subcommand};
use cloakroom_model::Name;
use ipnet::IpNet;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum WorkloadCommand {
    /// Add a workload; its key is printed once
    #[command(
        after_help = "Examples:\n  cloakroom workload add robot\n  cloakroom workload add robot --keep      for cloakroom run\n  cloakroom workload add robot --mtls      writes robot.crt and robot.key\n  cloakroom workload add robot --uid 1001 --from 10.1.0.0/16"
    )]
    Add(AddWorkload),
    /// List the workloads
    #[command(after_help = "Example:\n  cloakroom workload list")]
    List,
    /// Remove a workload; its key and placeholders stop at once
    #[command(after_help = "Example:\n  cloakroom workload remove robot")]
    Remove {
        /// Name or id
        name: String,
    },
}

/// Options of `workload add`.
#[derive(Args)]
pub(crate) struct AddWorkload {
    /// Your name for it
    pub(crate) name: Name,
    /// Keep the key in the data directory, for "cloakroom run"
    #[arg(long)]
    pub(crate) keep: bool,
    /// Make a certificate that it can show in TLS, and write NAME.crt and NAME.key
    #[arg(long)]
    pub(crate) mtls: bool,
    /// Where the certificate and its key are written [default: the current directory]
    #[arg(long, value_name = "DIR", requires = "mtls")]
    pub(crate) out: Option<PathBuf>,
    /// The user that it runs as on this machine, for the Unix listener
    #[arg(long, value_name = "UID")]
    pub(crate) uid: Option<u32>,
    /// A range of addresses that it calls from; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = super::parse_range)]
    pub(crate) from: Vec<IpNet>,
}
