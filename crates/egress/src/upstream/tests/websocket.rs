//! Asking a destination for a WebSocket: on a connection of its own, and only what it really accepted.

use super::server::Authority;
use super::*;
use crate::websocket::accept_of;
use std::sync::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

type Requests = Arc<Mutex<Vec<String>>>;

/// Answers each handshake with what `answer` makes of the accept that is due.
async fn greets(tls: Option<rustls::ServerConfig>, answer: fn(&str) -> String) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr().unwrap());
    let requests = Requests::default();
    let noted = Arc::clone(&requests);
    tokio::spawn(async move {
        let tls = tls.map(|tls| tokio_rustls::TlsAcceptor::from(Arc::new(tls)));
        while let Ok((stream, _)) = listener.accept().await {
            match &tls {
                None => one(stream, answer, &noted).await,
                Some(tls) => one(tls.accept(stream).await.unwrap(), answer, &noted).await,
            }
        }
    });
    (url, requests)
}

async fn one<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: fn(&str) -> String, noted: &Requests) {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut text).await.unwrap();
    }
    let text = String::from_utf8(text).unwrap();
    let key = text.split("sec-websocket-key: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    stream.write_all(answer(&accept_of(key)).as_bytes()).await.unwrap();
    noted.lock().unwrap().push(text);
    stream.read_u8().await.ok();
}

async fn greet(upstream: &Upstream, url: &str, extensions: Option<&'static str>) -> Result<Greeted, Refusal> {
    let mut head = head("/chat");
    let fields = [
        ("sec-websocket-key", "d29ya2xvYWRzLW93bi1rZXk="),
        ("sec-websocket-version", "13"),
        ("origin", "http://x"),
    ];
    for (name, value) in fields {
        head.headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(extensions) = extensions {
        head.headers.insert("sec-websocket-extensions", HeaderValue::from_static(extensions));
    }
    upstream.greet(head, key(1, 1, url), None, &mut Hints::new(&mut |_, _| {})).await
}

fn switching(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\nearly"
    )
}

#[tokio::test]
async fn an_accepted_websocket_is_a_stream_with_what_came_early() {
    let (url, requests) = greets(None, switching).await;
    let upstream = open(settings());
    let Ok(Greeted::Switched(reply, mut switched)) = greet(&upstream, &url, Some("permessage-deflate")).await
    else {
        panic!("not switched");
    };
    assert_eq!(reply.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(
        (&switched.early[..], switched.extensions.as_deref()),
        (&b"early"[..], Some("permessage-deflate"))
    );
    switched.io.write_all(b"x").await.unwrap();
    switched.io.flush().await.unwrap();
    let request = requests.lock().unwrap()[0].clone();
    assert!(
        !request.contains("d29ya2xvYWRzLW93bi1rZXk="),
        "the workload's key is about its own hop: {request}"
    );
    for field in [
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "origin: http://x",
        "permessage-deflate;",
    ] {
        assert_eq!(request.matches(field).count(), 1, "{field}: {request}");
    }
    // Each has a connection of its own, and compression is offered only where the workload did.
    let unasked = greet(&upstream, &url, None).await.map(|_| ()).map_err(|refusal| refusal.code());
    assert_eq!(unasked, Err(Code::UpstreamUnreachable));
    assert_eq!(upstream.connections(), 2);
    assert!(!requests.lock().unwrap()[1].contains("sec-websocket-extensions"));
}

#[tokio::test]
async fn t39_what_was_not_asked_for_is_not_a_websocket() {
    for answer in [
        (|_| switching("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) as fn(&str) -> String,
        |accept| switching(accept).replace("Upgrade: WebSocket", "Upgrade: h2c"),
        |accept| switching(accept).replace("Upgrade: WebSocket\r\n", ""),
        |accept| switching(accept).replace("keep-alive, Upgrade", "keep-alive"),
        |accept| {
            switching(accept).replace("\r\n\r\n", &format!("\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"))
        },
    ] {
        let (url, _) = greets(None, answer).await;
        let outcome = greet(&open(settings()), &url, None).await.map(|_| ()).map_err(|r| r.code());
        assert_eq!(outcome, Err(Code::UpstreamUnreachable));
    }
}

#[tokio::test]
async fn a_destination_that_declines_gives_an_ordinary_reply() {
    let (url, _) = greets(None, |_| "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno".into()).await;
    let upstream = open(settings());
    let Ok(Greeted::Declined(reply)) = greet(&upstream, &url, None).await else { panic!("switched") };
    assert_eq!((reply.status(), text(reply).await.as_deref()), (StatusCode::FORBIDDEN, Ok("no")));
}

#[tokio::test]
async fn t57_a_websocket_is_asked_for_over_http1_even_where_http2_is_spoken() {
    let authority = Authority::new();
    let (url, _) = greets(Some(authority.server("127.0.0.1", &["h2", "http/1.1"])), switching).await;
    let upstream = open(UpstreamSettings { anchors: vec![authority.file()], ..settings() });
    let greeted = greet(&upstream, &url, Some("permessage-deflate")).await;
    assert!(matches!(greeted, Ok(Greeted::Switched(..))));
}
