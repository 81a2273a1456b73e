//! The listeners for questions about names, over UDP and TCP.

use super::Why;
use super::answer::{Known, answer};
use super::meter::Meter;
use super::shares::Shares;
use crate::authenticate::resident;
use crate::peer::Peer;
use crate::{Proxy, ProxyError};
use cloakroom_model::{
    Destination, EventKind, Host, Principal, Scheme, SecurityEvent, Timestamp, WorkloadId,
};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

/// The longest question over UDP; what is longer is cut and so malformed.
const LONGEST: usize = 1232;
/// Questions of one workload, or of all strangers: so many at once, and one more each millisecond. What comes beyond is not answered.
const QUESTIONS: u32 = 1000;
const QUESTION_EVERY: Duration = Duration::from_millis(1);
/// Names outside that are put on record: so many at once, and one more every ten seconds.
const EVENTS: u32 = 10;
const EVENT_EVERY: Duration = Duration::from_secs(10);
/// Connections at once, those of one workload or of all strangers, and how long one may take for a question or be idle.
const CONNECTIONS: usize = 512;
const SHARE: usize = 8;
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait when the system has nothing to receive with.
const BREATH: Duration = Duration::from_millis(50);

/// Where questions come in.
#[derive(Debug)]
pub struct NameListeners {
    /// Datagrams.
    pub udp: UdpSocket,
    /// Connections.
    pub tcp: TcpListener,
}

/// Answers questions about names until `shutdown` resolves.
///
/// # Errors
/// None yet: what fails is tried again.
pub async fn serve_names(
    proxy: Arc<Proxy>,
    listeners: NameListeners,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ProxyError> {
    let desk = Arc::new(NameDesk::new(proxy));
    let (mut shutdown, shares) = (pin!(shutdown), Shares::new(CONNECTIONS, SHARE));
    let NameListeners { udp, tcp } = listeners;
    let mut bytes = [0; LONGEST];
    loop {
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            received = udp.recv_from(&mut bytes) => match received {
                Ok((length, from)) => {
                    if let Some(said) = desk.answer(&bytes[..length], from.ip()) {
                        // Whoever does not take it asks again.
                        let _ = udp.try_send_to(&said, from);
                    }
                }
                Err(_) => tokio::time::sleep(BREATH).await,
            },
            accepted = tcp.accept() => match accepted {
                Ok((stream, from)) => {
                    let Some(share) = shares.take(desk.who(from.ip())) else { continue };
                    let desk = Arc::clone(&desk);
                    tokio::spawn(async move {
                        let _share = share;
                        converse(stream, from.ip(), &desk).await;
                    });
                }
                Err(_) => tokio::time::sleep(BREATH).await,
            },
        }
    }
}

/// Question after question, each with its length before it (RFC 1035, section 4.2.2).
async fn converse(mut stream: TcpStream, from: IpAddr, desk: &NameDesk) {
    let mut exchange = async || -> std::io::Result<bool> {
        let length = stream.read_u16().await?;
        let mut question = vec![0; length.into()];
        stream.read_exact(&mut question).await?;
        let Some(said) = desk.answer(&question, from) else { return Ok(false) };
        let Ok(length) = u16::try_from(said.len()) else { return Ok(false) };
        stream.write_all(&[&length.to_be_bytes()[..], &said].concat()).await?;
        Ok(true)
    };
    while let Ok(Ok(true)) = timeout(PATIENCE, exchange()).await {}
}

/// Who may ask for what.
struct NameDesk {
    proxy: Arc<Proxy>,
    questions: Mutex<Meter>,
    events: Mutex<Meter>,
}

impl NameDesk {
    fn new(proxy: Arc<Proxy>) -> Self {
        Self {
            proxy,
            questions: Mutex::new(Meter::new(QUESTIONS, QUESTION_EVERY)),
            events: Mutex::new(Meter::new(EVENTS, EVENT_EVERY)),
        }
    }

    /// The workload that is at this address.
    fn who(&self, from: IpAddr) -> Option<WorkloadId> {
        let principal = resident(Peer::at(from).source, &self.proxy.policies.load()).ok();
        principal.as_ref().map(Principal::workload)
    }

    fn answer(&self, question: &[u8], from: IpAddr) -> Option<Vec<u8>> {
        let peer = Peer::at(from);
        let principal = resident(peer.source, &self.proxy.policies.load()).ok();
        let workload = principal.as_ref().map(Principal::workload);
        let turn =
            self.questions.lock().unwrap_or_else(PoisonError::into_inner).take(workload, Instant::now());
        if !turn {
            return None;
        }
        answer(question, |host| match &principal {
            Some(principal) => self.known(host, principal, peer),
            None => Known::Nobody,
        })
    }

    fn known(&self, host: &Host, principal: &Principal, peer: Peer) -> Known {
        let workload = principal.workload();
        let why = if self.proxy.policies.load().names_host(workload, host) {
            Some(Why::Permit)
        } else {
            // In a lesson a workload may want to go anywhere: nothing of it is sent.
            self.proxy.lessons.is_open(workload, Timestamp::now()).then_some(Why::Lesson(workload))
        };
        let address = why.and_then(|why| self.proxy.names.as_ref()?.address_of(host, why));
        address.map_or_else(
            || {
                self.note(host, principal, peer);
                Known::Nowhere
            },
            Known::Address,
        )
    }

    /// Puts on record that a name outside was asked for; not each time (T52).
    fn note(&self, host: &Host, principal: &Principal, peer: Peer) {
        let workload = principal.workload();
        let turn =
            self.events.lock().unwrap_or_else(PoisonError::into_inner).take(Some(workload), Instant::now());
        if !turn {
            return;
        }
        let port = Scheme::Https.default_port();
        self.proxy.events.raise(SecurityEvent::new(EventKind::UnnamedName).with(|event| {
            event.workload = Some(workload);
            event.peer = Some(peer.to_string());
            event.destination = Some(Destination::new(Scheme::Https, host.clone(), port));
        }));
    }
}
