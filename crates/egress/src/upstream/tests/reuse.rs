//! Which connections are shared: those of the same credentials at the same destination, and no others.

use super::server::{Act, Authority, Server, ok};
use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Waits until the connection of a complete reply is back in the pool, or gone.
async fn settled() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn call(upstream: &Upstream, key: PoolKey) {
    let reply = get(upstream, key).await.unwrap();
    assert!(text(reply).await.is_ok());
    settled().await;
}

#[tokio::test]
async fn calls_with_the_same_credential_share_a_connection_and_others_do_not() {
    let server = Server::plain(|_| Act::Keep(ok("one"))).await;
    let upstream = open(settings());
    let url = server.url("http");
    for _ in 0..5 {
        call(&upstream, key(1, 1, &url)).await;
    }
    assert_eq!(server.connections(), 1);
    call(&upstream, key(2, 1, &url)).await;
    assert_eq!(server.connections(), 2, "another credential");
    call(&upstream, key(1, 2, &url)).await;
    assert_eq!(server.connections(), 3, "another generation");
    let both = PoolKey {
        credentials: [key(1, 1, &url).credentials, key(2, 1, &url).credentials].concat(),
        destination: key(1, 1, &url).destination,
    };
    let reversed = PoolKey { credentials: both.credentials.iter().rev().copied().collect(), ..both.clone() };
    call(&upstream, both).await;
    assert_eq!(server.connections(), 4, "both credentials in one call");
    call(&upstream, reversed).await;
    assert_eq!(server.connections(), 4, "the order does not matter");
    assert_eq!(upstream.connections(), 4);
}

#[tokio::test]
async fn an_empty_reply_gives_its_connection_back_though_nobody_reads_it() {
    let server = Server::plain(|_| Act::Keep(ok(""))).await;
    let upstream = open(settings());
    for _ in 0..3 {
        drop(get(&upstream, key(1, 1, &server.url("http"))).await.unwrap());
        settled().await;
    }
    assert_eq!(server.connections(), 1);
}

/// Far more than is read at once.
fn long() -> String {
    (0..200_000).map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn a_large_reply_over_tls_comes_whole_and_its_connection_is_kept() {
    let authority = Authority::new();
    let server = Server::tls(authority.server("127.0.0.1", &["http/1.1"]), |_| Act::Keep(ok(&long()))).await;
    let upstream = open(UpstreamSettings { anchors: vec![authority.file()], ..settings() });
    for _ in 0..3 {
        let reply = get(&upstream, key(1, 1, &server.url("https"))).await.unwrap();
        assert!(text(reply).await.unwrap() == long());
        settled().await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn t43_bytes_behind_a_large_reply_over_tls_cost_its_connection() {
    let authority = Authority::new();
    let config = authority.server("127.0.0.1", &["http/1.1"]);
    let server = Server::tls(config, |_| Act::Keep([ok(&long()), ok("unasked")].concat())).await;
    let upstream = open(UpstreamSettings { anchors: vec![authority.file()], ..settings() });
    for calls in 1..=2 {
        let reply = get(&upstream, key(1, 1, &server.url("https"))).await.unwrap();
        assert!(text(reply).await.unwrap() == long());
        settled().await;
        assert_eq!(server.connections(), calls);
    }
}

#[tokio::test]
async fn http2_calls_at_the_same_time_share_one_connection_per_credential() {
    let authority = Authority::new();
    let server = Server::http2(authority.server("127.0.0.1", &["h2"])).await;
    let upstream = open(UpstreamSettings { anchors: vec![authority.file()], ..settings() });
    let url = server.url("https");
    for credential in 1..=2 {
        let calls = (0..16).map(|_| call(&upstream, key(credential, 1, &url)));
        futures_util::future::join_all(calls).await;
        assert_eq!(server.connections(), usize::from(credential));
    }
}

#[tokio::test]
async fn in_http2_the_authority_is_the_destination_and_there_is_no_host() {
    let authority = Authority::new();
    let server = Server::http2(authority.server("127.0.0.1", &["h2"])).await;
    let upstream = open(UpstreamSettings { anchors: vec![authority.file()], ..settings() });
    let url = server.url("https");
    let mut parts = head("http://evil.example/v1/things?a=b");
    parts.headers.insert("host", "evil.example".parse().unwrap());
    parts.headers.insert("connection", "authorization".parse().unwrap());
    send(&upstream, parts, OutBody::whole(Bytes::new()), key(1, 1, &url)).await.unwrap();
    assert_eq!(server.requests(), [format!("GET {url}/v1/things?a=b authorization")]);
}

#[tokio::test]
async fn a_secret_is_never_indexed_by_http2() {
    let authority = Authority::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let config = Arc::new(authority.server("127.0.0.1", &["h2"]));
    let block = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = tokio_rustls::TlsAcceptor::from(config).accept(stream).await.unwrap();
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        stream.read_exact(&mut [0; 24]).await.unwrap();
        loop {
            let mut frame = [0; 9];
            stream.read_exact(&mut frame).await.unwrap();
            let mut payload = vec![0; usize::from(frame[1]) << 8 | usize::from(frame[2])];
            stream.read_exact(&mut payload).await.unwrap();
            if frame[3] == 1 {
                return payload;
            }
        }
    });
    let upstream = open(UpstreamSettings { anchors: vec![authority.file()], ..settings() });
    assert_eq!(refused(&upstream, &url).await, Code::UpstreamUnreachable);
    let block = block.await.unwrap();
    // SPEC: RFC 7541, section 6.2.3. `authorization` is 23 in the static table: 0001 1111, then 23 - 15.
    assert!(block.windows(2).any(|bytes| bytes == [0x1f, 0x08]), "{block:02x?}");
}

#[tokio::test]
async fn a_connection_that_was_idle_too_long_is_not_reused() {
    let server = Server::plain(|_| Act::Keep(ok("one"))).await;
    let upstream = open(UpstreamSettings { pool_idle: Duration::ZERO, ..settings() });
    for count in 1..=3 {
        call(&upstream, key(1, 1, &server.url("http"))).await;
        assert_eq!(server.connections(), count);
    }
}

#[tokio::test]
async fn no_more_than_the_limit_of_idle_connections_is_kept() {
    let server = Server::plain(|_| Act::Keep(ok("one"))).await;
    let upstream = open(UpstreamSettings { pool_per_destination: 2, ..settings() });
    let url = server.url("http");
    let burst = || futures_util::future::join_all((0..6).map(|_| get(&upstream, key(1, 1, &url))));
    for reply in burst().await {
        text(reply.unwrap()).await.unwrap();
    }
    settled().await;
    let first = server.connections();
    assert_eq!(first, 6);
    burst().await;
    assert_eq!(server.connections(), first + 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_destination_is_served_by_few_connections() {
    let server = Server::plain(|_| Act::Keep(ok("one"))).await;
    let upstream = Arc::new(open(settings()));
    let url = server.url("http");
    let calls = (0..32).map(|_| {
        let (upstream, url) = (Arc::clone(&upstream), url.clone());
        tokio::spawn(async move {
            for _ in 0..50 {
                let reply = get(&upstream, key(1, 1, &url)).await.unwrap();
                assert_eq!(text(reply).await.as_deref(), Ok("one"));
            }
        })
    });
    for call in futures_util::future::join_all(calls).await {
        call.unwrap();
    }
    assert_eq!(server.requests().len(), 32 * 50, "each call is sent once");
    // A connection is back a moment after its reply was read, so that a few more than the calls at one time are made.
    assert!(server.connections() <= 2 * 32, "{} connections", server.connections());
}
