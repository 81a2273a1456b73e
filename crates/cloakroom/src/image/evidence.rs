//! Evidence that a drop-off key belongs to a machine which runs a known image: a quote of its TPM that answers for the key. Made where the broker
//! runs, checked anywhere, without a broker and without a TPM.
//!
//! It says what the first program of the machine found when it was started, signed by the TPM. A kernel that lies is not found by that: see
//! docs/attestation.md for what has to be true besides.

use super::measure::{Digest, Events, PCR, hash};
use crate::Outcome;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_admin::Attestor;
use cloakroom_admin::wire::Evidence;
use cloakroom_egress::custody::DropKey;
use cloakroom_model::hexadecimal;
use cloakroom_tpm::{Address, AttestationKey, PcrSelection, Quote, QuoteError, Tpm};
use serde_json::json;
use std::path::Path;

const VERSION: u32 = 1;

/// Makes evidence with the TPM of this machine.
pub(crate) struct TpmAttestor {
    /// Where the TPM is.
    pub(crate) tpm: Address,
    /// What the kernel was started with.
    pub(crate) command_line: String,
}

impl Attestor for TpmAttestor {
    fn attest(&self, key: &DropKey, nonce: &[u8; 32]) -> Result<Evidence, String> {
        let mut tpm = Tpm::open(&self.tpm).map_err(|error| error.to_string())?;
        let machine = tpm.attestation_key().map_err(|error| error.to_string())?;
        let quote = tpm.quote(pcr(), &question(key, nonce)).map_err(|error| error.to_string())?;
        Ok(Evidence {
            evidence: VERSION,
            key: *key,
            nonce: hexadecimal(nonce),
            machine: hexadecimal(&machine.to_bytes()),
            attested: STANDARD.encode(quote.attested),
            signature: STANDARD.encode(quote.signature),
            command_line: self.command_line.trim_end_matches('\n').to_owned(),
        })
    }
}

/// How a machine's attestation key is written where it is known by it: SHA-256, in hexadecimal.
pub(crate) fn fingerprint(evidence: &Evidence) -> Result<String, Failure> {
    machine_of(evidence).map(|machine| hexadecimal(&hash(&[&machine.to_bytes()])))
}

/// Reads evidence.
///
/// # Errors
/// When it is none.
pub(crate) fn read(file: &Path) -> Result<Evidence, Failure> {
    let text = std::fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
    serde_json::from_slice(&text).map_err(|_| malformed())
}

/// `image verify --evidence`.
pub(super) fn check(
    file: &Path,
    manifest: &[u8],
    machine: Option<&str>,
    nonce: Option<&str>,
    output: &Output,
) -> Outcome {
    let evidence = read(file)?;
    let demands = Demands { manifest, machine: machine.unwrap_or_default(), key: None, nonce };
    verify(&evidence, &demands)?;
    let document = json!({ "ok": true, "key": evidence.key, "command_line": evidence.command_line });
    output.data(&document, || {
        format!(
            "the machine runs this image\nwith the command line {:?}\nand vouches for the drop-off key {}",
            evidence.command_line, evidence.key
        )
    })?;
    Ok(Exit::Done)
}

/// What has to be so.
pub(crate) struct Demands<'a> {
    /// The manifest of the image.
    pub(crate) manifest: &'a [u8],
    /// The machine, by [`fingerprint`].
    pub(crate) machine: &'a str,
    /// The key that is vouched for.
    pub(crate) key: Option<&'a DropKey>,
    /// The question that was asked, in hexadecimal.
    pub(crate) nonce: Option<&'a str>,
}

/// Holds evidence against what is demanded.
///
/// # Errors
/// What of it is not so, with exit code 3.
pub(crate) fn verify(evidence: &Evidence, demands: &Demands<'_>) -> Result<(), Failure> {
    let machine = machine_of(evidence)?;
    if fingerprint(evidence)? != demands.machine {
        return Err(refused("the evidence is of another machine"));
    }
    if demands.key.is_some_and(|key| *key != evidence.key) {
        return Err(refused("the evidence is about another drop-off key"));
    }
    if demands.nonce.is_some_and(|nonce| nonce != evidence.nonce) {
        return Err(refused("the evidence answers another question than was asked"));
    }
    let decoded = |text: &str| STANDARD.decode(text).map_err(|_| malformed());
    let quote = Quote { attested: decoded(&evidence.attested)?, signature: decoded(&evidence.signature)? };
    let nonce = nonce(&evidence.nonce).ok_or_else(malformed)?;
    let quoted = quote.verify(&machine, &question(&evidence.key, &nonce)).map_err(|error| {
        refused(match error {
            QuoteError::Malformed => "the evidence holds no quote of a TPM",
            QuoteError::Signature => "the evidence is not signed by the machine that it names",
            QuoteError::Question => "the evidence was made for another drop-off key or another question",
        })
    })?;
    let expected = Events::expected(demands.manifest, &evidence.command_line)?.pcr();
    if quoted.pcrs != pcr() || !quoted.has(&[expected]) {
        return Err(refused(
            "the machine does not run this image, or not with the command line that it says",
        ));
    }
    Ok(())
}

/// 32 bytes in hexadecimal.
pub(crate) fn nonce(text: &str) -> Option<Digest> {
    bytes(text)?.try_into().ok()
}

/// What the TPM is asked to sign: the nonce, and the key that it answers for.
fn question(key: &DropKey, nonce: &[u8; 32]) -> Digest {
    hash(&[b"cloakroom evidence v1", &key.hash(), nonce])
}

fn machine_of(evidence: &Evidence) -> Result<AttestationKey, Failure> {
    if evidence.evidence != VERSION {
        return Err(Failure::bad_input("the evidence is of a version that is not known here"));
    }
    bytes(&evidence.machine).and_then(|bytes| AttestationKey::of(&bytes)).ok_or_else(malformed)
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = hexadecimal.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

fn pcr() -> PcrSelection {
    PcrSelection::of(&[PCR]).unwrap_or_default()
}

fn malformed() -> Failure {
    Failure::bad_input("this is no evidence of a machine")
        .hinting("it is what cloakroom drop-off evidence prints")
}

fn refused(what: &'static str) -> Failure {
    Failure::refused(what)
        .hinting("nothing was sealed: ask the broker's operator for evidence of the machine as it is")
}

#[cfg(test)]
mod tests;
