//! What can be proved of a journal, offline, with nothing but the public key.

use super::*;
use crate::journal::{
    Consistency, Proof, PublicKey, checkpoints_in, consistency, find, latest_checkpoint, prove,
};

fn signed_sample() -> (Bench, PublicKey) {
    let bench = Bench::new(1700, 4);
    let journal = bench.open();
    for number in 1..=13 {
        journal.append(&act(number)).unwrap();
    }
    journal.close().unwrap();
    let key = PublicKey::open_file(&bench.dir().join("key.pub")).unwrap();
    (bench, key)
}

#[test]
fn t90_every_signed_record_is_proved_with_the_public_key_alone() {
    let (bench, key) = signed_sample();
    for record in crate::journal::read(&bench.dir(), 0).unwrap() {
        let text = prove(&bench.dir(), record.sequence).unwrap().to_string();
        let proof = Proof::parse(&text).unwrap();
        assert_eq!(proof.to_string(), text);
        let checked = proof.check(&key).unwrap();
        assert_eq!(checked.sequence, record.sequence);
        assert_eq!(serde_json::from_value::<Entry>(checked.record.into()).unwrap(), record.entry);
        assert!(checked.size >= record.sequence && checked.signer == key.name());
    }
}

/// A proof has no byte that may be another.
#[test]
fn t90_a_proof_with_any_byte_changed_is_refused() {
    let (bench, key) = signed_sample();
    let text = prove(&bench.dir(), 3).unwrap().to_string();
    let holds = |text: &str| Proof::parse(text).is_ok_and(|proof| proof.check(&key).is_ok());
    assert!(holds(&text));
    for (at, character) in text.char_indices() {
        for other in ['A', 'b', '0', '\n', ' '] {
            if other != character {
                let changed = format!("{}{other}{}", &text[..at], &text[at + character.len_utf8()..]);
                assert!(!holds(&changed), "{other:?} at {at}:\n{changed}");
            }
        }
        let missing = format!("{}{}", &text[..at], &text[at + character.len_utf8()..]);
        assert!(!holds(&missing), "without the character at {at}:\n{missing}");
    }
    let (_, other) = signed_sample();
    assert!(Proof::parse(&text).unwrap().check(&other).is_err(), "another journal's key");
}

#[test]
fn a_record_that_is_not_there_or_not_signed_yet_is_not_proved() {
    let bench = Bench::new(1 << 20, 3).filled(4);
    assert!(prove(&bench.dir(), 3).is_ok());
    for (sequence, why) in [(5, "no checkpoint signs"), (6, "there is no record"), (0, "there is no record")]
    {
        let error = prove(&bench.dir(), sequence).unwrap_err();
        assert!(error.to_string().contains(why) && error.hint().is_some(), "{sequence}: {error}");
    }
}

#[test]
fn records_are_found_by_an_id_they_name_and_by_no_part_of_it() {
    let (bench, _) = signed_sample();
    let found = find(&bench.dir(), "cred_1").unwrap();
    assert_eq!(
        found.iter().map(|mention| (mention.sequence, mention.kind.as_str())).collect::<Vec<_>>(),
        [(1, "act")]
    );
    assert_eq!(find(&bench.dir(), "cred_").unwrap(), []);
}

#[test]
fn t90_each_checkpoint_continues_those_before_it_and_a_fork_does_not() {
    let (bench, key) = signed_sample();
    let all: String =
        lines::exported(&bench).iter().filter_map(|line| line["note"].as_str().map(str::to_owned)).collect();
    let (checkpoints, _) = checkpoints_in(&all, &key);
    assert!(checkpoints.len() >= 3);
    for old in &checkpoints {
        let text = consistency(&bench.dir(), old.size, None).unwrap().to_string();
        let proof = Consistency::parse(&text).unwrap();
        assert_eq!(proof.to_string(), text);
        let new = proof.check(old, &key).unwrap();
        assert!(new.size >= old.size);
        let forked = crate::journal::Checkpoint { root: crate::journal::Hash::of(b"another"), ..*old };
        assert!(proof.check(&forked, &key).is_err());
    }
    let newest = latest_checkpoint(&bench.dir()).unwrap();
    let last = key.checkpoint(&newest).unwrap();
    assert!(consistency(&bench.dir(), last.size + 1, None).is_err(), "the older one is the longer one");
    assert!(consistency(&bench.dir(), 1, Some("no note\n")).is_err());
    let (_, other) = signed_sample();
    let proof = consistency(&bench.dir(), checkpoints[0].size, None).unwrap();
    assert!(proof.check(&checkpoints[0], &other).is_err());
}
