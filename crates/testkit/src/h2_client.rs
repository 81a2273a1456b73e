//! A workload that speaks HTTP/2 well, many streams at a time.

use crate::{Broker, Log, Workload, client_config};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Method, Request};
use rustls_pki_types::ServerName;
use std::future::poll_fn;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

/// The connection.
pub struct H2Client {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
    log: Log,
}

/// An answer that came to its end.
#[derive(Debug)]
pub struct H2Answer {
    /// The status.
    pub status: u16,
    /// The fields.
    pub headers: HeaderMap,
    /// The statuses of the informational responses before it.
    pub informational: Vec<u16>,
    /// The body.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: HeaderMap,
}

impl H2Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of a refusal.
    pub fn code(&self) -> Option<String> {
        let document: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(document.get("code")?.as_str()?.to_owned())
    }

    /// A field, or a trailer.
    pub fn field(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name).or_else(|| self.trailers.get(name))?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The stream was reset, with this error.
    Reset(u32),
    /// The connection was ended, with this error.
    GoAway(u32),
    /// The connection broke.
    Broken,
}

impl From<h2::Error> for Lost {
    fn from(error: h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_go_away() => Self::GoAway(reason.into()),
            Some(reason) => Self::Reset(reason.into()),
            None => Self::Broken,
        }
    }
}

impl H2Client {
    /// Through CONNECT, inside TLS with ALPN `h2`.
    pub fn tunnel(broker: &Broker, authority: &str, workload: &Workload) -> Self {
        let runtime = runtime();
        let requests = runtime.block_on(async {
            let mut socket = TcpStream::connect(broker.listen()).await.unwrap();
            let head = format!(
                "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: {}\r\n\r\n",
                workload.basic()
            );
            socket.write_all(head.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(socket.read_u8().await.unwrap());
            }
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
            over_tls(broker, authority, socket).await
        });
        Self { runtime, requests, log: broker.log() }
    }

    /// On the listener, with prior knowledge.
    pub fn plain(broker: &Broker) -> Self {
        let runtime = runtime();
        let requests = runtime.block_on(async {
            let socket = TcpStream::connect(broker.listen()).await.unwrap();
            handshake(socket).await
        });
        Self { runtime, requests, log: broker.log() }
    }

    /// A tunnel in a stream of this connection, inside TLS with ALPN `h2`; or the answer that refuses it.
    ///
    /// # Errors
    /// The status of the refusal.
    pub fn nested(&mut self, broker: &Broker, authority: &str, workload: &Workload) -> Result<Self, u16> {
        let request = Request::builder().method(Method::CONNECT).uri(authority);
        let request = request.header("proxy-authorization", workload.basic()).body(()).unwrap();
        let runtime = runtime();
        let opened = self.open(request);
        let requests = runtime.block_on(async {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let response = opened.response.await.unwrap();
            if response.status() != 200 {
                return Err(response.status().as_u16());
            }
            tokio::spawn(pump(theirs, response.into_body(), opened.send));
            Ok(over_tls(broker, authority, ours).await)
        })?;
        Ok(Self { runtime, requests, log: broker.log() })
    }

    /// Whether extended CONNECT is offered (RFC 8441).
    pub fn offers_extended_connect(&self) -> bool {
        self.requests.is_extended_connect_protocol_enabled()
    }

    /// One call.
    ///
    /// # Errors
    /// When it has no complete answer.
    pub fn call(&mut self, request: Request<Bytes>) -> Result<H2Answer, Lost> {
        self.call_all(vec![request]).remove(0)
    }

    /// Calls at the same time, each on its stream; their outcomes in the order of the requests.
    pub fn call_all(&mut self, requests: Vec<Request<Bytes>>) -> Vec<Result<H2Answer, Lost>> {
        let log = self.log.clone();
        let sender = self.requests.clone();
        self.runtime.block_on(async move {
            let calls: Vec<_> = requests
                .into_iter()
                .map(|request| tokio::spawn(exchange(sender.clone(), request, log.clone())))
                .collect();
            let mut outcomes = Vec::new();
            for call in calls {
                outcomes.push(call.await.unwrap());
            }
            outcomes
        })
    }

    /// Begins a call whose body is sent piece by piece.
    pub fn open(&mut self, request: Request<()>) -> H2Call {
        let sender = self.requests.clone();
        let (response, send) = self
            .runtime
            .block_on(async { sender.ready().await.unwrap().send_request(request, false).unwrap() });
        H2Call { response, send }
    }

