//! A loopback server that says what the test tells it, and an authority to make it trusted.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the server does with one request.
pub(super) enum Act {
    /// Writes the bytes and waits for another request.
    Keep(Vec<u8>),
    /// Writes the bytes and closes.
    Close(Vec<u8>),
    /// Writes the bytes and says no more.
    Hang(Vec<u8>),
}

/// A reply with this body.
pub(super) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The server: listens until the test's runtime ends.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Speaks HTTP/1.1 without TLS. `script` gets the number of the request, from 0.
    pub(super) async fn plain(script: fn(usize) -> Act) -> Self {
        Self::start(None, script).await
    }

    /// The same over TLS.
    pub(super) async fn tls(config: ServerConfig, script: fn(usize) -> Act) -> Self {
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), script).await
    }

    async fn start(tls: Option<TlsAcceptor>, script: fn(usize) -> Act) -> Self {
        let (server, listener) = Self::listen().await;
        let (connections, requests) = (Arc::clone(&server.connections), Arc::clone(&server.requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (tls, requests) = (tls.clone(), Arc::clone(&requests));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &requests, script).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &requests, script).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    /// HTTP/2 over TLS. Each request is noted as `METHOD uri fields`.
    pub(super) async fn http2(config: ServerConfig) -> Self {
        use hyper_util::rt::{TokioExecutor, TokioIo};
        let (server, listener) = Self::listen().await;
        let (connections, requests) = (Arc::clone(&server.connections), Arc::clone(&server.requests));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, requests) = (acceptor.clone(), Arc::clone(&requests));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service =
                        hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                            let names: Vec<&str> =
                                request.headers().keys().map(|name| name.as_str()).collect();
                            let line = format!("{} {} {}", request.method(), request.uri(), names.join(","));
                            requests.lock().unwrap().push(line);
                            let body = http_body_util::Full::new(bytes::Bytes::from("two"));
                            async { Ok::<_, std::convert::Infallible>(hyper::Response::new(body)) }
                        });
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        server
    }

    async fn listen() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Self { address, connections: Arc::default(), requests: Arc::default() }, listener)
    }

    /// `scheme://address`.
    pub(super) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// Connections accepted so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Requests as they came over the wire.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    requests: &Mutex<Vec<String>>,
    script: fn(usize) -> Act,
) {
    while let Some(request) = read_request(&mut stream).await {
        let number = {
            let mut requests = requests.lock().unwrap();
            requests.push(request);
            requests.len() - 1
        };
        let (bytes, after) = match script(number) {
            Act::Keep(bytes) => (bytes, None),
            Act::Close(bytes) => (bytes, Some(true)),
            Act::Hang(bytes) => (bytes, Some(false)),
        };
        let written = stream.write_all(&bytes).await.and(stream.flush().await);
        match after {
            None if written.is_ok() => {}
            Some(false) => {
                std::future::pending::<()>().await;
            }
            _ => {
                let _ = stream.shutdown().await;
                return;
            }
        }
    }
}

/// One request with its body; `None` at the end of the connection.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut bytes = Vec::new();
    while !complete(&bytes) {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

fn complete(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// A certificate authority and the file that makes it trusted.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), directory }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A server configuration for `name`.
    pub(super) fn server(&self, name: &str, protocols: &[&str]) -> ServerConfig {
        self.server_with(name, protocols, |_| {})
    }

    /// The same with a certificate that is changed before it is signed.
    pub(super) fn server_with(
        &self,
        name: &str,
        protocols: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> ServerConfig {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        configuration(certificate.der().clone(), &key, protocols)
    }
}

/// A server that vouches for itself.
pub(super) fn self_signed(name: &str) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    configuration(certificate.der().clone(), &key, &["http/1.1"])
}

fn configuration(certificate: CertificateDer<'static>, key: &KeyPair, protocols: &[&str]) -> ServerConfig {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}
