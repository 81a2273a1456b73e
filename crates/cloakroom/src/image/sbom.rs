//! What an image is made of, as a CycloneDX 1.5 document: the crates that the lock file lets this program be linked from, the kernel, its
//! modules. Made from facts that were compiled in, so it says what this very program was built with.
//!
//! It is an upper bound: the lock file also names crates for other platforms and for building, and cannot say which of them were linked.

use super::cpio::{Node, Tree};
use super::{kernel, manifest};
use crate::failure::Failure;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const LOCK: &str = include_str!("../../../../Cargo.lock");
/// The manifests of the product's own crates: the lock file does not tell their dependencies from those of their tests.
const OWN: [(&str, &str); 12] = [
    ("cloakroom", include_str!("../../Cargo.toml")),
    ("cloakroom-admin", include_str!("../../../admin/Cargo.toml")),
    ("cloakroom-attest", include_str!("../../../attest/Cargo.toml")),
    ("cloakroom-egress", include_str!("../../../egress/Cargo.toml")),
    ("cloakroom-keys", include_str!("../../../keys/Cargo.toml")),
    ("cloakroom-mcp", include_str!("../../../mcp/Cargo.toml")),
    ("cloakroom-model", include_str!("../../../model/Cargo.toml")),
    ("cloakroom-policy", include_str!("../../../policy/Cargo.toml")),
    ("cloakroom-proxy", include_str!("../../../proxy/Cargo.toml")),
    ("cloakroom-store", include_str!("../../../store/Cargo.toml")),
    ("cloakroom-tpm", include_str!("../../../tpm/Cargo.toml")),
    ("cloakroom-wire", include_str!("../../../wire/Cargo.toml")),
];

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// The document for an image with this kernel, these modules and this root.
pub(super) fn document(
    kernel: &[u8],
    modules: &[(String, Vec<u8>)],
    root: &Tree,
) -> Result<Vec<u8>, Failure> {
    let mut components = crates()?;
    let version = kernel::version(kernel).unwrap_or_else(|| "unknown".into());
    components.push(component("operating-system", "linux", &version, Some(manifest::digest(kernel))));
    for (name, content) in modules {
        components.push(component("file", &format!("{name}.ko"), &version, Some(manifest::digest(content))));
    }
    let program = match root.get("init") {
        Some(Node::File(_, content)) => Some(manifest::digest(content)),
        _ => None,
    };
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": component("application", "cloakroom", env!("CARGO_PKG_VERSION"), program),
            "properties": [{
                "name": "cloakroom:scope",
                "value": "crates: all that Cargo.lock lets the program be built from, other platforms' and build scripts' included",
            }],
        },
        "components": components,
    });
    let mut text =
        serde_json::to_vec_pretty(&document).map_err(|error| Failure::failed(error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

fn component(kind: &str, name: &str, version: &str, sha256: Option<String>) -> Value {
    let mut component = json!({ "type": kind, "name": name, "version": version });
    if let Some(sha256) = sha256 {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
    }
    component
}

/// Every crate that is reached from the program without its tests.
fn crates() -> Result<Vec<Value>, Failure> {
    let broken =
        |what: &str| Failure::failed(format!("the list of crates that was compiled in has no {what}"));
    let lock: Lock = toml::from_str(LOCK).map_err(|_| broken("form"))?;
    let mut by_name: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
    lock.package.iter().for_each(|package| by_name.entry(&package.name).or_default().push(package));
    let own: BTreeMap<&str, BTreeSet<String>> = OWN
        .iter()
        .map(|(name, text)| Some((*name, direct(text)?)))
        .collect::<Option<_>>()
        .ok_or_else(|| broken("form"))?;
    let (mut reached, mut waiting) = (BTreeSet::new(), vec![("cloakroom", None)]);
    while let Some((name, version)) = waiting.pop() {
        let candidates = by_name.get(name).ok_or_else(|| broken("crate that it names"))?;
        for package in
            candidates.iter().filter(|package| version.is_none_or(|version| package.version == version))
        {
            if !reached.insert((package.name.as_str(), package.version.as_str())) {
                continue;
            }
            let direct = own.get(package.name.as_str());
            for dependency in &package.dependencies {
                let mut words = dependency.split(' ');
                let needed = words.next().unwrap_or_default();
                if direct.is_none_or(|direct| direct.contains(needed)) {
                    waiting.push((needed, words.next()));
                }
            }
        }
    }
    let linked = lock.package.iter().filter(|p| reached.contains(&(p.name.as_str(), p.version.as_str())));
    Ok(linked.map(of_crate).collect())
}

fn of_crate(package: &Package) -> Value {
    let mut component = component("library", &package.name, &package.version, package.checksum.clone());
    component["purl"] = json!(format!("pkg:cargo/{}@{}", package.name, package.version));
    component
}

/// What a crate of ours depends on, but for its tests.
fn direct(manifest: &str) -> Option<BTreeSet<String>> {
    let manifest: toml::Table = manifest.parse().ok()?;
    let tables =
        ["dependencies", "build-dependencies"].into_iter().filter_map(|name| manifest.get(name)?.as_table());
    Some(tables.flat_map(|table| table.keys().cloned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_what_is_linked_and_not_what_only_tests_use() {
        let document = document(b"Linux version 6.1 x", &[("ext4".into(), vec![1])], &Tree::new()).unwrap();
        let document: Value = serde_json::from_slice(&document).unwrap();
        let names: Vec<&str> = document["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        for there in ["cloakroom-egress", "cloakroom-wire", "rustls", "tokio", "rusqlite", "linux", "ext4.ko"]
        {
            assert!(names.contains(&there), "{there}");
        }
        for absent in ["cloakroom-testkit", "proptest", "trybuild", "stateright", "xtask"] {
            assert!(!names.contains(&absent), "{absent}");
        }
        let rustls = &document["components"][names.iter().position(|name| *name == "rustls").unwrap()];
        assert_eq!(rustls["hashes"][0]["content"].as_str().unwrap().len(), 64);
        assert!(rustls["purl"].as_str().unwrap().starts_with("pkg:cargo/rustls@0."));
    }
}
