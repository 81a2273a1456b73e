//! Measures this machine into its TPM, before anything listens: what the kernel says of itself, every file of the root, the command line.

use crate::failure::Failure;
use crate::image::measure::{Events, PCR, hash};
use cloakroom_model::hexadecimal;
use cloakroom_tpm::{Address, Tpm, TpmError};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What the kernel says of its own build.
pub(super) const NOTES: &str = "/sys/kernel/notes";

/// Measures, and extends the PCR by it.
///
/// # Errors
/// When a file cannot be read, or the TPM does not take it: then the machine does not go on.
pub(crate) fn measure(tpm: &Address, root: &Path, notes: &Path, command_line: &str) -> Result<(), Failure> {
    let said = std::fs::read(notes).map_err(|error| Failure::file("read", notes, &error))?;
    let mut files = BTreeMap::new();
    let device = std::fs::metadata(root).map_err(|error| Failure::file("read", root, &error))?.dev();
    collect(root, root, device, &mut files)?;
    let events = Events::of(&sum(&said), &files, command_line);
    let failed = |error: TpmError| {
        Failure::failed(format!("the machine cannot measure itself: {error}"))
            .hinting("leave cloakroom.tpm out where the machine has no TPM")
    };
    let mut tpm = Tpm::open(tpm).map_err(failed)?;
    events.0.iter().try_for_each(|event| tpm.extend(PCR, event)).map_err(failed)
}

/// Every file below `directory` that is of the root itself: what is mounted on it is the kernel's, or data.
fn collect(
    root: &Path,
    directory: &Path,
    device: u64,
    files: &mut BTreeMap<String, (u32, String)>,
) -> Result<(), Failure> {
    let fault = |error: std::io::Error| Failure::file("measure", directory, &error);
    for entry in std::fs::read_dir(directory).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let metadata = std::fs::symlink_metadata(&path).map_err(fault)?;
        if metadata.dev() != device {
            continue;
        }
        if metadata.is_dir() {
            collect(root, &path, device, files)?;
            continue;
        }
        // What is neither file nor directory is in no image, but for the console, which a file system is mounted over.
        let what = match metadata.is_file() {
            true => sum(&std::fs::read(&path).map_err(fault)?),
            false => format!("type {:o}", metadata.mode() >> 12),
        };
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
        files.insert(format!("/{name}"), (metadata.mode() & 0o7777, what));
    }
    Ok(())
}

fn sum(bytes: &[u8]) -> String {
    hexadecimal(&hash(&[bytes]))
}
