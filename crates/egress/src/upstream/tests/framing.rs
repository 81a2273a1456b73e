//! Replies that lie about where they end (T43), that never end, or that are not HTTP.

use super::server::{Act, Server, ok};
use super::*;

async fn settled() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn t43_a_reply_shorter_than_it_says_is_broken() {
    for script in [
        (|_| Act::Close(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort".to_vec())) as fn(usize) -> Act,
        |_| Act::Close(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n".to_vec()),
        |_| Act::Close(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n".to_vec()),
    ] {
        let server = Server::plain(script).await;
        let reply = get(&open(settings()), key(1, 1, &server.url("http"))).await.unwrap();
        assert_eq!(text(reply).await, Err(BodyFault::Broken));
    }
}

#[tokio::test]
async fn t43_bytes_after_the_reply_close_the_connection_and_so_does_its_word() {
    for script in [
        (|number| match number {
            0 => Act::Keep([ok("one"), ok("forged")].concat()),
            _ => Act::Keep(ok("two")),
        }) as fn(usize) -> Act,
        |number| match number {
            0 => {
                let reply = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n";
                Act::Keep([&reply[..], &ok("forged")].concat())
            }
            _ => Act::Keep(ok("two")),
        },
        |number| match number {
            0 => Act::Keep(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\none".to_vec()),
            _ => Act::Keep(ok("two")),
        },
        |number| match number {
            0 => Act::Keep(
                b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\none".to_vec(),
            ),
            _ => Act::Keep(ok("two")),
        },
    ] {
        let server = Server::plain(script).await;
        let upstream = open(settings());
        let url = server.url("http");
        let first = get(&upstream, key(1, 1, &url)).await.unwrap();
        assert_eq!(text(first).await.as_deref(), Ok("one"));
        settled().await;
        let second = get(&upstream, key(1, 1, &url)).await.unwrap();
        assert_eq!(text(second).await.as_deref(), Ok("two"));
        assert_eq!(server.connections(), 2);
    }
}

#[tokio::test]
async fn t38_a_reply_that_was_not_read_to_its_end_takes_its_connection_with_it() {
    let server = Server::plain(|_| Act::Keep(ok(&"x".repeat(1 << 20)))).await;
    let upstream = open(settings());
    let url = server.url("http");
    drop(get(&upstream, key(1, 1, &url)).await.unwrap());
    settled().await;
    assert!(get(&upstream, key(1, 1, &url)).await.is_ok());
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn t43_conflicting_lengths_and_other_nonsense_are_unreachable() {
    for script in [
        (|_| Act::Close(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\none!".to_vec()))
            as fn(usize) -> Act,
        |_| Act::Close(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\none".to_vec()),
        |_| Act::Close(b"HTTP/1.1 200 OK\r\ncontent-length: 3, 3\r\n\r\none".to_vec()),
        |_| Act::Close(b"HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\none".to_vec()),
        |_| {
            let fields = "content-length: 3\r\ntransfer-encoding: chunked\r\n";
            Act::Close(format!("HTTP/1.1 200 OK\r\n{fields}\r\n3\r\none\r\n0\r\n\r\n").into_bytes())
        },
        |_| Act::Close(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_vec()),
        |_| Act::Close(b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_vec()),
        |_| Act::Close(b"HTTP/1.1 200 OK\ncontent-length: 3\n\none".to_vec()),
        |_| Act::Close(b"HTTP/1.1 200 OK\r\na: b\rc: d\r\n\r\none".to_vec()),
        |_| Act::Close(b"HTTP/1.1 200 OK\r\na: \0\r\n\r\none".to_vec()),
        |_| Act::Close(b"HTTP/1.1 200 OK\r\nbad header: 1\r\n\r\none".to_vec()),
        |_| Act::Close(b"HTTP/1.1 200 OK\r\na: 1\r\n folded\r\n\r\none".to_vec()),
        |_| Act::Close(b"ICY 200 OK\r\n\r\none".to_vec()),
        |_| Act::Close(b"one\r\n\r\n".to_vec()),
    ] {
        let server = Server::plain(script).await;
        assert_eq!(refused(&open(settings()), &server.url("http")).await, Code::UpstreamUnreachable);
    }
}

#[tokio::test]
async fn t39_an_unasked_switch_of_protocols_is_refused() {
    let server = Server::plain(|_| {
        Act::Hang(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n".to_vec())
    })
    .await;
    assert_eq!(refused(&open(settings()), &server.url("http")).await, Code::UpstreamUnreachable);
}

#[tokio::test]
async fn t100_a_head_without_end_is_cut_off() {
    for script in [
        (|_| Act::Hang([b"HTTP/1.1 200 OK\r\na: ".to_vec(), vec![b'x'; 200 * 1024]].concat()))
            as fn(usize) -> Act,
        |_| Act::Hang([b"HTTP/1.1 200 OK\r\n".to_vec(), b"a: b\r\n".repeat(40_000)].concat()),
        |_| Act::Hang([b"HTTP/1.1 200 OK\r\n".to_vec(), b"a: b\r\n".repeat(101), b"\r\n".to_vec()].concat()),
    ] {
        let server = Server::plain(script).await;
        assert_eq!(refused(&open(settings()), &server.url("http")).await, Code::UpstreamUnreachable);
    }
}

#[tokio::test]
async fn t100_a_silent_upstream_is_a_timeout_at_each_point() {
    let short =
        UpstreamSettings { connect_timeout: SHORT, header_timeout: SHORT, idle_timeout: SHORT, ..settings() };
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", mute.local_addr().unwrap());
    assert_eq!(refused(&open(short.clone()), &url).await, Code::UpstreamTimeout, "no TLS handshake");

    let server = Server::plain(|_| Act::Hang(Vec::new())).await;
    assert_eq!(refused(&open(short.clone()), &server.url("http")).await, Code::UpstreamTimeout, "no head");

    let server = Server::plain(|_| Act::Hang(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec())).await;
    assert_eq!(
        refused(&open(short.clone()), &server.url("http")).await,
        Code::UpstreamTimeout,
        "half a head"
    );

    let server =
        Server::plain(|_| Act::Hang(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none".to_vec())).await;
    let reply = get(&open(short), key(1, 1, &server.url("http"))).await.unwrap();
    assert_eq!(text(reply).await, Err(BodyFault::Slow), "half a body");
}
