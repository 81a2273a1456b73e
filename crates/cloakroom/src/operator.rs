//! Operators of an appliance and the appliance, known to each other by certificate: each side has one key, signs its own certificate with
//! it, and trusts exactly the other's. No authority stands between, so there is none to lose.
//!
//! At the operator's end a data directory holds no store but this: `operator.key` and `operator.pem`, `appliance.pem`, and in
//! `appliance.toml` where the appliance is. Commands find these and go there instead of to `admin.sock`.

use crate::data_dir::{DataDir, read_if_there, write_private};
use crate::failure::Failure;
use crate::serve::Introduction;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::pem::PemObject;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The name in an appliance's certificate: always this, because it is reached at whatever address its host gives it.
pub(crate) const APPLIANCE: &str = "appliance.cloakroom.internal";
/// The name in an operator's certificate; nobody asks for it.
pub(crate) const OPERATOR: &str = "operator.cloakroom.internal";

/// A key and the certificate that it signed for itself.
pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Both files, made where neither exists.
    pub(crate) fn load_or_create(key: &Path, certificate: &Path, name: &str) -> Result<Self, Failure> {
        if !key.exists() && !certificate.exists() {
            create(key, certificate, name)?;
        }
        let damaged = |path: &Path| {
            Failure::failed(format!("{} cannot be used", path.display()))
                .hinting("restore it from a backup, or remove key and certificate for new ones")
        };
        let there = |path: &Path| read_if_there(path)?.ok_or_else(|| damaged(path));
        let pem = String::from_utf8(there(certificate)?.to_vec()).map_err(|_| damaged(certificate))?;
        let private = there(key)?;
        Ok(Self {
            certificate: CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged(certificate))?,
            pem,
            key: PrivateKeyDer::from_pem_slice(&private).map_err(|_| damaged(key))?,
        })
    }
}

fn create(key: &Path, certificate: &Path, name: &str) -> Result<(), Failure> {
    let failed = |error: rcgen::Error| Failure::failed(format!("a certificate could not be made: {error}"));
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let mut parameters = CertificateParams::new([name.to_owned()]).map_err(failed)?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let made = parameters.self_signed(&pair).map_err(failed)?;
    write_private(key, Zeroizing::new(pair.serialize_pem()).as_bytes())?;
    write_private(certificate, made.pem().as_bytes())
}

/// Trusts exactly the certificates in this text.
pub(crate) fn trusting(pem: &[u8], from: &Path) -> Result<RootCertStore, Failure> {
    let unusable = || {
        Failure::bad_input(format!("{} holds no certificate, or one that cannot be used", from.display()))
            .hinting(
                "it is what \"cloakroom image operator\" made as operator.pem; several may stand in one file",
            )
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| unusable())?).map_err(|_| unusable())?;
    }
    if roots.is_empty() { Err(unusable()) } else { Ok(roots) }
}

/// Where an appliance is, as `appliance.toml` says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whereabouts {
    /// Host or address, and port, as the operator's machine reaches it.
    address: String,
}

/// The appliance that a data directory leads to.
pub(crate) struct Remote {
    /// Host or address, and port.
    pub(crate) address: String,
    /// Shows the operator's certificate, and trusts the appliance's only.
    pub(crate) tls: Arc<ClientConfig>,
}

impl Remote {
    /// `None` where the directory is a broker's own.
    pub(crate) fn of(data: &DataDir) -> Result<Option<Self>, Failure> {
        let path = whereabouts(data);
        let Some(text) = read_if_there(&path)? else { return Ok(None) };
        let unreadable = || {
            Failure::bad_input(format!("{} cannot be read", path.display()))
                .hinting("write it anew: cloakroom image enrol --at ADDRESS:PORT --console FILE")
        };
        let text = std::str::from_utf8(&text).map_err(|_| unreadable())?;
        let Whereabouts { address } = toml::from_str(text).map_err(|_| unreadable())?;
        let appliance = data.path().join("appliance.pem");
        let pem = read_if_there(&appliance)?.ok_or_else(unreadable)?;
        let own = identity(data)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let refused = |error: rustls::Error| Failure::failed(error.to_string());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(refused)?
            .with_root_certificates(trusting(&pem, &appliance)?)
            .with_client_auth_cert(vec![own.certificate], own.key)
            .map_err(refused)?;
        Ok(Some(Self { address, tls: Arc::new(tls) }))
    }

    /// The name that the appliance's certificate has.
    pub(crate) fn name() -> ServerName<'static> {
        ServerName::try_from(APPLIANCE)
            .unwrap_or_else(|_| ServerName::from(std::net::IpAddr::from([0, 0, 0, 0])))
    }
}

/// The operator's own key and certificate, made where there is none.
pub(crate) fn identity(data: &DataDir) -> Result<Identity, Failure> {
    Identity::load_or_create(&data.path().join("operator.key"), &certificate(data), OPERATOR)
}

/// The operator's certificate.
pub(crate) fn certificate(data: &DataDir) -> PathBuf {
    data.path().join("operator.pem")
}

fn whereabouts(data: &DataDir) -> PathBuf {
    data.path().join("appliance.toml")
}

/// Remembers an appliance: where it is and what it shows.
pub(crate) fn enrol(
    data: &DataDir,
    address: &str,
    Introduction { workloads, certificate, authority, .. }: &Introduction,
) -> Result<(), Failure> {
    if data.database().exists() {
        return Err(Failure::bad_input(format!(
            "{} is the data directory of a broker",
            data.path().display()
        ))
        .hinting("name a directory for this appliance: --data DIR"));
    }
    data.create()?;
    let pem = data.path().join("appliance.pem");
    trusting(certificate.as_bytes(), &pem)?;
    write_private(&pem, certificate.as_bytes())?;
    write_private(&data.ca(), authority.as_bytes())?;
    write_private(&data.path().join("listen"), format!("{workloads}\n").as_bytes())?;
    let text = toml::to_string(&Whereabouts { address: address.to_owned() });
    write_private(&whereabouts(data), text.map_err(|error| Failure::failed(error.to_string()))?.as_bytes())
}
