//! The key-encryption key from whoever starts the broker: systemd opens it from `LoadCredentialEncrypted=`, sealed to this machine's TPM or
//! to a key of the host until then, and shows it to this service alone, in memory.
//!
//! The data directory keeps a verifier, so that another key is told before anything is sealed with it.

use super::{LocalKey, create_private, read_private};
use crate::custody::aead::KEY;
use crate::custody::error::CustodyError;
use crate::secret::Secret;
use aws_lc_rs::hmac;
use std::path::Path;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Reads the key from `file`; the first time, keeps its verifier in `mark`.
///
/// # Errors
/// When there is no such file, others can read it, it has not 32 bytes, or it is another key than the first time.
pub(in crate::custody) fn load(file: &Path, mark: &Path) -> Result<LocalKey, CustodyError> {
    let bytes = read_private(file)?.ok_or_else(|| CustodyError::NotHanded { path: file.into() })?;
    let bytes = Zeroizing::new(bytes);
    if bytes.len() != KEY {
        return Err(CustodyError::Damaged { path: file.into(), what: "a key has 32 bytes" });
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
    let verifier = hmac::sign(&key, b"cloakroom verifier v1");
    match read_private(mark)? {
        Some(kept) if bool::from(kept.as_slice().ct_eq(verifier.as_ref())) => {}
        Some(_) => return Err(CustodyError::AnotherKey { path: file.into() }),
        None => create_private(mark, verifier.as_ref())?,
    }
    Ok(LocalKey(Secret::new(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_same_key_is_taken_again_and_another_is_refused_before_it_seals_anything() {
        let directory = tempfile::tempdir().unwrap();
        let (file, mark) = (directory.path().join("credential"), directory.path().join("keys/kek.handed"));
        assert!(matches!(load(&file, &mark).map(|_| ()), Err(CustodyError::NotHanded { .. })));
        create_private(&file, &[7; KEY]).unwrap();
        let first = load(&file, &mark).unwrap();
        assert_eq!(load(&file, &mark).unwrap().0.expose(), first.0.expose());
        assert_ne!(std::fs::read(&mark).unwrap(), [7; KEY]);
        std::fs::write(&file, [8; KEY]).unwrap();
        assert!(matches!(load(&file, &mark).map(|_| ()), Err(CustodyError::AnotherKey { .. })));
        std::fs::write(&file, [7; KEY - 1]).unwrap();
        assert!(matches!(load(&file, &mark).map(|_| ()), Err(CustodyError::Damaged { .. })));
        std::fs::write(&file, [7; KEY]).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o440)).unwrap();
        assert!(matches!(load(&file, &mark).map(|_| ()), Err(CustodyError::Exposed { .. })));
    }
}
