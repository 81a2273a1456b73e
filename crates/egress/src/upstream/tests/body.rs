//! Request bodies: whole, streaming, slow, and broken.

use super::server::{Act, Server, ok};
use super::*;
use cloakroom_model::Rest;
use futures_util::StreamExt;
use futures_util::stream;
use http::Method;
use http_body::Frame;
use http_body_util::StreamBody;

fn post() -> Parts {
    let mut parts = head("/v1/things");
    parts.method = Method::POST;
    parts
}

fn rest(frames: Vec<Result<&'static str, BodyFault>>) -> Rest {
    let frames = frames.into_iter().map(|frame| frame.map(|text| Frame::data(Bytes::from(text))));
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

#[tokio::test]
async fn a_whole_body_has_a_length_and_a_streaming_one_is_chunked_or_has_the_declared_length() {
    let server = Server::plain(|_| Act::Keep(ok("one"))).await;
    let upstream = open(settings());
    let url = server.url("http");
    for (body, ending) in [
        (OutBody::whole(Bytes::from("a=1")), "content-length: 3\r\n\r\na=1"),
        (OutBody::whole(Bytes::new()), "content-length: 0\r\n\r\n"),
        (OutBody::streaming(Bytes::from("a="), rest(vec![Ok("1")]), Some(3)), "content-length: 3\r\n\r\na=1"),
        (
            OutBody::streaming(Bytes::from("a="), rest(vec![Ok("1")]), None),
            "transfer-encoding: chunked\r\n\r\n2\r\na=\r\n1\r\n1\r\n0\r\n\r\n",
        ),
    ] {
        send(&upstream, post(), body, key(1, 1, &url)).await.unwrap();
        let last = server.requests().pop().unwrap();
        assert!(last.ends_with(ending), "{last}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_is_the_workloads_fault_and_never_completes() {
    let server = Server::plain(|_| Act::Keep(ok("one"))).await;
    let upstream = open(settings());
    for (fault, code) in [
        (BodyFault::Broken, Code::MalformedCall),
        (BodyFault::Slow, Code::MalformedCall),
        (BodyFault::TooLarge, Code::BodyNotPermitted),
    ] {
        let body = OutBody::streaming(Bytes::from("a="), rest(vec![Ok("1"), Err(fault)]), None);
        let sent = send(&upstream, post(), body, key(1, 1, &server.url("http"))).await;
        assert_eq!(sent.map(|_| ()).unwrap_err().code(), code, "{fault:?}");
    }
    assert_eq!(server.requests().len(), 0, "no request was complete");
}

#[tokio::test]
async fn the_time_for_the_reply_counts_from_the_last_byte_of_the_request() {
    let server = Server::plain(|_| Act::Keep(ok("one"))).await;
    let upstream = open(UpstreamSettings { header_timeout: SHORT, ..settings() });
    // Four pauses, each shorter than the timeout, together longer.
    let pauses = stream::iter(0..4).then(|_| async {
        tokio::time::sleep(SHORT / 2).await;
        Ok::<_, BodyFault>(Frame::data(Bytes::from("x")))
    });
    let body = OutBody::streaming(Bytes::new(), StreamBody::new(pauses).boxed_unsync(), None);
    let reply = send(&upstream, post(), body, key(1, 1, &server.url("http"))).await.unwrap();
    assert_eq!(text(reply).await.as_deref(), Ok("one"));
}
