//! The tour's service: HTTPS on loopback under an authority of its own; it echoes the request it received.

use crate::failure::Failure;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::aws_lc_rs;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(super) struct Service {
    port: u16,
    ca: PathBuf,
    received: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// Starts the service; its authority's certificate is written to `directory`.
    pub(super) fn start(directory: &Path) -> Result<Self, Failure> {
        let (ca_pem, config) = certificates().map_err(Failure::failed)?;
        let ca = directory.join("service-ca.pem");
        std::fs::write(&ca, ca_pem)?;
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, record) = (Arc::clone(&config), Arc::clone(&record));
                std::thread::spawn(move || answer(stream, config, &record));
            }
        });
        Ok(Self { port, ca, received })
    }

    pub(super) fn destination(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub(super) fn ca(&self) -> &Path {
        &self.ca
    }

    /// The requests received so far, as text.
    pub(super) fn received(&self) -> Vec<String> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn certificates() -> Result<(String, Arc<ServerConfig>), String> {
    let text = |error: rcgen::Error| error.to_string();
    let ca_key = KeyPair::generate().map_err(text)?;
    let mut ca = CertificateParams::new(Vec::new()).map_err(text)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    ca.distinguished_name.push(rcgen::DnType::CommonName, "cloakroom tour authority");
    let ca_certificate = ca.self_signed(&ca_key).map_err(text)?;
    let key = KeyPair::generate().map_err(text)?;
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).map_err(text)?;
    leaf.distinguished_name.push(rcgen::DnType::CommonName, "localhost");
    let certificate = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).map_err(text)?;
    let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
    let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(str::to_owned)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((ca_certificate.pem(), Arc::new(config)))
}

fn answer(stream: TcpStream, config: Arc<ServerConfig>, record: &Mutex<Vec<String>>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let Ok(connection) = ServerConnection::new(config) else { return };
    let mut stream = StreamOwned::new(connection, stream);
    let Some(request) = request(&mut stream) else { return };
    record.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    let body = format!("you sent:\n{request}");
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// One request with a body of declared length, as text with plain line ends.
fn request(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().filter_map(|line| line.split_once(": ")).find_map(|(name, value)| {
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text.replace("\r\n", "\n"));
            }
        }
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
    }
}
