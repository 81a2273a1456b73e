//! What is dialled: only addresses that were checked, never ours, never a special-purpose one.

use super::name_server::{Answers, NameServer};
use super::server::{Act, Authority, Server, ok};
use super::*;
use std::net::IpAddr;

fn loopback() -> IpAddr {
    "127.0.0.1".parse().unwrap()
}

fn elsewhere() -> IpAddr {
    // Another loopback address: outside what the tests allow, and nothing listens there.
    "127.0.0.2".parse().unwrap()
}

fn only_the_first() -> Vec<ipnet::IpNet> {
    vec!["127.0.0.1/32".parse().unwrap()]
}

#[tokio::test]
async fn t46_an_address_literal_goes_through_the_same_filter() {
    let server = Server::plain(|_| Act::Keep(ok("one"))).await;
    let strict = open(UpstreamSettings::default());
    assert_eq!(refused(&strict, &server.url("http")).await, Code::AddressNotPermitted);
    for address in ["169.254.169.254", "10.0.0.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[fd00::1]"] {
        let url = format!("http://{address}:{}", server.address.port());
        assert_eq!(refused(&strict, &url).await, Code::AddressNotPermitted, "{address}");
    }
    assert_eq!(server.connections(), 0);
    assert_eq!(strict.connections(), 0);
    let reply = get(&open(settings()), key(1, 1, &server.url("http"))).await.unwrap();
    assert_eq!(text(reply).await.as_deref(), Ok("one"));
}

#[tokio::test]
async fn t46_a_name_that_resolves_to_a_special_purpose_address_is_refused() {
    let server = Server::plain(|_| Act::Keep(ok("one"))).await;
    let names = NameServer::start(|_, _| vec![loopback()]).await;
    let url = format!("http://api.example.com:{}", server.address.port());
    let strict = UpstreamSettings { resolvers: vec![names.address], ..UpstreamSettings::default() };
    assert_eq!(refused(&open(strict.clone()), &url).await, Code::AddressNotPermitted);
    assert_eq!(server.connections(), 0);
    let lenient = open(UpstreamSettings { allowed: only_the_first(), ..strict });
    assert!(get(&lenient, key(1, 1, &url)).await.is_ok());
    assert!(server.requests()[0].contains(&format!("host: api.example.com:{}\r\n", server.address.port())));
}

#[tokio::test]
async fn t48_one_bad_address_spoils_the_whole_answer() {
    let server = Server::plain(|_| Act::Keep(ok("one"))).await;
    for answers in [
        (|_, _| vec![loopback(), elsewhere()]) as Answers,
        |_, _| vec![elsewhere(), loopback()],
        |_, _| vec![loopback(), "::1".parse().unwrap()],
        |_, _| vec![loopback(), "fd00::1".parse().unwrap()],
    ] {
        let names = NameServer::start(answers).await;
        let upstream = open(UpstreamSettings {
            resolvers: vec![names.address],
            allowed: only_the_first(),
            ..UpstreamSettings::default()
        });
        let url = format!("http://api.example.com:{}", server.address.port());
        assert_eq!(refused(&upstream, &url).await, Code::AddressNotPermitted);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn t48_a_name_that_changes_its_mind_is_checked_for_each_connection() {
    let server = Server::plain(|_| Act::Close(ok("one"))).await;
    let names =
        NameServer::start(|_, before| vec![if before.is_multiple_of(2) { loopback() } else { elsewhere() }])
            .await;
    let upstream = open(UpstreamSettings {
        resolvers: vec![names.address],
        allowed: only_the_first(),
        ..UpstreamSettings::default()
    });
    let url = format!("http://api.example.com:{}", server.address.port());
    let (mut sent, mut stopped) = (0, 0);
    for round in 0..200u8 {
        // A key of its own for each round, so that each makes a connection.
        match get(&upstream, key(round, 1, &url)).await {
            Ok(reply) => sent += usize::from(text(reply).await.is_ok()),
            Err(refusal) => {
                assert_eq!(refusal.code(), Code::AddressNotPermitted);
                stopped += 1;
            }
        }
    }
    assert_eq!(sent, server.connections(), "every connection went to the address that was checked");
    assert!(sent >= 50 && stopped >= 50, "{sent} sent, {stopped} refused");
}

#[tokio::test]
async fn t52_the_search_list_is_not_used_and_no_other_name_is_asked_for() {
    let names = NameServer::start(|_, _| Vec::new()).await;
    let upstream = open(UpstreamSettings { resolvers: vec![names.address], ..settings() });
    assert_eq!(refused(&upstream, "https://api").await, Code::UpstreamUnreachable);
    assert!(!names.asked().is_empty());
    assert!(names.asked().iter().all(|name| name == "api"), "{:?}", names.asked());
}

#[tokio::test]
async fn t51_the_brokers_own_listeners_are_never_dialled() {
    let server = Server::plain(|_| Act::Keep(ok("one"))).await;
    let port = server.address.port();
    let url = server.url("http");
    for own in [format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}"), format!("[::]:{port}")] {
        let own = vec![own.parse().unwrap()];
        let upstream = open(UpstreamSettings { own, ..settings() });
        assert_eq!(refused(&upstream, &url).await, Code::AddressNotPermitted);
    }
    assert_eq!(server.connections(), 0);
    let other = vec![format!("127.0.0.1:{}", port ^ 1).parse().unwrap()];
    assert!(get(&open(UpstreamSettings { own: other, ..settings() }), key(1, 1, &url)).await.is_ok());
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_unreachable() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(refused(&open(settings()), &format!("http://{closed}")).await, Code::UpstreamUnreachable);
}

/// Run by the test below in a process of its own, with proxy variables set.
#[tokio::test]
async fn a_call_goes_straight_to_its_destination() {
    let authority = Authority::new();
    let server = Server::tls(authority.server("127.0.0.1", &["http/1.1"]), |_| Act::Keep(ok("one"))).await;
    let plain = Server::plain(|_| Act::Keep(ok("one"))).await;
    let upstream = open(UpstreamSettings { anchors: vec![authority.file()], ..settings() });
    assert!(get(&upstream, key(1, 1, &server.url("https"))).await.is_ok());
    assert!(get(&upstream, key(1, 1, &plain.url("http"))).await.is_ok());
    assert_eq!((server.connections(), plain.connections()), (1, 1));
}

#[test]
fn t53_proxy_variables_of_the_environment_are_ignored() {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "upstream::tests::address::a_call_goes_straight_to_its_destination"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        child.env(name, &url);
    }
    let output = child.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    assert_eq!(proxy.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
