//! `image build`: from a program, a kernel and a few files to a directory that boots.

use super::cpio::{self, Node, Tree};
use super::{
    APPROVERS, MODULES, OPERATORS, SETTINGS, TRUST, hosts, kernel, manifest, modules, oci, read, sbom,
};
use crate::Outcome;
use crate::cli::BuildImage;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::operator;
use crate::output::Output;
use std::collections::BTreeMap;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Directories that file systems are mounted on.
const PLACES: [&str; 6] = ["data", "dev", "proc", "run", "sys", "tmp"];
/// `/dev/console`, so that a start that fails early can say why.
pub(crate) const CONSOLE: Node = Node::Device(0o600, 5, 1);

pub(super) fn run(data: &DataDir, options: &BuildImage, output: &Output) -> Outcome {
    let inputs = Inputs::read(data, options)?;
    let root = inputs.root();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let layer = oci::layer(&inputs.program, &inputs.trust);
    files.insert("oci.tar".into(), oci::layout(&layer));
    files.insert("rootfs.tar".into(), layer);
    files.insert("initramfs.cpio".into(), cpio::archive(&root));
    files.insert("sbom.cdx.json".into(), sbom::document(&inputs.kernel, &inputs.modules, &root)?);
    for (name, text) in hosts::files() {
        files.insert(name.into(), text.into_bytes());
    }
    files.insert("vmlinux".into(), inputs.kernel);
    let manifest = manifest::document(&files, &root);
    files.insert(manifest::NAME.into(), manifest);
    write(&options.out, &files)?;
    let digest = manifest::digest(&files[manifest::NAME]);
    let document = serde_json::json!({ "image": options.out, "manifest": digest });
    output.data(&document, || format!("built {}\nmanifest sha256 {digest}", options.out.display()))?;
    Ok(Exit::Done)
}

/// Everything that goes in.
struct Inputs {
    program: Vec<u8>,
    kernel: Vec<u8>,
    modules: Vec<(String, Vec<u8>)>,
    settings: Option<Vec<u8>>,
    operators: Vec<u8>,
    approvers: Vec<u8>,
    trust: Vec<u8>,
}

impl Inputs {
    fn read(data: &DataDir, options: &BuildImage) -> Result<Self, Failure> {
        let named = |given: &Option<PathBuf>, usual: PathBuf| match given {
            Some(path) => read(path).map(Some),
            None if usual.exists() => read(&usual).map(Some),
            None => Ok(None),
        };
        let program = match &options.executable {
            Some(path) => read(path)?,
            None => read(&std::env::current_exe()?)?,
        };
        if !is_static(&program) {
            return Err(Failure::bad_input("this program needs libraries, and an appliance has none")
                .hinting("build it with: cargo xtask appliance; or name such a program: --executable FILE"));
        }
        if let Some(settings) = &options.settings {
            // What would stop every start is found now.
            crate::settings::check_file(settings)?;
        }
        let operators = named(&options.operator, operator::certificate(data))?;
        if let Some(pem) = &operators {
            operator::trusting(pem, &operator::certificate(data))?;
        }
        let trust = options.trust.clone().unwrap_or_else(|| TRUST.into());
        let kernel = kernel::read(&options.kernel)?;
        let modules = options
            .modules
            .as_deref()
            .map(|directory| modules::collect(directory, &modules::OF_APPLIANCE))
            .transpose()?
            .unwrap_or_default();
        let settings = options.settings.as_deref().map(read).transpose()?;
        let approvers = named(&options.approver, data.approver_keys())?;
        // Nobody could put a secret into it, or approve: the key that a first start makes lies where no command reaches it.
        let (Some(operators), Some(approvers)) = (operators, approvers) else {
            return Err(Failure::bad_input("an appliance without operator or approver is of no use")
                .hinting("make keys first: cloakroom --data DIR image operator; or name the files: --operator, --approver"));
        };
        Ok(Self { program, kernel, modules, settings, operators, approvers, trust: read(&trust)? })
    }

    /// The root of the appliance: one program, and what it reads.
    fn root(&self) -> Tree {
        let mut root: Tree =
            PLACES.iter().map(|place| ((*place).to_owned(), Node::Directory(0o755))).collect();
        root.insert("dev/console".into(), CONSOLE);
        cpio::add(&mut root, "init", 0o555, self.program.clone());
        cpio::add(&mut root, TRUST, 0o444, self.trust.clone());
        cpio::add(&mut root, OPERATORS, 0o444, self.operators.clone());
        cpio::add(&mut root, APPROVERS, 0o444, self.approvers.clone());
        if let Some(settings) = &self.settings {
            cpio::add(&mut root, SETTINGS, 0o444, settings.clone());
        }
        for (index, (name, content)) in self.modules.iter().enumerate() {
            cpio::add(&mut root, &format!("{MODULES}/{index:02}-{name}.ko"), 0o444, content.clone());
        }
        root
    }
}

/// Whether this is an ELF program for 64 bits, little-endian, that names no interpreter (`PT_INTERP`) to load libraries with.
pub(crate) fn is_static(program: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    let two = |at: usize| program.get(at..at + 2).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    let table = program.get(32..40).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    let (Some(table), Some(size), Some(count)) =
        (table.and_then(|at| usize::try_from(at).ok()), two(54), two(56))
    else {
        return false;
    };
    let kind = |index: usize| {
        let at = table.checked_add(index * size)?;
        program.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
    };
    program.starts_with(b"\x7fELF\x02\x01")
        && (0..count).all(|index| kind(index).is_some_and(|kind| kind != INTERPRETER))
}

/// Writes the files into a directory of their own.
fn write(out: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<(), Failure> {
    std::fs::create_dir_all(out).map_err(|error| Failure::file("create", out, &error))?;
    let mut there = std::fs::read_dir(out).map_err(|error| Failure::file("read", out, &error))?;
    if there.next().is_some() {
        return Err(Failure::bad_input(format!("{} is not empty", out.display()))
            .hinting("name a new directory: --out DIR"));
    }
    for (name, bytes) in files {
        let path = out.join(name);
        let mode = if name.ends_with(".sh") { 0o755 } else { 0o644 };
        let failed = |error: std::io::Error| Failure::file("write", &path, &error);
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.create_new(true).write(true).mode(mode).open(&path).map_err(failed)?;
        std::io::Write::write_all(&mut file, bytes).map_err(failed)?;
        // Whatever the umask.
        file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_needs_libraries_is_told_from_one_that_does_not() {
        let mut elf = vec![0u8; 64 + 2 * 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 2;
        elf[64] = 1;
        assert!(is_static(&elf));
        elf[64 + 56] = 3;
        assert!(!is_static(&elf));
        assert!(!is_static(&elf[..100]) && !is_static(b"#!/bin/sh\n") && !is_static(b""));
    }
}
