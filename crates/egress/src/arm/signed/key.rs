//! Keys of HTTP Message Signatures (RFC 9421, section 3.3).

use super::hmac::spelled;
use super::not_followed;
use crate::custody::SigningKey;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use cloakroom_model::Refusal;
use cloakroom_model::signing::{Message, MessageAlgorithm};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

/// The signature of `base`.
///
/// # Errors
/// `place-not-permitted` where the key is of another kind than the algorithm needs.
pub(super) fn sign(key: &SigningKey, scheme: &Message, base: &[u8]) -> Result<Vec<u8>, Refusal> {
    let other = || not_followed("the key is not of the kind that the signature's algorithm needs");
    let Some(pair) = pair(key)? else {
        let shared = scheme.algorithm == MessageAlgorithm::Hmac;
        let bytes = spelled(scheme.key, &key.key).ok().filter(|_| shared).ok_or_else(other)?;
        return Ok(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), base).as_ref().to_vec());
    };
    let signed = match scheme.algorithm {
        MessageAlgorithm::Ed25519 => {
            Ed25519KeyPair::from_pkcs8(pair.secret_der()).ok().map(|key| key.sign(base).as_ref().to_vec())
        }
        MessageAlgorithm::EcdsaP256 => ecdsa(&pair, &ECDSA_P256_SHA256_FIXED_SIGNING, base),
        MessageAlgorithm::EcdsaP384 => ecdsa(&pair, &ECDSA_P384_SHA384_FIXED_SIGNING, base),
        MessageAlgorithm::RsaPss => rsa(&pair, &RSA_PSS_SHA512, base),
        MessageAlgorithm::RsaV1_5 => rsa(&pair, &RSA_PKCS1_SHA256, base),
        // SECURITY: a private key never becomes a shared one.
        MessageAlgorithm::Hmac => None,
    };
    signed.ok_or_else(other)
}

/// The private key; `None` where the key is a shared one.
fn pair(key: &SigningKey) -> Result<Option<PrivateKeyDer<'static>>, Refusal> {
    if !key.is_private() {
        return Ok(None);
    }
    let none = |_| not_followed("what is kept as a private key is none");
    PrivateKeyDer::from_pem_slice(key.key.as_bytes()).map(Some).map_err(none)
}

fn ecdsa(der: &PrivateKeyDer<'_>, algorithm: &'static EcdsaSigningAlgorithm, base: &[u8]) -> Option<Vec<u8>> {
    let key = match der {
        PrivateKeyDer::Pkcs8(key) => EcdsaKeyPair::from_pkcs8(algorithm, key.secret_pkcs8_der()),
        other => EcdsaKeyPair::from_private_key_der(algorithm, other.secret_der()),
    };
    Some(key.ok()?.sign(&SystemRandom::new(), base).ok()?.as_ref().to_vec())
}

fn rsa(der: &PrivateKeyDer<'_>, padding: &'static dyn RsaEncoding, base: &[u8]) -> Option<Vec<u8>> {
    let key = match der {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        other => RsaKeyPair::from_der(other.secret_der()),
    };
    let key = key.ok()?;
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(padding, &SystemRandom::new(), base, &mut signature).ok()?;
    Some(signature)
}
