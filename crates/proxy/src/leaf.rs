//! Leaf certificates for intercepted hosts, and the TLS settings that show them.

use crate::authority::{certificate_failed, random_serial};
use crate::{Authority, ProxyError};
use cloakroom_model::Host;
use moka::sync::Cache;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider, sign::any_ecdsa_type};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ProducesTickets, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::IpAddr;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// Hosts whose settings are kept (T60).
const KEPT: u64 = 256;
/// A leaf lives 23 hours and is shown for at most 12, so that nobody meets one that is about to end.
const SHOWN_FOR: std::time::Duration = std::time::Duration::from_secs(12 * 3600);

/// Makes and keeps TLS settings per host. One key pair serves all leaves of a process.
pub(crate) struct Leaves {
    key: KeyPair,
    signing: Arc<dyn SigningKey>,
    provider: Arc<CryptoProvider>,
    tickets: Arc<dyn ProducesTickets>,
    settings: Cache<Vec<Host>, Arc<ServerConfig>>,
    /// The listener's own, which ask for a workload's certificate.
    of_listener: Cache<Vec<Host>, Arc<ServerConfig>>,
}

impl Leaves {
    /// With a fresh key from the operating system's random source (T61).
    pub(crate) fn new() -> Result<Self, ProxyError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(certificate_failed)?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(certificate_failed)?;
        let signing = any_ecdsa_type(&private).map_err(certificate_failed)?;
        Ok(Self {
            key,
            signing,
            provider: Arc::new(default_provider()),
            tickets: Ticketer::new().map_err(certificate_failed)?,
            settings: kept(),
            of_listener: kept(),
        })
    }

    /// TLS settings for this host: kept, or made by the first who asks while the others wait.
    ///
    /// The caller has checked that an active permit of the asking workload names the host.
    pub(crate) fn settings_for(
        &self,
        host: &Host,
        authority: &Authority,
    ) -> Result<Arc<ServerConfig>, ProxyError> {
        let hosts = std::slice::from_ref(host);
        self.settings
            .try_get_with_by_ref(hosts, || self.settings(hosts, authority, None))
            .map_err(|error: Arc<ProxyError>| certificate_failed(error))
    }

    /// As [`Self::settings_for`], for the listener itself: one leaf for all these names.
    pub(crate) fn settings_of_listener(
        &self,
        hosts: &[Host],
        authority: &Authority,
        workloads: Option<&Arc<dyn ClientCertVerifier>>,
    ) -> Result<Arc<ServerConfig>, ProxyError> {
        self.of_listener
            .try_get_with_by_ref(hosts, || self.settings(hosts, authority, workloads))
            .map_err(|error: Arc<ProxyError>| certificate_failed(error))
    }

    fn settings(
        &self,
        hosts: &[Host],
        authority: &Authority,
        workloads: Option<&Arc<dyn ClientCertVerifier>>,
    ) -> Result<Arc<ServerConfig>, ProxyError> {
        let certificate = self.mint(hosts, authority)?;
        let shown = CertifiedKey::new(vec![certificate], self.signing.clone());
        self.settings_showing(Arc::new(SingleCertAndKey::from(shown)), workloads).map(Arc::new)
    }

    /// Settings that show this certificate, and ask for one of the workload where there is a way to check it.
    pub(crate) fn settings_showing(
        &self,
        certificate: Arc<dyn ResolvesServerCert>,
        workloads: Option<&Arc<dyn ClientCertVerifier>>,
    ) -> Result<ServerConfig, ProxyError> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(certificate_failed)?;
        let builder = match workloads {
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_no_client_auth(),
        };
        let mut settings = builder.with_cert_resolver(certificate);
        settings.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A ticket names its server, so one ticket key for all hosts lets nobody resume as another host.
        settings.ticketer = self.tickets.clone();
        settings.send_tls13_tickets = 1;
        Ok(settings)
    }

    /// Checks certificates that the authority of workloads signed. Who shows none may come in too: a key may do.
    pub(crate) fn verifier_of_workloads(
        &self,
        authority: &CertificateDer<'static>,
    ) -> Result<Arc<dyn ClientCertVerifier>, ProxyError> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone()).map_err(certificate_failed)?;
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(certificate_failed)
    }

    fn mint(&self, hosts: &[Host], authority: &Authority) -> Result<CertificateDer<'static>, ProxyError> {
        let now = OffsetDateTime::now_utc();
        let mut parameters = CertificateParams::default();
        parameters.serial_number = Some(random_serial()?);
        parameters.not_before = now - Duration::hours(1);
        parameters.not_after = now + Duration::hours(22);
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        parameters.distinguished_name = hosts.first().map(subject).unwrap_or_default();
        parameters.subject_alt_names = hosts.iter().map(alternative_name).collect::<Result<_, _>>()?;
        let leaf = parameters.signed_by(&self.key, authority.issuer()).map_err(certificate_failed)?;
        Ok(leaf.der().clone())
    }
}

fn kept() -> Cache<Vec<Host>, Arc<ServerConfig>> {
    Cache::builder().max_capacity(KEPT).time_to_live(SHOWN_FOR).build()
}

/// The host, never the issuer's name: programs take a leaf with its issuer's name for a self-signed one.
fn subject(host: &Host) -> DistinguishedName {
    let text = host.to_string();
    let mut name = DistinguishedName::new();
    // A common name has at most 64 characters (RFC 5280, appendix A).
    name.push(DnType::CommonName, if text.len() <= 64 { text } else { "a host with a long name".to_owned() });
    name
}

/// A `Host` has no wildcard, so a leaf has none (T62).
fn alternative_name(host: &Host) -> Result<SanType, ProxyError> {
    Ok(match host {
        Host::Name(name) => SanType::DnsName(name.to_string().try_into().map_err(certificate_failed)?),
        Host::V4(address) => SanType::IpAddress(IpAddr::V4(*address)),
        Host::V6(address) => SanType::IpAddress(IpAddr::V6(*address)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> (tempfile::TempDir, Authority, Leaves) {
        let data = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(data.path()).unwrap();
        (data, authority, Leaves::new().unwrap())
    }

    #[test]
    fn t60_settings_are_kept_per_host_and_the_number_of_hosts_is_bounded() {
        let (_data, authority, leaves) = fixture();
        let host = Host::parse("api.example.com").unwrap();
        let first = leaves.settings_for(&host, &authority).unwrap();
        assert!(Arc::ptr_eq(&first, &leaves.settings_for(&host, &authority).unwrap()));
        for number in 0..2 * KEPT {
            leaves.settings_for(&Host::parse(&format!("h{number}.example")).unwrap(), &authority).unwrap();
        }
        leaves.settings.run_pending_tasks();
        assert!(leaves.settings.entry_count() <= KEPT);
    }

    #[test]
    fn t61_t62_a_leaf_is_for_one_host_and_no_two_are_equal() {
        let (_data, authority, leaves) = fixture();
        let host = Host::parse("api.example.com").unwrap();
        let mint = || leaves.mint(std::slice::from_ref(&host), &authority).unwrap();
        let (one, two) = (mint(), mint());
        assert_ne!(one, two);
        assert!(!one.windows(2).any(|pair| pair == b"*."));
        assert_ne!(leaves.key.serialize_der(), Leaves::new().unwrap().key.serialize_der());
    }

    #[test]
    fn t57_http_2_and_http_1_1_are_offered_and_nothing_else() {
        let (_data, authority, leaves) = fixture();
        let settings = leaves.settings_for(&Host::parse("127.0.0.1").unwrap(), &authority).unwrap();
        assert_eq!(settings.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    }
}
