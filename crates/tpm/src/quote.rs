//! Quotes: what a TPM's PCRs are, signed by a key that signs nothing but what the TPM itself found (Part 1, 32).

use crate::command::{Command, TPM_CC_QUOTE, sha256};
use crate::error::TpmError;
use crate::pcr::PcrSelection;
use crate::session::{DIGEST, TPM_ALG_SHA256};
use crate::tpm::{Purpose, Tpm, padded};
use crate::wire::{Reader, Writer};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

/// TPM_GENERATED_VALUE: no data that others hand a restricted key to sign begins like this.
const MADE_BY_A_TPM: u32 = 0xff54_4347;
const TPM_ST_ATTEST_QUOTE: u16 = 0x8018;
const TPM_ALG_NULL: u16 = 0x0010;
const TPM_ALG_ECDSA: u16 = 0x0018;

/// The public half of the key that a TPM quotes with: a point on P-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttestationKey {
    x: [u8; DIGEST],
    y: [u8; DIGEST],
}

impl AttestationKey {
    /// Of the two coordinates.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let (x, y) = bytes.split_at_checked(DIGEST)?;
        Some(Self { x: x.try_into().ok()?, y: y.try_into().ok()? })
    }

    /// The two coordinates.
    pub fn to_bytes(self) -> [u8; 2 * DIGEST] {
        let mut out = [0; 2 * DIGEST];
        out[..DIGEST].copy_from_slice(&self.x);
        out[DIGEST..].copy_from_slice(&self.y);
        out
    }
}

/// A signed statement of a TPM. Anybody's word until it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// What was signed (`TPMS_ATTEST`).
    pub attested: Vec<u8>,
    /// The signature: two numbers of 32 bytes.
    pub signature: Vec<u8>,
}

/// What a verified quote says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// The PCRs that it is about.
    pub pcrs: PcrSelection,
    /// How often the TPM was reset: a machine that was started again is told from one that was not.
    pub resets: u32,
    digest: [u8; DIGEST],
}

/// Why a quote is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// It is no quote, or of a kind that is not read here.
    #[error("this is no quote of a TPM")]
    Malformed,
    /// The signature is not that of the key.
    #[error("the quote is not signed by this machine's attestation key")]
    Signature,
    /// It answers another question, or was recorded.
    #[error("the quote answers another question than was asked")]
    Question,
}

impl Tpm {
    /// The public half of the key that this TPM quotes with. The same TPM has the same one each time, until its owner hierarchy is cleared.
    ///
    /// # Errors
    /// As [`TpmError`] says.
    pub fn attestation_key(&mut self) -> Result<AttestationKey, TpmError> {
        let (x, y) = self.primary(Purpose::Attestation)?.point;
        Ok(AttestationKey { x, y })
    }

    /// Quotes these PCRs, as the answer to `question`: a nonce, or the hash of one and of what is vouched for.
    ///
    /// # Errors
    /// As [`TpmError`] says.
    pub fn quote(&mut self, pcrs: PcrSelection, question: &[u8; DIGEST]) -> Result<Quote, TpmError> {
        const OTHER: TpmError = TpmError::Answer("its signature is of another kind than was asked for");
        let key = self.primary(Purpose::Attestation)?;
        let parameters = Writer::new().sized(question).two(TPM_ALG_NULL).raw(pcrs.list().bytes());
        let command = Command::new(TPM_CC_QUOTE).object(key.handle, &key.name).parameters(parameters);
        let response = self.run_with_password(&command, 0)?;
        let mut reader = Reader::new(&response.parameters);
        let attested = reader.sized()?.to_vec();
        if (reader.two()?, reader.two()?) != (TPM_ALG_ECDSA, TPM_ALG_SHA256) {
            return Err(OTHER);
        }
        let (r, s) = (padded(reader.sized()?).ok_or(OTHER)?, padded(reader.sized()?).ok_or(OTHER)?);
        reader.end()?;
        Ok(Quote { attested, signature: [r, s].concat() })
    }
}

impl Quote {
    /// What it says, if `key` signed it in answer to `question`.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn verify(&self, key: &AttestationKey, question: &[u8; DIGEST]) -> Result<Quoted, QuoteError> {
        let point = [&[4][..], &key.x, &key.y].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(&self.attested, &self.signature)
            .map_err(|_| QuoteError::Signature)?;
        let (asked, quoted) = read(&self.attested).map_err(|_| QuoteError::Malformed)?;
        // Nothing here is secret, so the time that comparing takes may tell.
        (asked == question).then_some(quoted).ok_or(QuoteError::Question)
    }
}

impl Quoted {
    /// Whether its PCRs had these values, ascending by number.
    pub fn has(&self, values: &[[u8; DIGEST]]) -> bool {
        self.digest == sha256(&[&values.concat()])
    }
}

/// The question and what is said (Part 2, 10.12.8).
fn read(attested: &[u8]) -> Result<(&[u8], Quoted), TpmError> {
    let mut reader = Reader::new(attested);
    if (reader.four()?, reader.two()?) != (MADE_BY_A_TPM, TPM_ST_ATTEST_QUOTE) {
        return Err(TpmError::Damaged);
    }
    let (_signer, question) = (reader.sized()?, reader.sized()?);
    let (_clock, resets, _restarts, _safe) = (reader.raw(8)?, reader.four()?, reader.four()?, reader.byte()?);
    let _firmware = reader.raw(8)?;
    let pcrs = PcrSelection::read(&mut reader)?;
    let digest = reader.sized()?.try_into().map_err(|_| TpmError::Damaged)?;
    reader.end()?;
    Ok((question, Quoted { pcrs, resets, digest }))
}
