//! The binary: reads what was asked, and hands it to the command. Wiring only; what a call may do is decided elsewhere.

mod accelerator;
mod approver;
mod backup;
mod broker;
mod catalogue;
mod cli;
mod command;
mod confine;
mod data_dir;
mod doctor;
mod exit;
mod failure;
mod guest;
mod image;
mod init;
mod listener;
mod lock;
mod operator;
mod output;
mod progress;
mod run;
mod secret_input;
mod serve;
mod settings;
mod span;
mod tar;
mod top;
mod tour;

use clap::Parser;
use failure::Failure;
use output::Output;
use std::process::ExitCode;

/// SECURITY: what is freed is wiped, so that copies which libraries make of a secret do not outlive it (T88).
#[global_allocator]
static ALLOC: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    // Every command may hold a secret for a moment, so every command is hardened.
    let hardening = cloakroom_egress::custody::harden_process();
    if init::is_first_process() {
        if guest::machine::is_this_one() {
            guest::machine::run();
        }
        return end(init::run(hardening), &Output::new(true));
    }
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::of_usage(&error),
    };
    let output = Output::new(arguments.json);
    end(command::run(arguments, &output, hardening), &output)
}

fn end(outcome: Outcome, output: &Output) -> ExitCode {
    match outcome {
        Ok(code) => code.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit().into()
        }
    }
}

/// What a command came to.
type Outcome = Result<exit::Exit, Failure>;
