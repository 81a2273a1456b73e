//! The real clients of the end-to-end tests: a virtual environment and a `node_modules` under `target/clients`.

use crate::fault::Fault;
use crate::shell::{command, root, run, target};
use crate::tools;
use std::fs;
use std::path::{Path, PathBuf};

/// Where they are installed.
pub(crate) fn directory() -> PathBuf {
    target().join("clients")
}

/// Installs them, unless the same pinned versions are there.
pub(crate) fn install() -> Result<(), Fault> {
    tools::ensure_for_clients()?;
    python()?;
    node()
}

fn python() -> Result<(), Fault> {
    let pins = root().join("tests/clients/requirements.txt");
    let venv = directory().join("venv");
    if is_current(&venv, &pins) {
        return Ok(());
    }
    fs::create_dir_all(directory())?;
    let venv_path = venv.to_string_lossy();
    run(command(&["python3", "-m", "venv", "--clear", &venv_path]))?;
    let pip = venv.join("bin/pip");
    run(command(&[
        &pip.to_string_lossy(),
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--requirement",
        &pins.to_string_lossy(),
    ]))
    .map_err(|fault| by_hand(fault, &format!("pip install -r {}", pins.display())))?;
    Ok(fs::copy(&pins, stamp(&venv)).map(|_| ())?)
}

fn node() -> Result<(), Fault> {
    let source = root().join("tests/clients");
    let node = directory().join("node");
    let lock = source.join("package-lock.json");
    if is_current(&node, &lock) {
        return Ok(());
    }
    fs::create_dir_all(&node)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(source.join(file), node.join(file))?;
    }
    let mut npm = command(&["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
    npm.current_dir(&node);
    run(npm).map_err(|fault| by_hand(fault, &format!("npm ci in {}", node.display())))?;
    Ok(fs::copy(&lock, stamp(&node)).map(|_| ())?)
}

fn by_hand(fault: Fault, remedy: &str) -> Fault {
    Fault::new(format!(
        "{fault}\nthe real clients could not be installed; make this work: {remedy}\n\
         or leave them out, knowingly: cargo xtask test --no-clients"
    ))
}

/// The stamp is a copy of the pins that were installed.
fn stamp(directory: &Path) -> PathBuf {
    directory.join("installed-pins")
}

fn is_current(directory: &Path, pins: &Path) -> bool {
    matches!((fs::read(stamp(directory)), fs::read(pins)), (Ok(installed), Ok(wanted)) if installed == wanted)
}
