//! Request and reply at the same time: early replies, conversations, and back-pressure.

use super::*;
use cloakroom_model::Rest;
use futures_util::stream;
use http::Method;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A body that yields what is sent to it.
pub(super) fn fed() -> (mpsc::Sender<&'static str>, Rest) {
    let (feed, pieces) = mpsc::channel(1);
    let pieces = stream::unfold(pieces, |mut pieces: mpsc::Receiver<&'static str>| async {
        let piece = pieces.recv().await?;
        Some((Ok(Frame::data(Bytes::from(piece))), pieces))
    });
    (feed, StreamBody::new(pieces).boxed_unsync())
}

pub(super) fn post() -> Parts {
    let mut parts = head("/v1/things");
    parts.method = Method::POST;
    parts
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Reads up to the end of `last`.
async fn read_to(stream: &mut TcpStream, last: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(last.as_bytes()) {
        assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "{}", text.escape_ascii());
    }
    String::from_utf8(text).unwrap()
}

async fn frame(body: &mut RawBody) -> Option<Bytes> {
    body.frame().await.map(|frame| frame.unwrap().into_data().unwrap())
}

#[tokio::test]
async fn the_head_and_the_first_bytes_of_the_body_leave_in_one_piece() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
        let mut first = vec![0; 4096];
        let count = stream.read(&mut first).await.unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        String::from_utf8(first[..count].to_vec()).unwrap()
    });
    send(&open(settings()), post(), OutBody::whole(Bytes::from("a=1")), key(1, 1, &url)).await.unwrap();
    assert!(server.await.unwrap().ends_with("\r\n\r\na=1"));
}

#[tokio::test]
async fn a_conversation_goes_both_ways_at_once() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_to(&mut stream, "3\r\none\r\n").await;
        let reply = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nONE\r\n";
        stream.write_all(reply).await.unwrap();
        read_to(&mut stream, "3\r\ntwo\r\n").await;
        stream.write_all(b"3\r\nTWO\r\n").await.unwrap();
        read_to(&mut stream, "0\r\n\r\n").await;
        stream.write_all(b"0\r\nx-t: 1\r\n\r\n").await.unwrap();
        stream
    });
    let upstream = open(settings());
    let (feed, rest) = fed();
    feed.send("one").await.unwrap();
    let body = OutBody::streaming(Bytes::new(), rest, None);
    let mut reply = send(&upstream, post(), body, key(1, 1, &url)).await.unwrap().into_body();
    assert_eq!(frame(&mut reply).await.unwrap(), "ONE");
    feed.send("two").await.unwrap();
    assert_eq!(frame(&mut reply).await.unwrap(), "TWO");
    drop(feed);
    let trailers = reply.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["x-t"], "1");
    assert!(reply.frame().await.is_none());
    drop(server.await.unwrap());
}

#[tokio::test]
async fn t38_a_connection_whose_request_was_answered_before_its_end_is_closed() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_to(&mut stream, "3\r\none\r\n").await;
        let reply = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno";
        stream.write_all(reply).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        rest
    });
    let upstream = open(settings());
    let (feed, rest) = fed();
    feed.send("one").await.unwrap();
    let body = OutBody::streaming(Bytes::new(), rest, None);
    let reply = send(&upstream, post(), body, key(1, 1, &url)).await.unwrap();
    assert_eq!(reply.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(text(reply).await.as_deref(), Ok("no"));
    assert_eq!(server.await.unwrap(), b"", "no end of the request, and no other request");
}

#[tokio::test]
async fn a_reply_that_nobody_reads_holds_the_upstream_back() {
    let (listener, url) = listen().await;
    let (told, mut written) = mpsc::channel(1);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_to(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut sum = 0;
        let piece = [b'x'; 64 * 1024];
        while let Ok(Ok(())) = tokio::time::timeout(SHORT, stream.write_all(&piece)).await {
            sum += piece.len();
        }
        told.send(sum).await.unwrap();
        std::future::pending::<()>().await;
    });
    let reply = get(&open(settings()), key(1, 1, &url)).await.unwrap();
    // What the kernel buffers on loopback is below this; a reader without back-pressure would never stop.
    assert!(written.recv().await.unwrap() < 64 << 20);
    drop(reply);
}

#[tokio::test]
async fn t36_a_body_longer_or_shorter_than_declared_is_never_a_whole_request() {
    for (pieces, length) in [(["ab", "cd"], 3), (["ab", "cd"], 5)] {
        let (listener, url) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            String::from_utf8(all).unwrap()
        });
        let frames = pieces.map(|piece| Ok(Frame::data(Bytes::from(piece))));
        let rest = StreamBody::new(stream::iter(frames)).boxed_unsync();
        let body = OutBody::streaming(Bytes::new(), rest, Some(length));
        let sent = send(&open(settings()), post(), body, key(1, 1, &url)).await;
        assert_eq!(sent.map(|_| ()).unwrap_err().code(), Code::MalformedCall, "{length}");
        let received = server.await.unwrap();
        let body = received.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        assert!((body.len() as u64) < length, "{received}");
    }
}
