//! The root of a guest that is no appliance: an archive as the kernel unpacks it.

use super::parts::Parts;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// The root of a guest beside the appliance: busybox, the drivers that the appliance has too, and these files.
pub(super) fn guest_root(parts: &Parts, image: &Path, own: &[(&str, &[u8])], out: &Path) {
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(image.join("manifest.json")).unwrap()).unwrap();
    let modules: Vec<&String> =
        manifest["root"].as_object().unwrap().keys().filter(|name| name.starts_with("/modules/")).collect();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for name in modules {
        let stem = name.split_once('-').unwrap().1;
        files.insert(name.trim_start_matches('/').into(), module(&parts.modules(), stem));
    }
    files.insert("bin/busybox".into(), std::fs::read("/bin/busybox").unwrap());
    files.extend(own.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())));
    let mut archive = Vec::new();
    for directory in ["bin", "dev", "modules", "proc", "sys"] {
        entry(&mut archive, directory, 0o040_755, &[]);
    }
    files.iter().for_each(|(name, content)| entry(&mut archive, name, 0o100_755, content));
    entry(&mut archive, "TRAILER!!!", 0, &[]);
    std::fs::write(out, archive).unwrap();
}

fn module(directory: &Path, file: &str) -> Vec<u8> {
    let other = file.replace('_', "-");
    let mut waiting = vec![directory.to_owned()];
    while let Some(at) = waiting.pop() {
        for entry in std::fs::read_dir(at).unwrap().flatten() {
            let name = entry.file_name();
            match entry.file_type().unwrap().is_dir() {
                true => waiting.push(entry.path()),
                false if name == file || name == *other => return std::fs::read(entry.path()).unwrap(),
                false => {}
            }
        }
    }
    panic!("no {file}")
}

fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let mut head = String::from("070701");
    for field in [1, mode, 0, 0, 1, 0, u32::try_from(content.len()).unwrap(), 0, 0, 0, 0] {
        write!(head, "{field:08x}").unwrap();
    }
    write!(head, "{:08x}{:08x}{name}\0", name.len() + 1, 0).unwrap();
    archive.extend(head.as_bytes());
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(4), 0);
}
