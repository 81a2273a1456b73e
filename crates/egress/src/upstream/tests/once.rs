//! Nothing is sent twice (T65): a request goes out again only where hyper proves that no byte of it was written.

use super::server::{Act, Server, ok};
use super::*;

#[tokio::test]
async fn t65_a_request_whose_reply_never_came_is_sent_once() {
    for script in [
        (|_| Act::Close(Vec::new())) as fn(usize) -> Act,
        |_| Act::Close(b"HTTP/1.1 20".to_vec()),
        |_| Act::Close(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
    ] {
        let server = Server::plain(script).await;
        assert_eq!(refused(&open(settings()), &server.url("http")).await, Code::UpstreamUnreachable);
        assert_eq!((server.requests().len(), server.connections()), (1, 1));
    }
}

#[tokio::test]
async fn t65_a_kept_connection_that_breaks_during_the_request_is_not_tried_again() {
    let server = Server::plain(|number| match number {
        0 => Act::Keep(ok("one")),
        _ => Act::Close(Vec::new()),
    })
    .await;
    let upstream = open(settings());
    let url = server.url("http");
    text(get(&upstream, key(1, 1, &url)).await.unwrap()).await.unwrap();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(refused(&upstream, &url).await, Code::UpstreamUnreachable);
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[tokio::test]
async fn t65_a_kept_connection_that_was_closed_before_costs_a_new_one_and_nothing_is_sent_twice() {
    let server = Server::plain(|_| Act::Close(ok("one"))).await;
    let upstream = open(settings());
    for count in 1..=20 {
        let reply = get(&upstream, key(1, 1, &server.url("http"))).await;
        // A race that cannot be won: the close may arrive after the request was written. Then it counts as sent.
        match reply {
            Ok(reply) => assert_eq!(text(reply).await.as_deref(), Ok("one")),
            Err(refusal) => assert_eq!(refusal.code(), Code::UpstreamUnreachable),
        }
        assert!(server.requests().len() <= count);
    }
}

#[tokio::test]
async fn the_authority_on_the_wire_is_the_destinations_and_hop_by_hop_fields_are_gone() {
    let server = Server::plain(|_| Act::Keep(ok("one"))).await;
    let mut parts = head("http://evil.example/v1/things?a=b");
    for (name, value) in [
        ("host", "evil.example"),
        ("connection", "authorization"),
        ("transfer-encoding", "chunked"),
        ("content-length", "7"),
        ("upgrade", "h2c"),
        ("expect", "100-continue"),
        ("te", "trailers"),
        ("x-kept", "yes"),
    ] {
        parts.headers.insert(name, value.parse().unwrap());
    }
    let upstream = open(settings());
    let url = server.url("http");
    send(&upstream, parts, OutBody::whole(Bytes::new()), key(1, 1, &url)).await.unwrap();
    let request = &server.requests()[0];
    assert!(request.starts_with("GET /v1/things?a=b HTTP/1.1\r\nhost: 127.0.0.1:"), "{request}");
    assert!(request.contains(&format!("authorization: Bearer {CANARY}\r\n")));
    assert_eq!(request.matches("\r\n").count(), 5, "{request}");
    assert!(!request.contains("evil"));
}
