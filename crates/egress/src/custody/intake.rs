//! How a secret comes in: sealed by the CLI to a key that lives in this process only (HPKE, RFC 9180).
//!
//! The admin API hands over the public key and passes the drop-off on; it never sees plaintext. The suite is X25519,
//! HKDF-SHA256, AES-256-GCM; the info string names the protocol; the credential's name is authenticated.

use super::error::CustodyError;
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::Name;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const INFO: &[u8] = b"cloakroom intake v1";
const SUITE: &dyn Hpke = DH_KEM_X25519_HKDF_SHA256_AES_256;

/// The public half of the intake key: seals a secret so that only this broker process opens it (HPKE, RFC 9180).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intake {
    /// The X25519 public key, base64.
    pub public_key: String,
}

/// A secret on its way in: ciphertext, safe to pass on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropOff {
    /// The encapsulated key, base64.
    pub encapsulated: String,
    /// The sealed secret, base64.
    pub ciphertext: String,
}

impl Intake {
    /// Seals `secret` for the credential called `name`.
    ///
    /// # Errors
    /// When the public key is not one.
    pub fn seal(&self, secret: Zeroizing<Vec<u8>>, name: &Name) -> Result<DropOff, CustodyError> {
        let failed = CustodyError::Cryptography("seal to the intake key");
        let Ok(public) = STANDARD.decode(&self.public_key) else { return Err(failed) };
        let sealed = SUITE.seal(INFO, name.as_str().as_bytes(), &secret, &HpkePublicKey(public));
        let (encapsulated, ciphertext) = sealed.map_err(|_| failed)?;
        Ok(DropOff {
            encapsulated: STANDARD.encode(&encapsulated.0),
            ciphertext: STANDARD.encode(&ciphertext),
        })
    }
}

/// The key pair that drop-offs are sealed to. Fresh in each process, so a recorded drop-off opens nowhere later.
pub(super) struct IntakeKey {
    public: Vec<u8>,
    private: Secret,
}

impl IntakeKey {
    /// A fresh pair.
    ///
    /// # Errors
    /// When the cryptography library fails.
    pub(super) fn fresh() -> Result<Self, CustodyError> {
        let (public, private) =
            SUITE.generate_key_pair().map_err(|_| CustodyError::Cryptography("make the intake key"))?;
        let private = Secret::new(Zeroizing::new(private.secret_bytes().to_vec()));
        Ok(Self { public: public.0, private })
    }

    /// The public half.
    pub(super) fn intake(&self) -> Intake {
        Intake { public_key: STANDARD.encode(&self.public) }
    }

    /// Opens what [`Intake::seal`] made under the same name.
    ///
    /// # Errors
    /// [`CustodyError::DropOff`].
    pub(super) fn open(&self, drop_off: &DropOff, name: &Name) -> Result<Secret, CustodyError> {
        let decoded = |text: &str| STANDARD.decode(text).map_err(|_| CustodyError::DropOff);
        let encapsulated = EncapsulatedSecret(decoded(&drop_off.encapsulated)?);
        let ciphertext = decoded(&drop_off.ciphertext)?;
        let private = HpkePrivateKey::from(self.private.expose().to_vec());
        let opened = SUITE.open(&encapsulated, INFO, name.as_str().as_bytes(), &ciphertext, &private);
        opened.map(|bytes| Secret::new(Zeroizing::new(bytes))).map_err(|_| CustodyError::DropOff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &[u8] = b"canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn what_is_sealed_to_the_intake_key_opens_once_per_process() {
        let key = IntakeKey::fresh().unwrap();
        let drop_off = key.intake().seal(Zeroizing::new(CANARY.to_vec()), &name("stripe")).unwrap();
        assert_eq!(key.open(&drop_off, &name("stripe")).unwrap().expose(), CANARY);
        assert!(matches!(
            IntakeKey::fresh().unwrap().open(&drop_off, &name("stripe")).map(|_| ()),
            Err(CustodyError::DropOff)
        ));
    }

    #[test]
    fn a_drop_off_for_another_name_or_changed_on_the_way_does_not_open() {
        let key = IntakeKey::fresh().unwrap();
        let good = key.intake().seal(Zeroizing::new(CANARY.to_vec()), &name("stripe")).unwrap();
        assert!(key.open(&good, &name("github")).is_err());
        for change in [
            DropOff { ciphertext: STANDARD.encode([0; 40]), ..good.clone() },
            DropOff { ciphertext: "not base64!".into(), ..good.clone() },
            DropOff { encapsulated: STANDARD.encode([9; 32]), ..good.clone() },
            DropOff { encapsulated: STANDARD.encode([9; 3]), ..good.clone() },
            DropOff { encapsulated: String::new(), ciphertext: String::new() },
        ] {
            assert!(matches!(key.open(&change, &name("stripe")).map(|_| ()), Err(CustodyError::DropOff)));
        }
    }

    #[test]
    fn a_drop_off_does_not_show_the_secret() {
        let key = IntakeKey::fresh().unwrap();
        let drop_off = key.intake().seal(Zeroizing::new(CANARY.to_vec()), &name("stripe")).unwrap();
        let json = serde_json::to_string(&drop_off).unwrap();
        assert!(!json.contains("canary") && !json.contains(&STANDARD.encode(CANARY)[..16]));
    }
}
