//! The listener's own TLS: under a leaf of the broker's authority, or under a certificate from elsewhere.

use super::Certificate;
use crate::authority::certificate_failed;
use crate::leaf::Leaves;
use crate::{Authority, ProxyError};
use arc_swap::ArcSwap;
use cloakroom_model::Host;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the listener speaks TLS.
pub(crate) struct EntryTls {
    shown: Shown,
    /// Checks the certificates of workloads, where there is an authority for them.
    workloads: Option<Arc<dyn ClientCertVerifier>>,
}

enum Shown {
    Own(Vec<Host>),
    Given(Arc<ServerConfig>),
}

impl EntryTls {
    pub(crate) fn new(
        certificate: &Certificate,
        workloads: Option<&CertificateDer<'static>>,
        leaves: &Leaves,
    ) -> Result<Self, ProxyError> {
        let workloads = workloads.map(|authority| leaves.verifier_of_workloads(authority)).transpose()?;
        let shown = match certificate {
            Certificate::Own(names) => Shown::Own(names.clone()),
            Certificate::Given(given) => {
                Shown::Given(Arc::new(leaves.settings_showing(given.clone(), workloads.as_ref())?))
            }
            Certificate::Renewed(renewed) => {
                Shown::Given(Arc::new(leaves.settings_showing(renewed.clone(), workloads.as_ref())?))
            }
        };
        Ok(Self { shown, workloads })
    }

    /// The settings for a connection to this address of ours.
    pub(super) fn settings(
        &self,
        local: IpAddr,
        leaves: &Leaves,
        authority: &Authority,
    ) -> Result<Arc<ServerConfig>, ProxyError> {
        let names = match &self.shown {
            Shown::Given(settings) => return Ok(settings.clone()),
            Shown::Own(names) => names,
        };
        let local = match local.to_canonical() {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        };
        // The names first: the first one is the subject.
        let address = (!names.contains(&local)).then_some(&local);
        let hosts: Vec<Host> = names.iter().chain(address).cloned().collect();
        leaves.settings_of_listener(&hosts, authority, self.workloads.as_ref())
    }
}

/// A certificate from elsewhere, with its key. The files can be read again while the broker runs.
#[derive(Debug)]
pub struct GivenCertificate {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl GivenCertificate {
    /// Reads a chain and its key (PEM); the key must be its owner's alone.
    ///
    /// # Errors
    /// When a file cannot be read, the key can be read by others, or the two do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, ProxyError> {
        let current = ArcSwap::from_pointee(read(certificate, key)?);
        Ok(Self { certificate: certificate.into(), key: key.into(), current })
    }

    /// Reads the files again. Where that fails, the former certificate is shown on.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn reload(&self) -> Result<(), ProxyError> {
        self.current.store(Arc::new(read(&self.certificate, &self.key)?));
        Ok(())
    }
}

impl ResolvesServerCert for GivenCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, ProxyError> {
    let fault = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| ProxyError::File { doing, path, source }
    };
    let mode = key.metadata().map_err(fault("read", key))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(ProxyError::KeyExposed { path: key.to_owned() });
    }
    let chain = std::fs::read(certificate).map_err(fault("read", certificate))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|_| certificate_failed(format!("{} is not a certificate in PEM", certificate.display())))?;
    let private = std::fs::read(key).map_err(fault("read", key))?;
    let private = PrivateKeyDer::from_pem_slice(&private)
        .map_err(|_| certificate_failed(format!("{} is not a private key in PEM", key.display())))?;
    let signing = any_supported_type(&private).map_err(certificate_failed)?;
    if chain.is_empty() {
        return Err(certificate_failed(format!("{} holds no certificate", certificate.display())));
    }
    let shown = CertifiedKey::new(chain, signing);
    let mismatch = || ProxyError::Mismatch { key: key.to_owned(), certificate: certificate.to_owned() };
    shown.keys_match().map_err(|_| mismatch())?;
    Ok(shown)
}
