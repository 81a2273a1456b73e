//! Sessions (Part 1, 17 to 21): who holds the session key has agreed it with the TPM's own primary key. Commands and responses are
//! authenticated with it, and their first parameter is encrypted.

use crate::command::{Command, TPM_CC_START_AUTH_SESSION};
use crate::error::TpmError;
use crate::tpm::{Primary, Tpm};
use crate::wire::{Reader, Writer};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::cipher::{
    AES_128, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{digest, hmac};
use zeroize::Zeroizing;

/// Bytes of SHA-256, of nonces and of coordinates on P-256.
pub(crate) const DIGEST: usize = 32;
const TPM_RH_NULL: u32 = 0x4000_0007;
pub(crate) const TPM_ALG_AES: u16 = 0x0006;
pub(crate) const TPM_ALG_SHA256: u16 = 0x000b;
pub(crate) const TPM_ALG_CFB: u16 = 0x0043;

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Authorizes with an object's password, which is empty here, and authenticates.
    Hmac = 0,
    /// Authorizes by the object's policy.
    Policy = 1,
}

/// A session with the TPM.
pub(crate) struct Session {
    pub(crate) handle: u32,
    key: Zeroizing<[u8; DIGEST]>,
    nonce_tpm: Vec<u8>,
    nonce_caller: [u8; DIGEST],
}

impl Session {
    /// Starts one, salted to this primary key.
    ///
    /// # Errors
    /// As [`TpmError`] says.
    pub(crate) fn start(tpm: &mut Tpm, primary: &Primary, kind: Kind) -> Result<Self, TpmError> {
        let (salt, encrypted) = salt(primary)?;
        let nonce_caller = fresh_nonce()?;
        let parameters = Writer::new()
            .sized(&nonce_caller)
            .sized(&encrypted)
            .byte(kind as u8)
            .two(TPM_ALG_AES)
            .two(128)
            .two(TPM_ALG_CFB)
            .two(TPM_ALG_SHA256);
        let command = Command::new(TPM_CC_START_AUTH_SESSION).handle(primary.handle).handle(TPM_RH_NULL);
        let response = tpm.run(command.parameters(parameters), 1)?;
        let nonce_tpm = Reader::new(&response.parameters).sized()?.to_vec();
        // Sessions are never bound here, so the salt alone is the key that the session's key is made of.
        let key = kdf_a(&salt[..], "ATH", &nonce_tpm, &nonce_caller);
        Ok(Self { handle: response.handle, key, nonce_tpm, nonce_caller })
    }

    /// Makes a nonce of ours for the next command.
    pub(crate) fn begin(&mut self) -> Result<(), TpmError> {
        self.nonce_caller = fresh_nonce()?;
        Ok(())
    }

    /// That nonce.
    pub(crate) fn nonce(&self) -> &[u8] {
        &self.nonce_caller
    }

    /// Encrypts the first parameter of a command, once [`Session::begin`] made its nonce.
    pub(crate) fn encrypt(&self, parameter: &mut [u8]) -> Result<(), TpmError> {
        let failed = |_| TpmError::Cryptography("encrypt a parameter");
        let (key, iv) = self.cipher(&self.nonce_caller, &self.nonce_tpm);
        let key =
            UnboundCipherKey::new(&AES_128, &key[..]).and_then(EncryptingKey::cfb128).map_err(failed)?;
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        key.less_safe_encrypt(parameter, context).map(drop).map_err(failed)
    }

    /// Decrypts the first parameter of a response that [`Session::verify`] accepted.
    pub(crate) fn decrypt(&self, parameter: &mut [u8]) -> Result<(), TpmError> {
        let failed = |_| TpmError::Cryptography("decrypt a parameter");
        let (key, iv) = self.cipher(&self.nonce_tpm, &self.nonce_caller);
        let key =
            UnboundCipherKey::new(&AES_128, &key[..]).and_then(DecryptingKey::cfb128).map_err(failed)?;
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        key.decrypt(parameter, context).map(drop).map_err(failed)
    }

