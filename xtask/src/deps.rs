//! `cargo xtask deps`: the dependency policy, from `cargo tree`. Works without an advisory database.

use crate::fault::Fault;
use crate::shell::{self, capture, command, works};
use std::collections::{BTreeMap, BTreeSet};

/// Crates that must not be in the resolved graph, and why.
const BANNED: [(&str, &str); 9] = [
    ("ring", "one crypto library: aws-lc-rs"),
    ("openssl-sys", "one TLS stack: rustls"),
    ("native-tls", "one TLS stack: rustls"),
    ("rsa", "not constant time (RUSTSEC-2023-0071)"),
    ("serde_yaml", "archived"),
    ("serde_yml", "unsound (RUSTSEC-2025-0068)"),
    ("dashmap", "guards across await; use snapshots"),
    ("reqwest", "redirects, environment proxies and URLs in errors; the way out is our own"),
    ("anyhow", "refusals and faults are typed here"),
];

/// Crates that the data plane must do without, although the command line has them.
const NOT_IN_THE_DATA_PLANE: [&str; 3] = ["rmcp", "schemars", "ratatui"];

/// Licences under which a dependency may come; one alternative of an `OR` is enough.
const LICENCES: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Zlib",
];

/// Checks and reports.
fn policy() -> Result<(), Fault> {
    let build = resolved("cloakroom", "normal,build")?;
    let with_tests = resolved("cloakroom", "normal,build,dev")?;
    let data_plane = resolved("cloakroom-proxy", "normal,build")?;
    let mut complaints = Vec::new();
    for package in &build {
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| *banned == package.name) {
            complaints.push(format!("{} is in the build: {why}", package.name));
        }
        if !package.ours() && !licence_is_allowed(&package.licence) {
            complaints.push(format!("{}: licence {:?} is not on the list", package.name, package.licence));
        }
    }
    for package in data_plane.iter().filter(|package| NOT_IN_THE_DATA_PLANE.contains(&package.name.as_str()))
    {
        complaints
            .push(format!("{} is in the data plane: it belongs to the command line alone", package.name));
    }
    println!(
        "    {} crates in the product's build ({} in the data plane's), {} with its tests",
        build.len(),
        data_plane.len(),
        with_tests.len()
    );
    let mut versions = BTreeMap::new();
    build.iter().for_each(|package| *versions.entry(&package.name).or_insert(0) += 1);
    for (name, count) in versions.iter().filter(|(_, count)| **count > 1) {
        println!("    {name} occurs in {count} versions");
    }
    Fault::unless_empty("dependencies", complaints)
}

/// The policy, then cargo-deny where it is installed.
pub(crate) fn run() -> Result<(), Fault> {
    policy()?;
    if works(&["cargo", "deny", "--version"]) {
        return shell::run(command(&["cargo", "deny", "--offline", "check", "bans", "licenses", "sources"]));
    }
    println!("    cargo-deny is not installed: deny.toml was not consulted, the policy above was");
    Ok(())
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    licence: String,
}

impl Package {
    fn ours(&self) -> bool {
        self.name.starts_with("cloakroom")
    }
}

/// What cargo builds for the binary on this platform: the metadata graph would name optional crates too.
fn resolved(package: &str, edges: &str) -> Result<BTreeSet<Package>, Fault> {
    let words =
        ["cargo", "tree", "--locked", "--package", package, "--prefix", "none", "--format", "{p}|{l}"];
    let listing = capture(command(&[&words[..], &["--edges", edges]].concat()))?;
    Ok(listing.lines().filter_map(parse).collect())
}

/// `name v1.2.3 (proc-macro)|MIT OR Apache-2.0 (*)`.
fn parse(line: &str) -> Option<Package> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.split(' ');
    let (name, version) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Package { name, version, licence: licence.trim_end_matches(" (*)").to_owned() })
}

fn licence_is_allowed(expression: &str) -> bool {
    // The grammar that occurs: alternatives of conjunctions, with or without brackets, `/` for OR.
    let plain = expression.replace(['(', ')'], " ").replace('/', " OR ");
    let known = |part: &str| LICENCES.contains(&part.trim());
    plain.split(" OR ").any(|side| side.split(" AND ").all(known))
        || plain.split(" AND ").all(|part| part.split(" OR ").any(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t108_a_licence_needs_one_alternative_that_is_on_the_list() {
        for allowed in ["MIT", "MIT OR GPL-3.0", "MIT/Apache-2.0", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
            assert!(licence_is_allowed(allowed), "{allowed}");
        }
        for refused in ["", "GPL-3.0", "MIT AND GPL-3.0", "MPL-2.0"] {
            assert!(!licence_is_allowed(refused), "{refused}");
        }
    }
}
