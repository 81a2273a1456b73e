//! The manifest of an image: every file beside it and every file in its root, with SHA-256. What it says of one image, any build from the same
//! inputs says again.

use super::cpio::{Node, Tree};
use super::measure;
use crate::Outcome;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use aws_lc_rs::digest::{SHA256, digest as sha};
use cloakroom_model::hexadecimal;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Its file.
pub(super) const NAME: &str = "manifest.json";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    version: u32,
    /// The program's own version.
    program: String,
    /// SHA-256 of what the kernel says of itself while it runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) kernel_notes: Option<String>,
    /// The files of the image.
    files: BTreeMap<String, Sum>,
    /// What is in `initramfs.cpio`; directories and devices have no digest.
    pub(super) root: BTreeMap<String, InRoot>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sum {
    bytes: u64,
    sha256: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InRoot {
    pub(super) mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
}

/// SHA-256 in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    hexadecimal(sha(&SHA256, bytes).as_ref())
}

fn sum(bytes: &[u8]) -> Sum {
    Sum { bytes: bytes.len() as u64, sha256: digest(bytes) }
}

/// The manifest of these.
pub(super) fn document(files: &BTreeMap<String, Vec<u8>>, root: &Tree) -> Vec<u8> {
    let of_node = |node: &Node| match node {
        Node::Directory(mode) => InRoot { mode: format!("d{mode:04o}"), bytes: None, sha256: None },
        Node::Device(mode, ..) => InRoot { mode: format!("c{mode:04o}"), bytes: None, sha256: None },
        Node::File(mode, content) => {
            let Sum { bytes, sha256 } = sum(content);
            InRoot { mode: format!("-{mode:04o}"), bytes: Some(bytes), sha256: Some(sha256) }
        }
    };
    let manifest = Manifest {
        version: 1,
        program: concat!("cloakroom ", env!("CARGO_PKG_VERSION")).into(),
        kernel_notes: files.get("vmlinux").and_then(|kernel| measure::notes(kernel)),
        files: files.iter().map(|(name, bytes)| (name.clone(), sum(bytes))).collect(),
        root: root.iter().map(|(name, node)| (format!("/{name}"), of_node(node))).collect(),
    };
    let mut text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Reads a manifest.
///
/// # Errors
/// When it is none.
pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, Failure> {
    serde_json::from_slice(bytes).map_err(|_| {
        Failure::bad_input("this is no manifest of an image")
            .hinting("it is manifest.json in the image's directory")
    })
}

/// Holds the files in this directory against its manifest: all of them, and no others.
pub(super) fn verify(image: &Path, output: &Output) -> Outcome {
    let bytes = super::read(&image.join(NAME))?;
    let manifest = parse(&bytes)?;
    let entries = std::fs::read_dir(image).map_err(|error| Failure::file("read", image, &error))?;
    let there: BTreeSet<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let mut wrong: Vec<String> = Vec::new();
    for (name, expected) in &manifest.files {
        match std::fs::read(image.join(name)) {
            Ok(bytes) if sum(&bytes) == *expected => {}
            Ok(_) => wrong.push(format!("{name} has changed")),
            Err(_) => wrong.push(format!("{name} is missing")),
        }
    }
    let unlisted = there.iter().filter(|name| *name != NAME && !manifest.files.contains_key(*name));
    wrong.extend(unlisted.map(|name| format!("{} is not in the manifest", name.escape_debug())));
    let document = serde_json::json!({ "ok": wrong.is_empty(), "manifest": digest(&bytes), "wrong": wrong });
    output.data(&document, || match wrong.as_slice() {
        [] => format!("the image verifies: manifest sha256 {}", digest(&bytes)),
        wrong => format!("the image does not verify: {}", wrong.join(", ")),
    })?;
    Ok(if wrong.is_empty() { Exit::Done } else { Exit::Refused })
}
