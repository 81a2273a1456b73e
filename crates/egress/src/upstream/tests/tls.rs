//! Whom we believe: only a certificate that verifies for the destination's host, and only by what ALPN agreed on.

use super::name_server::NameServer;
use super::server::{Act, Authority, Server, ok, self_signed};
use super::*;

fn trusting(authority: &Authority) -> Upstream {
    open(UpstreamSettings { anchors: vec![authority.file()], ..settings() })
}

#[tokio::test]
async fn t54_a_certificate_that_does_not_verify_gets_no_byte_of_the_request() {
    let authority = Authority::new();
    let upstream = trusting(&authority);
    let http1: &[&str] = &["http/1.1"];
    for (what, config) in [
        (
            "expired",
            authority.server_with("127.0.0.1", http1, |params| {
                params.not_before = rcgen::date_time_ymd(2001, 1, 1);
                params.not_after = rcgen::date_time_ymd(2002, 1, 1);
            }),
        ),
        (
            "not yet valid",
            authority.server_with("127.0.0.1", http1, |params| {
                params.not_before = rcgen::date_time_ymd(2998, 1, 1);
                params.not_after = rcgen::date_time_ymd(2999, 1, 1);
            }),
        ),
        ("another name", authority.server("api.example.com", http1)),
        ("another address", authority.server("127.0.0.2", http1)),
        ("self-signed", self_signed("127.0.0.1")),
        ("unknown authority", Authority::new().server("127.0.0.1", http1)),
        (
            "not for servers",
            authority.server_with("127.0.0.1", http1, |params| {
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
            }),
        ),
        (
            "an authority as a server",
            authority.server_with("127.0.0.1", http1, |params| {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            }),
        ),
    ] {
        let server = Server::tls(config, |_| Act::Keep(ok("one"))).await;
        assert_eq!(refused(&upstream, &server.url("https")).await, Code::UpstreamUntrusted, "{what}");
        assert!(server.requests().is_empty(), "{what}");
    }
    let good = Server::tls(authority.server("127.0.0.1", http1), |_| Act::Keep(ok("one"))).await;
    assert!(get(&upstream, key(1, 1, &good.url("https"))).await.is_ok());
}

#[tokio::test]
async fn t54_the_certificate_must_be_for_the_name_and_not_for_its_address() {
    let authority = Authority::new();
    let names = NameServer::start(|_, _| vec!["127.0.0.1".parse().unwrap()]).await;
    let upstream = open(UpstreamSettings {
        anchors: vec![authority.file()],
        resolvers: vec![names.address],
        ..settings()
    });
    for (name, expected) in [
        ("api.example.com", None),
        ("*.example.com", None),
        ("127.0.0.1", Some(Code::UpstreamUntrusted)),
        ("example.com", Some(Code::UpstreamUntrusted)),
        ("api.example.com.evil.example", Some(Code::UpstreamUntrusted)),
        ("*.com", Some(Code::UpstreamUntrusted)),
    ] {
        let server = Server::tls(authority.server(name, &["http/1.1"]), |_| Act::Keep(ok("one"))).await;
        let url = format!("https://api.example.com:{}", server.address.port());
        let got = get(&upstream, key(1, 1, &url)).await.map(|_| ()).err().map(|refusal| refusal.code());
        assert_eq!(got, expected, "{name}");
    }
}

#[tokio::test]
async fn t55_a_server_without_tls_gets_no_byte_of_the_request() {
    let server = Server::plain(|_| Act::Keep(ok("one"))).await;
    // It never sees the end of a request head in a ClientHello, so it waits, and so do we.
    let upstream = open(UpstreamSettings { connect_timeout: SHORT, ..settings() });
    assert_eq!(refused(&upstream, &server.url("https")).await, Code::UpstreamTimeout);
    let talker = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", talker.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let (mut stream, _) = talker.accept().await.unwrap();
        stream.write_all(&ok("one")).await.unwrap();
        std::future::pending::<()>().await;
    });
    assert_eq!(refused(&upstream, &url).await, Code::UpstreamUntrusted);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn t55_a_redirect_is_handed_back_and_not_followed() {
    let server = Server::plain(|_| {
        Act::Keep(
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n".to_vec(),
        )
    })
    .await;
    let upstream = open(settings());
    let reply = get(&upstream, key(1, 1, &server.url("http"))).await.unwrap();
    assert_eq!(reply.status(), StatusCode::FOUND);
    assert_eq!((upstream.connections(), server.requests().len()), (1, 1));
}

#[tokio::test]
async fn t57_the_protocol_is_the_one_that_alpn_agreed_on() {
    let authority = Authority::new();
    let upstream = trusting(&authority);
    let two = Server::http2(authority.server("127.0.0.1", &["h2", "http/1.1"])).await;
    let reply = get(&upstream, key(1, 1, &two.url("https"))).await.unwrap();
    assert_eq!(reply.version(), http::Version::HTTP_2);
    assert_eq!(text(reply).await.as_deref(), Ok("two"));
    for protocols in [&["http/1.1"][..], &[]] {
        let one = Server::tls(authority.server("127.0.0.1", protocols), |_| Act::Keep(ok("one"))).await;
        let reply = get(&upstream, key(1, 1, &one.url("https"))).await.unwrap();
        assert_eq!(reply.version(), http::Version::HTTP_11);
    }
}

#[tokio::test]
async fn t57_the_other_protocol_than_agreed_is_not_understood() {
    let authority = Authority::new();
    let upstream = trusting(&authority);
    let http2_frames = |_| Act::Close(b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0".to_vec());
    let liar = Server::tls(authority.server("127.0.0.1", &["http/1.1"]), http2_frames).await;
    assert_eq!(refused(&upstream, &liar.url("https")).await, Code::UpstreamUnreachable);
    let liar = Server::tls(authority.server("127.0.0.1", &["h2"]), |_| Act::Close(ok("one"))).await;
    assert_eq!(refused(&upstream, &liar.url("https")).await, Code::UpstreamUnreachable);
}

#[tokio::test]
async fn t57_tls_1_2_is_spoken_too() {
    let authority = Authority::new();
    let config = authority.server("127.0.0.1", &["http/1.1"]);
    let old = {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut old = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&config.cert_resolver));
        old.alpn_protocols = vec![b"http/1.1".to_vec()];
        old
    };
    let server = Server::tls(old, |_| Act::Keep(ok("one"))).await;
    assert!(get(&trusting(&authority), key(1, 1, &server.url("https"))).await.is_ok());
}

#[test]
fn a_file_without_anchors_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.pem");
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "not a certificate\n").unwrap();
    for path in [missing, empty] {
        let opened = Upstream::assert_opened(UpstreamSettings { anchors: vec![path.clone()], ..settings() });
        let error = opened.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(error.hint().contains("--upstream-ca"));
    }
}
