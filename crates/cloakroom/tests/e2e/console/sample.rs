//! A broker as it stands after a day's work, for pages to be looked at: services, workloads, placeholders in every state, calls, refusals,
//! misuse, and something of each kind that waits.

use crate::support::{BINARY, item, items, policy, propose};
use cloakroom_model::{
    Code, Destination, EventKind, Intent, IntentUse, PlaceholderId, RequestId, Rows, SecurityEvent,
    Timestamp, Way as Came,
};
use cloakroom_store::journal::{Entry, Journal, JournalSettings};
use cloakroom_store::{SqliteStore, Store};
use cloakroom_testkit::{
    Broker, BrokerBuilder, Issued, Request, TestAuthority, TlsUpstream, Way, Workload, echo, shaped,
};
use std::time::Duration;

/// As long as a name may be.
pub(super) const LONG: &str = "quarterly-reconciliation-of-invoices-and-payments-eu-west-1-blue";

/// What is looked at.
pub(super) struct Sample {
    pub(super) broker: Broker,
    pub(super) upstream: TlsUpstream,
    pub(super) robot: Workload,
    pub(super) active: Issued,
    _authority: TestAuthority,
}

impl Sample {
    /// With a day of calls on record; before anybody has a passkey.
    pub(super) fn new() -> Self {
        let authority = TestAuthority::new();
        let mut broker = BrokerBuilder::new(BINARY, &authority).start();
        let upstream = TlsUpstream::start(&authority, echo);
        let robot = furnish(&broker, &upstream);
        let active = broker.permit("crm", "support-agent", &items(&upstream), &["--uses", "200"]);
        broker.stop();
        record(&broker, &active);
        broker.launch();
        Self { broker, upstream, robot, active, _authority: authority }
    }

    /// Placeholders in every state, calls that pass and calls that do not.
    pub(super) fn live(&self) {
        let (broker, upstream) = (&self.broker, &self.upstream);
        let items = items(upstream);
        let child = ["--parent", &self.active.id, "--uses", "5"];
        broker.permit("crm", "support-agent", &items, &child);
        let issue = |more: &[&str]| broker.permit("crm", LONG, &items, more);
        let (frozen, revoked, spent) = (issue(&[]), issue(&[]), issue(&["--uses", "1"]));
        broker.cli(&["placeholder", "freeze", &frozen.id]);
        broker.cli(&["placeholder", "revoke", &revoked.id]);
        let denied = broker.issue("crm", "nightly-report", &items, &[]);
        broker.cli(&["approval", "deny", &denied.approval]);
        let call =
            |id: &str, text: &str| broker.call(Way::Absolute, Some(&self.robot), &item(upstream, id, text));
        for id in ["4711", "4712", "4713"] {
            assert_eq!(call(id, &self.active.text).status, 200);
        }
        // Refused: somewhere else, of another workload, and in another place.
        let elsewhere = Request::new("DELETE", &upstream.authority(), "/v1/items/4711")
            .with("authorization", &format!("Bearer {}", self.active.text));
        assert_eq!(broker.call(Way::Absolute, Some(&self.robot), &elsewhere).status, 403);
        assert_eq!(call("4711", &spent.text).status, 403);
        let misplaced =
            Request::new("GET", &upstream.authority(), "/v1/items/4711").with("x-copy", &self.active.text);
        assert_eq!(broker.call(Way::Absolute, Some(&self.robot), &misplaced).status, 403);
    }

    /// One thing of each kind that waits; gives the ids of the policy, the call and the proposal.
    pub(super) fn waiting(&self) -> [String; 3] {
        let (broker, upstream) = (&self.broker, &self.upstream);
        let wider = policy(&upstream.url(), "GET /v1/{rest...}", "header authorization bearer", "");
        let pending = broker.issue("crm", "support-agent", &wider, &[]).approval;
        let each = policy(
            &upstream.url(),
            "POST /v1/mails",
            "header authorization bearer",
            "approve = \"each-call\"",
        );
        let asking = broker.permit("crm", "support-agent", &each, &[]);
        let request = Request::new("POST", &upstream.authority(), "/v1/mails")
            .with("authorization", &format!("Bearer {}", asking.text))
            .with_body(
                "application/json",
                r#"{"to":"ann@example.com","subject":"Your invoice","text":"It is attached."}"#,
            );
        let asked = broker.call(Way::Absolute, Some(&self.robot), &request).json();
        let call = asked["approval"].as_str().unwrap().to_owned();
        [
            pending,
            call,
            propose(
                broker,
                &self.robot,
                &items(upstream),
                "The customer asks for an item that I may not read yet.",
            ),
        ]
    }
}

