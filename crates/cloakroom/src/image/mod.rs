//! `cloakroom image …`: the broker as an appliance: a kernel, this program, and nothing else. What the program does there is in `init`.

pub(crate) mod build;
pub(crate) mod cpio;
mod enrol;
pub(crate) mod evidence;
mod hosts;
pub(crate) mod kernel;
mod manifest;
pub(crate) mod measure;
pub(crate) mod modules;
mod oci;
mod sbom;

use crate::Outcome;
use crate::cli::ImageCommand;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::{approver, operator};
use serde_json::json;
use std::path::Path;

/// Where the image keeps what it was built with.
pub(crate) const SETTINGS: &str = "/etc/cloakroom/settings.toml";
pub(crate) const OPERATORS: &str = "/etc/cloakroom/operators.pem";
pub(crate) const APPROVERS: &str = "/etc/cloakroom/approver.pub";
pub(crate) const TRUST: &str = "/etc/ssl/certs/ca-certificates.crt";
pub(crate) const MODULES: &str = "/modules";
/// Where an appliance listens, each on a network card of its own.
pub(crate) const WORKLOAD_PORT: u16 = 8480;
pub(crate) const OPERATOR_PORT: u16 = 8482;

pub(crate) fn run(
    data: impl FnOnce() -> Result<DataDir, Failure>,
    command: ImageCommand,
    output: &Output,
) -> Outcome {
    match command {
        ImageCommand::Build(options) => build::run(&data()?, &options, output),
        ImageCommand::Operator => make_operator(&data()?, output),
        ImageCommand::Enrol(options) => enrol::run(&data()?, &options, output),
        ImageCommand::Verify { image, evidence: None, .. } => manifest::verify(&image, output),
        ImageCommand::Verify { image, evidence: Some(file), machine, nonce } => {
            let manifest = read(&image.join(manifest::NAME))?;
            evidence::check(&file, &manifest, machine.as_deref(), nonce.as_deref(), output)
        }
    }
}

fn make_operator(data: &DataDir, output: &Output) -> Outcome {
    data.create()?;
    operator::identity(data)?;
    approver::create_if_missing(data)?;
    let (certificate, approver) = (operator::certificate(data), data.approver_keys());
    output.data(&json!({ "operator": certificate, "approver": approver }), || {
        format!("operator {}\napprover {}", certificate.display(), approver.display())
    })?;
    Ok(Exit::Done)
}

/// Reads a file that an image is built from.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::file("read", path, &error))
}
