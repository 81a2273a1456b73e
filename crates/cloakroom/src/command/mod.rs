//! One file per noun of the command line.

mod approval;
mod approver;
mod authority;
mod catalogue;
mod claim;
mod credential;
mod custody;
mod drift;
mod drop_off;
mod explain;
mod grant;
mod hsm;
mod issuer;
mod journal;
mod learn;
mod lease;
mod lint;
mod login;
mod manual;
mod mcp;
mod people;
mod placeholder;
mod policy;
mod proposal;
mod recorded;
mod replay;
mod role;
mod source;
mod workload;

pub(crate) use hsm::this_program;
pub(crate) use journal::directory as journal_directory;
pub(crate) use proposal::ProposalCommand;

use crate::cli::{Arguments, Command};
use crate::data_dir::DataDir;
use crate::output::Output;
use crate::{Outcome, backup, doctor, guest, image, init, lock, run as running, serve, top, tour};
use cloakroom_egress::custody::Hardening;

/// Does what was asked.
pub(crate) fn run(arguments: Arguments, output: &Output, hardening: Hardening) -> Outcome {
    let find = || DataDir::find(arguments.data.as_deref());
    match arguments.command {
        Command::Serve(options) => serve::run(&find()?, options, output, hardening),
        Command::Doctor(options) => doctor::run(&find()?, &options, output),
        Command::Try => tour::run(output),
        Command::Run(options) => running::run(&find()?, &options, output),
        Command::Mcp(options) => mcp::run(&find()?, &options, output),
        Command::Inside(options) => running::inside(&options),
        Command::Hsm(arguments) => hsm::run(&arguments),
        Command::Image(command) => image::run(find, command, output),
        Command::Init(options) if options.command.is_empty() => init::run(hardening),
        Command::Init(options) => guest::run(&options),
        Command::Lock(command) => lock::run(arguments.data.as_deref(), command, output),
        Command::Credential(command) => credential::run(&find()?, command, output),
        Command::Custody(command) => custody::run(&find()?, command, output),
        Command::DropOff(command) => drop_off::run(&find()?, &command, output),
        Command::Backup(options) => backup::make(&find()?, &options, output),
        Command::Restore(options) => backup::restore(&find()?, &options, output),
        Command::Lease(command) => lease::run(&find()?, command, output),
        Command::Workload(command) => workload::run(&find()?, command, output),
        Command::Placeholder(command) => placeholder::run(&find()?, command, output),
        Command::Approval(command) => approval::run(&find()?, command, output),
        Command::Approver(command) => approver::run(&find()?, command, output),
        Command::Member(command) => people::members(&find()?, command, output),
        Command::Token(command) => people::tokens(&find()?, command, output),
        Command::Proposal(command) => proposal::run(&find()?, command, output),
        Command::Policy(command) => policy::run(arguments.data.as_deref(), command, output),
        Command::Learn(options) => learn::run(&find()?, &options, output),
        Command::Drift(options) => drift::run(&find()?, &options, output),
        Command::Catalogue(command) => catalogue::run(command, output),
        Command::Journal(command) => journal::run(&find()?, command, output),
        Command::Top => top::run(&find()?, output),
        Command::Issuer(command) => issuer::run(&find()?, command, output),
        Command::Explain { request } => explain::run(&find()?, request, output),
        Command::Ca { pem } => authority::run(&find()?, pem, output),
        Command::Completions { shell } => manual::completions(shell, output),
        Command::Man => manual::page(output),
    }
}
