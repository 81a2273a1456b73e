//! `cloakroom serve`: opens what a broker needs, in order, and runs it until told to stop.

mod acme;
mod bound;
mod carrier;
mod certify;
mod console;
mod custody;
mod doors;
mod files;
mod grants;
mod heard;
mod leases;
mod link;
mod listening;
mod notify;
mod open;
mod ready;
mod run;
mod sockets;
mod steered;
mod stock;
mod token;
mod told;
mod traces;
mod uses;
mod webhook;
mod witness;
mod witness_git;

pub(crate) use doors::Doors;
pub(crate) use link::{Appliance, Introduction, OperatorLink};
pub(crate) use listening::{BROKER_ADDRESS, Listening};
pub(crate) use open::of_store;

use crate::Outcome;
use crate::cli::{LogFormat, ServeArguments};
use crate::confine::{Confinement, Files, Privileges};
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;
use bound::Bound;
use cloakroom_egress::custody::Hardening;
use sockets::Sockets;
use std::time::{Duration, Instant};

/// How often the wait for the former broker is reported, and for how long it may finish its calls.
const REPORT: Duration = Duration::from_secs(5);
const FINISH: Duration = Duration::from_secs(600);
/// How often the lock is tried.
const STEP: Duration = Duration::from_millis(20);

/// Runs the broker.
pub(crate) fn run(data: &DataDir, options: ServeArguments, output: &Output, hardening: Hardening) -> Outcome {
    let settings = Settings::read(&options)?;
    log_to_stderr(options.log_format);
    let confinement = Confinement::begin(settings.process.clone(), hardening)?;
    let privileges = Privileges::become_user(settings.process.user.as_deref())?;
    data.create()?;
    files::raise_bound(&settings.limits);
    open::check(&settings)?;
    let taken = if options.take_over { Sockets::taken_over(data)? } else { None };
    let is_taken = taken.is_some();
    let ran = serve(data, settings, taken, (confinement, privileges), output);
    if let (true, Err(failure)) = (is_taken, &ran) {
        tracing::error!(%failure, "the former broker has handed over and ends: mend this, then start one without --take-over");
    }
    ran.map(|()| Exit::Done)
}

fn serve(
    data: &DataDir,
    settings: Settings,
    taken: Option<Sockets>,
    (mut confinement, privileges): (Confinement, Privileges),
    output: &Output,
) -> Result<(), Failure> {
    // Held until the end: two brokers on one directory would spend a placeholder twice.
    let _lock = if taken.is_some() { wait_for_lock(data)? } else { data.lock()? };
    let sockets = taken.map_or_else(Sockets::passed, Ok)?;
    let bound = Bound::open(&settings, sockets)?;
    let token = token::beside(data, &settings.kek)?;
    // From here on no program can be started: a helper has to run by now.
    let is_appliance = settings.appliance.is_some();
    match is_appliance {
        true => confinement.given_up_before()?,
        false => confinement.give_up(privileges)?,
    }
    confinement.close_files(&Files::of(data, &settings))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ran = runtime.block_on(async {
        let opened = open::open(data, settings, bound, token).await?;
        confinement.close_calls(is_appliance)?;
        confinement.tell();
        // Nobody else sets it.
        let _ = opened.admin.confinement.set(confinement.view());
        run::until_stopped(data, opened, output).await
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    ran
}

/// The lock, once the former broker has finished its calls. Connections wait in the kernel meanwhile.
fn wait_for_lock(data: &DataDir) -> Result<std::fs::File, Failure> {
    let (begun, mut reported) = (Instant::now(), Instant::now());
    tracing::info!("took the listening sockets over; the former broker finishes its calls");
    loop {
        match data.try_lock()? {
            Some(lock) => return Ok(lock),
            None if begun.elapsed() > FINISH => return data.lock(),
            None => std::thread::sleep(STEP),
        }
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            tracing::info!(seconds = begun.elapsed().as_secs(), "the former broker still finishes its calls");
        }
    }
}

/// INFO and above only: below that, libraries log what passes through them.
pub(crate) fn log_to_stderr(format: LogFormat) {
    // A log that cannot be written, on a full disk say, is reported to stderr too, by a macro that panics then.
    let builder = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let set = match format {
        LogFormat::Text => {
            let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            builder.with_ansi(!plain && std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // A second subscriber can only be a mistake of ours; the first goes on.
    drop(set);
}
