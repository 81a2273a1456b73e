//! The data disk: an ext4 file system on a block device, or memory where the operator says so.
//!
//! Integrity is what the broker itself can prove. Secrets are sealed, each to its own row; permits are signed; and the journal is a tree with
//! signed checkpoints, which is verified as a whole before anything listens. A disk that was put back to an earlier day is not found by
//! that: only something outside of it can know (`[epoch]`, a witness).

use super::arguments::Data;
use super::mounts::PLAIN;
use crate::data_dir::{DataDir, write_private};
use crate::failure::{Failure, plain};
use cloakroom_store::journal;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Where it is mounted.
const PLACE: &str = "/data";
/// Where the passphrase lies while the broker starts: in memory.
pub(super) const PASSPHRASE: &str = "/run/passphrase";
/// No passphrase is longer.
const LONGEST: usize = 4096;
/// Disks appear while their driver is being loaded.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(10);

/// Mounts it. The data directory is a folder on it, because a file system's own root has things of its own.
pub(super) fn mount(data: &Data) -> Result<DataDir, Failure> {
    let (source, kind, options) = match data {
        Data::Device(device) => {
            wait_for(device);
            (device.as_str(), "ext4", c"errors=remount-ro")
        }
        Data::Memory => {
            tracing::warn!("the data directory is in memory: what is deposited is gone with this machine");
            ("tmpfs", "tmpfs", c"mode=0700,size=50%")
        }
    };
    attach(source, kind, options)?;
    DataDir::find(Some(&Path::new(PLACE).join("cloakroom")))
}

fn attach(source: &str, kind: &str, options: &std::ffi::CStr) -> Result<(), Failure> {
    rustix::mount::mount(source, PLACE, kind, PLAIN, Some(options)).map_err(|error| {
        Failure::failed(format!("the data disk {source} cannot be mounted: {}", plain(&error.into())))
            .hinting("make it once, on the host: truncate -s 1G data.img && mkfs.ext4 data.img")
    })
}

fn wait_for(device: &str) {
    let begun = Instant::now();
    while !Path::new(device).exists() && begun.elapsed() < PATIENCE {
        std::thread::sleep(STEP);
    }
}

/// Reads the passphrase from its own small disk: text, then a line break, zeros or the end.
pub(super) fn passphrase(device: &str) -> Result<(), Failure> {
    wait_for(device);
    let path = Path::new(device);
    let failed = |error: std::io::Error| Failure::file("read", path, &error);
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST));
    File::open(path).map_err(failed)?.take(LONGEST as u64).read_to_end(&mut bytes).map_err(failed)?;
    let end = bytes.iter().position(|b| matches!(b, 0 | b'\n' | b'\r')).unwrap_or(bytes.len());
    if end == 0 {
        return Err(Failure::bad_input("the disk for the passphrase begins with no passphrase")
            .hinting("write it there, on the host: the text, then a line break"));
    }
    write_private(Path::new(PASSPHRASE), &bytes[..end])
}

/// Refuses to start on a journal that does not verify.
pub(super) fn verify(data: &DataDir) -> Result<(), Failure> {
    let directory = data.journal();
    if !directory.exists() {
        return Ok(());
    }
    let verdict = journal::verify(&directory)?;
    match verdict.first_bad {
        None => Ok(()),
        Some(bad) => Err(Failure::failed(format!(
            "the journal does not verify: {} at offset {}, record {}: {}",
            bad.segment, bad.offset, bad.sequence, bad.why
        ))
        .hinting("keep the disk as evidence; look at it elsewhere: cloakroom --data DIR journal verify")),
    }
}
