//! `lock …`: what a workload's network may reach.

use crate::lock::Mark;
use clap::{Args, Subcommand};
use cloakroom_model::Name;
use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum LockCommand {
    /// Print the rules of a lock; nothing is changed
    #[command(
        after_help = "Examples:\n  cloakroom lock print robot --netns robot --from 10.77.0.2/32\n  cloakroom lock print robot --bridge br-agents --from 10.77.0.0/24 --as docker\n  cloakroom lock print robot --from 10.0.0.0/8 --as kubernetes"
    )]
    Print {
        #[command(flatten)]
        lock: LockArguments,
        /// What to print: rules for nft, or what does the same elsewhere
        #[arg(long = "as", value_name = "FORM", default_value = "nft")]
        form: Form,
        #[command(flatten)]
        shelf: Shelf,
    },
    /// Put a lock on a network: only the broker's listeners can be reached from there (as root)
    #[command(
        after_help = "Examples:\n  cloakroom lock apply robot --netns robot --from 10.77.0.2/32\n  cloakroom lock apply agents --bridge br-agents --from 10.77.0.0/24\n  cloakroom lock apply vm1 --interface tap0 --from 10.77.1.2/32\n\nWhat is there already is replaced in one step. The rules are kept in /etc/cloakroom/locks/NAME.nft."
    )]
    Apply {
        #[command(flatten)]
        lock: LockArguments,
        #[command(flatten)]
        shelf: Shelf,
    },
    /// Prove from inside that a lock holds: try every way out, and see where each ends (as root)
    #[command(
        after_help = "Examples:\n  cloakroom lock check robot\n  cloakroom lock check agents --pid 4711\n\nExit code 3 when something is open, 5 when something could not be proved. The broker is told, and calls itself locked only after a check that passed."
    )]
    Check {
        /// The lock's name
        name: Name,
        /// Try from the network namespace of this process, for a lock on an interface or a bridge
        #[arg(long, value_name = "PID")]
        pid: Option<u32>,
        #[command(flatten)]
        shelf: Shelf,
    },
    /// Take a lock off (as root)
    #[command(after_help = "Example:\n  cloakroom lock remove robot")]
    Remove {
        /// The lock's name
        name: Name,
        #[command(flatten)]
        shelf: Shelf,
    },
    /// List the locks that were checked, and whether the broker calls itself locked
    #[command(after_help = "Example:\n  cloakroom lock list")]
    List,
    /// One attempt to get out
    #[command(
        hide = true,
        after_help = "Example:\n  cloakroom lock probe udp-443\n\nNobody needs to run this by hand."
    )]
    Probe {
        /// Which
        attempt: String,
        /// An address of the broker's that is to be tried
        #[arg(long, value_name = "ADDR")]
        at: Option<SocketAddr>,
        /// What its packets are known by, as PORT.HOPS.CLASS [default: random]
        #[arg(long, value_name = "MARK")]
        mark: Option<Mark>,
    },
}

/// Where locks are kept unless said otherwise.
pub(crate) const KEPT_IN: &str = "/etc/cloakroom/locks";

/// Where locks are kept.
#[derive(Args)]
pub(crate) struct Shelf {
    /// Where locks are kept: a directory that only root writes in
    #[arg(
        long,
        value_name = "DIR",
        env = "CLOAKROOM_LOCKS",
        hide_env_values = true,
        default_value = KEPT_IN
    )]
    pub(crate) keep_in: PathBuf,
}

/// What is locked, and what stays reachable.
#[derive(Args)]
pub(crate) struct LockArguments {
    /// Your name for the lock
    pub(crate) name: Name,
    /// A network namespace, as "ip netns" names it: all its wires have to end on this machine
    #[arg(long, value_name = "NAME", conflicts_with_all = ["interface", "bridge"])]
    pub(crate) netns: Option<String>,
    /// An interface of this machine that leads to the workload alone: a tap, the near end of a veth pair; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Vec<String>,
    /// A bridge of this machine with nothing but workloads on it; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) bridge: Vec<String>,
    /// Where the workloads there send from; may be repeated
    #[arg(long, value_name = "CIDR", required = true, value_parser = super::parse_range)]
    pub(crate) from: Vec<IpNet>,
    /// The workload listener, as it is reached from there [default: the running broker's]
    #[arg(long, value_name = "ADDR", value_parser = super::parse_address)]
    pub(crate) proxy: Option<SocketAddr>,
    /// The transparent listener [default: the running broker's]
    #[arg(long, value_name = "ADDR", value_parser = super::parse_address)]
    pub(crate) transparent: Option<SocketAddr>,
    /// The listener for names [default: the running broker's]
    #[arg(long, value_name = "ADDR", value_parser = super::parse_address)]
    pub(crate) dns: Option<SocketAddr>,
}

/// What is printed of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// Rules for nft.
    Nft,
    /// A NetworkPolicy of Kubernetes.
    Kubernetes,
    /// A network of Docker Compose.
    Docker,
    /// A network policy of Fly Machines.
    Fly,
    /// A unit of systemd that puts the rules back after a start.
    Systemd,
}
