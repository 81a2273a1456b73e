//! A client certificate with its private key, which opens connections and is never sent in a call.
//!
//! ```text
//! sealed: the PEM that was deposited: certificates, the client's own first, and one private key
//! ```

use super::CustodyError;
use crate::secret::Secret;
use cloakroom_model::{Code, Refusal, Timestamp};
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

const FORM: &str = "a client certificate is deposited as PEM: the certificate, those between it and its authority, and its private key, \
     which is not encrypted";
const OTHER: &str = "the private key is not that of the first certificate";
const ENDED: &str = "the certificate is past its end";

/// What placeholders for it begin with.
pub(super) const PREFIX: &str = "mtls_";

/// What a connection shows of itself, opened for one call.
pub(crate) struct ClientCertificate {
    certified: CertifiedKey,
    ends: Timestamp,
}

impl ClientCertificate {
    /// Checks a deposit: the key belongs to the certificate, and the certificate has not ended.
    ///
    /// # Errors
    /// In words that hold nothing of the key.
    pub(super) fn deposited(secret: &Secret, now: Timestamp) -> Result<(), CustodyError> {
        if secret.expose().len() > super::LONGEST {
            return Err(CustodyError::TooLong);
        }
        let own = Self::of(secret.expose()).map_err(CustodyError::Grant)?;
        if own.ends <= now { Err(CustodyError::Grant(ENDED)) } else { Ok(()) }
    }

    /// Reads what is sealed, for a connection that begins now.
    ///
    /// # Errors
    /// `broker-sealed` where it is none; `credential-unavailable` where the certificate is past its end.
    pub(crate) fn read(secret: &Secret, now: Timestamp) -> Result<Self, Refusal> {
        let none = |_| Refusal::new(Code::BrokerSealed, "what is kept as a client certificate is none");
        let own = Self::of(secret.expose()).map_err(none)?;
        if own.ends <= now {
            return Err(Refusal::new(Code::CredentialUnavailable, "the client certificate is past its end"));
        }
        Ok(own)
    }

    /// When the certificate of a sealed text ends.
    pub(super) fn end_of(secret: &Secret) -> Option<Timestamp> {
        Self::of(secret.expose()).ok().map(|own| own.ends)
    }

    /// What TLS shows.
    pub(crate) fn into_certified(self) -> CertifiedKey {
        self.certified
    }

    fn of(pem: &[u8]) -> Result<Self, &'static str> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(FORM)?;
        let mut keys = PrivateKeyDer::pem_slice_iter(pem);
        let key = keys.next().and_then(Result::ok).filter(|_| keys.next().is_none()).ok_or(FORM)?;
        let ends = end(&chain[0]).ok_or(FORM)?;
        let certified =
            CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|_| OTHER)?;
        // What cannot be compared was not compared.
        certified.keys_match().map_err(|_| OTHER)?;
        Ok(Self { certified, ends })
    }
}

/// From when until when the first certificate of a PEM text says that it is good; nothing where there is none.
pub fn certificate_span(pem: &[u8]) -> Option<(Timestamp, Timestamp)> {
    span(&CertificateDer::from_pem_slice(pem).ok()?)
}

fn end(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    span(certificate).map(|(_, end)| end)
}

fn span(certificate: &CertificateDer<'_>) -> Option<(Timestamp, Timestamp)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let at = |seconds: i64| Some(Timestamp::from_millis(u64::try_from(seconds).ok()?.saturating_mul(1000)));
    let validity = parsed.validity();
    Some((at(validity.not_before.timestamp())?, at(validity.not_after.timestamp())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn pem(year: i32) -> (String, Secret) {
        let mut params = rcgen::CertificateParams::new(vec!["robot".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 2, 3);
        let key = rcgen::KeyPair::generate().unwrap();
        let text = params.self_signed(&key).unwrap().pem() + &key.serialize_pem();
        let secret = Secret::new(Zeroizing::new(text.clone().into_bytes()));
        (text, secret)
    }

    #[test]
    fn a_certificate_opens_connections_until_its_end_and_not_from_then_on() {
        let (text, secret) = pem(2030);
        let end = ClientCertificate::end_of(&secret).unwrap();
        assert_eq!(end.to_string(), "2030-02-03T00:00:00Z");
        let (begin, same) = certificate_span(text.as_bytes()).unwrap();
        assert!(begin < same && same == end && certificate_span(b"none").is_none());
        assert!(ClientCertificate::read(&secret, Timestamp::from_millis(end.millis() - 1)).is_ok());
        let refused = ClientCertificate::read(&secret, end).map(|_| ()).unwrap_err();
        assert_eq!(refused.code(), Code::CredentialUnavailable);
        assert!(ClientCertificate::deposited(&secret, end).is_err());
        let none = Secret::new(Zeroizing::new(b"none".to_vec()));
        assert_eq!(ClientCertificate::read(&none, end).map(|_| ()).unwrap_err().code(), Code::BrokerSealed);
    }

    #[test]
    fn a_sealed_certificate_that_was_cut_short_is_none() {
        let (text, secret) = pem(2030);
        assert!(ClientCertificate::end_of(&secret).is_some());
        let cut = Secret::new(Zeroizing::new(text.as_bytes()[..text.len() / 2].to_vec()));
        let before = Timestamp::from_millis(0);
        assert_eq!(ClientCertificate::read(&cut, before).map(|_| ()).unwrap_err().code(), Code::BrokerSealed);
    }
}
