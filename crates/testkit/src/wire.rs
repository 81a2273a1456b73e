//! A workload that speaks raw HTTP/1.1, in each way in.

use crate::message::{Response, read_response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Everything that workloads of one broker received, for the hunt.
pub type Log = Arc<Mutex<Vec<Vec<u8>>>>;

/// How a call reaches the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `CONNECT`, then TLS with the broker's certificate.
    Connect,
    /// `GET http://host/path`.
    Absolute,
    /// `GET /to/host/path`.
    BaseUrl,
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Connect, Self::Absolute, Self::BaseUrl];
}

/// A workload's name and key.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: String,
}

impl Workload {
    /// The value of `Proxy-Authorization`.
    pub fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.name, self.key)))
    }
}

/// One call, before it is put on the wire.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// `host:port`.
    pub authority: String,
    /// Path and query, sent as they are.
    pub target: String,
    /// What `Host` says, where it is not the authority.
    pub host: Option<String>,
    /// Header fields, sent as they are.
    pub headers: Vec<(String, String)>,
    /// The body; a `Content-Length` is added where there is one.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, authority: &str, target: &str) -> Self {
        Self {
            method: method.into(),
            authority: authority.into(),
            target: target.into(),
            host: None,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a header field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds a body.
    #[must_use]
    pub fn with_body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.with("content-type", content_type)
    }

    /// The bytes for one way in.
    pub fn bytes(&self, way: Way, workload: Option<&Workload>) -> Vec<u8> {
        let target = match way {
            Way::Connect => self.target.clone(),
            Way::Absolute => format!("http://{}{}", self.authority, self.target),
            Way::BaseUrl => format!("/to/{}{}", self.authority, self.target),
        };
        let host = self.host.as_deref().unwrap_or(match way {
            Way::BaseUrl => "broker.local",
            Way::Connect | Way::Absolute => &self.authority,
        });
        let mut head = format!("{} {target} HTTP/1.1\r\nHost: {host}\r\n", self.method);
        match (way, workload) {
            (Way::Absolute, Some(who)) => head.push_str(&format!("Proxy-Authorization: {}\r\n", who.basic())),
            (Way::BaseUrl, Some(who)) => {
                head.push_str(&format!("Cloakroom-Workload: {}:{}\r\n", who.name, who.key))
            }
            _ => {}
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let framed = self.headers.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
        });
        if !framed && (!self.body.is_empty() || self.method == "POST") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// One connection of a workload.
pub struct Wire {
    stream: BufReader<Box<dyn Stream>>,
    socket: TcpStream,
    log: Log,
}

impl Wire {
    /// Connects to a broker.
    pub fn open(address: SocketAddr, log: Log) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let stream: Box<dyn Stream> = Box::new(socket.try_clone().unwrap());
        Self { stream: BufReader::new(stream), socket, log }
    }

    /// Sends `CONNECT` and, where it is accepted, goes on with TLS for `name`, trusting `ca_pem` alone.
    ///
    /// # Errors
    /// The response, where it is not 200.
    pub fn tunnel(
        self,
        authority: &str,
        workload: Option<&Workload>,
        name: &str,
        ca_pem: &str,
    ) -> Result<Self, Box<Response>> {
        self.tunnel_speaking(authority, workload, name, ca_pem, &[b"http/1.1"])
    }

    /// The same, with these protocols in the handshake.
    ///
    /// # Errors
    /// The response, where it is not 200.
    pub fn tunnel_speaking(
        mut self,
        authority: &str,
        workload: Option<&Workload>,
        name: &str,
        ca_pem: &str,
        protocols: &[&[u8]],
    ) -> Result<Self, Box<Response>> {
        let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(who) = workload {
            head.push_str(&format!("Proxy-Authorization: {}\r\n", who.basic()));
        }
        self.send(format!("{head}\r\n").as_bytes());
        let response = self.receive("CONNECT").unwrap();
        if response.status != 200 {
            return Err(Box::new(response));
        }
        Ok(self.wrap_speaking(name, ca_pem, protocols))
    }

    /// Goes on with TLS for `name`, trusting `ca_pem` alone.
    pub fn wrap(self, name: &str, ca_pem: &str) -> Self {
        self.wrap_speaking(name, ca_pem, &[b"http/1.1"])
    }

    fn wrap_speaking(self, name: &str, ca_pem: &str, protocols: &[&[u8]]) -> Self {
        assert!(self.stream.buffer().is_empty(), "the broker spoke before the TLS handshake");
        let server = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(client_config(ca_pem, protocols), server).unwrap();
        let tls: Box<dyn Stream> = Box::new(StreamOwned::new(connection, self.stream.into_inner()));
        Self { stream: BufReader::new(tls), socket: self.socket, log: self.log }
    }

    /// Sends bytes. A broken connection shows when the answer is read.
    pub fn send(&mut self, bytes: &[u8]) {
        let stream = self.stream.get_mut();
        let _ = stream.write_all(bytes).and_then(|()| stream.flush());
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
    }

    /// Reads one response to a request with this method.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn receive(&mut self, method: &str) -> io::Result<Response> {
        let response = read_response(&mut self.stream, method)?;
        self.log.lock().unwrap().push(response.raw.clone());
        Ok(response)
    }

    /// Notes what the workload got, for the hunt.
    pub(crate) fn log(&self, bytes: &[u8]) {
        self.log.lock().unwrap().push(bytes.to_vec());
    }

    /// Reads what is there, at most `limit` bytes; empty at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn read_some(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; limit];
        let read = self.stream.read(&mut bytes)?;
        bytes.truncate(read);
        self.log.lock().unwrap().push(bytes.clone());
        Ok(bytes)
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.read(into)
    }
}

/// A TLS client configuration that trusts `ca_pem` alone.
pub fn client_config(ca_pem: &str, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    Arc::new(config)
}
