//! A certificate authority for loopback upstreams.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A private certificate authority and its PEM file, for `--upstream-ca`.
pub struct TestAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    directory: TempDir,
}

impl Default for TestAuthority {
    fn default() -> Self {
        Self::new()
    }
}

impl TestAuthority {
    /// A fresh one.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "Cloakroom test upstream authority");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("upstream-ca.pem"), &pem).unwrap();
        Self { issuer: Issuer::new(params, key), pem, directory }
    }

    /// The certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The file that holds [`Self::pem`].
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("upstream-ca.pem")
    }

    /// A directory that lives as long as this.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A leaf for these names and addresses: chain and key, PEM.
    pub fn leaf_pem(&self, names: &[&str]) -> (String, String) {
        let (certificate, key) = self.leaf(names);
        (certificate.pem(), key.serialize_pem())
    }

    /// A client certificate of this name and its key, one PEM after the other; one that `ended` is past its end.
    pub fn client_pem(&self, name: &str, ended: bool) -> String {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = rcgen::date_time_ymd(if ended { 2001 } else { 4000 }, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &self.issuer).unwrap().pem() + &key.serialize_pem()
    }

    /// The same in two files of this name in the authority's directory: chain, then key.
    pub fn leaf_files(&self, name: &str, names: &[&str]) -> [PathBuf; 2] {
        let (certificate, key) = self.leaf_pem(names);
        [("pem", certificate), ("key", key)].map(|(end, text)| {
            let path = self.directory().join(format!("{name}.{end}"));
            std::fs::write(&path, text).unwrap();
            path
        })
    }

    /// A TLS server configuration for these names, offering these protocols.
    pub fn server_config(&self, names: &[&str], protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let (certificate, key) = self.leaf(names);
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], der)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        Arc::new(config)
    }

    fn leaf(&self, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Cloakroom test upstream");
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}
