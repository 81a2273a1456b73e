//! A broker in this process, with one workload, one credential and one policy.

use arc_swap::ArcSwap;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_egress::custody::{Custody, KekSource};
use cloakroom_egress::{Upstream, UpstreamSettings};
use cloakroom_model::{
    ApprovalId, ApprovalRecord, Code, CredentialId, CredentialKind, CredentialRecord, Destination, LookupKey,
    Name, OnMisuse, PlaceholderId, PlaceholderRecord, PlaceholderState, Rows, Severity, Signature, Timestamp,
    WorkloadId, WorkloadRecord,
};
use cloakroom_policy::{Approvers, Grant, Policy, PolicySet};
use cloakroom_proxy::{Authority, Durability, Entrance, Limits, Proxy};
use cloakroom_store::journal::{Entry, Journal, JournalSettings};
use cloakroom_store::{BoxFuture, Parking, ParkingBounds, Recounted, SqliteStore, Uses};
use cloakroom_testkit::{
    CANARY, Log, Received, Reply, Response, TestAuthority, TlsUpstream, Wire, Workload, echo, hunt,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const KEY: &str = "cw_robot-key-4f1c9a7e2b";
pub(crate) const OTHER_KEY: &str = "cw_other-key-8d2e6b0c5a";

/// What differs between houses.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) limits: Limits,
    pub(crate) entrance: Entrance,
    pub(crate) uses: Option<u32>,
    pub(crate) more: &'static str,
}

/// The broker and its upstream.
pub(crate) struct House {
    runtime: Runtime,
    serving: Option<JoinHandle<()>>,
    shutdown: Option<oneshot::Sender<()>>,
    address: SocketAddr,
    data: TempDir,
    pub(crate) journal_handle: Arc<Journal>,
    _authority: TestAuthority,
    pub(crate) upstream: TlsUpstream,
    pub(crate) placeholder: String,
    pub(crate) ca: String,
    log: Log,
}

/// A house with default limits and an upstream that echoes.
pub(crate) fn house() -> House {
    House::with(Plan::default(), echo)
}

/// Nothing here wants more than a record.
struct NoWarden;

impl cloakroom_store::Warden for NoWarden {
    fn end(
        &self,
        placeholder: PlaceholderId,
        _: OnMisuse,
        because: cloakroom_model::EventKind,
    ) -> BoxFuture<'_, ()> {
        panic!("{placeholder} was to be revoked: {because}")
    }
}

