//! A name server on loopback that answers what the test tells it, with a time to live of zero.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::UdpSocket;

/// The addresses of `name`, given how many A queries for it came before.
pub(super) type Answers = fn(&str, usize) -> Vec<IpAddr>;

pub(super) struct NameServer {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    pub(super) async fn start(answers: Answers) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            let before = AtomicUsize::new(0);
            let mut query = [0u8; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                if let Some((name, reply)) = answer(&query[..length], answers, &before) {
                    log.lock().unwrap().push(name);
                    let _ = socket.send_to(&reply, from).await;
                }
            }
        });
        Self { address, asked }
    }

    /// The names asked for, once per query.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// SPEC: RFC 1035, section 4.1. One question, its answers by a pointer to the question's name.
fn answer(query: &[u8], answers: Answers, before: &AtomicUsize) -> Option<(String, Vec<u8>)> {
    let mut at = 12;
    let mut labels = Vec::new();
    while *query.get(at)? != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(query.get(at + 1..at + 1 + length)?).to_ascii_lowercase());
        at += 1 + length;
    }
    let question = query.get(12..at + 5)?;
    let kind = query[at + 2];
    let name = labels.join(".");
    let addresses = match kind {
        1 => answers(&name, before.fetch_add(1, Ordering::SeqCst)),
        _ => answers(&name, before.load(Ordering::SeqCst)),
    };
    let records: Vec<Vec<u8>> = addresses
        .into_iter()
        .filter_map(|address| match (kind, address) {
            (1, IpAddr::V4(address)) => Some(address.octets().to_vec()),
            (28, IpAddr::V6(address)) => Some(address.octets().to_vec()),
            _ => None,
        })
        .collect();
    let mut reply = query[..2].to_vec();
    reply.extend_from_slice(&[0x81, 0x80, 0, 1, 0, u8::try_from(records.len()).ok()?, 0, 0, 0, 0]);
    reply.extend_from_slice(question);
    for record in records {
        reply.extend_from_slice(&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0]);
        reply.push(u8::try_from(record.len()).ok()?);
        reply.extend_from_slice(&record);
    }
    Some((name, reply))
}
