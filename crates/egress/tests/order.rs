//! From a decision to an answer: the record comes before the secret, and the secret goes out but never comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../policy/tests/kit/mod.rs"]
mod kit;

use cloakroom_egress::custody::{Custody, KekSource};
use cloakroom_egress::{Arm, Upstream, UpstreamSettings};
use cloakroom_model::{Code, Intent, Ledger, Name, Payload, PlaceholderState, Refusal};
use cloakroom_policy::{Authorized, Policy};
use http_body_util::BodyExt;
use kit::{Desk, NOW, call, decide};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;
use zeroize::Zeroizing;

const CANARY: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

/// A ledger that notes each intent and how many secrets were open by then.
struct Notes<'a> {
    custody: &'a Custody,
    refuse: Option<Code>,
    intents: Mutex<Vec<(Intent, u64)>>,
}

impl Ledger for Notes<'_> {
    async fn record(&self, intent: &Intent) -> Result<(), Refusal> {
        self.intents.lock().unwrap().push((intent.clone(), self.custody.opened()));
        self.refuse.map_or(Ok(()), |code| Err(Refusal::new(code, "the test says no")))
    }
}

/// One approved call to `authority` whose credential is the canary, and the placeholder in it.
fn authorized(authority: SocketAddr) -> (Authorized, Custody, String, tempfile::TempDir) {
    authorized_beside(authority, None)
}

/// The same, where the workload had a placeholder for another secret at the same destination.
fn authorized_beside(
    authority: SocketAddr,
    other: Option<&str>,
) -> (Authorized, Custody, String, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let custody = Custody::assert_unlocked(KekSource::KeyFile(directory.path().join("kek"))).unwrap();
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    let text = format!(
        "version = 1\n[[permit]]\nto = \"http://{authority}\"\ncall = \"GET /v1/me\"\nplace = \"header authorization bearer\"\n"
    );
    let policy = Policy::parse("test.toml", &text).unwrap();
    let (_, placeholder) = desk.issue_active(robot, &policy);
    deposit(&mut desk, &custody, CANARY);
    if let Some(other) = other {
        let (id, _) = desk.issue_active(robot, &policy);
        desk.row(id).state = PlaceholderState::Revoked;
        deposit(&mut desk, &custody, other);
    }
    custody.hold(&desk.rows.credentials);
    let fields = [("authorization".to_owned(), format!("Bearer {placeholder}"))];
    let mut call = call("GET", &format!("http://{authority}/v1/me"), &fields, b"").unwrap();
    call.body = Payload::empty();
    (decide(call, desk.principal(robot), &desk.set(), NOW).unwrap(), custody, placeholder, directory)
}

/// Makes `secret` the one of the newest credential.
fn deposit(desk: &mut Desk, custody: &Custody, secret: &str) {
    let row = desk.rows.credentials.last_mut().unwrap();
    let name: Name = row.name.clone();
    let drop_off = custody.intake().seal(Zeroizing::new(secret.into()), &name).unwrap();
    row.sealed = custody.accept(&drop_off, &name, row.id, row.kind, &row.destinations, 1).unwrap().sealed;
}

/// Answers one request with its own head and returns what it got.
fn echo() -> (SocketAddr, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let secret = head.split("Bearer ").nth(1).unwrap().split("\r\n").next().unwrap();
        let answer = format!(
            "HTTP/1.1 200 OK {secret}\r\nx-echo: {secret}\r\nset-cookie: a={secret}\r\nproxy-status: x\r\ncontent-length: {}\r\n\r\n{head}",
            head.len()
        );
        stream.write_all(answer.as_bytes()).unwrap();
        head
    });
    (address, server)
}

fn settings() -> UpstreamSettings {
    UpstreamSettings { allowed: vec!["127.0.0.0/8".parse().unwrap()], ..UpstreamSettings::default() }
}

#[tokio::test]
async fn nothing_is_opened_for_a_call_that_cannot_be_recorded() {
    let (authorized, custody, ..) = authorized("127.0.0.1:9".parse().unwrap());
    let code = Code::JournalUnavailable;
    let notes = Notes { custody: &custody, refuse: Some(code), intents: Mutex::default() };
    let refused = authorized.arm(&custody, &notes).await;
    assert_eq!(refused.map(|_| ()).map_err(|r| r.code()), Err(code));
    assert_eq!((custody.opened(), notes.intents.lock().unwrap().len()), (0, 1));
}

#[tokio::test]
async fn the_intent_is_on_record_before_the_secret_is_opened() {
    let (authorized, custody, placeholder, _directory) = authorized("127.0.0.1:9".parse().unwrap());
    let notes = Notes { custody: &custody, refuse: None, intents: Mutex::default() };
    let armed = authorized.arm(&custody, &notes).await.unwrap();
    assert_eq!(custody.opened(), 1);
    let notes = notes.intents.into_inner().unwrap();
    assert_eq!(
        notes.iter().map(|(intent, opened)| (intent.method.as_str(), *opened)).collect::<Vec<_>>(),
        [("GET", 0)]
    );
    let shown = format!("{armed:?}");
    assert!(!shown.contains(CANARY) && !shown.contains(&placeholder), "{shown}");
}

#[tokio::test]
async fn t01_the_secret_goes_out_and_the_placeholder_comes_back() {
    let (address, server) = echo();
    let (authorized, custody, placeholder, _directory) = authorized(address);
    let notes = Notes { custody: &custody, refuse: None, intents: Mutex::default() };
    let upstream = Upstream::assert_opened(settings()).unwrap();
    let armed = authorized.arm(&custody, &notes).await.unwrap();
    let answer = armed.send(&upstream, &mut |_| {}).await.unwrap().scrub().unwrap();
    let (head, body) = answer.into_response().into_parts();
    let received = server.join().unwrap();
    assert!(
        received.starts_with("GET /v1/me HTTP/1.1\r\n") && received.contains(&format!("Bearer {CANARY}\r\n"))
    );
    assert!(received.contains(&format!("host: {address}\r\n")), "{received}");
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert_eq!(body, received.replace(CANARY, &placeholder));
    assert_eq!(head.headers["content-length"], body.len().to_string());
    assert_eq!(head.headers["x-echo"], placeholder);
    assert_eq!(head.headers["set-cookie"], format!("a={placeholder}"));
    assert!(!head.headers.contains_key("proxy-status") && !format!("{head:?}").contains(CANARY));
}

#[tokio::test]
async fn t01_the_secret_of_another_credential_of_the_workload_does_not_come_back() {
    const OTHER: &str = "canary-other-5tR8wQ2zLm7Kx9Pv";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let body = format!("last calls: Bearer {OTHER}, Bearer {CANARY}");
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    });
    // The other placeholder was active once and is not any more: what it brought there may still be there.
    let (authorized, custody, placeholder, _directory) = authorized_beside(address, Some(OTHER));
    let notes = Notes { custody: &custody, refuse: None, intents: Mutex::default() };
    let upstream = Upstream::assert_opened(settings()).unwrap();
    let armed = authorized.arm(&custody, &notes).await.unwrap();
    let answer = armed.send(&upstream, &mut |_| {}).await.unwrap().scrub().unwrap();
    let body = answer.into_response().into_body().collect().await.unwrap().to_bytes();
    server.join().unwrap();
    assert_eq!(body, format!("last calls: Bearer another-credential, Bearer {placeholder}"));
}
