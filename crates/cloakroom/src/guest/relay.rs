//! The loopback of the workload's side: what connects there is carried to the broker, if it is the command's user who connects.

use super::broker::Broker;
use super::owner;
use super::user::User;
use crate::failure::Failure;
use crate::run::{DIRECT, PAUSE, PORT, Places, carry};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::{TcpListener, TcpStream};

/// Both addresses that the command finds the broker at.
pub(crate) struct Relay {
    listeners: [TcpListener; 2],
    way: Arc<Way>,
}

struct Way {
    broker: Broker,
    /// Whose connections are carried; everybody's where there is nobody else.
    only: Option<User>,
    has_refused: AtomicBool,
}

impl Relay {
    /// Listens. Nothing is carried yet.
    pub(crate) async fn listen(broker: Broker, only: Option<User>) -> Result<Self, Failure> {
        let at = async |address: Ipv4Addr| {
            TcpListener::bind((address, PORT)).await.map_err(|error| {
                Failure::failed(format!(
                    "cannot listen on {address}:{PORT}: {}",
                    crate::failure::plain(&error)
                ))
                .hinting("the command's side has a loopback of its own, with this port free")
            })
        };
        let listeners = [at(Ipv4Addr::LOCALHOST).await?, at(DIRECT).await?];
        Ok(Self { listeners, way: Arc::new(Way { broker, only, has_refused: AtomicBool::new(false) }) })
    }

    /// Carries connections for as long as this is polled.
    pub(crate) async fn carry(self) {
        let [proxy, direct] = &self.listeners;
        let places = Places::new();
        loop {
            let place = places.one().await;
            let accepted = tokio::select! {
                accepted = proxy.accept() => accepted,
                accepted = direct.accept() => accepted,
            };
            // Out of files, say: the next may work.
            let Ok((connection, peer)) = accepted else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            if self.way.admits(&connection, peer) {
                let way = Arc::clone(&self.way);
                tokio::spawn(async move {
                    let _place = place;
                    way.lead(connection).await;
                });
            }
        }
    }
}

impl Way {
    /// SECURITY: what passes here is the workload to the broker, which sees this process alone; so whose it is has to be known here.
    fn admits(&self, connection: &TcpStream, peer: SocketAddr) -> bool {
        let Some(User { uid, .. }) = self.only else { return true };
        let (SocketAddr::V4(peer), Ok(SocketAddr::V4(local))) = (peer, connection.local_addr()) else {
            return false;
        };
        let is_admitted = owner::of(peer, local) == Some(uid);
        if !is_admitted && !self.has_refused.swap(true, Ordering::Relaxed) {
            super::say(&format!("a connection was closed that is not of uid {uid}; this is said once"));
        }
        is_admitted
    }

    async fn lead(self: Arc<Self>, connection: TcpStream) {
        let _ = connection.set_nodelay(true);
        if let Ok(broker) = self.broker.connect().await {
            carry(connection, broker).await;
        }
    }
}
