//! The broker's two certificate authorities: for interception, and for the certificates of workloads. Each is loaded or made
//! once, in the data directory.
//!
//! The first cannot be name-constrained: the hosts that permits name change while it lives, and workloads trust it once. What
//! bounds it instead: its key never leaves the data directory, its path length is zero, and leaves are minted only for
//! a host that an active permit of the asking workload names (T58, T60).

use crate::ProxyError;
use aws_lc_rs::digest;
use cloakroom_model::{Fingerprint, Name, WorkloadId, hexadecimal};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};

/// A certificate authority of the broker: key and certificate. ECDSA P-256.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
    fingerprint: String,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.fingerprint)
    }
}

impl Authority {
    /// Loads `DIR/ca.key` and `DIR/ca.pem`, creating both (the key with mode 0600) when neither exists.
    ///
    /// # Errors
    /// When a file cannot be read or written, the key can be read by others, or the two do not belong together.
    pub fn load_or_create(data: &Path) -> Result<Self, ProxyError> {
        Self::of(&Files { key: data.join("ca.key"), certificate: data.join("ca.pem"), name: "Cloakroom CA" })
    }

    /// Loads `DIR/workloads.key` and `DIR/workloads.pem`, creating both as [`Self::load_or_create`] does: signs the
    /// certificates of workloads, and nothing that a workload would trust.
    ///
    /// # Errors
    /// As [`Self::load_or_create`].
    pub fn of_workloads(data: &Path) -> Result<Self, ProxyError> {
        let (key, certificate) = (data.join("workloads.key"), data.join("workloads.pem"));
        Self::of(&Files { key, certificate, name: "Cloakroom workloads" })
    }

    fn of(files: &Files) -> Result<Self, ProxyError> {
        let key = match (files.key.exists(), files.certificate.exists()) {
            (true, _) => files.load_key()?,
            (false, false) => files.create_key()?,
            (false, true) => return Err(files.mismatch()),
        };
        // A key without a certificate is a first start that was cut off between the two files.
        if !files.certificate.exists() {
            files.write_certificate(&key)?;
        }
        files.assemble(key)
    }

    /// The certificate, for workloads to trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the certificate in DER, in hexadecimal: to be compared by whoever installs it (T59).
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The certificate in DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// A key pair and a certificate for a workload, good for a year; neither is kept.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn certify(&self, workload: WorkloadId, name: &Name) -> Result<WorkloadCertificate, ProxyError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(certificate_failed)?;
        let now = OffsetDateTime::now_utc();
        let mut parameters = CertificateParams::default();
        parameters.serial_number = Some(random_serial()?);
        parameters.not_before = now - Duration::hours(1);
        parameters.not_after = now + Duration::days(365);
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        parameters.use_authority_key_identifier_extension = true;
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name.as_str());
        let urn = format!("urn:cloakroom:workload:{workload}").try_into().map_err(certificate_failed)?;
        parameters.subject_alt_names = vec![SanType::URI(urn)];
        let made = parameters.signed_by(&key, &self.issuer).map_err(certificate_failed)?;
        Ok(WorkloadCertificate {
            certificate: made.pem(),
            key: key.serialize_pem(),
            fingerprint: Fingerprint::of(made.der()),
        })
    }

    pub(crate) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }
}

/// What a workload shows in TLS; shown once. `Debug` does not show the key.
pub struct WorkloadCertificate {
    /// The certificate (PEM).
    pub certificate: String,
    /// Its private key (PEM).
    pub key: String,
    /// What it is known by.
    pub fingerprint: Fingerprint,
}

impl fmt::Debug for WorkloadCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkloadCertificate({})", self.fingerprint)
    }
}

/// A random serial number of 127 bits (RFC 5280 wants it positive and at most 20 bytes).
pub(crate) fn random_serial() -> Result<SerialNumber, ProxyError> {
    let mut serial = [0u8; 16];
    getrandom::fill(&mut serial).map_err(|_| ProxyError::Random)?;
    serial[0] = (serial[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&serial))
}

pub(crate) fn certificate_failed(error: impl fmt::Display) -> ProxyError {
    ProxyError::Certificate(error.to_string())
}

struct Files {
    key: PathBuf,
    certificate: PathBuf,
    /// The first words of the authority's name.
    name: &'static str,
}

