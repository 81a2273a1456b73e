//! A record is one line of printable ASCII, whatever stands in it (T89), and the export is JSON lines.

use super::*;
use crate::journal::ExportFormat;
use cloakroom_model::{Intent, IntentUse, Way};
use proptest::prelude::*;

fn named(text: &str) -> Entry {
    Entry::Ignored {
        at: Timestamp::from_millis(1),
        placeholder: "ph_01HF0000000000000000000000".parse().unwrap(),
        why: text.into(),
    }
}

pub(super) fn exported(bench: &Bench) -> Vec<serde_json::Value> {
    let mut out = Vec::new();
    crate::journal::export(&bench.dir(), ExportFormat::Json, 0, &mut out, &mut |_| {}).unwrap();
    assert!(out.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n')), "only printable ASCII");
    String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn t89_control_bytes_of_every_kind_cannot_forge_a_line() {
    let forged = "x\r\n{\"sequence\":99}\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\u{2028}\u{0}\t\u{1f600}";
    let bench = Bench::roomy();
    let journal = bench.open();
    put(&journal, &named(forged)).unwrap();
    let raw = std::fs::read(bench.segment(1)).unwrap();
    let payload = &raw[start_of(&raw) + crate::journal::frame::HEAD..raw.len() - 32];
    assert!(payload.iter().all(|byte| matches!(byte, b' '..=b'~')));
    let lines = exported(&bench);
    assert_eq!((lines.len(), lines[0]["why"].as_str()), (1, Some(forged)));
    assert_eq!(entries(&bench), [named(forged)]);
}

#[test]
fn an_intent_that_is_borrowed_is_the_same_record() {
    let id = "01HF0000000000000000000000";
    let intent = Intent {
        request: id.parse().unwrap(),
        at: Timestamp::from_millis(1),
        workload: format!("wl_{id}").parse().unwrap(),
        peer: Some(cloakroom_model::Source::User(1001)),
        way: Way::Connect,
        destination: "https://api.example.com".parse().unwrap(),
        method: "GET".into(),
        path: "/v1/items/{…}".into(),
        repeats: None,
        uses: vec![IntentUse {
            placeholder: format!("ph_{id}").parse().unwrap(),
            credential: format!("cred_{id}").parse().unwrap(),
            permit: "items".into(),
            counted: true,
        }],
    };
    let bench = Bench::roomy();
    let journal = bench.open();
    journal.append_intent(&intent).unwrap();
    journal.append(&Entry::Intent(intent.clone())).unwrap();
    journal.close().unwrap();
    assert_eq!(entries(&bench), [Entry::Intent(intent.clone()), Entry::Intent(intent)]);
    let lines = exported(&bench);
    let members = |line: &serde_json::Value| {
        serde_json::to_string(&line.as_object().unwrap().iter().skip(3).collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(members(&lines[0]), members(&lines[1]), "member by member");
}

#[test]
fn an_exported_line_names_sequence_time_and_kind() {
    let bench = Bench::new(1 << 20, 2).filled(4);
    let lines = exported(&bench);
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["act", "act", "checkpoint", "act", "act", "checkpoint"]);
    assert_eq!(lines[1]["sequence"], 2);
    assert_eq!(lines[1]["time"], "2023-11-14T22:13:20.002Z");
    assert_eq!(lines[1]["subject"], "cred_2");
    let mut tree = crate::journal::tree::Frontier::default();
    for line in &lines {
        tree.push(crate::journal::Hash::parse(line["hash"].as_str().unwrap()).unwrap());
    }
    let root = crate::journal::verify(&bench.dir()).unwrap().root;
    assert_eq!(tree.root().to_string(), root, "whoever keeps the export has the tree");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_comes_back_as_it_was(texts in proptest::collection::vec(any::<String>(), 1..8)) {
        let bench = Bench::new(300, 2);
        let journal = bench.open();
        let written: Vec<_> = texts.iter().map(|text| named(text)).collect();
        for entry in &written {
            journal.append(entry).unwrap();
        }
        journal.close().unwrap();
        prop_assert_eq!(entries(&bench), written);
        prop_assert!(crate::journal::verify(&bench.dir()).unwrap().ok);
    }
}

/// The figures of docs/journal.md, "Sizes".
#[test]
fn records_have_the_documented_sizes() {
    let (id, bench) = ("01HF0000000000000000000000", Bench::roomy());
    let request = id.parse().unwrap();
    let at = Timestamp::from_millis(1_764_370_000_000);
    let destination: cloakroom_model::Destination = "https://api.stripe.com".parse().unwrap();
    let call = [
        Entry::Intent(Intent {
            request,
            at,
            workload: format!("wl_{id}").parse().unwrap(),
            peer: None,
            way: Way::Connect,
            destination: destination.clone(),
            method: "POST".into(),
            path: "/v1/payment_intents".into(),
            uses: vec![IntentUse {
                placeholder: format!("ph_{id}").parse().unwrap(),
                credential: format!("cred_{id}").parse().unwrap(),
                permit: "create a small charge".into(),
                counted: false,
            }],
            repeats: None,
        }),
        Entry::Outcome { request, at, status: 200, bytes: 1_234, replaced: 1, complete: true },
    ];
    let journal = bench.open();
    let length = || std::fs::metadata(bench.segment(1)).unwrap().len();
    let grown = |from: u64| length() - from;
    let header = length();
    for entry in &call {
        put(&journal, entry).unwrap();
    }
    let of_call = grown(header);
    let before = length();
    block_on(journal.checkpoint()).unwrap();
    let of_checkpoint = grown(before);
    let proof = crate::journal::prove(&bench.dir(), 1).unwrap().to_string().len() - 45;
    let document = include_str!("../../../../../docs/journal.md");
    let rows = [
        format!("| intent and outcome of one call | {of_call} |"),
        format!("| checkpoint | {of_checkpoint} |"),
        format!("| a proof of an intent | {proof}, and 45 for each level of the tree |"),
    ];
    let missing: Vec<_> = rows.into_iter().filter(|row| !document.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