impl House {
    pub(crate) fn with(plan: Plan, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let authority = TestAuthority::new();
        let upstream = TlsUpstream::start(&authority, answer);
        let data = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let custody = Custody::assert_unlocked(KekSource::KeyFile(data.path().join("kek"))).unwrap();
        let lookup = Arc::new(LookupKey::from_bytes(&[7; 32]));
        let (rows, placeholder, approvers) = rows(&plan, &custody, &lookup, &upstream.url());
        custody.hold(&rows.credentials);
        let (policies, ignored) = PolicySet::assert_active(&rows, &approvers, lookup, None);
        assert_eq!(ignored, []);
        let (journal, _) = Journal::open(
            &data.path().join("journal"),
            &data.path().join("journal.key"),
            JournalSettings::default(),
        )
        .unwrap();
        let uses = Uses::new(Arc::clone(&journal), Recounted::default(), None);
        uses.hold(&rows.placeholders).unwrap();
        let settings = UpstreamSettings {
            anchors: vec![authority.file()],
            allowed: vec!["127.0.0.0/8".parse().unwrap()],
            ..UpstreamSettings::default()
        };
        let own = Authority::load_or_create(data.path()).unwrap();
        let ca = own.pem().to_owned();
        let (shutdown, stop) = oneshot::channel();
        let (serving, address) = runtime.block_on(async {
            let proxy = Proxy {
                parking: Arc::new(Parking::new(ParkingBounds::default())),
                names: None,
                hold: Duration::ZERO,
                locks: Arc::default(),
                tracer: None,
                console: "http://localhost:8481".into(),
                proposals: Arc::default(),
                lessons: Arc::default(),
                policies: Arc::new(ArcSwap::from_pointee(policies)),
                custody: Arc::new(custody),
                upstream: Arc::new(Upstream::assert_opened(settings).unwrap()),
                store: Arc::new(SqliteStore::open(&data.path().join("cloakroom.db")).unwrap()),
                uses: Arc::clone(&uses),
                journal: Arc::clone(&journal),
                events: cloakroom_store::Events::new(Arc::clone(&journal)),
                warden: Arc::new(NoWarden),
                authority: own,
                limits: plan.limits,
                entrance: plan.entrance,
                durability: Durability::Grouped,
            };
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let serving = tokio::spawn(async move {
                let stop = async { drop(stop.await) };
                cloakroom_proxy::serve(Arc::new(proxy), listener, stop).await.unwrap();
            });
            (serving, address)
        });
        let (serving, shutdown, log) = (Some(serving), Some(shutdown), Log::default());
        Self {
            runtime,
            serving,
            shutdown,
            address,
            data,
            journal_handle: journal,
            _authority: authority,
            upstream,
            placeholder,
            ca,
            log,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A plain connection.
    pub(crate) fn wire(&self) -> Wire {
        Wire::open(self.address, self.log.clone())
    }

    /// A tunnel to the upstream, TLS up.
    pub(crate) fn tunnel(&self) -> Wire {
        let tunnel = self.wire().tunnel(&self.upstream.authority(), Some(&robot()), "127.0.0.1", &self.ca);
        tunnel.map_err(|answer| answer.text()).unwrap()
    }

    /// Sends bytes on a fresh connection and reads one answer.
    pub(crate) fn plain(&self, bytes: impl AsRef<[u8]>) -> Response {
        let mut wire = self.wire();
        wire.send(bytes.as_ref());
        wire.receive("GET").unwrap()
    }

    /// Sends bytes through a fresh tunnel and reads one answer.
    pub(crate) fn inside(&self, bytes: impl AsRef<[u8]>) -> Response {
        let mut wire = self.tunnel();
        wire.send(bytes.as_ref());
        wire.receive("GET").unwrap()
    }

    /// The head of a call inside a tunnel, ready to be appended to.
    pub(crate) fn head(&self, line: &str) -> String {
        let (authority, placeholder) = (self.upstream.authority(), &self.placeholder);
        format!("{line} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {placeholder}\r\n")
    }

    /// The head of the same call in base-URL mode; `target` begins with a slash.
    pub(crate) fn base(&self, method: &str, target: &str) -> String {
        let (authority, placeholder) = (self.upstream.authority(), &self.placeholder);
        format!(
            "{method} /to/{authority}{target} HTTP/1.1\r\nHost: broker\r\nCloakroom-Workload: robot:{KEY}\r\n\
             Authorization: Bearer {placeholder}\r\n"
        )
    }

    /// Asks the broker to stop; whether it did within the time.
    pub(crate) fn stop(&mut self, within: Duration) -> bool {
        drop(self.shutdown.take());
        let serving = self.serving.take();
        self.runtime.block_on(async {
            match serving {
                Some(serving) => tokio::time::timeout(within, serving).await.is_ok(),
                None => true,
            }
        })
    }

    /// Everything in the journal.
    pub(crate) fn journal(&self) -> Vec<Entry> {
        self.journal_handle.write_out().unwrap();
        let records = cloakroom_store::journal::read(&self.data.path().join("journal"), 0).unwrap();
        records.into_iter().map(|record| record.entry).collect()
    }

    /// The first entry that `find` finds. An outcome is recorded when the reply has ended, which is after its last byte.
    pub(crate) fn eventually<T>(&self, find: impl Fn(&Entry) -> Option<T>) -> T {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(found) = self.journal().iter().find_map(&find) {
                return found;
            }
            assert!(std::time::Instant::now() < deadline, "not in the journal: {:?}", self.journal());
            std::thread::yield_now();
        }
    }

    /// The refusals in the journal.
    pub(crate) fn refusals(&self) -> Vec<(Code, Option<Severity>)> {
        let refusal = |entry| match entry {
            Entry::Refusal { code, event, .. } => Some((code, event)),
            _ => None,
        };
        self.journal().into_iter().filter_map(refusal).collect()
    }
}

impl Drop for House {
    /// Whatever a test did, the canary reached no workload and no file.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for received in self.log.lock().unwrap().iter() {
            assert_eq!(hunt(received).len(), 0, "the canary came back to a workload");
        }
    }
}

