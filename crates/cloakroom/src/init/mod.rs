//! `cloakroom init`: the first and only process of an appliance. Prepares the machine, closes it, and runs the broker until it is told to
//! stop; then, or when anything goes wrong, the machine goes off. There is nothing else that it could fall back to.
//!
//! What the machine is made of (disks, network cards, the kernel's arguments) is the host's word and trusted; what arrives over the
//! network is not, and nothing listens before the machine is closed.

mod arguments;
mod clock;
mod confine;
mod console;
mod dhcp;
mod disk;
pub(crate) mod measure;
pub(crate) mod modules;
pub(crate) mod mounts;
pub(crate) mod netlink;
pub(crate) mod network;
pub(crate) mod power;

use crate::cli::{LogFormat, ServeArguments};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output::Output;
use crate::serve::{self, Appliance, OperatorLink};
use crate::{Outcome, image};
pub(crate) use arguments::{Address, Arguments};
use cloakroom_egress::custody::Hardening;
pub(crate) use clock::is_possible as is_possible_clock;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

/// Where the console answers: to nobody, there is no second process.
const CONSOLE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8481);
/// Where the workload listener is where workloads have no wire: there as well.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), image::WORKLOAD_PORT);
/// The card of that.
const LOOPBACK: &str = "lo";

/// Whether the kernel started this very process as the first one: then no command line is read.
pub(crate) fn is_first_process() -> bool {
    std::process::id() == 1 && std::env::args_os().next().is_some_and(|name| name == "/init")
}

/// Runs the appliance. Comes back only where this is not the first process: anything else ends with the machine off.
pub(crate) fn run(hardening: Hardening) -> Outcome {
    if std::process::id() != 1 {
        return Err(Failure::bad_input("this is not the first process of a machine")
            .hinting("make an image that boots into it: cloakroom image build"));
    }
    let output = Output::new(true);
    if let Err(failure) = appliance(&output, hardening) {
        output.failure(&failure);
    }
    power::off()
}

fn appliance(output: &Output, hardening: Hardening) -> Result<(), Failure> {
    mounts::system()?;
    serve::log_to_stderr(LogFormat::Json);
    power::prepare();
    let line = std::fs::read_to_string("/proc/cmdline")?;
    let arguments = Arguments::read(&line)?;
    modules::load(Path::new(image::MODULES))?;
    if let Some(tpm) = &arguments.tpm {
        let tpm = cloakroom_tpm::Address::Device(tpm.into());
        measure::measure(&tpm, Path::new("/"), Path::new(measure::NOTES), &line)?;
    }
    let data = disk::mount(&arguments.data)?;
    clock::check(&data.journal())?;
    let mut network = network::configure(&arguments)?;
    disk::verify(&data)?;
    arguments.kek.as_deref().map(disk::passphrase).transpose()?;
    enrol(&data)?;
    mounts::close()?;
    confine::close(arguments.workloads.vsock().is_some())?;
    console::listen_for_stop();
    if let Some((client, lease)) = network.lent.take() {
        client.keep_beside(lease);
    }
    serve::run(&data, options(&arguments, network), output, hardening).map(drop)
}

/// Puts the approvers' public keys of the image where a first start trusts them. Whoever they are later is on the data disk.
fn enrol(data: &DataDir) -> Result<(), Failure> {
    data.create()?;
    let (from, to) = (Path::new(image::APPROVERS), data.approver_keys());
    if from.exists() && !to.exists() && !data.database().exists() {
        crate::data_dir::write_private(&to, &std::fs::read(from)?)?;
    }
    Ok(())
}

/// What the broker runs with: the settings of the image, laid over by the wires of this machine.
fn options(arguments: &Arguments, network: network::Names) -> ServeArguments {
    let there = |path: &str| Some(path.into()).filter(|path: &std::path::PathBuf| path.exists());
    let socket = |address: &Address, port: u16| (address.ip, address.port.unwrap_or(port)).into();
    let operator = arguments.operator.as_ref().zip(network.operator).map(|(address, device)| OperatorLink {
        address: socket(address, image::OPERATOR_PORT),
        device,
        trusted: image::OPERATORS.into(),
    });
    ServeArguments {
        config: there(image::SETTINGS),
        listen: Some(match arguments.workloads.wire() {
            Some(address) => socket(address, image::WORKLOAD_PORT),
            None => NOBODY,
        }),
        // SECURITY: on no wire, whatever the settings say: it is bound to no card.
        console: Some(CONSOLE),
        upstream_ca: Vec::new(),
        require_lock: Vec::new(),
        allow_address: Vec::new(),
        passphrase_file: arguments.kek.as_ref().map(|_| disk::PASSPHRASE.into()),
        transparent: None,
        dns: None,
        user: None,
        take_over: false,
        trust_approvers: false,
        log_format: LogFormat::Json,
        appliance: Some(Appliance {
            workloads: network.workloads.unwrap_or_else(|| LOOPBACK.to_owned()),
            vsock: arguments.workloads.vsock(),
            operator,
            tpm: arguments.tpm.as_ref().map(|tpm| cloakroom_tpm::Address::Device(tpm.into())),
        }),
    }
}
