//! A channel between two raw peers in memory, under real policies with a real custody.

mod arming;
mod endings;
mod passing;

#[path = "../../../../../policy/tests/kit/mod.rs"]
mod kit;

use crate::custody::{Custody, KekSource};
use crate::scrub::Finder;
use crate::scrub::tests::{CANARY, finder};
use crate::websocket::channel::{Channel, ChannelLimits, Ended, Terms};
use crate::websocket::close::Close;
use crate::websocket::decoder::{Decoder, Event, Kind, Message, Sender};
use crate::websocket::deflate::{deflate, inflate};
use crate::websocket::extension::{Agreed, OFFER, agreed};
use crate::websocket::frame::{Opcode, write, write_fragment};
use crate::websocket::handshake::{Carrier, Greeting};
use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use cloakroom_model::{Code, Destination, Intent, Ledger, PlaceholderId, Refusal, Upgrade, WorkloadId};
use cloakroom_policy::{MessageJudge, Policy, PolicySet};
use http::{HeaderMap, HeaderValue};
use kit::{Desk, NOW, call};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use zeroize::Zeroizing;

const URL: &str = "https://gateway.example.com/s";
/// What one hop holds that nobody reads.
const PIPE: usize = 4096;
const MASK: [u8; 4] = [1, 2, 3, 4];

/// Which hops are compressed.
#[derive(Clone, Copy, Debug, Default)]
struct Deflate {
    workload: bool,
    upstream: bool,
}

/// A broker's rows and keys, with one placeholder of the canary, and one of another workload.
struct House {
    desk: Desk,
    custody: Custody,
    workload: WorkloadId,
    id: PlaceholderId,
    placeholder: String,
    foreign: String,
    policies: ArcSwap<PolicySet>,
    intents: Mutex<Vec<(Intent, u64)>>,
    refuse: Option<Code>,
    _directory: tempfile::TempDir,
}

impl Ledger for House {
    async fn record(&self, intent: &Intent) -> Result<(), Refusal> {
        self.intents.lock().unwrap().push((intent.clone(), self.custody.opened()));
        self.refuse.map_or(Ok(()), |code| Err(Refusal::new(code, "the test says no")))
    }
}

impl House {
    /// One permit with this place, and what else the test wants.
    fn new(place: &str, rest: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let custody = Custody::assert_unlocked(KekSource::KeyFile(directory.path().join("kek"))).unwrap();
        let text = format!(
            "version = 1\n[[permit]]\nto = \"https://gateway.example.com\"\ncall = \"GET /s\"\nplace = \"{place}\"\n{rest}\n"
        );
        let policy = Policy::parse("test.toml", &text).unwrap();
        let mut desk = Desk::new();
        let (workload, other) = (desk.workload("robot"), desk.workload("other"));
        let (id, placeholder) = desk.issue_active(workload, &policy);
        let (_, foreign) = desk.issue_active(other, &policy);
        for row in &mut desk.rows.credentials {
            let drop_off = custody.intake().seal(Zeroizing::new(CANARY.into()), &row.name).unwrap();
            let accepted = custody.accept(&drop_off, &row.name, row.id, row.kind, &row.destinations, 1);
            row.sealed = accepted.unwrap().sealed;
        }
        custody.hold(&desk.rows.credentials);
        let policies = ArcSwap::from_pointee(desk.set());
        let intents = Mutex::default();
        Self {
            desk,
            custody,
            workload,
            id,
            placeholder,
            foreign,
            policies,
            intents,
            refuse: None,
            _directory: directory,
        }
    }

    /// One whose placeholder stands in the handshake.
    fn in_the_handshake() -> Self {
        Self::new("header authorization bearer", "upgrade = \"websocket\"")
    }

    /// One whose placeholder stands in a message.
    fn in_a_message() -> Self {
        Self::new("websocket json /d/token", "")
    }

    /// The judge that the handshake leaves behind, and what is looked for from the first message on.
    fn open(&self) -> (MessageJudge, Arc<Finder>) {
        let policies = self.policies.load();
        let principal = self.desk.principal(self.workload);
        let bearer = ("authorization".to_owned(), format!("Bearer {}", self.placeholder));
        let mut with = call("GET", URL, &[bearer], b"").unwrap();
        with.upgrade = Some(Upgrade::WebSocket);
        if let Ok(authorized) = kit::decide(with, principal.clone(), &policies, NOW) {
            return (authorized.message_judge(), finder(CANARY, &self.placeholder, None));
        }
        let mut without = call("GET", URL, &[], b"").unwrap();
        without.upgrade = Some(Upgrade::WebSocket);
        let (_, judge) = policies.open_channel(without, principal, NOW).unwrap().into_parts();
        (judge, Arc::new(Finder::alone(Vec::new())))
    }

    fn revoke(&mut self) {
        self.desk.row(self.id).state = cloakroom_model::PlaceholderState::Revoked;
    }
}

/// How a channel is set up.
#[derive(Clone, Copy, Debug)]
struct Set {
    deflate: Deflate,
    limits: ChannelLimits,
}

