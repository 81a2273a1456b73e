//! `cloakroom serve`: opens what a broker needs, in order, and runs it until told to stop.

mod open;
mod run;

use crate::Outcome;
use crate::cli::{LogFormat, ServeArguments};
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output::Output;
use crate::settings::Settings;
use cloakroom_egress::custody::Hardening;

/// Runs the broker.
pub(crate) fn run(data: &DataDir, options: ServeArguments, output: &Output, hardening: Hardening) -> Outcome {
    let settings = Settings::read(&options)?;
    log_to_stderr(options.log_format);
    if !hardening.no_core_dumps || !hardening.not_dumpable {
        tracing::warn!(?hardening, "this system does not let the process protect its memory fully");
    }
    data.create()?;
    // Held until the end: two brokers on one directory would spend a placeholder twice.
    let _lock = data.lock()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ran = runtime.block_on(async {
        let opened = open::open(data, settings).await?;
        run::until_stopped(data, opened, output).await
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ran.map(|()| Exit::Done)
}

/// Where the broker of this data directory listens, or last did.
pub(crate) fn last_listen(data: &DataDir) -> Option<String> {
    let text = std::fs::read_to_string(data.path().join("listen")).ok()?;
    text.trim().parse::<std::net::SocketAddr>().ok().map(|address| address.to_string())
}

/// INFO and above only: below that, libraries log what passes through them.
fn log_to_stderr(format: LogFormat) {
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