impl Files {
    fn mismatch(&self) -> ProxyError {
        ProxyError::Mismatch { key: self.key.clone(), certificate: self.certificate.clone() }
    }

    fn load_key(&self) -> Result<KeyPair, ProxyError> {
        let path = &self.key;
        let mode = path.metadata().map_err(fault("read", path))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(ProxyError::KeyExposed { path: path.clone() });
        }
        let pem = std::fs::read_to_string(path).map_err(fault("read", path))?;
        KeyPair::from_pkcs8_pem_and_sign_algo(&pem, &PKCS_ECDSA_P256_SHA256).map_err(certificate_failed)
    }

    fn create_key(&self) -> Result<KeyPair, ProxyError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(certificate_failed)?;
        write_new(&self.key, 0o600, &key.serialize_pem()).map_err(fault("create", &self.key))?;
        Ok(key)
    }

    fn write_certificate(&self, key: &KeyPair) -> Result<(), ProxyError> {
        let certificate = parameters(key, self.name)?.self_signed(key).map_err(certificate_failed)?;
        write_new(&self.certificate, 0o644, &certificate.pem()).map_err(fault("create", &self.certificate))
    }

    fn assemble(&self, key: KeyPair) -> Result<Authority, ProxyError> {
        let pem = std::fs::read_to_string(&self.certificate).map_err(fault("read", &self.certificate))?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
            certificate_failed(format!("{} is not a certificate", self.certificate.display()))
        })?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(certificate_failed)?;
        let signing = any_ecdsa_type(&private).map_err(certificate_failed)?;
        CertifiedKey::new(vec![der.clone()], signing).keys_match().map_err(|_| self.mismatch())?;
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(certificate_failed)?;
        let fingerprint = hexadecimal(digest::digest(&digest::SHA256, &der).as_ref());
        Ok(Authority { issuer, pem, der, fingerprint })
    }
}

fn parameters(key: &KeyPair, of: &str) -> Result<CertificateParams, ProxyError> {
    let short = hexadecimal(&digest::digest(&digest::SHA256, key.der_bytes()).as_ref()[..4]);
    let mut name = DistinguishedName::new();
    // SECURITY: a name of its own per authority: programs that look an issuer up by name find the right one.
    name.push(DnType::CommonName, format!("{of} {short}"));
    let now = OffsetDateTime::now_utc();
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    parameters.serial_number = Some(random_serial()?);
    parameters.not_before = now - Duration::hours(1);
    parameters.not_after = now + Duration::days(3650);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(parameters)
}

/// Creates a file that must not exist, and makes it last.
fn write_new(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn fault<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ProxyError + 'a {
    move |source| ProxyError::File { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_made_once_and_found_again() {
        let data = tempfile::tempdir().unwrap();
        let made = Authority::load_or_create(data.path()).unwrap();
        let found = Authority::load_or_create(data.path()).unwrap();
        assert_eq!(made.pem(), found.pem());
        assert_eq!(made.fingerprint(), found.fingerprint());
        let mode = data.path().join("ca.key").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_first_start_that_was_cut_off_is_finished() {
        let data = tempfile::tempdir().unwrap();
        Authority::load_or_create(data.path()).unwrap();
        std::fs::remove_file(data.path().join("ca.pem")).unwrap();
        assert!(Authority::load_or_create(data.path()).is_ok());
    }

    #[test]
    fn t58_a_key_that_others_can_read_is_refused() {
        let data = tempfile::tempdir().unwrap();
        Authority::load_or_create(data.path()).unwrap();
        std::fs::set_permissions(data.path().join("ca.key"), PermissionsExt::from_mode(0o640)).unwrap();
        assert!(matches!(Authority::load_or_create(data.path()), Err(ProxyError::KeyExposed { .. })));
    }

    #[test]
    fn a_key_and_a_certificate_of_two_authorities_are_refused() {
        let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Authority::load_or_create(data.path()).unwrap();
        Authority::load_or_create(other.path()).unwrap();
        std::fs::copy(other.path().join("ca.pem"), data.path().join("ca.pem")).unwrap();
        assert!(matches!(Authority::load_or_create(data.path()), Err(ProxyError::Mismatch { .. })));
        std::fs::remove_file(data.path().join("ca.key")).unwrap();
        assert!(matches!(Authority::load_or_create(data.path()), Err(ProxyError::Mismatch { .. })));
    }
}
