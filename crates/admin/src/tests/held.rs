//! What one peer can hold of the console's listener, and for how long.

use crate::console;
use crate::house::{House, ends};
use crate::listen::{self, Arrived};
use axum::Extension;
use cloakroom_model::Role;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};

/// More than there are places.
const MANY: usize = 70;
/// A request whose body stops after one byte.
const STALLED: &[u8] = b"POST /login HTTP/1.1\r\nhost: localhost:8481\r\norigin: http://localhost:8481\r\n\
    content-type: application/json\r\ncontent-length: 100\r\n\r\n{";

/// Whoever connects to the console, without a socket in between.
fn connected(house: &House) -> DuplexStream {
    let (near, far) = tokio::io::duplex(4096);
    let (mut far, router) = (Some(far), console::router(Arc::clone(&house.admin)).layer(Extension(ends())));
    let accept = move || {
        let (next, router) = (far.take(), router.clone());
        async move {
            match next {
                Some(stream) => Ok(Arrived { stream, router, from: None }),
                None => pending().await,
            }
        }
    };
    tokio::spawn(listen::serve(accept, pending()));
    near
}

/// The head of the next answer, to its blank line, and as much of a body as it says.
async fn answer(stream: &mut TcpStream) -> String {
    let (mut said, mut buffer) = (String::new(), [0; 4096]);
    loop {
        if let Some((head, body)) = said.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.is_none_or(|length| body.len() >= length.parse().unwrap()) {
                return said;
            }
        }
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the connection ended: {said:?}");
        said.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
}

#[tokio::test]
async fn a_body_that_stops_half_way_is_refused_once_its_time_is_over_and_the_connection_ends() {
    let mut house = House::new();
    Arc::get_mut(&mut house.admin).unwrap().console.body_time = Duration::from_millis(10);
    let mut near = connected(&house);
    near.write_all(STALLED).await.unwrap();
    let mut said = String::new();
    near.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("did not come within the time"), "{said}");
}

/// Where the console hears connections, and what a reader asks there who is known.
async fn heard(house: &House) -> (SocketAddr, String) {
    let token = house.token(Role::Reader).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(console::serve_console(Arc::clone(&house.admin), listener, None, pending()));
    let whoami = format!(
        "GET /api/v1/whoami HTTP/1.1\r\nhost: localhost:8481\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    (address, whoami)
}

#[tokio::test]
async fn connections_that_stall_hold_no_place_from_others_and_take_none_from_whoever_is_known() {
    let house = House::new();
    let (address, whoami) = heard(&house).await;
    let mut known = TcpStream::connect(address).await.unwrap();
    known.write_all(whoami.as_bytes()).await.unwrap();
    assert!(answer(&mut known).await.starts_with("HTTP/1.1 200 "));
    let mut stalled = Vec::new();
    for _ in 0..MANY {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(STALLED).await.unwrap();
        stalled.push(stream);
    }
    let mut other = TcpStream::connect(address).await.unwrap();
    other.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost:8481\r\n\r\n").await.unwrap();
    assert!(answer(&mut other).await.starts_with("HTTP/1.1 200 "));
    known.write_all(whoami.as_bytes()).await.unwrap();
    assert!(answer(&mut known).await.starts_with("HTTP/1.1 200 "), "whoever is known stays");
    // It was the first of them that made room.
    let ended = stalled[0].read(&mut [0; 16]).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn one_known_caller_holds_a_share_of_the_places_and_none_once_nobody_is_known_by_what_it_shows() {
    let house = House::new();
    let (address, whoami) = heard(&house).await;
    let mut held = Vec::new();
    for _ in 0..MANY {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(whoami.as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
        held.push(stream);
    }
    let mut other = TcpStream::connect(address).await.unwrap();
    other.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost:8481\r\n\r\n").await.unwrap();
    assert!(answer(&mut other).await.starts_with("HTTP/1.1 200 "));
    // Beyond its share, what came first made room.
    let ended = held[16].read(&mut [0; 16]).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    held.truncate(16);
    house.ok("DELETE", "/api/v1/tokens/for-reader", None).await;
    for stream in &mut held {
        stream.write_all(whoami.as_bytes()).await.unwrap();
        let said = answer(stream).await;
        // Too many of these from one address are not even heard.
        assert!(said.starts_with("HTTP/1.1 401 ") || said.starts_with("HTTP/1.1 429 "), "{said}");
    }
    let mut newer = Vec::new();
    for _ in 0..MANY {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost:8481\r\n\r\n").await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
        newer.push(stream);
    }
    let ended = held[0].read(&mut [0; 16]).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn a_page_is_told_of_no_change_once_whoever_reads_it_may_no_more() {
    let house = House::new();
    let token = house.token(Role::Reader).await;
    let mut near = connected(&house);
    let live = format!(
        "GET /live HTTP/1.1\r\nhost: localhost:8481\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    near.write_all(live.as_bytes()).await.unwrap();
    let (mut said, mut buffer) = (String::new(), [0; 4096]);
    while !said.contains("event: hello") {
        let read = near.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "{said}");
        said.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    house.ok("DELETE", "/api/v1/tokens/for-reader", None).await;
    house.workload("robot").await;
    let mut rest = String::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), near.read_to_string(&mut rest)).await;
    assert!(ended.is_ok(), "it goes on: {rest}");
}
