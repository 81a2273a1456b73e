//! Streamable HTTP on this machine: each request shows the workload's own key, so that whoever reaches the port gains nothing by it.

use crate::handler::{Handler, Keys};
use crate::listener::Listener;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Where the protocol is spoken.
const PATH: &str = "/mcp";
/// A policy file is the largest part of any request.
const LARGEST_BODY: usize = 64 << 10;
/// So many connections at once.
const MOST: usize = 64;
/// How long a head may take to come, and then a body.
const HEAD: Duration = Duration::from_secs(10);
const BODY: Duration = Duration::from_secs(10);

type Service = StreamableHttpService<Handler, NeverSessionManager>;
type Body = BoxBody<Bytes, Infallible>;

/// An address that only programs of this machine reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loopback(SocketAddr);

impl Loopback {
    /// `None` for any other address: what is spoken there is not encrypted.
    pub fn new(address: SocketAddr) -> Option<Self> {
        address.ip().is_loopback().then_some(Self(address))
    }

    /// Listens there.
    ///
    /// # Errors
    /// As the system says.
    pub async fn listen(self) -> std::io::Result<TcpListener> {
        TcpListener::bind(self.0).await
    }
}

/// Serves agents over streamable HTTP at `/mcp`, without sessions, until the process ends.
///
/// SECURITY: other names in `Host` and every `Origin` are refused: no page in a browser speaks here (DNS rebinding).
pub async fn serve_http(listener: Arc<dyn Listener>, socket: TcpListener) {
    serve(listener, socket, BODY).await;
}

async fn serve(listener: Arc<dyn Listener>, socket: TcpListener, patience: Duration) {
    let handler = Handler::new(listener, Keys::OfRequest);
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_max_request_body_bytes(LARGEST_BODY)
        .enforce_origin_validation();
    let service: Service = StreamableHttpService::new(
        move || Ok(handler.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let seats = Arc::new(Semaphore::new(MOST));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        // Out of descriptors, say: the next one may come through.
        let Ok((stream, _)) = socket.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = service.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let service = service.clone();
                async move { Ok::<_, Infallible>(answer(&service, request, patience).await) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD);
            // A peer that went away is no matter.
            let _ = http.serve_connection(TokioIo::new(stream), answer).await;
            drop(seat);
        });
    }
}

async fn answer(service: &Service, request: Request<Incoming>, patience: Duration) -> Response<Body> {
    if request.uri().path() != PATH {
        return own(StatusCode::NOT_FOUND, "the protocol is spoken at /mcp\n");
    }
    if key_of(request.headers()).is_none() {
        let mut response =
            own(StatusCode::UNAUTHORIZED, "show the workload key: Authorization: Bearer cwk_...\n");
        response
            .headers_mut()
            .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"cloakroom\""));
        return response;
    }
    let (head, body) = request.into_parts();
    // The seat of whoever stops half-way is free again.
    match tokio::time::timeout(patience, Limited::new(body, LARGEST_BODY).collect()).await {
        Ok(Ok(whole)) => service.handle(Request::from_parts(head, Full::new(whole.to_bytes()))).await,
        Ok(Err(_)) => own(StatusCode::PAYLOAD_TOO_LARGE, "a request has at most 64 KiB\n"),
        Err(_) => own(StatusCode::REQUEST_TIMEOUT, "the request did not come within the time for it\n"),
    }
}

fn own(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed());
    *response.status_mut() = status;
    response
}

/// The workload key that a request shows. Whether it is one, the listener knows.
pub(crate) fn key_of(headers: &HeaderMap) -> Option<Zeroizing<String>> {
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (shown.next(), shown.next()) else { return None };
    let key = value.to_str().ok()?.strip_prefix("Bearer ")?;
    let fine =
        key.starts_with("cwk_") && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    fine.then(|| Zeroizing::new(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::{Answered, Unreached};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    struct Nobody;

    impl Listener for Nobody {
        fn ask(&self, _: Option<&str>, _: &str, _: Option<&str>) -> Result<Answered, Unreached> {
            Err(Unreached("nobody is there".into()))
        }
    }

    #[tokio::test]
    async fn more_requests_that_stop_half_way_than_there_are_seats_hold_none_for_long() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(serve(Arc::new(Nobody), socket, Duration::from_millis(10)));
        let head = "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer cwk_x\r\n\
            content-type: application/json\r\naccept: application/json, text/event-stream\r\n";
        let mut stalled = Vec::new();
        for _ in 0..MOST + 6 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("{head}content-length: 100\r\n\r\n{{").as_bytes()).await.unwrap();
            stalled.push(stream);
        }
        for mut stream in stalled {
            let mut said = String::new();
            stream.read_to_string(&mut said).await.unwrap();
            assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
        }
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let length = ping.len();
        let whole = format!("{head}connection: close\r\ncontent-length: {length}\r\n\r\n{ping}");
        stream.write_all(whole.as_bytes()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 ") && !said.starts_with("HTTP/1.1 408 "), "{said}");
    }

    #[test]
    fn one_key_in_one_form_is_taken() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            key_of(&headers).map(|key| key.to_string())
        };
        assert_eq!(of(&["Bearer cwk_abc1"]).as_deref(), Some("cwk_abc1"));
        for wrong in
            [&[][..], &["cwk_a"], &["Basic cwk_a"], &["Bearer x"], &["Bearer cwk_a b"], &["Bearer cwk_a"; 2]]
        {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn only_addresses_of_this_machine_are_listened_at() {
        for (address, is) in [
            ("127.0.0.1:0", true),
            ("[::1]:80", true),
            ("0.0.0.0:1", false),
            ("10.0.0.1:1", false),
            ("[::]:1", false),
        ] {
            assert_eq!(Loopback::new(address.parse().unwrap()).is_some(), is, "{address}");
        }
    }
}
