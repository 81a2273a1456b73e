//! What the operator decided about the workload listener.

use super::{GivenCertificate, RenewedCertificate};
use crate::ProxyError;
use cloakroom_model::{Host, Source};
use ipnet::IpNet;
use rustls_pki_types::CertificateDer;
use std::sync::Arc;

/// What the workload listener speaks besides plain HTTP.
#[derive(Debug)]
pub struct Entrance {
    /// With a certificate, every connection has to speak TLS.
    pub tls: Option<Certificate>,
    /// The authority that signs workloads' certificates: in TLS they are asked for.
    pub workloads: Option<CertificateDer<'static>>,
    /// Whether SOCKS5 is spoken.
    pub socks: bool,
    /// Balancers: from these, and from nobody else, the PROXY protocol is required.
    pub balancers: Vec<IpNet>,
}

/// What the listener shows in TLS.
#[derive(Debug)]
pub enum Certificate {
    /// Leaves of the broker's own authority: for the address that was connected to, and for these names.
    Own(Vec<Host>),
    /// A certificate from elsewhere.
    Given(Arc<GivenCertificate>),
    /// One that comes and is renewed while the listener runs.
    Renewed(Arc<RenewedCertificate>),
}

impl Certificate {
    /// Reads the files again, where it comes from files.
    pub(super) fn reload(&self) -> Result<bool, ProxyError> {
        match self {
            Self::Given(given) => given.reload().map(|()| true),
            Self::Own(_) | Self::Renewed(_) => Ok(false),
        }
    }
}

impl Default for Entrance {
    fn default() -> Self {
        Self { tls: None, workloads: None, socks: true, balancers: Vec::new() }
    }
}

impl Entrance {
    /// Reads the files of a given certificate again. Whether there is one.
    ///
    /// # Errors
    /// As [`GivenCertificate::reload`]; the former certificate is shown on.
    pub fn reload(&self) -> Result<bool, ProxyError> {
        self.tls.as_ref().map_or(Ok(false), Certificate::reload)
    }

    pub(super) fn is_balancer(&self, peer: Source) -> bool {
        peer.address().is_some_and(|address| self.balancers.iter().any(|range| range.contains(&address)))
    }
}
