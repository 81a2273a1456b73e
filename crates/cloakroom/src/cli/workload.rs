//! `cloakroom workload …`: those who may hold placeholders.

use clap::{Args, Subcommand};
use cloakroom_model::{Cid, Name};
use ipnet::IpNet;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum WorkloadCommand {
    /// Add a workload; its key is printed once
    #[command(
        after_help = "Examples:\n  cloakroom workload add robot\n  cloakroom workload add robot --keep      for cloakroom run\n  cloakroom workload add robot --mtls      writes robot.crt and robot.key\n  cloakroom workload add robot --uid 1001 --from 10.1.0.0/16\n  cloakroom workload add robot --cid 3     the virtual machine 3 of the host's vsock"
    )]
    Add(AddWorkload),
    /// Begin a boot of a workload's virtual machine: print its nonce, once; the former one stops
    #[command(
        after_help = "Example:\n  cloakroom workload boot robot    before its machine is started again"
    )]
    Boot {
        /// Name or id
        name: String,
    },
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
    /// The virtual machine that it is in, for the vsock listener; the nonce of its boot is printed once
    #[arg(long, value_name = "CID")]
    pub(crate) cid: Option<Cid>,
    /// A range of addresses that it calls from; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = super::parse_range)]
    pub(crate) from: Vec<IpNet>,
}