    /// The HMAC of a command with this digest of its parameters.
    pub(crate) fn authorize(&self, parameters: &[u8], attributes: u8) -> hmac::Tag {
        self.tag(parameters, &self.nonce_caller, &self.nonce_tpm, attributes)
    }

    /// Checks that a response is the TPM's, and takes its nonce over.
    ///
    /// # Errors
    /// [`TpmError::Answer`].
    pub(crate) fn verify(
        &mut self,
        parameters: &[u8],
        nonce: &[u8],
        attributes: u8,
        tag: &[u8],
    ) -> Result<(), TpmError> {
        let message = message(parameters, nonce, &self.nonce_caller, attributes);
        hmac::verify(&self.mac(), &message, tag)
            .map_err(|_| TpmError::Answer("it does not come from the TPM that was asked"))?;
        self.nonce_tpm = nonce.to_vec();
        Ok(())
    }

    fn tag(&self, parameters: &[u8], newer: &[u8], older: &[u8], attributes: u8) -> hmac::Tag {
        hmac::sign(&self.mac(), &message(parameters, newer, older, attributes))
    }

    /// Every object here has an empty password, so the session's key is the whole of the HMAC's.
    fn mac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.key[..])
    }

    fn cipher(&self, newer: &[u8], older: &[u8]) -> (Zeroizing<[u8; 16]>, [u8; 16]) {
        let stream = kdf_a(&self.key[..], "CFB", newer, older);
        let (mut key, mut iv) = (Zeroizing::new([0; 16]), [0; 16]);
        key.copy_from_slice(&stream[..16]);
        iv.copy_from_slice(&stream[16..]);
        (key, iv)
    }
}

fn message(parameters: &[u8], newer: &[u8], older: &[u8], attributes: u8) -> Vec<u8> {
    [parameters, newer, older, &[attributes]].concat()
}

fn fresh_nonce() -> Result<[u8; DIGEST], TpmError> {
    let mut nonce = [0; DIGEST];
    getrandom::fill(&mut nonce).map_err(|_| TpmError::Cryptography("make a nonce"))?;
    Ok(nonce)
}

/// A salt that only the holder of the primary key's private half learns, and what it is told to (Part 1, C.6.1): one-pass Diffie-Hellman.
fn salt(primary: &Primary) -> Result<(Zeroizing<[u8; DIGEST]>, Vec<u8>), TpmError> {
    const FAILED: TpmError = TpmError::Cryptography("agree on a session key");
    let ours = PrivateKey::generate(&ECDH_P256).map_err(|_| FAILED)?;
    let public = ours.compute_public_key().map_err(|_| FAILED)?;
    let (x, y) = public.as_ref().get(1..).and_then(|point| point.split_at_checked(DIGEST)).ok_or(FAILED)?;
    let theirs = [&[4][..], &primary.point.0, &primary.point.1].concat();
    let salt = agree(&ours, UnparsedPublicKey::new(&ECDH_P256, theirs), FAILED, |shared| {
        Ok(kdf_e(shared, "SECRET", x, &primary.point.0))
    })?;
    Ok((salt, Writer::new().sized(x).sized(y).bytes().to_vec()))
}

/// KDFa (Part 1, 11.4.10.2): SP 800-108 in counter mode; here always 256 bits, which is one block.
fn kdf_a(key: &[u8], label: &str, one: &[u8], two: &[u8]) -> Zeroizing<[u8; DIGEST]> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in [&1u32.to_be_bytes()[..], label.as_bytes(), &[0], one, two, &256u32.to_be_bytes()] {
        context.update(part);
    }
    let mut out = Zeroizing::new([0; DIGEST]);
    out.copy_from_slice(context.sign().as_ref());
    out
}

/// KDFe (Part 1, 11.4.10.3): SP 800-56A; 256 bits, one block.
fn kdf_e(shared: &[u8], label: &str, one: &[u8], two: &[u8]) -> Zeroizing<[u8; DIGEST]> {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [&1u32.to_be_bytes()[..], shared, label.as_bytes(), &[0], one, two] {
        context.update(part);
    }
    let mut out = Zeroizing::new([0; DIGEST]);
    out.copy_from_slice(context.finish().as_ref());
    out
}
