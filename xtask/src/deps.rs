//! `cargo xtask deps`: the dependency policy, from `cargo metadata`. Works without an advisory database.

use crate::fault::Fault;
use crate::shell::{self, capture, command, works};
use serde_json::Value;
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
    let host = host()?;
    let words = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", &host];
    let metadata = capture(command(&words))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let graph = Graph::of(&metadata);
    let reachable = graph.reachable_from("cloakroom");
    let mut complaints = Vec::new();
    for id in &reachable {
        let package = &graph.packages[id];
        let name = text(package, "name");
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            complaints.push(format!("{name} is in the build: {why}"));
        }
        if !package["source"].is_null() && !licence_is_allowed(text(package, "license")) {
            complaints.push(format!("{name}: licence {:?} is not on the list", text(package, "license")));
        }
    }
    let all = graph.packages.len();
    println!(
        "    {} crates in the product's build, {all} in the lockfile's graph with tests",
        reachable.len()
    );
    for (name, versions) in graph.duplicates(&reachable) {
        println!("    {name} occurs in {versions} versions");
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

struct Graph<'a> {
    packages: BTreeMap<&'a str, &'a Value>,
    edges: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Graph<'a> {
    fn of(metadata: &'a Value) -> Self {
        let list = |value: &'a Value| value.as_array().into_iter().flatten();
        let packages = list(&metadata["packages"]).map(|package| (text(package, "id"), package)).collect();
        let edges = list(&metadata["resolve"]["nodes"])
            .map(|node| {
                let needed = list(&node["deps"])
                    .filter(|dep| list(&dep["dep_kinds"]).any(is_needed_here))
                    .map(|dep| text(dep, "pkg"));
                (text(node, "id"), needed.collect())
            })
            .collect();
        Self { packages, edges }
    }

    fn reachable_from(&self, name: &str) -> BTreeSet<&'a str> {
        let start = self.packages.iter().find(|(_, package)| text(package, "name") == name);
        let mut open: Vec<&str> = start.map(|(id, _)| *id).into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.edges.get(id).into_iter().flatten());
            }
        }
        seen
    }

    fn duplicates(&self, ids: &BTreeSet<&str>) -> BTreeMap<&'a str, usize> {
        let mut counts = BTreeMap::new();
        for id in ids {
            *counts.entry(text(self.packages[id], "name")).or_insert(0) += 1;
        }
        counts.retain(|_, count| *count > 1);
        counts
    }
}

/// Normal and build dependencies, not those of tests.
fn is_needed_here(kind: &Value) -> bool {
    kind["kind"] != "dev"
}

/// The platform this runs on: a dependency of other platforms alone is not in the build.
fn host() -> Result<String, Fault> {
    let version = capture(command(&["rustc", "--version", "--verbose"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Fault::new("rustc --version --verbose names no host"))
}

fn licence_is_allowed(expression: &str) -> bool {
    // The grammar that occurs: alternatives of conjunctions, with or without brackets, `/` for OR.
    let plain = expression.replace(['(', ')'], " ").replace('/', " OR ");
    let known = |part: &str| LICENCES.contains(&part.trim());
    plain.split(" OR ").any(|side| side.split(" AND ").all(known))
        || plain.split(" AND ").all(|part| part.split(" OR ").any(known))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
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
