//! HPKE (RFC 9180), base mode, one message for each encapsulated key: what is sealed to a public key opens with its private half only.
//!
//! The suite is DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, as rustls has it on AWS-LC.

use super::error::CustodyError;
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const SUITE: &dyn Hpke = DH_KEM_X25519_HKDF_SHA256_AES_256;
/// Bytes of a public key, and of a private one.
pub(super) const KEY: usize = 32;

/// A secret on its way in: ciphertext, safe to pass on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropOff {
    /// The encapsulated key, base64.
    pub encapsulated: String,
    /// The sealed secret, base64.
    pub ciphertext: String,
}

/// What a drop-off is bound to: the protocol that it belongs to (`info`), and what is authenticated with it (`aad`).
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) info: &'a [u8],
    pub(super) aad: &'a [u8],
}

/// Seals `secret` to a public key.
///
/// # Errors
/// When the public key is not one.
pub(super) fn seal(public: &[u8], context: Context<'_>, secret: &[u8]) -> Result<DropOff, CustodyError> {
    let sealed = SUITE.seal(context.info, context.aad, secret, &HpkePublicKey(public.to_vec()));
    let (encapsulated, ciphertext) = sealed.map_err(|_| CustodyError::Cryptography("seal to this key"))?;
    Ok(DropOff { encapsulated: STANDARD.encode(&encapsulated.0), ciphertext: STANDARD.encode(&ciphertext) })
}

/// A key pair that drop-offs are sealed to.
pub(super) struct Pair {
    pub(super) public: Vec<u8>,
    pub(super) private: Secret,
}

impl Pair {
    /// A fresh pair.
    ///
    /// # Errors
    /// When the cryptography library fails.
    pub(super) fn fresh() -> Result<Self, CustodyError> {
        let (public, private) =
            SUITE.generate_key_pair().map_err(|_| CustodyError::Cryptography("make a key pair"))?;
        let private = Secret::new(Zeroizing::new(private.secret_bytes().to_vec()));
        Ok(Self { public: public.0, private })
    }

    /// Opens what [`seal`] made for this key in the same context.
    ///
    /// # Errors
    /// [`CustodyError::DropOff`].
    pub(super) fn open(&self, drop_off: &DropOff, context: Context<'_>) -> Result<Secret, CustodyError> {
        let decoded = |text: &str| STANDARD.decode(text).map_err(|_| CustodyError::DropOff);
        let encapsulated = EncapsulatedSecret(decoded(&drop_off.encapsulated)?);
        let ciphertext = decoded(&drop_off.ciphertext)?;
        // Wiped when it is dropped.
        let private = HpkePrivateKey::from(self.private.expose().to_vec());
        let opened = SUITE.open(&encapsulated, context.info, context.aad, &ciphertext, &private);
        opened.map(|bytes| Secret::new(Zeroizing::new(bytes))).map_err(|_| CustodyError::DropOff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hexadecimal: &str) -> Vec<u8> {
        let digits = hexadecimal.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    /// The vector of RFC 9180 for mode 0, KEM 0x0020, KDF 0x0001, AEAD 0x0002, first message (test-vectors.json, which appendix A is part of).
    #[test]
    fn what_rfc_9180_sealed_opens_and_one_bit_beside_it_does_not() {
        let pair = Pair {
            public: bytes("430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c"),
            private: Secret::new(Zeroizing::new(bytes(
                "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d",
            ))),
        };
        let encapsulated = bytes("6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256");
        let ciphertext = bytes(
            "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a",
        );
        let info = bytes("4f6465206f6e2061204772656369616e2055726e");
        let context = |aad: &'static [u8]| Context { info: &info, aad };
        let open = |encapsulated: &[u8], ciphertext: &[u8], aad: &'static [u8]| {
            let drop_off = DropOff {
                encapsulated: STANDARD.encode(encapsulated),
                ciphertext: STANDARD.encode(ciphertext),
            };
            pair.open(&drop_off, context(aad)).map(|secret| secret.expose().to_vec())
        };
        assert_eq!(open(&encapsulated, &ciphertext, b"Count-0").unwrap(), b"Beauty is truth, truth beauty");
        assert!(open(&encapsulated, &ciphertext, b"Count-1").is_err());
        for at in 0..encapsulated.len() {
            let mut changed = encapsulated.clone();
            changed[at] ^= 1;
            assert!(open(&changed, &ciphertext, b"Count-0").is_err(), "encapsulated, byte {at}");
        }
        for at in 0..ciphertext.len() {
            let mut changed = ciphertext.clone();
            changed[at] ^= 1;
            assert!(open(&encapsulated, &changed, b"Count-0").is_err(), "ciphertext, byte {at}");
        }
        // What is sealed to its public half opens too.
        let sealed = seal(&pair.public, context(b"ours"), b"Beauty").unwrap();
        assert_eq!(pair.open(&sealed, context(b"ours")).unwrap().expose(), b"Beauty");
    }
}