    /// Lets a step of an open call happen.
    pub fn wait<T>(&self, step: impl Future<Output = T>) -> T {
        self.runtime
            .block_on(async { tokio::time::timeout(std::time::Duration::from_secs(60), step).await.unwrap() })
    }
}

/// A call on its way.
pub struct H2Call {
    /// The answer, once its head is there.
    pub response: ResponseFuture,
    /// Where the body goes.
    pub send: SendStream<Bytes>,
}

/// Sends all of it, as fast as the broker allows.
///
/// # Errors
/// When the stream is over.
pub async fn send_all(stream: &mut SendStream<Bytes>, mut bytes: Bytes, end: bool) -> Result<(), Lost> {
    if bytes.is_empty() {
        return Ok(stream.send_data(bytes, end)?);
    }
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let room = poll_fn(|cx| stream.poll_capacity(cx)).await.ok_or(Lost::Broken)??;
        let piece = bytes.split_to(room.min(bytes.len()));
        stream.send_data(piece, end && bytes.is_empty())?;
    }
    Ok(())
}

/// The next data of a body; `None` at its end.
pub async fn next_data(body: &mut RecvStream) -> Option<Result<Bytes, Lost>> {
    let data = body.data().await?;
    if let Ok(data) = &data {
        let _ = body.flow_control().release_capacity(data.len());
    }
    Some(data.map_err(Lost::from))
}

async fn exchange(sender: SendRequest<Bytes>, request: Request<Bytes>, log: Log) -> Result<H2Answer, Lost> {
    let (parts, body) = request.into_parts();
    let mut sender = sender.ready().await?;
    let (mut response, mut send) = sender.send_request(Request::from_parts(parts, ()), body.is_empty())?;
    if !body.is_empty() {
        // An early answer is an answer, whatever becomes of the body.
        let _ = send_all(&mut send, body, true).await;
    }
    let mut informational = Vec::new();
    while let Some(interim) = poll_fn(|cx| response.poll_informational(cx)).await {
        informational.push(interim?.status().as_u16());
    }
    let (head, mut stream) = response.await?.into_parts();
    log.lock().unwrap().push(format!("{:?}", head.headers).into_bytes());
    let mut body = Vec::new();
    while let Some(data) = next_data(&mut stream).await {
        body.extend_from_slice(&data?);
    }
    log.lock().unwrap().push(body.clone());
    let trailers = stream.trailers().await?.unwrap_or_default();
    log.lock().unwrap().push(format!("{trailers:?}").into_bytes());
    Ok(H2Answer { status: head.status.as_u16(), headers: head.headers, informational, body, trailers })
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn over_tls<T>(broker: &Broker, authority: &str, io: T) -> SendRequest<Bytes>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let name = authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_owned();
    let connector = TlsConnector::from(client_config(&broker.ca_pem(), &[b"h2"]));
    let tls = connector.connect(ServerName::try_from(name).unwrap(), io).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    handshake(tls).await
}

async fn handshake<T>(io: T) -> SendRequest<Bytes>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = h2::client::Builder::new();
    builder.initial_max_send_streams(10_000).max_concurrent_reset_streams(10_000);
    let (requests, connection) = builder.handshake(io).await.unwrap();
    // How it ends is seen by the calls.
    tokio::spawn(async move { drop(connection.await) });
    requests.ready().await.unwrap()
}

/// Carries a tunnel between its stream and a pipe.
async fn pump(io: tokio::io::DuplexStream, mut body: RecvStream, mut send: SendStream<Bytes>) {
    let (mut read, mut write) = tokio::io::split(io);
    let out = async {
        let mut space = vec![0; 16 * 1024];
        while let Ok(1..) = read.read(&mut space).await.inspect(|n| space.truncate(*n)) {
            if send_all(&mut send, Bytes::from(std::mem::replace(&mut space, vec![0; 16 * 1024])), false)
                .await
                .is_err()
            {
                return;
            }
        }
        let _ = send.send_data(Bytes::new(), true);
    };
    let back = async {
        while let Some(Ok(data)) = next_data(&mut body).await {
            if write.write_all(&data).await.is_err() {
                return;
            }
        }
        let _ = write.shutdown().await;
    };
    tokio::join!(out, back);
}
