//! The wires of an appliance: each listener is bound to its network card, not to an address only, because Linux answers on any card for the
//! address of any other. Operators come over a card of their own, and show a certificate.

use super::bound::{heard, on_card};
use super::listening::Listening;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::operator;
use cloakroom_admin::Link;
use cloakroom_proxy::Authority;
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig};
use serde::{Deserialize, Serialize};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

/// Which card is whose.
#[derive(Clone, Debug)]
pub(crate) struct Appliance {
    /// The workloads' card; the loopback's where they are on the vsock.
    pub(crate) workloads: String,
    /// The workloads' port of the vsock, where they have no wire.
    pub(crate) vsock: Option<u32>,
    /// The operators', where there is one.
    pub(crate) operator: Option<OperatorLink>,
    /// The TPM that the machine measured itself into.
    pub(crate) tpm: Option<cloakroom_tpm::Address>,
}

/// Where operators come in.
#[derive(Clone, Debug)]
pub(crate) struct OperatorLink {
    pub(crate) address: SocketAddr,
    /// The card.
    pub(crate) device: String,
    /// The operators' certificates (PEM).
    pub(crate) trusted: PathBuf,
}

/// What an operator has to know of an appliance, told over its console: the host's own wire into it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Introduction {
    /// Where workloads find the appliance, on their wire (URL).
    pub(crate) workloads: String,
    /// Where the link listens, as the appliance sees it.
    pub(crate) listen: String,
    /// What it shows there (PEM).
    pub(crate) certificate: String,
    /// The authority that workloads have to trust (PEM).
    pub(crate) authority: String,
}

/// The link, bound but not yet able to say who it is.
pub(super) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    trusted: RootCertStore,
}

impl Bound {
    /// Binds, and reads whom to let in. Nobody to let in is a mistake.
    pub(super) fn open(link: &OperatorLink) -> Result<Self, Failure> {
        let pem = std::fs::read(&link.trusted).map_err(|error| {
            Failure::file("read", &link.trusted, &error).hinting(
                "build the image with an operator's certificate: cloakroom image build --operator FILE",
            )
        })?;
        let trusted = operator::trusting(&pem, &link.trusted)?;
        let listener = on_card(&link.device, link.address)?;
        Ok(Self { address: listener.local_addr()?, listener, trusted })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// With its own key and certificate, made with the first start.
    pub(super) fn with_identity(
        self,
        data: &DataDir,
        workloads: Listening,
        authority: &Authority,
    ) -> Result<(Link, Introduction), Failure> {
        let (key, certificate) = (data.key("link"), data.path().join("link.pem"));
        let identity = operator::Identity::load_or_create(&key, &certificate, operator::APPLIANCE)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let refused =
            |error: String| Failure::failed(format!("the operators' link cannot speak TLS: {error}"));
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(self.trusted), Arc::clone(&provider))
                .build()
                .map_err(|error| refused(error.to_string()))?;
        let tls = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| refused(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![identity.certificate], identity.key)
            .map_err(|error| refused(error.to_string()))?;
        let introduction = Introduction {
            workloads: workloads.url(),
            listen: self.address.to_string(),
            certificate: identity.pem,
            authority: authority.pem().to_owned(),
        };
        Ok((Link { listener: heard(self.listener)?, tls: Arc::new(tls) }, introduction))
    }
}