impl Default for Set {
    fn default() -> Self {
        let limits = ChannelLimits { message: 1 << 20, idle: Duration::from_secs(600) };
        Self { deflate: Deflate::default(), limits }
    }
}

/// Runs a channel, and beside it what both peers do.
async fn channel(house: &House, set: Set, script: impl AsyncFnOnce(Peer, Peer)) -> Ended {
    channel_until(house, set, pending(), script).await
}

async fn channel_until(
    house: &House,
    set: Set,
    stop: impl Future<Output = ()> + Send,
    script: impl AsyncFnOnce(Peer, Peer),
) -> Ended {
    let (workload, ours) = duplex(PIPE);
    let (upstream, theirs) = duplex(PIPE);
    let (judge, finder) = house.open();
    let channel = Channel {
        upstream: Box::new(theirs),
        early: BytesMut::new(),
        deflate: set.deflate.upstream.then(upstream_deflate),
        finder,
        judge,
        destination: Destination::parse("https://gateway.example.com").unwrap(),
        replaced: 0,
    };
    let terms =
        Terms { custody: &house.custody, ledger: house, policies: &house.policies, limits: set.limits };
    let greeting = greeting(set.deflate.workload);
    let relay = channel.relay(ours, BytesMut::new(), &greeting, terms, stop);
    let workload = Peer::new(workload, Sender::Workload, set.deflate.workload);
    let upstream = Peer::new(upstream, Sender::Upstream, set.deflate.upstream);
    let (ended, ()) = tokio::join!(relay, script(workload, upstream));
    ended
}

fn greeting(deflate: bool) -> Greeting {
    let mut fields = HeaderMap::new();
    fields.insert("sec-websocket-version", HeaderValue::from_static("13"));
    if deflate {
        fields.insert("sec-websocket-extensions", HeaderValue::from_static(OFFER));
    }
    Greeting::read(&fields, Carrier::Stream).unwrap()
}

fn upstream_deflate() -> Agreed {
    agreed("permessage-deflate; server_no_context_takeover").unwrap()
}

/// A workload or an upstream, byte by byte.
struct Peer {
    io: DuplexStream,
    buffer: BytesMut,
    decoder: Decoder,
    role: Sender,
    deflate: bool,
}

impl Peer {
    fn new(io: DuplexStream, role: Sender, deflate: bool) -> Self {
        let other = match role {
            Sender::Workload => Sender::Upstream,
            Sender::Upstream => Sender::Workload,
        };
        let decoder = Decoder::new(other, deflate, 64 << 20);
        Self { io, buffer: BytesMut::new(), decoder, role, deflate }
    }

    fn mask(&self) -> Option<[u8; 4]> {
        (self.role == Sender::Workload).then_some(MASK)
    }

    async fn write(&mut self, bytes: &[u8]) {
        // A peer that the broker has left may find nobody.
        let _ = self.io.write_all(bytes).await;
    }

    async fn say(&mut self, opcode: Opcode, payload: &[u8]) {
        self.say_part(true, opcode, payload).await;
    }

    async fn say_part(&mut self, fin: bool, opcode: Opcode, payload: &[u8]) {
        let mut frame = Vec::new();
        write_fragment(&mut frame, fin, opcode, false, self.mask(), payload);
        self.write(&frame).await;
    }

    async fn text(&mut self, text: &str) {
        let (mut frame, mask) = (Vec::new(), self.mask());
        match deflate(text.as_bytes(), 15).filter(|_| self.deflate) {
            Some(short) => write(&mut frame, Opcode::Text, true, mask, &short),
            None => write(&mut frame, Opcode::Text, false, mask, text.as_bytes()),
        }
        self.write(&frame).await;
    }

    async fn close(&mut self, code: u16, reason: &str) {
        self.say(Opcode::Close, &Close::payload(code, reason.as_bytes())).await;
    }

    /// What the broker says next; `None` at the end of the connection.
    async fn hear(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.decoder.next(&mut self.buffer).unwrap() {
                return Some(event);
            }
            if self.io.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next message, inflated, and whether it was compressed.
    async fn message(&mut self) -> (Kind, Vec<u8>, bool) {
        match self.hear().await {
            Some(Event::Message(Message { kind, payload, compressed: true })) => {
                (kind, inflate(&payload, 64 << 20).unwrap(), true)
            }
            Some(Event::Message(Message { kind, payload, compressed: false })) => (kind, payload, false),
            other => panic!("no message: {other:?}"),
        }
    }

    async fn heard_text(&mut self) -> String {
        String::from_utf8(self.message().await.1).unwrap()
    }

    /// Status and reason of the Close that ends what the broker says.
    async fn closed(&mut self) -> (u16, String) {
        match self.hear().await {
            Some(Event::Close(Some(Close { code, reason }))) => {
                (code, String::from_utf8(reason.to_vec()).unwrap())
            }
            other => panic!("no close: {other:?}"),
        }
    }
}

/// Both sides end the channel in order.
async fn end(mut workload: Peer, mut upstream: Peer) {
    workload.close(1000, "").await;
    assert_eq!(upstream.closed().await, (1000, String::new()));
    upstream.close(1000, "").await;
    assert_eq!(workload.closed().await, (1000, String::new()));
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}
