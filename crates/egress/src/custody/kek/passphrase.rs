//! The key-encryption key from a passphrase: Argon2id (RFC 9106), salt and parameters in a private file.
//!
//! ```text
//! passphrase, salt --Argon2id--> root --HMAC "cloakroom kek v1"--------> key-encryption key
//!                                     `-HMAC "cloakroom verifier v1"---> verifier, kept to tell a wrong passphrase
//! ```

use super::{LocalKey, create_private, read_private};
use crate::custody::aead::KEY;
use crate::custody::error::CustodyError;
use crate::secret::Secret;
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::path::Path;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The least number of characters of a new passphrase.
const SHORTEST: usize = 12;

/// The file: nothing in it is secret, but whoever has it can test guesses offline.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    version: u32,
    kdf: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    verifier: String,
}

/// Derives the key; the first time, chooses salt and parameters.
///
/// # Errors
/// For a wrong passphrase, a new one that is too short, and a file that is damaged or open to others.
pub(in crate::custody) fn load(path: &Path, passphrase: &[u8]) -> Result<LocalKey, CustodyError> {
    let damaged = |what| CustodyError::Damaged { path: path.into(), what };
    let Some(bytes) = read_private(path)? else { return choose(path, passphrase) };
    let parameters: Parameters =
        serde_json::from_slice(&bytes).map_err(|_| damaged("it is not the JSON that was written"))?;
    let salt = STANDARD.decode(&parameters.salt).map_err(|_| damaged("the salt is not base64"))?;
    let verifier =
        STANDARD.decode(&parameters.verifier).map_err(|_| damaged("the verifier is not base64"))?;
    // A limit on both sides: weaker parameters would invite guessing, larger ones would stop the start.
    let sane = parameters.version == 1
        && parameters.kdf == "argon2id"
        && (8 << 10..=4 << 20).contains(&parameters.memory_kib)
        && (1..=64).contains(&parameters.passes)
        && (1..=16).contains(&parameters.lanes)
        && salt.len() >= 16;
    if !sane {
        return Err(damaged("its parameters are outside the limits"));
    }
    let (key, expected) = derive(&parameters, &salt, passphrase)?;
    if !bool::from(expected.as_slice().ct_eq(&verifier)) {
        return Err(CustodyError::WrongPassphrase);
    }
    Ok(LocalKey(key))
}

fn choose(path: &Path, passphrase: &[u8]) -> Result<LocalKey, CustodyError> {
    let length = std::str::from_utf8(passphrase).map_or(passphrase.len(), |text| text.chars().count());
    if length < SHORTEST {
        return Err(CustodyError::ShortPassphrase);
    }
    let mut salt = [0u8; 16];
    getrandom::fill(&mut salt).map_err(|_| CustodyError::Cryptography("make a salt"))?;
    // RFC 9106, section 4, second recommendation: 64 MiB, three passes.
    let mut parameters = Parameters {
        version: 1,
        kdf: "argon2id".into(),
        memory_kib: 64 << 10,
        passes: 3,
        lanes: 4,
        salt: STANDARD.encode(salt),
        verifier: String::new(),
    };
    let (key, verifier) = derive(&parameters, &salt, passphrase)?;
    parameters.verifier = STANDARD.encode(verifier);
    let text = serde_json::to_vec_pretty(&parameters)
        .map_err(|_| CustodyError::Cryptography("write its parameters"))?;
    create_private(path, &text)?;
    Ok(LocalKey(key))
}

fn derive(
    parameters: &Parameters,
    salt: &[u8],
    passphrase: &[u8],
) -> Result<(Secret, Vec<u8>), CustodyError> {
    let failed = |_| CustodyError::Cryptography("derive a key from the passphrase");
    let params = Params::new(parameters.memory_kib, parameters.passes, parameters.lanes, Some(KEY));
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(failed)?);
    let root = Secret::filled(KEY, |room| argon.hash_password_into(passphrase, salt, room).map(|()| KEY))
        .map_err(failed)?;
    let root = hmac::Key::new(hmac::HMAC_SHA256, root.expose());
    let key = Zeroizing::new(hmac::sign(&root, b"cloakroom kek v1").as_ref().to_vec());
    Ok((Secret::new(key), hmac::sign(&root, b"cloakroom verifier v1").as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const PASSPHRASE: &[u8] = b"canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

    #[test]
    fn the_same_passphrase_gives_the_same_key_and_another_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/passphrase.json");
        let first = load(&path, PASSPHRASE).unwrap();
        let second = load(&path, PASSPHRASE).unwrap();
        assert_eq!(first.0.expose(), second.0.expose());
        assert!(matches!(load(&path, b"canary-wrong").map(|_| ()), Err(CustodyError::WrongPassphrase)));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&STANDARD.encode(first.0.expose())));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(load(&path, PASSPHRASE).map(|_| ()), Err(CustodyError::Exposed { .. })));
    }

    #[test]
    fn a_short_new_passphrase_is_refused_and_nothing_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passphrase.json");
        assert!(matches!(load(&path, b"canary").map(|_| ()), Err(CustodyError::ShortPassphrase)));
        assert!(!path.exists());
    }

    #[test]
    fn parameters_outside_the_limits_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passphrase.json");
        load(&path, PASSPHRASE).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        for (from, to) in [
            ("65536", "8"),
            ("65536", "4294967295"),
            ("argon2id", "argon2d"),
            ("\"version\": 1", "\"version\": 2"),
            ("\"lanes\"", "\"extra\": 1, \"lanes\""),
        ] {
            std::fs::write(&path, good.replace(from, to)).unwrap();
            let loaded = load(&path, PASSPHRASE).map(|_| ());
            assert!(matches!(loaded, Err(CustodyError::Damaged { .. })), "{from} -> {to}");
        }
    }
}
