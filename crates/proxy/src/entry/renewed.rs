//! A certificate that is replaced while the listener runs, and what the listener shows to whoever checks that it answers to its names
//! (RFC 8737). Where both come from is left to whoever has them.

use crate::ProxyError;
use crate::authority::certificate_failed;
use arc_swap::ArcSwapOption;
use cloakroom_model::Timestamp;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use x509_parser::parse_x509_certificate;

/// The protocol of a check (RFC 8737, section 6.2). Nothing is spoken in it: the certificate of the handshake is the answer.
pub const CHECK_PROTOCOL: &[u8] = b"acme-tls/1";

/// What a listener shows whose certificate comes and is renewed while it runs.
#[derive(Debug, Default)]
pub struct RenewedCertificate {
    /// Until the first one is there, handshakes are refused: nothing else says who this is.
    current: ArcSwapOption<CertifiedKey>,
    checks: Mutex<BTreeMap<String, Arc<CertifiedKey>>>,
}

/// How long a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub begins: Timestamp,
    /// Until then.
    pub ends: Timestamp,
}

/// Answers to checks, for as long as it lives.
#[derive(Debug)]
pub struct Checks<'c>(&'c RenewedCertificate);

impl RenewedCertificate {
    /// Shows this from the next handshake on: a chain and its key, in PEM. How long it is good.
    ///
    /// # Errors
    /// When it is no chain, the key is not its key, or it has ended; then the former one is shown on.
    pub fn show(&self, pem: &[u8], now: Timestamp) -> Result<Validity, ProxyError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|_| certificate_failed("the chain is not in PEM"))?;
        let validity = validity(chain.first().ok_or_else(|| certificate_failed("there is no certificate"))?)?;
        if validity.ends <= now {
            return Err(certificate_failed("the certificate has ended"));
        }
        let key =
            PrivateKeyDer::from_pem_slice(pem).map_err(|_| certificate_failed("there is no private key"))?;
        let shown = CertifiedKey::new(chain, any_supported_type(&key).map_err(certificate_failed)?);
        shown.keys_match().map_err(certificate_failed)?;
        self.current.store(Some(Arc::new(shown)));
        Ok(validity)
    }

    /// Answers checks from now on.
    pub fn checks(&self) -> Checks<'_> {
        Checks(self)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<CertifiedKey>>> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Checks<'_> {
    /// Shows this digest to whoever checks the name.
    ///
    /// # Errors
    /// When no certificate can be made for it.
    pub fn answer(&self, name: &str, digest: &[u8]) -> Result<(), ProxyError> {
        let mut params = CertificateParams::new([name.to_owned()]).map_err(certificate_failed)?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let pair = KeyPair::generate().map_err(certificate_failed)?;
        let certificate = params.self_signed(&pair).map_err(certificate_failed)?.der().clone();
        let key = PrivateKeyDer::try_from(pair.serialize_der()).map_err(certificate_failed)?;
        let shown =
            CertifiedKey::new(vec![certificate], any_supported_type(&key).map_err(certificate_failed)?);
        self.0.lock().insert(name.to_ascii_lowercase(), Arc::new(shown));
        Ok(())
    }
}

impl Drop for Checks<'_> {
    fn drop(&mut self) {
        self.0.lock().clear();
    }
}

impl ResolvesServerCert for RenewedCertificate {
    /// SECURITY: a check is one that offers the protocol of checks and nothing else; nobody else is shown its certificate, and whoever checks
    /// is never shown the real one (RFC 8737, section 3).
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let offered: Vec<&[u8]> = hello.alpn().into_iter().flatten().collect();
        if offered.contains(&CHECK_PROTOCOL) {
            let name = hello.server_name().filter(|_| offered == [CHECK_PROTOCOL])?;
            return self.lock().get(&name.to_ascii_lowercase()).cloned();
        }
        self.current.load_full()
    }
}

fn validity(certificate: &CertificateDer<'_>) -> Result<Validity, ProxyError> {
    let unreadable = || certificate_failed("the certificate cannot be read");
    let (_, parsed) = parse_x509_certificate(certificate).map_err(|_| unreadable())?;
    let at = |time: x509_parser::time::ASN1Time| {
        let seconds = u64::try_from(time.timestamp()).map_err(|_| unreadable())?;
        Ok::<_, ProxyError>(Timestamp::from_millis(seconds.saturating_mul(1000)))
    };
    Ok(Validity { begins: at(parsed.validity().not_before)?, ends: at(parsed.validity().not_after)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(names: &[&str], other_key: bool) -> Vec<u8> {
        let names = names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let (pair, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let key = if other_key { &other } else { &pair };
        [params.self_signed(&pair).unwrap().pem(), key.serialize_pem()].concat().into_bytes()
    }

    #[test]
    fn what_cannot_be_shown_leaves_the_former_certificate_in_place() {
        let (shown, now) = (RenewedCertificate::default(), Timestamp::from_millis(1_700_000_000_000));
        let good = pem(&["a.example"], false);
        let validity = shown.show(&good, now).unwrap();
        assert_eq!(validity.begins.to_string(), "2020-01-01T00:00:00Z");
        let before = shown.current.load_full().unwrap();
        for (bad, at) in [
            (pem(&["a.example"], true), now),
            (good[..good.len() / 2].to_vec(), now),
            (Vec::new(), now),
            (good.clone(), validity.ends),
        ] {
            assert!(shown.show(&bad, at).is_err());
            assert!(Arc::ptr_eq(&before, &shown.current.load_full().unwrap()));
        }
        shown.show(&pem(&["a.example"], false), now).unwrap();
        assert!(!Arc::ptr_eq(&before, &shown.current.load_full().unwrap()));
    }

    #[test]
    fn answers_to_checks_are_gone_with_what_gave_them() {
        let shown = RenewedCertificate::default();
        let checks = shown.checks();
        checks.answer("A.example", &[7; 32]).unwrap();
        assert!(shown.lock().contains_key("a.example"));
        drop(checks);
        assert!(shown.lock().is_empty());
    }
}
