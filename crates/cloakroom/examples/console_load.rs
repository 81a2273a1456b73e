//! Fills a data directory that no broker has open: many placeholders, approved and used, and a long journal. For `cargo xtask bench console`.
//!
//! `console_load DIR PLACEHOLDERS RECORDS`: the directory has a credential and a workload already.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{
    ApprovalId, ApprovalRecord, Code, Destination, EventKind, Intent, IntentUse, LookupKey, OnMisuse,
    PlaceholderId, PlaceholderRecord, PlaceholderState, Proofs, RequestId, Rows, SecurityEvent, Severity,
    Signature, Timestamp, Way,
};
use cloakroom_policy::{Grant, Policy};
use cloakroom_store::journal::{Entry, Journal, JournalSettings};
use cloakroom_store::{Decision, SqliteStore, Store};
use std::error::Error;
use std::path::Path;
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, placeholders, records] = arguments.as_slice() else {
        return Err("console_load DIR PLACEHOLDERS RECORDS".into());
    };
    let data = Path::new(data);
    let store = SqliteStore::open(&data.join("cloakroom.db"))?;
    let rows = store.load().await?;
    let made = fill_store(&store, &rows, data, placeholders.parse()?).await?;
    fill_journal(data, &rows, &made, records.parse()?)
}

fn key(data: &Path) -> Outcome<Ed25519KeyPair> {
    let text = std::fs::read_to_string(data.join("approver.key"))?;
    Ed25519KeyPair::from_pkcs8(&STANDARD.decode(text.trim())?).map_err(|error| error.to_string().into())
}

/// Nine in ten approved, the others pending, denied or revoked.
async fn fill_store(
    store: &SqliteStore,
    rows: &Rows,
    data: &Path,
    count: u64,
) -> Outcome<Vec<PlaceholderRecord>> {
    let (approver, lookup) = (key(data)?, std::fs::read(data.join("keys/lookup"))?);
    let lookup = LookupKey::from_bytes(&lookup.as_slice().try_into()?);
    let credential = rows.credentials.first().ok_or("no credential")?;
    let workload = rows.workloads.first().ok_or("no workload")?;
    let to = credential.destinations.first().ok_or("no destination")?;
    let file = format!(
        "version = 1\n[[permit]]\nname = \"read\"\nto = \"{to}\"\ncall = [\"GET /v1/things/{{id}}\", \"POST /v1/things\"]\nplace = \"header authorization bearer\"\nrate = \"60/min\"\n"
    );
    let policy = Policy::parse("policy", &file).map_err(|_| "the policy does not parse")?.to_stored();
    let begun = Timestamp::now().minus(Duration::from_secs(30 * 86_400));
    let mut made = Vec::new();
    for number in 0..count {
        let minted = lookup.mint(&credential.shape)?;
        let created = begun.plus(Duration::from_secs(number * 200));
        let row = PlaceholderRecord {
            id: PlaceholderId::new(created, [u8::try_from(number % 251)?; 10]),
            credential: credential.id,
            workload: workload.id,
            core: minted.core,
            text: minted.hash,
            policy: policy.clone(),
            created,
            not_before: None,
            expires: Some(Timestamp::now().plus(Duration::from_secs(86_400 * 30))),
            daily: None,
            holder: Proofs::KEY,
            uses: None,
            used: 0,
            state: PlaceholderState::Pending,
            on_misuse: OnMisuse::Record,
            parent: None,
            frozen: None,
            end: None,
        };
        let approval = ApprovalRecord {
            id: ApprovalId::new(created, [u8::try_from(number % 251)?; 10]),
            placeholder: row.id,
            created,
            decided: None,
            signatures: Vec::new(),
            denied: false,
            requester: Some("uid 0".into()),
            generation: None,
            withdrawn: None,
            expires: None,
        };
        let grant = Grant::from_rows(&row, credential, workload)?.asked_by(&approval);
        let id = approval.id;
        store.add_placeholder(row.clone(), approval).await?;
        if number % 10 != 0 {
            let signature = Signature {
                key: STANDARD.encode(approver.public_key()),
                signature: STANDARD.encode(approver.sign(&grant.signing_bytes())),
            };
            store.decide_approval(id, Decision::Granted(vec![signature]), created).await?;
        } else if number % 200 != 0 {
            store.decide_approval(id, Decision::Denied, created).await?;
        }
        made.push(row);
    }
    Ok(made)
}

/// Calls with their ends, refusals and events, over the last 30 days.
fn fill_journal(data: &Path, rows: &Rows, made: &[PlaceholderRecord], count: u64) -> Outcome<()> {
    let (journal, _) =
        Journal::open(&data.join("journal"), &data.join("keys/journal"), JournalSettings::default())?;
    let credential = rows.credentials.first().ok_or("no credential")?;
    let workload = rows.workloads.first().ok_or("no workload")?.id;
    let destination: Destination = credential.destinations.first().ok_or("no destination")?.clone();
    let (begun, step) =
        (Timestamp::now().minus(Duration::from_secs(30 * 86_400)), 30 * 86_400_000 / count.max(1));
    for number in 0..count / 2 {
        let at = begun.plus(Duration::from_millis(number * 2 * step));
        let request = RequestId::new(at, [u8::try_from(number % 251)?; 10]);
        let placeholder = made[usize::try_from(number)? % made.len()].id;
        if number % 20 == 0 {
            let (code, peer) = (Code::CallNotPermitted, Some("10.0.0.7".to_owned()));
            let (workload, destination) = (Some(workload), Some(destination.clone()));
            let event = (number % 400 == 0).then_some(Severity::Warning);
            let placeholder = Some(placeholder);
            journal.append(&Entry::Refusal {
                request,
                at,
                code,
                event,
                workload,
                way: None,
                destination,
                placeholder,
                peer,
            })?;
            let mut event = SecurityEvent::new(EventKind::WrongPlace);
            (event.at, event.request, event.placeholder) = (at, Some(request), placeholder);
            journal.append(&Entry::Event(event))?;
            continue;
        }
        let uses =
            vec![IntentUse { placeholder, credential: credential.id, permit: "read".into(), counted: false }];
        journal.append_intent(&Intent {
            request,
            at,
            workload,
            peer: None,
            way: Way::Connect,
            destination: destination.clone(),
            method: "GET".into(),
            path: format!("/v1/things/{number}"),
            uses,
            repeats: None,
        })?;
        let ended = at.plus(Duration::from_millis(20 + number % 300));
        journal.append(&Entry::Outcome {
            request,
            at: ended,
            status: 200,
            bytes: 1024,
            replaced: 1,
            complete: true,
        })?;
    }
    Ok(journal.close()?)
}
