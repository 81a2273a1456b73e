//! TLS for another listener of the same broker: the same certificates, and nothing that is only for workloads.

use super::certificate::EntryTls;
use super::renewed::CHECK_PROTOCOL;
use super::{Certificate, RenewedCertificate};
use crate::leaf::Leaves;
use crate::{Authority, ProxyError};
use rustls::ServerConfig;
use std::net::IpAddr;
use std::sync::Arc;

/// How the console's listener speaks TLS.
pub struct BesideTls {
    certificate: Certificate,
    shown: EntryTls,
    leaves: Leaves,
    authority: Authority,
}

impl BesideTls {
    /// Shows this certificate; leaves of its own are signed by `authority`.
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub fn new(certificate: Certificate, authority: Authority) -> Result<Self, ProxyError> {
        let leaves = Leaves::new()?;
        let shown = EntryTls::new(&certificate, None, &leaves)?;
        Ok(Self { certificate, shown, leaves, authority })
    }

    /// The settings for a connection to this address of ours: HTTP/1.1, and no certificate of the other side.
    ///
    /// # Errors
    /// When no leaf can be made.
    pub fn settings(&self, local: IpAddr) -> Result<Arc<ServerConfig>, ProxyError> {
        let mut settings =
            ServerConfig::clone(&*self.shown.settings(local, &self.leaves, &self.authority)?);
        settings.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.renewed().is_some() {
            settings.alpn_protocols.push(CHECK_PROTOCOL.to_vec());
        }
        Ok(Arc::new(settings))
    }

    /// The certificate that is renewed while the listener runs, where it is one.
    pub fn renewed(&self) -> Option<&Arc<RenewedCertificate>> {
        match &self.certificate {
            Certificate::Renewed(renewed) => Some(renewed),
            Certificate::Own(_) | Certificate::Given(_) => None,
        }
    }

    /// Reads the files of a given certificate again. Whether there is one.
    ///
    /// # Errors
    /// The former certificate is shown on.
    pub fn reload(&self) -> Result<bool, ProxyError> {
        self.certificate.reload()
    }
}
