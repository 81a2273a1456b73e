//! `cloakroom explain REQUEST_ID`: what the journal knows about one call, with names where a broker answers.

use crate::Outcome;
use crate::broker::Broker;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, fields};
use cloakroom_admin::wire::Explanation;
use cloakroom_model::{Code, Name, RequestId, Timestamp};
use cloakroom_store::journal::{Entry, Record};
use std::collections::BTreeMap;

pub(super) fn run(data: &DataDir, request: RequestId, output: &Output) -> Outcome {
    let journal = super::journal::directory(data)?;
    // Before the files are read: a broker that is asked puts its last records there.
    let names = names(data, request);
    let records = cloakroom_admin::records_of(&journal, request)?;
    if records.is_empty() {
        return Err(Failure::failed(format!("the journal knows no call {request}"))
            .hinting("the id stands in the refusal, member \"instance\"; see also: cloakroom journal show"));
    }
    let explanation = Explanation::new(request, &records, names.clone());
    output.data(&explanation, || text(request, &records, &names))?;
    Ok(Exit::Done)
}

/// Names need the store, so a running broker; without one the ids stand for themselves.
fn names(data: &DataDir, request: RequestId) -> BTreeMap<String, String> {
    let asked = Broker::of(data).and_then(|broker| broker.read::<Explanation>(&format!("explain/{request}")));
    asked.map(|explanation| explanation.names).unwrap_or_default()
}

fn text(request: RequestId, records: &[Record], names: &BTreeMap<String, String>) -> String {
    let named = |id: String| match names.get(&id).and_then(|name| Name::parse(name).ok()) {
        Some(name) => format!("{name} ({id})"),
        None => id,
    };
    let mut pairs = vec![("request", request.to_string())];
    for record in records {
        match &record.entry {
            Entry::Intent(intent) => {
                pairs.push(("authorized", intent.at.to_string()));
                pairs.push(("workload", named(intent.workload.to_string())));
                pairs.extend(intent.peer.map(|peer| ("peer", peer.to_string())));
                pairs.push(("call", format!("{} {}{}", intent.method, intent.destination, intent.path)));
                pairs.extend(intent.repeats.map(|first| ("repeats", first.to_string())));
                for one in &intent.uses {
                    pairs.push(("permit", one.permit.clone()));
                    pairs.push(("credential", named(one.credential.to_string())));
                    pairs.push(("placeholder", one.placeholder.to_string()));
                }
            }
            Entry::Outcome { at, status, bytes, replaced, complete, .. } => {
                let cut = if *complete { "" } else { ", cut off" };
                pairs.push(("answered", format!("{at}: {status}, {bytes} bytes{cut}")));
                pairs.push(("scrubbed", format!("{replaced} times")));
            }
            Entry::Replayed { at, first, status, bytes, .. } => {
                pairs.push((
                    "answered",
                    format!("{at}: {status}, {bytes} bytes, kept from {first}; nothing was sent"),
                ));
            }
            Entry::Returned { at, .. } => pairs.push(("use returned", format!("{at}: nothing was sent"))),
            Entry::Failure { at, code, .. } => said_no(&mut pairs, "failed", *at, *code),
            Entry::Refusal { at, code, event, workload, destination, placeholder, peer, .. } => {
                said_no(&mut pairs, "refused", *at, *code);
                pairs.extend(event.map(|event| ("event", format!("{event:?}").to_lowercase())));
                pairs.extend(workload.map(|id| ("workload", named(id.to_string()))));
                pairs.extend(destination.as_ref().map(|to| ("destination", to.to_string())));
                pairs.extend(placeholder.map(|id| ("placeholder", id.to_string())));
                pairs.extend(peer.as_ref().map(|peer| ("peer", peer.escape_debug().to_string())));
            }
            Entry::Event(event) => {
                pairs.push(("security event", format!("{} ({})", event.event, event.severity)))
            }
            _ => {}
        }
    }
    fields(&pairs)
}

fn said_no(pairs: &mut Vec<(&str, String)>, word: &'static str, at: Timestamp, code: Code) {
    pairs.push((word, format!("{at}: {code}: {}", code.title())));
    pairs.push(("hint", code.hint().into()));
}
