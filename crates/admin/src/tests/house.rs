//! A broker's admin side in process, for tests: real store, journal, custody and policy in a temporary directory; and whoever calls it, on the
//! admin socket and on the console's listener.

use crate::admin::{Admin, Changes};
use crate::ballot::Ballots;
use crate::handover::Handover;
use crate::listen::Ends;
use crate::login::Logins;
use crate::peer::Peer;
use crate::pin::Pin;
use crate::{Identity, api, console};
use arc_swap::ArcSwap;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use axum::body::Body;
use axum::{Extension, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_egress::custody::{Custody, DropBox, Intake, KekSource};
use cloakroom_model::{LookupKey, Name, Role, Rows, WorkloadId};
use cloakroom_policy::{ApprovalRules, Approvers, PolicySet, RelyingParty};
use cloakroom_store::journal::{self, Entry, Journal, JournalSettings};
use cloakroom_store::{Parking, ParkingBounds, Recounted, SqliteStore, Uses};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

pub(crate) const CANARY: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";
pub(crate) const POLICY: &str = r#"
version = 1
[[permit]]
name = "read"
to = "https://api.example.com"
call = "GET /v1/things"
place = "header authorization bearer"
"#;

/// Workloads of this house have no certificates.
struct NoAuthority;

impl crate::Certifier for NoAuthority {
    fn certify(&self, _: WorkloadId, _: &Name) -> Result<crate::wire::IssuedCertificate, String> {
        Err("there is no authority".into())
    }
}

pub(crate) struct House {
    pub(crate) admin: Arc<Admin>,
    approver: Ed25519KeyPair,
    pub(crate) data: tempfile::TempDir,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::beside(Vec::new(), ApprovalRules::default())
    }

    /// With these approvers besides its own.
    pub(crate) fn beside(others: Vec<String>, rules: ApprovalRules) -> Self {
        Self::made(|keys| KekSource::KeyFile(keys.join("kek")), others, rules)
    }

    /// With a root key from there; told the directory of keys.
    pub(crate) fn keyed(source: impl FnOnce(&Path) -> KekSource) -> Self {
        Self::made(source, Vec::new(), ApprovalRules::default())
    }

    fn made(source: impl FnOnce(&Path) -> KekSource, others: Vec<String>, rules: ApprovalRules) -> Self {
        let data = tempfile::tempdir().unwrap();
        let path = data.path();
        std::fs::create_dir(path.join("keys")).unwrap();
        let settings = JournalSettings::default();
        let (journal, _) =
            Journal::open(&path.join("journal"), &path.join("keys/journal"), settings).unwrap();
        let approver = Ed25519KeyPair::generate().unwrap();
        let keys = std::iter::once(STANDARD.encode(approver.public_key())).chain(others);
        let approvers = Approvers::new(keys).unwrap().with_rules(rules);
        let lookup_key = Arc::new(LookupKey::from_bytes(&[5; 32]));
        let (empty, _) =
            PolicySet::assert_active(&Rows::default(), &approvers, Arc::clone(&lookup_key), None);
        let uses = Uses::new(Arc::clone(&journal), Recounted::default(), None);
        let custody = Arc::new(Custody::assert_unlocked(source(&path.join("keys"))).unwrap());
        let admin = Admin {
            uses,
            events: cloakroom_store::Events::new(Arc::clone(&journal)),
            store: Arc::new(SqliteStore::open(&path.join("cloakroom.db")).unwrap()),
            journal,
            attestor: None,
            drop_box: DropBox::of(path.join("keys/drop-off"), &custody),
            custody,
            policies: Arc::new(ArcSwap::from_pointee(empty)),
            pin: Pin { base: 0, head: approvers.head() },
            trusted: approvers,
            ballots: Ballots::new(RelyingParty::new("http://localhost:8481", None).unwrap()),
            identity: Identity::default(),
            sign_on: None,
            logins: Logins::default(),
            approval_lifetime: None,
            services: |_| None,
            proposals: Arc::default(),
            lessons: Arc::default(),
            pin_generation: false,
            parking: Arc::new(Parking::new(ParkingBounds::default())),
            lookup_key,
            data: path.to_owned(),
            changes: Changes::default(),
            certifier: Arc::new(NoAuthority),
            locks: crate::Locks::default(),
            issuer: None,
            rewrap: crate::Rewrap::default(),
            console: crate::ConsoleState::default(),
            replays: crate::Replays::default(),
            feeds: crate::Feeds::default(),
            handover: Handover::default(),
            draining: crate::Draining::default(),
            listeners: vec!["http://127.0.0.1:8480".into()],
            confinement: OnceLock::new(),
            certificate: arc_swap::ArcSwapOption::empty(),
        };
        Self { admin: Arc::new(admin), approver, data }
    }

    /// The key of its own approver, in the words in which a member's passkey is kept.
    pub(crate) fn approver_key(&self) -> String {
        self.admin.approvers().members()[0].key_text()
    }

    pub(crate) fn own_uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn router(&self, uid: u32) -> Router {
        api::router(Arc::clone(&self.admin)).layer(Extension(Peer::with_uid(uid)))
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let (status, text) = self.call_as(Self::own_uid(), method, path, body).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// A call with these header fields on the admin socket, as whoever may operate the broker.
    pub(crate) async fn tell(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Response<Body> {
        let mut request =
            Request::builder().method(method).uri(path).header("content-type", "application/json");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let service = TowerToHyperService::new(self.router(Self::own_uid()));
        service.call(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
    }

    pub(crate) async fn call_as(
        &self,
        uid: u32,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, String) {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let service = TowerToHyperService::new(self.router(uid));
        let response = service.call(request.body(body).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    pub(crate) async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert_eq!(status, StatusCode::OK, "{method} {path}: {answer}");
        answer
    }

    pub(crate) async fn refused(&self, method: &str, path: &str, body: Option<Value>) -> (u16, String) {
        let (status, answer) = self.call(method, path, body).await;
        assert!(!answer["hint"].as_str().unwrap_or_default().is_empty(), "{answer}");
        assert_eq!(answer["status"], status.as_u16());
        (status.as_u16(), answer["code"].as_str().unwrap().to_owned())
    }

    pub(crate) async fn sealed(&self, name: &str) -> Value {
        let intake: Intake = serde_json::from_value(self.ok("GET", "/api/v1/intake", None).await).unwrap();
        let secret = Zeroizing::new(CANARY.as_bytes().to_vec());
        serde_json::to_value(intake.seal(secret, &Name::parse(name).unwrap()).unwrap()).unwrap()
    }

    pub(crate) async fn deposit_body(&self, name: &str) -> Value {
        json!({ "name": name, "kind": "bearer", "destinations": ["https://api.example.com"], "secret": self.sealed(name).await })
    }

    pub(crate) async fn deposit(&self, name: &str) -> Value {
        let body = self.deposit_body(name).await;
        self.ok("POST", "/api/v1/credentials", Some(body)).await
    }

    pub(crate) async fn workload(&self, name: &str) -> Value {
        self.ok("POST", "/api/v1/workloads", Some(json!({ "name": name }))).await
    }

    pub(crate) async fn issue(&self) -> Value {
        self.ok("POST", "/api/v1/placeholders", Some(issue_body(POLICY))).await
    }

    pub(crate) fn signature(&self, text: &str) -> Value {
        let bytes = [b"cloakroom approval v1\n", text.as_bytes()].concat();
        let (key, signature) = (self.approver.public_key(), self.approver.sign(&bytes));
        json!({ "signature": { "key": STANDARD.encode(key), "signature": STANDARD.encode(signature) } })
    }

    /// Credential, workload, placeholder; granted.
    pub(crate) async fn granted() -> (Self, Value) {
        let house = Self::new();
        house.deposit("c").await;
        house.workload("robot").await;
        let issued = house.issue().await;
        let approval = format!("/api/v1/approvals/{}", issued["approval"].as_str().unwrap());
        let shown = house.ok("GET", &approval, None).await;
        let signature = house.signature(shown["text"].as_str().unwrap());
        house.ok("POST", &format!("{approval}/grant"), Some(signature)).await;
        (house, issued)
    }

    pub(crate) fn acts(&self) -> Vec<String> {
        let records = journal::read(&self.data.path().join("journal"), 0).unwrap();
        let acts = records.into_iter().filter_map(|record| match record.entry {
            Entry::Act { act, .. } => Some(act),
            _ => None,
        });
        acts.collect()
    }
}

/// Of a connection from loopback to the console.
pub(crate) fn ends() -> Ends {
    Ends { local: ([127, 0, 0, 1], 8481).into(), remote: ([127, 0, 0, 1], 50000).into() }
}

pub(crate) fn issue_body(policy: &str) -> Value {
    json!({ "credential": "c", "workload": "robot", "file": "p.toml", "policy": policy, "expires_in": 60, "uses": null })
}

/// What came back from the console's listener.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Told {
    /// The problem's code, or nothing.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

impl House {
    /// Calls the console's listener on loopback with these header fields, as a browser or a program there.
    pub(crate) async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Told {
        self.ask_from(ends(), method, path, fields, body).await
    }

    /// The same from wherever.
    pub(crate) async fn ask_from(
        &self,
        ends: Ends,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Told {
        let answer = self.answer(ends, method, path, fields, body).await;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        Told { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// The same, and its body is not read yet.
    pub(crate) async fn answer(
        &self,
        ends: Ends,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost:8481");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let service =
            TowerToHyperService::new(console::router(Arc::clone(&self.admin)).layer(Extension(ends)));
        service.call(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
    }

    /// The same with an API token.
    pub(crate) async fn ask_with(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Told {
        let field = format!("Bearer {token}");
        let fields = [("authorization", field.as_str()), ("content-type", "application/json")];
        self.ask(method, path, &fields, &body.map_or_else(String::new, |body| body.to_string())).await
    }

    /// A fresh API token with this role.
    pub(crate) async fn token(&self, role: Role) -> String {
        let body = json!({ "name": format!("for-{role}"), "roles": [role], "expires_in": 60 });
        let made = self.ok("POST", "/api/v1/tokens", Some(body)).await;
        made["text"].as_str().unwrap().to_owned()
    }
}

/// Compares with what is checked in; writes it where `CLOAKROOM_BLESS` says so.
pub(crate) fn golden(file: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("CLOAKROOM_BLESS").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, now, "{file} says something else; CLOAKROOM_BLESS=1 writes it anew");
}
