//! What this process was handed open, beside its three streams.

use crate::failure::Failure;
use std::os::fd::RawFd;

/// Closes every descriptor from 3 on. SECURITY: an open directory leads around whatever a command is not shown, an open socket around its network.
/// To be called before this process opens anything itself: whose a descriptor is, nobody could tell later.
///
/// # Errors
/// Where there is no `/proc` to see them in.
pub(crate) fn close_inherited() -> Result<(), Failure> {
    let directory = std::path::Path::new("/proc/self/fd");
    let entries = std::fs::read_dir(directory).map_err(|error| Failure::file("list", directory, &error))?;
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let handed: Vec<RawFd> = numbers.filter(|number| *number > 2).collect();
    for number in handed {
        // The one that the directory was read by is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}
