//! The tour's workload: an ordinary HTTPS call through an ordinary proxy setting; it knows nothing of Cloakroom.

use crate::failure::Failure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A call as the workload makes it.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) to: String,
    pub(super) path: String,
    pub(super) bearer: String,
    pub(super) body: String,
}

impl Call {
    fn authority(&self) -> &str {
        self.to.strip_prefix("https://").unwrap_or(&self.to)
    }

    /// The request, as text with plain line ends.
    pub(super) fn shown(&self) -> String {
        let Self { method, path, bearer, body, .. } = self;
        let (authority, length) = (self.authority(), body.len());
        format!(
            "{method} {path} HTTP/1.1\nhost: {authority}\nauthorization: Bearer {bearer}\n\
             content-type: application/x-www-form-urlencoded\ncontent-length: {length}\nconnection: close\n\n{body}"
        )
    }

    fn bytes(&self) -> Vec<u8> {
        self.shown().replace('\n', "\r\n").into_bytes()
    }
}

/// What came back.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { joined(body) } else { body.to_owned() };
        Some(Self { status, body })
    }

    pub(super) fn shown(&self) -> String {
        format!("HTTP/1.1 {}\n\n{}", self.status, self.body)
    }

    fn member(&self, name: &str) -> String {
        let document: Option<Value> = serde_json::from_str(&self.body).ok();
        document.and_then(|document| document[name].as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The refusal's code.
    pub(super) fn code(&self) -> String {
        self.member("code")
    }

    /// The refusal's sentence.
    pub(super) fn detail(&self) -> String {
        self.member("detail")
    }
}

/// The chunks of a body without their sizes.
fn joined(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = after.get(..length).filter(|chunk| !chunk.is_empty()) else { break };
        body.push_str(chunk);
        rest = after.get(length + 2..).unwrap_or_default();
    }
    body
}

/// The workload with its proxy setting.
pub(super) struct Workload {
    proxy: SocketAddr,
    authorization: String,
    tls: Arc<ClientConfig>,
}

impl Workload {
    pub(super) fn new(proxy: SocketAddr, name: &str, key: &str, ca_pem: &str) -> Result<Self, Failure> {
        let failed = |error: String| Failure::failed(format!("the tour's TLS could not be set up: {error}"));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let authorization = STANDARD.encode(format!("{name}:{key}"));
        Ok(Self { proxy, authorization, tls: Arc::new(tls) })
    }

    /// `CONNECT` through the proxy, TLS inside, the call, the reply.
    pub(super) fn make(&self, call: &Call) -> Result<Reply, Failure> {
        let unreadable = || Failure::failed("the tour's workload cannot read the broker's answer");
        let mut stream = TcpStream::connect(self.proxy)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let authority = call.authority();
        let port = if authority.contains(':') { "" } else { ":443" };
        write!(
            stream,
            "CONNECT {authority}{port} HTTP/1.1\r\nHost: {authority}{port}\r\nProxy-Authorization: Basic {}\r\n\r\n",
            self.authorization
        )?;
        let head = head(&mut stream)?;
        if !head.starts_with(b"HTTP/1.1 200") {
            let mut answer = head;
            // The broker closes after a refused CONNECT.
            let _ = stream.read_to_end(&mut answer);
            return Reply::parse(&answer).ok_or_else(unreadable);
        }
        let host = authority.split(':').next().unwrap_or_default().to_owned();
        let name = ServerName::try_from(host).map_err(|_| unreadable())?;
        let connection = ClientConnection::new(Arc::clone(&self.tls), name)
            .map_err(|error| Failure::failed(error.to_string()))?;
        let mut stream = StreamOwned::new(connection, stream);
        stream.write_all(&call.bytes())?;
        let mut answer = Vec::new();
        // A missing close_notify after a complete answer is no failure: the status and members are checked.
        let _ = stream.read_to_end(&mut answer);
        Reply::parse(&answer).ok_or_else(unreadable)
    }
}

fn head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    Ok(head)
}
