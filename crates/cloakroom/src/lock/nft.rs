//! The program nft: the kernel's own way to load rules, whole or not at all.

use super::model::Lock;
use super::rules::table;
use crate::failure::Failure;
use cloakroom_model::Name;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Loads these rules: all of them, or none.
pub(super) fn load(rules: &str) -> Result<(), Failure> {
    let output = run(&["-f", "-"], rules)?;
    if output.status.success() { Ok(()) } else { Err(refused("load the rules", &output)) }
}

/// How the kernel lists the rules of a lock, without what is counted; `None` where it has none.
///
/// # Errors
/// Where that cannot be found out.
pub(super) fn listed(lock: &Lock) -> Result<Option<String>, Failure> {
    let mut text = String::new();
    let is_bridged = lock.interfaces.iter().any(|interface| interface.is_bridge);
    for family in ["inet", "bridge"].into_iter().take(if is_bridged { 2 } else { 1 }) {
        let output = run(&["-s", "list", "table", family, &table(&lock.name)], "")?;
        if !output.status.success() {
            let is_missing = String::from_utf8_lossy(&output.stderr).contains("No such file or directory");
            return if is_missing { Ok(None) } else { Err(refused("list the rules", &output)) };
        }
        text.push_str(&String::from_utf8_lossy(&output.stdout));
    }
    Ok(Some(text))
}

/// Whether the kernel knows of which bridge a packet is (`nft_meta_bridge`). Where that cannot be found out, it is taken to.
pub(super) fn names_bridges() -> bool {
    let rules = "table bridge cloakroom-try { chain c { type filter hook forward priority filter; meta ibrname \"x\" drop; }; }";
    let tried = run(&["-c", "-f", "-"], rules);
    tried.map_or(true, |output| !String::from_utf8_lossy(&output.stderr).contains("not supported"))
}

/// How many packets each named counter of a table has seen.
pub(super) fn counted(table: &str) -> Result<BTreeMap<String, u64>, Failure> {
    let output = run(&["-j", "list", "counters", "table", "inet", table], "")?;
    let listed: Value =
        serde_json::from_slice(&output.stdout).map_err(|_| refused("list the counters", &output))?;
    let counters = listed["nftables"].as_array().into_iter().flatten().filter_map(|one| one.get("counter"));
    let named = |counter: &Value| Some((counter["name"].as_str()?.to_owned(), counter["packets"].as_u64()?));
    Ok(counters.filter_map(named).collect())
}

/// Takes the tables of a lock away. Whether there were any.
pub(super) fn remove(name: &Name) -> Result<bool, Failure> {
    let mut was_there = false;
    for family in ["inet", "bridge"] {
        let is_there = run(&["list", "table", family, &table(name)], "")?.status.success();
        if !is_there {
            continue;
        }
        let output = run(&["delete", "table", family, &table(name)], "")?;
        if !output.status.success() {
            return Err(refused("remove the rules", &output));
        }
        was_there = true;
    }
    Ok(was_there)
}

fn run(arguments: &[&str], input: &str) -> Result<Output, Failure> {
    let missing = |error: std::io::Error| {
        Failure::failed(format!("nft cannot be run: {}", crate::failure::plain(&error)))
            .hinting("install the package nftables")
    };
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(missing)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Where nft ended before it had read all, its own words say why.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().map_err(missing)
}

fn refused(doing: &str, output: &Output) -> Failure {
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().next().unwrap_or("it says nothing").to_owned();
    let failure = Failure::failed(format!("nft does not {doing}: {line}"));
    match line.contains("not permitted") {
        true => failure.hinting("changing rules takes root"),
        false => failure,
    }
}