/// Credentials and workloads; gives the workload that calls.
fn furnish(broker: &Broker, upstream: &TlsUpstream) -> Workload {
    broker.deposit("crm", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    for (name, kind, to) in [
        ("github", "bearer", &["https://api.github.com", "https://github.com"][..]),
        ("stripe", "bearer", &["https://api.stripe.com"]),
        ("mailgun", "basic", &["https://api.mailgun.net"]),
        (
            LONG,
            "bearer",
            &["https://a-tenant-with-a-very-long-name.internal.reconciliation.example.com:8443"],
        ),
    ] {
        broker.deposit(name, kind, to, &shaped("sk_live_"));
    }
    let robot = broker.workload("support-agent");
    for name in ["nightly-report", "ci", LONG] {
        broker.workload(name);
    }
    robot
}

/// Calls over the last day, busier by day than by night, written past the broker as it would have written them.
fn record(broker: &Broker, issued: &Issued) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rows = runtime.block_on(async {
        SqliteStore::open(&broker.data().join("cloakroom.db")).unwrap().load().await.unwrap()
    });
    let settings = JournalSettings::default();
    let (journal, _) =
        Journal::open(&broker.data().join("journal"), &broker.data().join("keys/journal"), settings).unwrap();
    let begun = Timestamp::now().minus(Duration::from_secs(86_400));
    for slot in 0_u64..288 {
        let busy = 2 + (slot * slot / 7) % 5 + if (96..220).contains(&slot) { 6 } else { 0 };
        for number in 0..busy {
            let at = begun.plus(Duration::from_millis(slot * 300_000 + number * 9_000));
            call(&journal, &rows, issued.id.parse().unwrap(), at, slot * 16 + number);
        }
    }
    journal.close().unwrap();
}

fn call(journal: &Journal, rows: &Rows, placeholder: PlaceholderId, at: Timestamp, number: u64) {
    let of = |number: u64, length: usize| usize::try_from(number).unwrap() % length;
    let credential = &rows.credentials[of(number, rows.credentials.len())];
    let workload = rows.workloads[of(number / 3, rows.workloads.len())].id;
    let destination: Destination = credential.destinations[0].clone();
    let mut random = [0; 10];
    random[..8].copy_from_slice(&number.to_be_bytes());
    let request = RequestId::new(at, random);
    if number.is_multiple_of(13) {
        let (code, way, peer) = (Code::CallNotPermitted, None, Some("10.0.0.7".to_owned()));
        let (workload, destination) = (Some(workload), Some(destination));
        let refusal = Entry::Refusal {
            request,
            at,
            code,
            event: None,
            workload,
            way,
            destination,
            placeholder: None,
            peer,
        };
        journal.append(&refusal).unwrap();
        if number.is_multiple_of(91) {
            let mut event = SecurityEvent::new(EventKind::WrongPlace);
            (event.at, event.request, event.placeholder) = (at, Some(request), Some(placeholder));
            journal.append(&Entry::Event(event)).unwrap();
        }
        return;
    }
    let uses = vec![IntentUse {
        placeholder,
        credential: credential.id,
        permit: "read items".into(),
        counted: false,
    }];
    let (way, path) = (Came::Connect, format!("/v1/items/{number}"));
    let (peer, repeats, method) = (None, None, "GET".into());
    journal
        .append_intent(&Intent { request, at, workload, peer, way, destination, method, path, uses, repeats })
        .unwrap();
    let took =
        Duration::from_millis(18 + (number * 37) % 90 + if number.is_multiple_of(41) { 700 } else { 0 });
    let at = at.plus(took);
    let ended = if number.is_multiple_of(97) {
        Entry::Failure { request, at, code: Code::UpstreamTimeout }
    } else {
        Entry::Outcome { request, at, status: 200, bytes: 1024 + number % 4096, replaced: 0, complete: true }
    };
    journal.append(&ended).unwrap();
}
