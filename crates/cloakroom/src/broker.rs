//! The CLI's end of the admin API: a socket of this machine, or the operators' link of an appliance.

use crate::data_dir::DataDir;
use crate::failure::{Failure, plain};
use crate::operator::Remote;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The broker answers from memory and one disk; longer than this it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the broker is reached.
enum Way {
    Socket(PathBuf),
    Link(Remote),
}

/// The running broker, as the CLI reaches it.
pub(crate) struct Broker {
    way: Way,
    runtime: tokio::runtime::Runtime,
}

impl Broker {
    /// Of this data directory. Connects with the first request.
    pub(crate) fn of(data: &DataDir) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let way = Remote::of(data)?.map_or_else(|| Way::Socket(data.socket()), Way::Link);
        Ok(Self { way, runtime })
    }

    /// `GET`.
    pub(crate) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, Vec::new())
    }

    /// `POST` of a document.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let bytes = serde_json::to_vec(body).map_err(|error| Failure::failed(error.to_string()))?;
        self.call(Method::POST, path, bytes)
    }

    /// `POST` without a body.
    pub(crate) fn tell<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::POST, path, Vec::new())
    }

    /// `DELETE`.
    pub(crate) fn remove<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::DELETE, path, Vec::new())
    }

    fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Vec<u8>) -> Result<T, Failure> {
        let exchange = async {
            let exchange = tokio::time::timeout(PATIENCE, self.exchange(method, path, body));
            exchange.await.unwrap_or_else(|_| Err(Failure::no_broker("the broker does not answer")))
        };
        let (status, bytes) = self.runtime.block_on(exchange)?;
        let unreadable = || {
            Failure::failed(format!("the broker's answer cannot be read (status {})", status.as_u16()))
                .hinting("the CLI and the broker may be of different versions")
        };
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|_| unreadable());
        }
        Err(serde_json::from_slice(&bytes).map_or_else(|_| unreadable(), Failure::from_problem))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Vec<u8>), Failure> {
        let broken = |error: hyper::Error| Failure::no_broker(format!("the broker hung up: {error}"));
        let stream = self.connect().await.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{path}"))
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(bytes::Bytes::from(body)))
            .map_err(|_| Failure::bad_input("a name or id has characters that cannot be sent"))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let bytes = response.into_body().collect().await.map_err(broken)?.to_bytes();
        Ok((status, bytes.to_vec()))
    }

    async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        Ok(match &self.way {
            Way::Socket(path) => Box::new(tokio::net::UnixStream::connect(path).await?),
            Way::Link(remote) => {
                let stream = tokio::net::TcpStream::connect(&remote.address).await?;
                let connector = tokio_rustls::TlsConnector::from(Arc::clone(&remote.tls));
                Box::new(connector.connect(Remote::name(), stream).await?)
            }
        })
    }

    fn unreachable(&self, error: &std::io::Error) -> Failure {
        let place = match &self.way {
            Way::Socket(path) => path.display().to_string(),
            Way::Link(remote) => {
                let text = format!("no appliance of ours answers at {}: {}", remote.address, plain(error));
                return Failure::no_broker(text).hinting(
                    "is it running, and its operators' link reachable? Made anew, it has to be enrolled anew: cloakroom image enrol",
                );
            }
        };
        let failure = Failure::no_broker(format!("no broker answers at {place}: {}", plain(error)));
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => failure.hinting("run the command as the broker's user"),
            _ => failure.hinting("start it: cloakroom serve; or name its data directory: --data DIR"),
        }
    }
}

/// What HTTP is spoken over.
trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send> Stream for T {}

/// A name or id as one path segment.
pub(crate) fn segment(text: &str) -> Result<&str, Failure> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if text.is_empty() || text.len() > 128 || !text.bytes().all(plain) || text.starts_with('.') {
        // SECURITY: not repeated; it could be a placeholder or worse, pasted in the wrong field.
        return Err(Failure::bad_input("this is neither a name nor an id")
            .hinting("names have letters, digits, '.', '_' and '-', and begin with a letter or digit"));
    }
    Ok(text)
}
