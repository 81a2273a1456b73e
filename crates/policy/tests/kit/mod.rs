//! Rows, approvals and calls for tests: real keys, real signatures, no shortcuts past the approval.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, unreachable_pub)]

pub mod passkey;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloakroom_model::placeholder::{Alphabet, Minted};
use cloakroom_model::*;
use cloakroom_policy::{Approvers, Authorized, Grant, Identified, Ignored, Policy, PolicySet, Showing};
use std::sync::Arc;

pub const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A broker's rows with an approver.
pub struct Desk {
    pub rows: Rows,
    pub key: Arc<LookupKey>,
    pub approver: Ed25519KeyPair,
    counter: u32,
}

impl Desk {
    pub fn new() -> Self {
        Self {
            rows: Rows::default(),
            key: Arc::new(LookupKey::from_bytes(&[9; 32])),
            approver: Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap(),
            counter: 0,
        }
    }

    fn random(&mut self) -> [u8; 10] {
        self.counter += 1;
        let [a, b, c, d] = self.counter.to_be_bytes();
        [a, b, c, d, a, b, c, d, 0, 0]
    }

    pub fn workload(&mut self, name: &str) -> WorkloadId {
        let id = WorkloadId::new(NOW, self.random());
        let key = self.key.workload_hash(&format!("key of {name}"));
        self.rows.workloads.push(WorkloadRecord {
            id,
            name: Name::parse(name).unwrap(),
            key,
            marks: Marks::default(),
            created: NOW,
            removed: None,
        });
        id
    }

    pub fn credential(&mut self, name: &str, destinations: &[Destination]) -> CredentialId {
        let id = CredentialId::new(NOW, self.random());
        self.rows.credentials.push(CredentialRecord {
            id,
            name: Name::parse(name).unwrap(),
            kind: CredentialKind::Bearer,
            destinations: destinations.to_vec(),
            shape: Shape::prefixed("sk_live_", Alphabet::Base62, 40),
            generation: 1,
            sealed: SealedSecret(vec![1]),
            created: NOW,
            rotated: NOW,
            removed: None,
        });
        id
    }

    /// A pending placeholder, with its approval asked for. The policy's destinations are those of its credential.
    pub fn issue(&mut self, workload: WorkloadId, policy: &Policy) -> (PlaceholderId, String) {
        let credential = self.credential(&format!("credential-{}", self.counter), &policy.destinations());
        let shape = self.rows.credentials.last().unwrap().shape.clone();
        let Minted { text, core, hash } = self.key.mint(&shape).unwrap();
        let random = self.random();
        let id = PlaceholderId::new(NOW, random);
        self.rows.placeholders.push(PlaceholderRecord {
            id,
            credential,
            workload,
            core,
            text: hash,
            policy: policy.to_stored(),
            created: NOW,
            expires: None,
            daily: None,
            holder: Proofs::KEY,
            uses: None,
            used: 0,
            state: PlaceholderState::Pending,
            on_misuse: Default::default(),
            frozen: None,
            end: None,
            parent: None,
            not_before: None,
        });
        self.rows.approvals.push(ApprovalRecord {
            id: ApprovalId::new(NOW, random),
            placeholder: id,
            created: NOW,
            decided: None,
            signatures: Vec::new(),
            denied: false,
            requester: None,
            generation: None,
            withdrawn: None,
            expires: None,
        });
        (id, text.reveal().to_owned())
    }

    pub fn row(&mut self, id: PlaceholderId) -> &mut PlaceholderRecord {
        self.rows.placeholders.iter_mut().find(|row| row.id == id).unwrap()
    }

    pub fn approval(&mut self, id: PlaceholderId) -> &mut ApprovalRecord {
        self.rows.approvals.iter_mut().find(|row| row.placeholder == id).unwrap()
    }

    pub fn grant_of(&self, id: PlaceholderId) -> Grant {
        let row = self.rows.placeholders.iter().find(|row| row.id == id).unwrap();
        let credential = self.rows.credentials.iter().find(|c| c.id == row.credential).unwrap();
        let workload = self.rows.workloads.iter().find(|w| w.id == row.workload).unwrap();
        let approval = self.rows.approvals.iter().find(|row| row.placeholder == id).unwrap();
        Grant::from_rows(row, credential, workload).unwrap().asked_by(approval)
    }

    /// Signs what the rows say now, and makes the placeholder active.
    pub fn approve(&mut self, id: PlaceholderId) {
        let signature = self.sign(&self.grant_of(id));
        let approval = self.approval(id);
        approval.signatures = vec![signature];
        approval.decided = Some(NOW);
        self.row(id).state = PlaceholderState::Active;
    }