pub(crate) fn robot() -> Workload {
    Workload { name: "robot".into(), key: KEY.into() }
}

fn rows(plan: &Plan, custody: &Custody, lookup: &LookupKey, to: &str) -> (Rows, String, Approvers) {
    let now = Timestamp::now();
    let credential = credential(custody, to, now);
    let workload = workload("robot", KEY, lookup, now);
    let minted = lookup.mint(&credential.shape).unwrap();
    let policy = format!(
        "version = 1\n[[permit]]\nname = \"items\"\nto = \"{to}\"\n\
         call = [\"GET /v1/{{rest...}}\", \"HEAD /v1/{{rest...}}\", \"POST /v1/{{rest...}}\"]\n\
         place = \"header authorization bearer\"\n{}",
        plan.more
    );
    let policy = Policy::parse("policy.toml", &policy).unwrap();
    let placeholder = PlaceholderRecord {
        id: PlaceholderId::fresh().unwrap(),
        credential: credential.id,
        workload: workload.id,
        core: minted.core,
        text: minted.hash,
        policy: policy.to_stored(),
        created: now,
        expires: None,
        daily: None,
        holder: cloakroom_model::Proofs::KEY,
        uses: plan.uses,
        used: 0,
        state: PlaceholderState::Active,
        on_misuse: Default::default(),
        frozen: None,
        end: None,
        parent: None,
        not_before: None,
    };
    let approver = Ed25519KeyPair::generate().unwrap();
    let public = STANDARD.encode(approver.public_key().as_ref());
    let grant = Grant::from_rows(&placeholder, &credential, &workload).unwrap();
    let signature = STANDARD.encode(approver.sign(&grant.signing_bytes()).as_ref());
    let approval = ApprovalRecord {
        id: ApprovalId::fresh().unwrap(),
        placeholder: placeholder.id,
        created: now,
        decided: Some(now),
        signatures: vec![Signature { key: public.clone(), signature }],
        denied: false,
        requester: None,
        generation: None,
        withdrawn: None,
        expires: None,
    };
    let other = self::workload("other", OTHER_KEY, lookup, now);
    let rows = Rows {
        credentials: vec![credential],
        workloads: vec![workload, other],
        placeholders: vec![placeholder],
        approvals: vec![approval],
        ..Rows::default()
    };
    (rows, minted.text.reveal().to_owned(), Approvers::new([public]).unwrap())
}

fn credential(custody: &Custody, to: &str, now: Timestamp) -> CredentialRecord {
    let (id, name) = (CredentialId::fresh().unwrap(), Name::parse("echo").unwrap());
    let destinations: Vec<Destination> = vec![to.parse().unwrap()];
    let drop_off = custody.intake().seal(CANARY.as_bytes().to_vec().into(), &name).unwrap();
    let accepted = custody.accept(&drop_off, &name, id, CredentialKind::Bearer, &destinations, 1).unwrap();
    CredentialRecord {
        id,
        name,
        kind: CredentialKind::Bearer,
        destinations,
        shape: accepted.shape,
        generation: 1,
        sealed: accepted.sealed,
        created: now,
        rotated: now,
        removed: None,
    }
}

fn workload(name: &str, key: &str, lookup: &LookupKey, now: Timestamp) -> WorkloadRecord {
    let (id, name) = (WorkloadId::fresh().unwrap(), Name::parse(name).unwrap());
    WorkloadRecord {
        id,
        name,
        key: lookup.workload_hash(key),
        marks: Default::default(),
        created: now,
        removed: None,
    }
}
