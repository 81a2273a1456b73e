//! The PIN: read where it is needed, and tried once. A refused one is remembered on disk, so that no restart tries it again.

use cloakroom_model::pkcs11::Fault;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// No token takes a longer one.
const LONGEST: u64 = 255;

/// Reads the file; one line break at its end is dropped.
///
/// # Errors
/// [`Fault::NoPin`] where it cannot be read, is empty, or others can read it.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let file = File::open(path).map_err(|_| Fault::NoPin)?;
    // SECURITY: asked of the open file, not of the path, which could change in between.
    let metadata = file.metadata().map_err(|_| Fault::NoPin)?;
    if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
        return Err(Fault::NoPin);
    }
    let mut pin = Zeroizing::new(Vec::with_capacity(256));
    file.take(LONGEST).read_to_end(&mut pin).map_err(|_| Fault::NoPin)?;
    while pin.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        pin.pop();
    }
    if pin.is_empty() { Err(Fault::NoPin) } else { Ok(pin) }
}

/// Fails where a PIN was refused before and no person has acted since.
///
/// # Errors
/// [`Fault::PinRefused`].
pub(crate) fn require_unrefused(mark: &Path) -> Result<(), Fault> {
    // SECURITY: where it cannot be told, the PIN is not tried.
    match mark.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(Fault::PinRefused),
    }
}

/// Remembers that the token refused the PIN.
pub(crate) fn remember_refusal(mark: &Path) -> Fault {
    let text = "The token refused the PIN, and another wrong one may lock it. Put the PIN right, then remove this file.\n";
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(mark);
    // Where it cannot be written, the keeper remembers it for as long as it lives.
    let _ = written.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    Fault::PinRefused
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_pin_is_its_owners_alone_and_a_refused_one_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pin");
        assert_eq!(read(&file), Err(Fault::NoPin));
        std::fs::write(&file, "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD\n").unwrap();
        assert_eq!(read(&file), Err(Fault::NoPin), "others can read it");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&file).unwrap().as_slice(), b"canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD");
        std::fs::write(&file, "\r\n").unwrap();
        assert_eq!(read(&file), Err(Fault::NoPin));
        assert_eq!(read(directory.path()), Err(Fault::NoPin));

        let mark = directory.path().join("pin-refused");
        assert_eq!(require_unrefused(&mark), Ok(()));
        assert_eq!(remember_refusal(&mark), Fault::PinRefused);
        assert_eq!(require_unrefused(&mark), Err(Fault::PinRefused));
        std::fs::remove_file(&mark).unwrap();
        assert_eq!(require_unrefused(&mark), Ok(()));
        assert_eq!(
            require_unrefused(&file.join("below a file")),
            Err(Fault::PinRefused),
            "it cannot be told"
        );
    }
}
