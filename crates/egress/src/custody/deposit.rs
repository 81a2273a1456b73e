//! What is handed in becomes what is stored: opened, checked, its shape learnt, sealed.

use super::binding::Binding;
use super::{
    Accepted, AccessKey, ClientCertificate, Custody, CustodyError, DropBox, DropOff, DropOffError, LONGEST,
    Parcel, SHORTEST, SigningKey, certificate, sealed, shape,
};
use crate::secret::Secret;
use cloakroom_model::placeholder::Alphabet;
use cloakroom_model::{CredentialId, CredentialKind, Destination, Name, Shape, Timestamp};

impl Custody {
    /// Opens the drop-off, checks the secret, learns its shape, and seals it bound to id, kind, destinations and
    /// generation.
    ///
    /// # Errors
    /// When the drop-off does not open, or the secret is not 8 bytes to 16 KiB of text without control characters.
    pub fn accept(
        &self,
        drop_off: &DropOff,
        name: &Name,
        id: CredentialId,
        kind: CredentialKind,
        destinations: &[Destination],
        generation: u32,
    ) -> Result<Accepted, CustodyError> {
        self.seal_in(self.intake.open(drop_off, name)?, id, kind, destinations, generation)
    }

    /// The same for a parcel, which says itself what it is to become. It is not taken yet: see [`DropBox::take`].
    ///
    /// # Errors
    /// As [`DropBox`] says, and as [`Custody::accept`].
    pub fn accept_parcel(
        &self,
        from: &DropBox,
        parcel: &Parcel,
        id: CredentialId,
        destinations: &[Destination],
    ) -> Result<Accepted, DropOffError> {
        let secret = from.open(parcel, Timestamp::now())?;
        Ok(self.seal_in(secret, id, parcel.label.kind, destinations, 1)?)
    }

    fn seal_in(
        &self,
        secret: Secret,
        id: CredentialId,
        kind: CredentialKind,
        destinations: &[Destination],
        generation: u32,
    ) -> Result<Accepted, CustodyError> {
        match kind {
            CredentialKind::Oauth => return self.accept_grant(secret, id, destinations, generation),
            CredentialKind::Sourced => return self.accept_source(secret, id, destinations, generation),
            CredentialKind::AwsRole => return self.accept_role(&secret, id, destinations, generation),
            _ => {}
        }
        let (secret, shape) = match kind {
            CredentialKind::Aws => {
                let key = AccessKey::deposited(secret.expose()).map_err(CustodyError::Grant)?;
                (key.write(), shape::learn(&key.id))
            }
            CredentialKind::Hmac | CredentialKind::HttpSignature => {
                let key = SigningKey::deposited(&secret, kind, || self.known_id(id))?;
                (key.write(), shape::learn(key.likeness()))
            }
            CredentialKind::Mtls => {
                ClientCertificate::deposited(&secret, Timestamp::now())?;
                (secret, Shape::prefixed(certificate::PREFIX, Alphabet::Base62, 48))
            }
            _ => {
                let shape = shape::learn(acceptable(&secret, kind)?);
                (secret, shape)
            }
        };
        let binding = Binding { id, kind, destinations, generation };
        Ok(Accepted { sealed: sealed::seal(self.keys.as_ref(), &binding.bound(), &secret)?, shape })
    }
}

/// The secret as text that can be put into a call.
pub(super) fn acceptable(secret: &Secret, kind: CredentialKind) -> Result<&str, CustodyError> {
    let bytes = secret.expose();
    if bytes.len() < SHORTEST {
        return Err(CustodyError::TooShort);
    }
    if bytes.len() > LONGEST {
        return Err(CustodyError::TooLong);
    }
    // SECURITY: a CR or LF would end the header field that the secret is put into (T45).
    if bytes.iter().any(u8::is_ascii_control) {
        return Err(CustodyError::ControlCharacter);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| CustodyError::NotText)?;
    let raw = matches!(kind, CredentialKind::Bearer | CredentialKind::Header | CredentialKind::Cookie);
    if raw && !text.is_ascii() {
        return Err(CustodyError::NotAscii);
    }
    Ok(text)
}
