//! The head of a file: a stanza for each recipient, and a MAC over all of them.

use super::AgeError;
use super::x25519::{FILE_KEY, Identity, Recipient, WRAPPED, derive, wrap};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::io::BufRead;
use zeroize::Zeroizing;

const FIRST: &str = "age-encryption.org/v1";
/// A head is not longer: what a stranger sends is read no further.
const LONGEST: usize = 64 * 1024;
/// Characters of a full line of a stanza's body. A shorter one ends it.
const COLUMNS: usize = 64;

/// A head for these recipients, with the file key of what follows.
pub(super) fn write(recipients: &[Recipient]) -> Result<(Zeroizing<[u8; FILE_KEY]>, Vec<u8>), AgeError> {
    let mut file_key = Zeroizing::new([0; FILE_KEY]);
    getrandom::fill(&mut *file_key).map_err(|_| AgeError::Cryptography)?;
    let mut head = format!("{FIRST}\n");
    for recipient in recipients {
        let (ephemeral, wrapped) = wrap(recipient, &file_key)?;
        let (ephemeral, wrapped) = (STANDARD_NO_PAD.encode(ephemeral), STANDARD_NO_PAD.encode(wrapped));
        head.push_str(&format!("-> X25519 {ephemeral}\n{wrapped}\n"));
    }
    head.push_str("---");
    let mac = hmac::sign(&mac_key(&file_key)?, head.as_bytes());
    head.push_str(&format!(" {}\n", STANDARD_NO_PAD.encode(mac)));
    Ok((file_key, head.into_bytes()))
}

/// Reads a head, and opens the file key with the first identity that it is for.
pub(super) fn read(
    file: &mut impl BufRead,
    identities: &[Identity],
) -> Result<Zeroizing<[u8; FILE_KEY]>, AgeError> {
    let mut head = String::new();
    if line(file, &mut head)? != FIRST {
        return Err(AgeError::Head);
    }
    let mut found: Option<Zeroizing<[u8; FILE_KEY]>> = None;
    loop {
        let before = head.len();
        let said = line(file, &mut head)?;
        if let Some(mac) = said.strip_prefix("--- ") {
            let file_key = found.ok_or(AgeError::NotForUs)?;
            let mac = STANDARD_NO_PAD.decode(mac).map_err(|_| AgeError::Head)?;
            let covered = head.get(..before + 3).ok_or(AgeError::Head)?;
            hmac::verify(&mac_key(&file_key)?, covered.as_bytes(), &mac).map_err(|_| AgeError::Head)?;
            return Ok(file_key);
        }
        let arguments = said.strip_prefix("-> ").ok_or(AgeError::Head)?;
        let ephemeral = arguments.strip_prefix("X25519 ").map(str::to_owned);
        let body = body(file, &mut head)?;
        // A stanza of another kind is for somebody else.
        if let (None, Some(ephemeral)) = (&found, ephemeral) {
            let decoded = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| AgeError::Head);
            let ephemeral = <[u8; 32]>::try_from(decoded(&ephemeral)?).map_err(|_| AgeError::Head)?;
            let wrapped = <[u8; WRAPPED]>::try_from(decoded(&body)?).map_err(|_| AgeError::Head)?;
            found = identities.iter().find_map(|identity| identity.unwrap(&ephemeral, &wrapped));
        }
    }
}

/// The lines of a stanza's body as one text.
fn body(file: &mut impl BufRead, head: &mut String) -> Result<String, AgeError> {
    let mut body = String::new();
    loop {
        let part = line(file, head)?;
        body.push_str(part);
        if part.len() < COLUMNS {
            return Ok(body);
        }
        if part.len() > COLUMNS {
            return Err(AgeError::Head);
        }
    }
}

/// Appends the next line to the head, and gives it without its end.
fn line<'h>(file: &mut impl BufRead, head: &'h mut String) -> Result<&'h str, AgeError> {
    let before = head.len();
    let mut bytes = Vec::new();
    let room = LONGEST.saturating_sub(before) as u64;
    std::io::Read::take(file, room).read_until(b'\n', &mut bytes)?;
    head.push_str(std::str::from_utf8(&bytes).map_err(|_| AgeError::Head)?);
    head.get(before..).and_then(|line| line.strip_suffix('\n')).ok_or(AgeError::Head)
}

fn mac_key(file_key: &[u8; FILE_KEY]) -> Result<hmac::Key, AgeError> {
    let mut key = Zeroizing::new([0; 32]);
    derive(&Salt::new(HKDF_SHA256, &[]), file_key, b"header", &mut key)?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &*key))
}
