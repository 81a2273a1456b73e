//! The key-encryption key in a file of its own: 32 random bytes, readable by the broker's user only.
//!
//! Keep it on another disk than the database where a stolen disk matters.

use super::{LocalKey, create_private, read_private};
use crate::custody::aead::{self, KEY};
use crate::custody::error::CustodyError;
use crate::secret::Secret;
use std::path::Path;
use zeroize::Zeroizing;

/// Reads the key; the first time, makes it.
///
/// # Errors
/// When others can read the file, it is damaged, or it cannot be made.
pub(in crate::custody) fn load(path: &Path) -> Result<LocalKey, CustodyError> {
    if let Some(key) = read(path)? {
        return Ok(key);
    }
    let key = aead::fresh_key().map_err(|_| CustodyError::Cryptography("make a key"))?;
    create_private(path, key.expose())?;
    Ok(LocalKey(key))
}

/// Reads the key; `None` where there is no file.
///
/// # Errors
/// When others can read the file, or it is damaged.
pub(super) fn read(path: &Path) -> Result<Option<LocalKey>, CustodyError> {
    let Some(bytes) = read_private(path)? else { return Ok(None) };
    let bytes = Zeroizing::new(bytes);
    if bytes.len() != KEY {
        return Err(CustodyError::Damaged { path: path.into(), what: "a key has 32 bytes" });
    }
    Ok(Some(LocalKey(Secret::new(bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn the_key_file_is_made_once_private_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/kek");
        let first = load(&path).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!((metadata.mode() & 0o777, metadata.len()), (0o600, 32));
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        let second = load(&path).unwrap();
        assert_eq!(first.0.expose(), second.0.expose());
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn t87_a_key_file_that_others_can_read_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kek");
        load(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601, 0o666] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = load(&path).map(|_| ()).unwrap_err();
            assert!(matches!(error, CustodyError::Exposed { .. }), "{mode:o}");
            assert!(error.hint().starts_with("run: chmod 600 "), "{}", error.hint());
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(load(&path).is_ok());
    }

    #[test]
    fn a_damaged_key_file_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kek");
        create_private(&path, &[7; 31]).unwrap();
        assert!(matches!(load(&path).map(|_| ()), Err(CustodyError::Damaged { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), [7; 31]);
        assert!(create_private(&path, &[8; 32]).is_err(), "a key file is never replaced");
        assert!(load(directory.path()).is_err(), "a directory is not a key");
    }
}
