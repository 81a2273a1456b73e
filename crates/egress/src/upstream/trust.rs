//! Whom to believe: TLS 1.2 or later, the platform's trust anchors and the operator's, and no exceptions.

use super::settings::UpstreamError;
use cloakroom_model::{Code, Host, Refusal};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// TLS sessions remembered for resumption, over all destinations.
const SESSIONS: usize = 1024;

/// The TLS configuration of every upstream connection.
///
/// # Errors
/// When a file of anchors holds none, or there is nothing to trust at all.
pub(super) fn configuration(anchors: &[PathBuf]) -> Result<Arc<ClientConfig>, UpstreamError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "a trust anchor of the platform could not be read");
    }
    roots.add_parsable_certificates(native.certs);
    for path in anchors {
        add(&mut roots, path)?;
    }
    if roots.is_empty() {
        return Err(UpstreamError::NoAnchors);
    }
    let mut configuration = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    configuration.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(configuration))
}

/// The same for connections that are to be upgraded: what leaves HTTP/1.1 cannot have begun as HTTP/2.
pub(super) fn http1_only(any: &ClientConfig) -> Arc<ClientConfig> {
    let mut configuration = any.clone();
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(configuration)
}

/// The same for what is not HTTP.
pub(super) fn without_protocols(any: &ClientConfig) -> Arc<ClientConfig> {
    let mut configuration = any.clone();
    configuration.alpn_protocols = Vec::new();
    Arc::new(configuration)
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), UpstreamError> {
    let fault = |reason: String| UpstreamError::Anchors { path: path.into(), reason };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))?;
    let mut count = 0;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| fault(error.to_string()))?;
        roots.add(certificate).map_err(|error| fault(error.to_string()))?;
        count += 1;
    }
    if count == 0 { Err(fault("it holds no PEM certificate".into())) } else { Ok(()) }
}

/// The name the certificate must be for: the destination's host, the same that is dialled and sent (I1).
///
/// # Errors
/// `upstream-untrusted` for a host that no certificate can name.
pub(super) fn server_name(host: &Host) -> Result<ServerName<'static>, Refusal> {
    match host {
        Host::V4(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::V6(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::Name(name) => ServerName::try_from(name.to_string())
            .map_err(|_| Refusal::new(Code::UpstreamUntrusted, "no certificate can be for this host name")),
    }
}

/// What a failed handshake means.
pub(super) fn refusal(error: &std::io::Error) -> Refusal {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Refusal::new(Code::UpstreamUntrusted, "the destination's certificate does not verify")
        }
        Some(_) => Refusal::new(Code::UpstreamUntrusted, "the TLS handshake with the destination failed"),
        None => Refusal::new(Code::UpstreamUnreachable, "the connection broke during the TLS handshake"),
    }
}