    pub fn issue_active(&mut self, workload: WorkloadId, policy: &Policy) -> (PlaceholderId, String) {
        let issued = self.issue(workload, policy);
        self.approve(issued.0);
        issued
    }

    /// Issues and approves without looking the rows up, so that ten thousand take no time.
    pub fn issue_last_active(&mut self, workload: WorkloadId, policy: &Policy) -> String {
        let (_, text) = self.issue(workload, policy);
        let row = self.rows.placeholders.last_mut().unwrap();
        row.state = PlaceholderState::Active;
        let workload = self.rows.workloads.iter().find(|w| w.id == workload).unwrap();
        let grant = Grant::from_rows(row, self.rows.credentials.last().unwrap(), workload).unwrap();
        let signature = self.sign(&grant);
        let approval = self.rows.approvals.last_mut().unwrap();
        approval.signatures = vec![signature];
        approval.decided = Some(NOW);
        text
    }

    fn sign(&self, grant: &Grant) -> Signature {
        Signature {
            key: STANDARD.encode(self.approver.public_key().as_ref()),
            signature: STANDARD.encode(self.approver.sign(&grant.signing_bytes()).as_ref()),
        }
    }

    pub fn approvers(&self) -> Approvers {
        Approvers::new([STANDARD.encode(self.approver.public_key().as_ref())]).unwrap()
    }

    pub fn activate(&self, previous: Option<&PolicySet>) -> (PolicySet, Vec<Ignored>) {
        PolicySet::assert_active(&self.rows, &self.approvers(), Arc::clone(&self.key), previous)
    }

    /// The snapshot, where every active placeholder has to hold up.
    pub fn set(&self) -> PolicySet {
        let (set, ignored) = self.activate(None);
        assert_eq!(ignored, []);
        set
    }

    /// What this workload shows, as the data plane would recognise it.
    pub fn showing(&self, set: &PolicySet, showing: &Showing<'_>) -> Option<Principal> {
        let known = set.recognise(showing)?;
        Some(Principal::assert_verified(known.workload, known.name, known.proofs, showing.source))
    }

    pub fn principal(&self, id: WorkloadId) -> Principal {
        let row = self.rows.workloads.iter().find(|row| row.id == id).unwrap();
        Principal::assert_verified(id, row.name.clone(), Proofs::KEY, Source::User(0))
    }
}

/// A call from its parts; `Err` where `model` already refuses it.
pub fn call(method: &str, url: &str, headers: &[(String, String)], body: &[u8]) -> Result<Call, Refusal> {
    let after = url.find("://").unwrap() + 3;
    let end = url[after..].find(['/', '?']).map_or(url.len(), |at| at + after);
    let destination = Destination::parse(&url[..end]).unwrap();
    let (path, query) = url[end..].split_once('?').unwrap_or((&url[end..], ""));
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        map.append(
            http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            http::HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    Ok(Call {
        request: RequestId::new(NOW, [1; 10]),
        way: Way::Connect,
        method: method.parse().unwrap(),
        destination,
        path: Path::parse(path)?,
        query: Query::parse(query)?,
        headers: map,
        upgrade: None,
        body: Payload::complete(Bytes::copy_from_slice(body)),
    })
}

/// A call with a Bearer credential and no body.
pub fn bearer(method: &str, url: &str, placeholder: &str) -> Call {
    call(method, url, &[("authorization".into(), format!("Bearer {placeholder}"))], b"").unwrap()
}

/// The two stages.
pub fn decide(
    call: Call,
    principal: Principal,
    set: &PolicySet,
    now: Timestamp,
) -> Result<Authorized, Refusal> {
    Identified::new(call, principal, set)?.authorize(set, now)
}

pub fn code(result: Result<Authorized, Refusal>) -> String {
    result.map_or_else(|refusal| refusal.code().to_string(), |_| "allowed".into())
}

/// One permit: a bearer place, with what else the test wants.
pub fn policy(rest: &str) -> Policy {
    let text = format!("version = 1\n[[permit]]\nplace = \"header authorization bearer\"\n{rest}\n");
    Policy::parse("test.toml", &text).unwrap_or_else(|complaints| panic!("{complaints:?}\n{text}"))
}

/// The workload whose key this is.
pub fn by_key(set: &PolicySet, key: &str) -> Option<WorkloadId> {
    let showing = Showing { key: Some(key), certificate: None, boot: None, source: Source::User(0) };
    set.recognise(&showing).map(|known| known.workload)
}
