//! How a secret comes in from a command line beside the broker: sealed to a key that lives in this process only.
//!
//! The admin API hands over the public key and passes the drop-off on; it never sees plaintext. The info string names the protocol; the
//! credential's name is authenticated. What is sealed elsewhere, for later, is a [parcel](super::Parcel). What operators bring to unseal comes the same
//! way, to a key and under an info string of its own: it is no deposit, and no deposit is a share.

use super::error::CustodyError;
use super::hpke::{self, Context, DropOff, Pair};
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::Name;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const INFO: &[u8] = b"cloakroom intake v1";
const PART: Context<'_> = Context { info: b"cloakroom unseal v1", aad: b"" };

/// The public half of an intake key: seals a secret so that only this broker process opens it (HPKE, RFC 9180).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intake {
    /// The X25519 public key, base64.
    pub public_key: String,
}

impl Intake {
    /// Seals `secret` for the credential called `name`.
    ///
    /// # Errors
    /// When the public key is not one.
    pub fn seal(&self, secret: Zeroizing<Vec<u8>>, name: &Name) -> Result<DropOff, CustodyError> {
        hpke::seal(&self.public()?, context(name), &secret)
    }

    /// Seals what an operator brings to unseal: a share or the passphrase.
    ///
    /// # Errors
    /// When the public key is not one.
    pub fn seal_part(&self, part: Zeroizing<Vec<u8>>) -> Result<DropOff, CustodyError> {
        hpke::seal(&self.public()?, PART, &part)
    }

    fn public(&self) -> Result<Vec<u8>, CustodyError> {
        STANDARD.decode(&self.public_key).map_err(|_| CustodyError::Cryptography("read the intake key"))
    }
}

/// The key pair that drop-offs are sealed to. Fresh in each process, so a recorded drop-off opens nowhere later; the one for what unseals is
/// fresh after each seal, so what unsealed once does not unseal again.
pub(super) struct IntakeKey(Pair);

impl IntakeKey {
    /// A fresh pair.
    ///
    /// # Errors
    /// When the cryptography library fails.
    pub(super) fn fresh() -> Result<Self, CustodyError> {
        Pair::fresh().map(Self)
    }

    /// The public half.
    pub(super) fn intake(&self) -> Intake {
        Intake { public_key: STANDARD.encode(&self.0.public) }
    }

    /// Opens what [`Intake::seal`] made under the same name.
    ///
    /// # Errors
    /// [`CustodyError::DropOff`].
    pub(super) fn open(&self, drop_off: &DropOff, name: &Name) -> Result<Secret, CustodyError> {
        self.0.open(drop_off, context(name))
    }

    /// Opens what [`Intake::seal_part`] made.
    ///
    /// # Errors
    /// [`CustodyError::DropOff`].
    pub(super) fn open_part(&self, drop_off: &DropOff) -> Result<Secret, CustodyError> {
        self.0.open(drop_off, PART)
    }
}

fn context(name: &Name) -> Context<'_> {
    Context { info: INFO, aad: name.as_str().as_bytes() }
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
    fn a_part_is_no_deposit_and_a_deposit_is_no_part_also_under_one_key() {
        let key = IntakeKey::fresh().unwrap();
        let secret = || Zeroizing::new(CANARY.to_vec());
        let part = key.intake().seal_part(secret()).unwrap();
        assert_eq!(key.open_part(&part).unwrap().expose(), CANARY);
        let deposit = key.intake().seal(secret(), &name("custody-unseal")).unwrap();
        assert!(matches!(key.open_part(&deposit).map(|_| ()), Err(CustodyError::DropOff)));
        assert!(matches!(key.open(&part, &name("custody-unseal")).map(|_| ()), Err(CustodyError::DropOff)));
    }

    #[test]
    fn a_drop_off_does_not_show_the_secret() {
        let key = IntakeKey::fresh().unwrap();
        let drop_off = key.intake().seal(Zeroizing::new(CANARY.to_vec()), &name("stripe")).unwrap();
        let json = serde_json::to_string(&drop_off).unwrap();
        assert!(!json.contains("canary") && !json.contains(&STANDARD.encode(CANARY)[..16]));
    }
}
