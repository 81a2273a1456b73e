//! One signing key: RSA with 2048 bits, for RS256 (RFC 7518, section 3.3), which every relying party of OpenID Connect knows.

use crate::custody::{CustodyError, Safe};
use crate::secret::Secret;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_model::Timestamp;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// A key of the issuer. Its private half is sealed, and opened for each signature.
#[derive(Clone)]
pub(super) struct Key {
    /// When it was made.
    pub(super) made: Timestamp,
    /// From when on tokens are signed with it.
    pub(super) signs_from: Timestamp,
    /// Its thumbprint (RFC 7638).
    pub(super) id: String,
    pub(super) sealed: Vec<u8>,
    modulus: String,
    exponent: String,
}

impl Key {
    /// A fresh one.
    ///
    /// # Errors
    /// When random bytes or the cryptography library fail.
    pub(super) fn fresh(safe: &Safe, made: Timestamp, signs_from: Timestamp) -> Result<Self, CustodyError> {
        let failed = |_| CustodyError::Cryptography("make a signing key");
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(failed)?;
        let private = Secret::new(Zeroizing::new(der.as_ref().to_vec()));
        let sealed = safe.seal(&purpose(made, signs_from), &private)?;
        Self::of(&pair, made, signs_from, sealed).ok_or(CustodyError::Cryptography("read a signing key"))
    }

    /// One that was kept. SECURITY: its public half is derived from what opens, never read from a file: whoever can write there and not
    /// seal must not have a key of their own published as the broker's.
    pub(super) fn kept(safe: &Safe, made: Timestamp, signs_from: Timestamp, sealed: Vec<u8>) -> Option<Self> {
        let pair = pair(safe, made, signs_from, &sealed)?;
        Self::of(&pair, made, signs_from, sealed)
    }

    fn of(pair: &RsaKeyPair, made: Timestamp, signs_from: Timestamp, sealed: Vec<u8>) -> Option<Self> {
        let (modulus, exponent) = numbers(pair.public_key().as_ref())?;
        let (modulus, exponent) = (URL_SAFE_NO_PAD.encode(modulus), URL_SAFE_NO_PAD.encode(exponent));
        // RFC 7638, section 3: these members, in this order, without blanks.
        let canonical = format!(r#"{{"e":"{exponent}","kty":"RSA","n":"{modulus}"}}"#);
        let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()));
        Some(Self { made, signs_from, id, sealed, modulus, exponent })
    }

    /// Its public half (RFC 7517).
    pub(super) fn public(&self) -> Value {
        json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, "n": self.modulus, "e": self.exponent })
    }

    /// A token with these claims (RFC 7515, compact).
    pub(super) fn sign(&self, safe: &Safe, claims: &Value) -> Option<Zeroizing<String>> {
        let pair = pair(safe, self.made, self.signs_from, &self.sealed)?;
        let header = json!({ "alg": "RS256", "kid": self.id, "typ": "JWT" });
        let mut text = Zeroizing::new(String::with_capacity(1024));
        URL_SAFE_NO_PAD.encode_string(header.to_string(), &mut text);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut text);
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).ok()?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Some(text)
    }
}

fn pair(safe: &Safe, made: Timestamp, signs_from: Timestamp, sealed: &[u8]) -> Option<RsaKeyPair> {
    let private = safe.open(&purpose(made, signs_from), sealed)?;
    RsaKeyPair::from_pkcs8(private.expose()).ok()
}

/// Its times are part of what is sealed: an edited file does not make a key sign for longer.
pub(super) fn purpose(made: Timestamp, signs_from: Timestamp) -> Vec<u8> {
    format!("issuer key {} {}", made.millis(), signs_from.millis()).into_bytes()
}

/// Modulus and exponent of an `RSAPublicKey` in DER (RFC 8017, appendix A.1.1), without leading zeros.
fn numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, rest) = element(0x30, der)?;
    rest.is_empty().then_some(())?;
    let (modulus, rest) = element(0x02, sequence)?;
    let (exponent, rest) = element(0x02, rest)?;
    rest.is_empty().then_some((bare(modulus), bare(exponent)))
}

fn bare(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|byte| **byte == 0).count();
    &integer[zeros..]
}

/// The content of the element of this tag at the beginning, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    (*first == tag).then_some(())?;
    if *length < 0x80 {
        return rest.split_at_checked(usize::from(*length));
    }
    let (bytes, rest) = rest.split_at_checked(usize::from(*length & 0x7f))?;
    (bytes.len() <= 2).then_some(())?;
    let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}
