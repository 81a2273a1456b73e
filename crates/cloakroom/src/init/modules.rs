//! Drivers that the distribution's kernel has as modules. The image holds those that an appliance needs, named in the order in which they
//! are loaded; after that no module can be loaded any more.

use crate::failure::Failure;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::Path;

/// Loads every file of the directory, in the order of their names, and closes the door.
pub(crate) fn load(directory: &Path) -> Result<(), Failure> {
    let mut files: Vec<_> = match std::fs::read_dir(directory) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Failure::file("read", directory, &error)),
    };
    files.sort();
    for file in files {
        let failed = |error: io::Error| Failure::file("load", &file, &error);
        let opened = File::open(&file).map_err(failed)?;
        match rustix::system::finit_module(opened, c"", 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(error.into())),
        }
    }
    match std::fs::write("/proc/sys/kernel/modules_disabled", "1") {
        // A kernel without modules has no such file.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::failed("the kernel does not close the door to further modules"))
        }
        _ => Ok(()),
    }
}
