//! `image`: the appliance's commands.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Appliances: the broker as a virtual machine of its own.
#[derive(Subcommand)]
pub(crate) enum ImageCommand {
    /// Build a bootable image: a kernel, and this program as the only one in it
    #[command(
        after_help = "Examples:\n  cloakroom image build --out image --kernel vmlinuz-6.1 --modules lib/modules/6.1\n  cloakroom image build --out image --kernel vmlinux --settings cloakroom.toml --operator ops/operator.pem\n\nThe same inputs give the same bytes, wherever and whenever."
    )]
    Build(BuildImage),
    /// Make an operator's key, certificate and approver's key in the data directory, and say where they are
    #[command(after_help = "Example:\n  cloakroom --data ops image operator")]
    Operator,
    /// Remember a running appliance, so that commands on this data directory go there
    #[command(
        after_help = "Example:\n  cloakroom --data ops image enrol --at 127.0.0.1:8482 --console console.log\n\nWhat the appliance shows is taken from its console, which only its host can write."
    )]
    Enrol(EnrolImage),
    /// Hold the files of an image against its manifest
    #[command(
        after_help = "Examples:\n  cloakroom image verify image\n  cloakroom image verify image --evidence evidence.json --machine 5d2c…\n\nWith evidence, what a machine measured of itself is held against the manifest; then only manifest.json need be there."
    )]
    Verify {
        /// The image
        #[arg(value_name = "DIR")]
        image: PathBuf,
        /// What a machine says of itself: see "cloakroom drop-off evidence"
        #[arg(long, value_name = "FILE", requires = "machine")]
        evidence: Option<PathBuf>,
        /// The machine, by the fingerprint that its operator was shown
        #[arg(long, value_name = "FINGERPRINT", requires = "evidence")]
        machine: Option<String>,
        /// The question that it was asked, in hexadecimal
        #[arg(long, value_name = "HEX", requires = "evidence")]
        nonce: Option<String>,
    },
}

/// Options of `image build`.
#[derive(Args)]
pub(crate) struct BuildImage {
    /// Where the image is written: a directory that does not exist or is empty
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The kernel: an uncompressed vmlinux, or a distribution's vmlinuz
    #[arg(long, value_name = "FILE")]
    pub(crate) kernel: PathBuf,
    /// The kernel's modules, where its drivers for virtual machines are modules
    #[arg(long, value_name = "DIR")]
    pub(crate) modules: Option<PathBuf>,
    /// The statically linked program [default: the one that runs now]
    #[arg(long, value_name = "FILE")]
    pub(crate) executable: Option<PathBuf>,
    /// The broker's settings (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// Certificates of those who may operate it [default: operator.pem of the data directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) operator: Option<PathBuf>,
    /// Public keys of the first approvers [default: approver.pub of the data directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) approver: Option<PathBuf>,
    /// Certificate authorities that destinations are verified by [default: this machine's]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
}

/// Options of `image enrol`.
#[derive(Args)]
pub(crate) struct EnrolImage {
    /// Where its operators' link is reached from here
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) at: String,
    /// What its console said so far
    #[arg(long, value_name = "FILE")]
    pub(crate) console: PathBuf,
}
