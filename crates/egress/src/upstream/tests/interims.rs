//! Informational replies: handed on as they come, bounded, and never taken for the reply.

use super::server::{Act, Server, ok};
use super::*;

const HINT: &[u8] = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";

/// What was told, and what came of the call.
async fn told(script: fn(usize) -> Act) -> (Vec<(u16, usize)>, Result<String, Code>) {
    let server = Server::plain(script).await;
    let mut told = Vec::new();
    let mut tell = |status: StatusCode, fields: HeaderMap| told.push((status.as_u16(), fields.len()));
    let upstream = open(settings());
    let mut hints = Hints::new(&mut tell);
    let body = OutBody::whole(Bytes::new());
    let sent = upstream.send(head("/"), body, key(1, 1, &server.url("http")), &mut hints).await;
    let outcome = match sent {
        Ok(reply) => Ok(text(reply).await.unwrap()),
        Err(refusal) => Err(refusal.code()),
    };
    (told, outcome)
}

#[tokio::test]
async fn hints_are_told_and_continue_is_swallowed() {
    let script = |_| Act::Keep([b"HTTP/1.1 100 Continue\r\n\r\n", HINT, HINT, &ok("one")].concat());
    assert_eq!(told(script).await, (vec![(103, 1), (103, 1)], Ok("one".into())));
}

#[tokio::test]
async fn t100_hints_without_end_are_cut_off() {
    let (hints, outcome) = told(|_| Act::Hang(HINT.repeat(200))).await;
    assert_eq!((hints.len(), outcome), (usize::from(MOST_HINTS), Err(Code::UpstreamUnreachable)));
    let large = |_| {
        let hint = [b"HTTP/1.1 103 Early Hints\r\na: ", &[b'x'; 30 * 1024][..], b"\r\n\r\n"].concat();
        Act::Hang(hint.repeat(4))
    };
    assert_eq!(told(large).await.1, Err(Code::UpstreamUnreachable));
}

#[tokio::test]
async fn t43_a_hint_with_a_body_is_not_a_reply() {
    let script = |_| Act::Hang(b"HTTP/1.1 103 Early Hints\r\ncontent-length: 3\r\n\r\nabc".to_vec());
    let server = Server::plain(script).await;
    let upstream = open(UpstreamSettings { header_timeout: SHORT, ..settings() });
    assert_eq!(refused(&upstream, &server.url("http")).await, Code::UpstreamTimeout);
}
