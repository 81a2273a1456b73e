//! A loopback upstream that speaks HTTP/2 alone.

use crate::TestAuthority;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use h2::RecvStream;
use h2::server::SendResponse;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// What a scripted server does with one stream.
pub type Service =
    Arc<dyn Fn(http::Request<RecvStream>, SendResponse<Bytes>) -> BoxFuture<'static, ()> + Send + Sync>;

/// The server. It echoes what it got, as JSON, and ends with a trailer that echoes `authorization`.
pub struct H2Upstream {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl H2Upstream {
    /// Starts it.
    pub fn start(authority: &TestAuthority) -> Self {
        Self::start_as(authority, None)
    }

    /// Starts one that does as it is told with each stream, instead of the echo.
    pub fn start_with<F>(
        authority: &TestAuthority,
        service: impl Fn(http::Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let service: Service = Arc::new(move |request, respond| Box::pin(service(request, respond)));
        Self::start_as(authority, Some(service))
    }

    fn start_as(authority: &TestAuthority, service: Option<Service>) -> Self {
        let config = authority.server_config(&["localhost", "127.0.0.1"], &[b"h2"]);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counters = (Arc::clone(&connections), Arc::clone(&requests));
        runtime.spawn(async move {
            let acceptor = TlsAcceptor::from(config);
            while let Ok((stream, _)) = listener.accept().await {
                counters.0.fetch_add(1, Ordering::SeqCst);
                let (acceptor, requests) = (acceptor.clone(), Arc::clone(&counters.1));
                match service.clone() {
                    Some(service) => tokio::spawn(serve_with(acceptor, stream, requests, service)),
                    None => tokio::spawn(serve(acceptor, stream, requests)),
                };
            }
        });
        Self { port, connections, requests, _runtime: runtime }
    }

    /// `127.0.0.1:PORT`.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.authority())
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve_with(
    acceptor: TlsAcceptor,
    stream: tokio::net::TcpStream,
    requests: Arc<AtomicUsize>,
    service: Service,
) {
    let Ok(tls) = acceptor.accept(stream).await else { return };
    let Ok(mut connection) = h2::server::handshake(tls).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        requests.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(service(request, respond));
    }
}

async fn serve(acceptor: TlsAcceptor, stream: tokio::net::TcpStream, requests: Arc<AtomicUsize>) {
    let Ok(tls) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request| {
        requests.fetch_add(1, Ordering::SeqCst);
        echo(request)
    });
    // A broken connection is the business of the test that broke it.
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(tls), service)
        .await;
}

async fn echo(
    request: http::Request<Incoming>,
) -> Result<http::Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: Vec<_> =
        head.headers.iter().map(|(name, value)| json!([name.as_str(), text(value)])).collect();
    let document = json!({
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let mut trailers = http::HeaderMap::new();
    if let Some(value) = head.headers.get(http::header::AUTHORIZATION) {
        trailers.insert("x-echo", value.clone());
    }
    let body = Full::new(Bytes::from(document.to_string())).with_trailers(async move { Some(Ok(trailers)) });
    Ok(http::Response::builder().header("content-type", "application/json").body(body).unwrap())
}
