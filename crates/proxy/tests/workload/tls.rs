//! Interception as a TLS client sees it.

use crate::house::{House, house, robot};
use cloakroom_model::Code;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

/// A handshake through a tunnel: what the client saw, or why it failed.
fn handshake(
    house: &House,
    trust: &str,
    name: &str,
    protocols: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ClientConnection, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trust.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    let mut client =
        ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut socket = connect(house);
    while client.is_handshaking() {
        client.complete_io(&mut socket).map_err(|error| error.to_string())?;
    }
    Ok(client)
}

fn connect(house: &House) -> TcpStream {
    let mut socket = TcpStream::connect(house.address()).unwrap();
    let (authority, basic) = (house.upstream.authority(), robot().basic());
    let connect = format!("CONNECT {authority} HTTP/1.0\r\nProxy-Authorization: {basic}\r\n\r\n");
    socket.write_all(connect.as_bytes()).unwrap();
    let mut head = Vec::new();
    let mut byte = [0u8];
    while !head.ends_with(b"\r\n\r\n") {
        std::io::Read::read_exact(&mut socket, &mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", head.escape_ascii());
    socket
}

#[test]
fn t54_t62_the_leaf_is_for_the_host_and_signed_by_the_brokers_authority_alone() {
    let house = house();
    let both = rustls::ALL_VERSIONS;
    let client = handshake(&house, &house.ca, "127.0.0.1", &[b"http/1.1"], both).unwrap();
    assert_eq!(client.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(client.peer_certificates().map(<[_]>::len), Some(1));
    let stranger = cloakroom_testkit::TestAuthority::new();
    assert!(handshake(&house, stranger.pem(), "127.0.0.1", &[b"http/1.1"], both).is_err());
    assert!(handshake(&house, &house.ca, "127.0.0.2", &[b"http/1.1"], both).is_err());
}

#[test]
fn t57_http_1_1_or_2_over_tls_1_2_or_1_3_and_nothing_else() {
    let house = house();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        assert!(handshake(&house, &house.ca, "127.0.0.1", &[b"h2", b"http/1.1"], &[version]).is_ok());
        assert!(handshake(&house, &house.ca, "127.0.0.1", &[], &[version]).is_ok(), "no ALPN is HTTP/1.1");
        assert!(handshake(&house, &house.ca, "127.0.0.1", &[b"h2"], &[version]).is_ok());
        assert!(handshake(&house, &house.ca, "127.0.0.1", &[b"h2c"], &[version]).is_err());
    }
}

#[test]
fn t20_another_name_in_the_handshake_than_in_the_connect_is_no_tunnel() {
    let house = house();
    assert!(handshake(&house, &house.ca, "localhost", &[b"http/1.1"], rustls::ALL_VERSIONS).is_err());
    assert_eq!(house.refusals().first().map(|refusal| refusal.0), Some(Code::AmbiguousCall));
    assert_eq!(house.upstream.connections(), 0);
}
