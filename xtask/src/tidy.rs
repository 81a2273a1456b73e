//! `cargo xtask tidy`: the house rules that no compiler checks.

use crate::fault::Fault;
use crate::refusals;
use crate::shell::{capture, command, root};
use crate::source::{Source, files};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// Longest source file, in lines.
const LONGEST: usize = 600;
/// Functions that merely *declare* something; every mention is on a checked-in list.
const ASSERTION_POINTS: [&str; 4] = ["assert_verified", "assert_active", "assert_unlocked", "assert_opened"];
const LIST: &str = "xtask/assertion-points.txt";

/// The crates whose code ships, and which of them each may depend on: nothing else without a decision page.
const ARROWS: [(&str, &[&str]); 12] = [
    ("model", &[]),
    ("policy", &["model"]),
    ("wire", &[]),
    ("tpm", &[]),
    ("attest", &[]),
    ("egress", &["model", "policy", "wire", "tpm"]),
    ("store", &["model"]),
    ("proxy", &["model", "policy", "wire", "egress", "store"]),
    ("admin", &["model", "policy", "egress", "store"]),
    ("mcp", &[]),
    ("keys", &["model"]),
    ("cloakroom", &["model", "policy", "egress", "store", "proxy", "admin", "mcp", "keys", "tpm"]),
];

/// Those that do not ship.
const TOOLS: [&str; 2] = ["testkit", "xtask"];

/// Every rule; all complaints at once.
pub(crate) fn run() -> Result<(), Fault> {
    let mut complaints = Vec::new();
    let mut sources = files("crates", "rs")?;
    sources.extend(files("xtask", "rs")?);
    sources.extend(files("fuzz", "rs")?);
    complaints.extend(sources.iter().filter_map(too_long));
    complaints.extend(sources.iter().filter_map(without_header));
    complaints.extend(assertion_points(&sources)?);
    complaints.extend(sources.iter().filter_map(beside_the_api));
    complaints.extend(arrows()?);
    complaints.extend(lints()?);
    complaints.extend(refusal_codes(&sources)?);
    Fault::unless_empty("tidy", complaints)
}

fn too_long(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    (lines > LONGEST).then(|| format!("{}: {lines} lines; at most {LONGEST}, one noun a file", source.path))
}

fn without_header(source: &Source) -> Option<String> {
    let wanted = source.path.contains("/src/") && !source.path.ends_with("/tests.rs");
    (wanted && !source.text.starts_with("//!"))
        .then(|| format!("{}: begins with no //! sentence that says what it is for", source.path))
}

/// The command line changes a broker through its API: nothing of it opens the store, but the broker that it starts; a backup copies it.
fn beside_the_api(source: &Source) -> Option<String> {
    let is_cli = source.path.starts_with("crates/cloakroom/src/");
    let may = ["crates/cloakroom/src/serve/", "crates/cloakroom/src/backup/"];
    let opens =
        |line: &str| ["SqliteStore", "copy_database", "rusqlite"].iter().any(|word| mentions(line, word));
    let is_beside =
        is_cli && !may.iter().any(|part| source.path.starts_with(part)) && source.product_lines().any(opens);
    is_beside.then(|| format!("{}: opens the store beside the broker's API", source.path))
}

/// Mentions of the assertion points in product code, against the checked-in list.
fn assertion_points(sources: &[Source]) -> Result<Vec<String>, Fault> {
    let listed = fs::read_to_string(root().join(LIST)).unwrap_or_default();
    let listed: Vec<&str> =
        listed.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut counted = BTreeMap::new();
    for source in sources.iter().filter(|source| is_product(&source.path)) {
        for line in source.product_lines() {
            for point in ASSERTION_POINTS.iter().filter(|point| mentions(line, point)) {
                *counted.entry(format!("{point} {}", source.path)).or_insert(0) += 1;
            }
        }
    }
    let counted: Vec<String> = counted.into_iter().map(|(line, count)| format!("{line} {count}")).collect();
    let added = counted.iter().filter(|line| !listed.contains(&line.as_str()));
    let gone = listed.iter().filter(|line| !counted.iter().any(|counted| counted == *line));
    let mut complaints: Vec<String> =
        added.map(|line| format!("{LIST} lacks {line:?}: is this new assertion point right?")).collect();
    complaints.extend(gone.map(|line| format!("{LIST} lists {line:?}, which is not so")));
    for point in ASSERTION_POINTS {
        if !counted.iter().any(|line| line.starts_with(point)) {
            complaints.push(format!("no product code mentions {point}"));
        }
    }
    Ok(complaints)
}

fn is_product(path: &str) -> bool {
    ARROWS.iter().any(|(name, _)| path.starts_with(&format!("crates/{name}/src/")))
}

fn mentions(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(part_of_name);
        let after = line[at + word.len()..].chars().next().is_some_and(part_of_name);
        !before && !after
    })
}

fn arrows() -> Result<Vec<String>, Fault> {
    let metadata = capture(command(&["cargo", "metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let mut complaints = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = short(package["name"].as_str().unwrap_or_default());
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            if !TOOLS.contains(&name) {
                complaints.push(format!("{name} has no arrows: say what it may depend on"));
            }
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let full = dependency["name"].as_str().unwrap_or_default();
            let ours = full.starts_with("cloakroom");
            let for_tests = dependency["kind"] == "dev" && full == "cloakroom-testkit";
            if ours && !for_tests && !allowed.contains(&short(full)) {
                complaints.push(format!("{name} depends on {full}: the arrows of the house do not allow it"));
            }
        }
    }
    Ok(complaints)
}

fn short(name: &str) -> &str {
    name.strip_prefix("cloakroom-").unwrap_or(name)
}

/// Every crate takes the workspace lints, and those forbid unsafe code.
fn lints() -> Result<Vec<String>, Fault> {
    let mut complaints = Vec::new();
    for manifest in files("crates", "toml")?.into_iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        if !manifest.text.contains("[lints]\nworkspace = true") {
            complaints.push(format!("{}: does not take the workspace lints", manifest.path));
        }
    }
    let root_manifest = fs::read_to_string(root().join("Cargo.toml"))?;
    if !root_manifest.contains("unsafe_code = \"forbid\"") {
        complaints.push("Cargo.toml: unsafe_code is not forbidden".into());
    }
    Ok(complaints)
}

/// A page and a test for every code.
fn refusal_codes(sources: &[Source]) -> Result<Vec<String>, Fault> {
    let scenarios = files("scenarios", "toml")?;
    let mut complaints = Vec::new();
    for code in refusals::codes()? {
        let page = format!("docs/refusals/{}.md", code.text);
        if !root().join(&page).is_file() {
            complaints.push(format!("{page} is missing"));
        }
        let quoted = format!("\"{}\"", code.text);
        let variant = format!("Code::{}", code.variant);
        let in_source = |source: &Source| {
            let tests = source.tests();
            tests.contains(&quoted) || mentions_variant(tests, &variant)
        };
        let tested =
            sources.iter().any(in_source) || scenarios.iter().any(|file| file.text.contains(&quoted));
        if !tested {
            complaints.push(format!("no test names the refusal {}", code.text));
        }
    }
    Ok(complaints)
}

fn mentions_variant(text: &str, variant: &str) -> bool {
    text.match_indices(variant)
        .any(|(at, _)| !text[at + variant.len()..].starts_with(|c: char| c.is_ascii_alphanumeric()))
}
