//! Of which failures it is proved that no byte of the request was sent, and of which it is not.

use super::server::{Act, Authority, Server, ok, self_signed};
use super::*;

/// The code of the refusal of one GET, and whether it is a proof.
async fn failed(upstream: &Upstream, destination: &str) -> (Code, bool) {
    let refusal = get(upstream, key(1, 1, destination)).await.map(|_| ()).unwrap_err();
    (refusal.code(), refusal.is_unsent())
}

#[tokio::test]
async fn what_fails_before_there_is_a_connection_was_not_sent() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let upstream = open(settings());
    assert_eq!(failed(&upstream, &closed).await, (Code::UpstreamUnreachable, true));
    assert_eq!(failed(&upstream, "https://192.168.0.1").await, (Code::AddressNotPermitted, true));
    let nowhere = UpstreamSettings { resolvers: vec!["127.0.0.1:9".parse().unwrap()], ..settings() };
    assert_eq!(failed(&open(nowhere), "https://nowhere.invalid").await, (Code::UpstreamUnreachable, true));
}

#[tokio::test]
async fn what_fails_in_the_handshake_was_not_sent() {
    let untrusted = Server::tls(self_signed("127.0.0.1"), |_| Act::Keep(ok("one"))).await;
    let authority = Authority::new();
    let upstream = open(UpstreamSettings { anchors: vec![authority.file()], ..settings() });
    assert_eq!(failed(&upstream, &untrusted.url("https")).await, (Code::UpstreamUntrusted, true));
    assert_eq!(untrusted.requests().len(), 0);
    // Accepts, and never answers the handshake.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let hasty = UpstreamSettings { anchors: vec![authority.file()], connect_timeout: SHORT, ..settings() };
    assert_eq!(failed(&open(hasty), &url).await, (Code::UpstreamTimeout, true));
}

#[tokio::test]
async fn what_was_written_may_have_been_read_whatever_comes_back() {
    for (script, code) in [
        ((|_| Act::Close(Vec::new())) as fn(usize) -> Act, Code::UpstreamUnreachable),
        (|_| Act::Close(b"no http\r\n\r\n".to_vec()), Code::UpstreamUnreachable),
        (|_| Act::Hang(Vec::new()), Code::UpstreamTimeout),
    ] {
        let server = Server::plain(script).await;
        let upstream = open(UpstreamSettings { header_timeout: SHORT, ..settings() });
        assert_eq!(failed(&upstream, &server.url("http")).await, (code, false));
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_kept_connection_that_died_proves_nothing_by_itself() {
    // The second request is read, and then the connection closes.
    let server =
        Server::plain(|number| if number == 0 { Act::Keep(ok("one")) } else { Act::Close(Vec::new()) }).await;
    let (upstream, url) = (open(settings()), server.url("http"));
    text(get(&upstream, key(1, 1, &url)).await.unwrap()).await.unwrap();
    assert_eq!(failed(&upstream, &url).await, (Code::UpstreamUnreachable, false));
    assert_eq!(server.requests().len(), 2);
}
