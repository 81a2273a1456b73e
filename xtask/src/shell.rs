//! Running programs, with a line before and the time after.

use crate::fault::Fault;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Where build products go.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A command in the repository's root.
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(root());
    command
}

/// Runs a command and shows its output.
pub(crate) fn run(mut command: Command) -> Result<(), Fault> {
    let shown = show(&command);
    let status = command.status().map_err(|error| Fault::new(format!("cannot run {shown}: {error}")))?;
    if status.success() { Ok(()) } else { Err(Fault::new(format!("{shown} failed: {status}"))) }
}

/// Runs a command and returns its standard output.
pub(crate) fn capture(mut command: Command) -> Result<String, Fault> {
    let shown = show(&command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Fault::new(format!("cannot run {shown}: {error}")))?;
    if !output.status.success() {
        let talk = String::from_utf8_lossy(&output.stderr);
        return Err(Fault::new(format!("{shown} failed: {}\n{talk}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program answers.
pub(crate) fn works(words: &[&str]) -> bool {
    let mut command = command(words);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// One step: a line before, the time after.
pub(crate) fn step(name: &str, body: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
    println!("==> {name}");
    let begin = Instant::now();
    body().map_err(|fault| Fault::new(format!("{name}: {fault}")))?;
    println!("    {name}: done in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
