//! `run`, `init`, and what they start.

use crate::accelerator::Accelerator;
use crate::guest::{Broker, User};
use crate::init::Address;
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Options of `run`.
#[derive(Args)]
pub(crate) struct RunArguments {
    /// The workload, whose key is kept [default: the only one with a kept key]
    #[arg(long, value_name = "NAME")]
    pub(crate) workload: Option<String>,
    /// Where the broker is, if not where the data directory says, such as an appliance: http://ADDRESS:PORT or unix:PATH
    #[arg(long, value_name = "URL")]
    pub(crate) broker: Option<Broker>,
    /// Pass this variable of your environment on; may be repeated
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) pass: Vec<String>,
    /// Let the command read this directory too, although it is below a hidden one; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) read: Vec<PathBuf>,
    /// Let the command write in this directory too; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) write: Vec<PathBuf>,
    /// In a virtual machine of its own, with a kernel of its own
    #[arg(long)]
    pub(crate) vm: bool,
    #[command(flatten)]
    pub(crate) machine: MachineArguments,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// What the machine of `run --vm` is made of.
#[derive(Args)]
pub(crate) struct MachineArguments {
    /// A directory with the machine's parts: cloakroom (linked statically), kernel/vmlinuz and kernel/modules [default: this program, and
    /// this machine's own kernel]
    #[arg(long, value_name = "DIR", env = "CLOAKROOM_VM_PARTS", hide_env_values = true)]
    pub(crate) vm_parts: Option<PathBuf>,
    /// The machine's memory, in MiB
    #[arg(long, value_name = "MIB", requires = "vm", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(128..))]
    pub(crate) vm_memory: u32,
    /// What runs the machine [default: kvm where the processor has it, else tcg, which emulates and is no security boundary]
    #[arg(long, value_name = "ACCELERATOR", requires = "vm", value_enum)]
    pub(crate) vm_accelerator: Option<Accelerator>,
}

/// Options of `inside`.
#[derive(Args)]
pub(crate) struct InsideArguments {
    /// What this process is there
    #[arg(long, value_enum, default_value_t = Part::Namespace)]
    pub(crate) part: Part,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// What `inside` does before its command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The first program in the namespaces.
    Namespace,
    /// The same, where the command is a virtual machine.
    Machine,
    /// The leader of a session of its own, whose terminal is its standard input.
    Session,
}

/// Options of `init`.
#[derive(Args)]
pub(crate) struct InitArguments {
    /// Where the broker is: http://ADDRESS:PORT, unix:PATH or vsock:CID:PORT
    #[arg(long, value_name = "URL", env = "CLOAKROOM_BROKER")]
    pub(crate) broker: Option<Broker>,
    /// A file with the nonce of this boot, for a broker on the vsock; not for the command to read
    #[arg(long, value_name = "FILE", env = "CLOAKROOM_BOOT_FILE")]
    pub(crate) boot: Option<PathBuf>,
    /// The broker's certificate authority, for the command to trust: what `cloakroom ca --pem` prints
    #[arg(long, value_name = "FILE", env = "CLOAKROOM_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// The user and the group that the command runs as; no other reaches the broker [default: this process's own]
    #[arg(long, value_name = "UID[:GID]")]
    pub(crate) user: Option<User>,
    /// As the first process of a virtual machine: the network card by which the broker is reached, and its address
    #[arg(long, value_name = "CARD,ADDRESS/BITS[,via=GATEWAY]")]
    pub(crate) network: Option<Address>,
    /// A file with a placeholder for AWS, which may be replaced at any time
    #[arg(long, value_name = "FILE", env = "CLOAKROOM_AWS_PLACEHOLDER_FILE")]
    pub(crate) aws_placeholder: Option<PathBuf>,
    /// The command and its arguments; without one this is an appliance
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
