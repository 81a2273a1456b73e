//! Sealed and unsealed: by operators with shares, under load, and what is in memory then.

use crate::support::{Furnished, acknowledged, item, items, outcome, settings_of};
use cloakroom_testkit::{Answer, Issued, Way, hunt, shaped};
use std::os::unix::fs::FileExt;
use std::path::Path;

const SHARES: &str = "[custody]\nkek = \"shares\"\n";

/// A broker whose operators hold five shares, any three of which unseal; sealed. It was made with a key file.
fn shared(rest: &str) -> (Furnished, Issued, Vec<String>) {
    let mut stage = Furnished::with("");
    let issued = stage.broker.permit("c", "robot", &items(&stage.upstream), &[]);
    stage.broker.stop();
    let made = stage.broker.cli(&["custody", "init", "--shares", "5", "--threshold", "3"]);
    let shares: Vec<String> = made.stdout.lines().map(str::to_owned).collect();
    assert_eq!(shares.len(), 5, "{made:?}");
    assert!(!stage.broker.data().join("keys/kek").exists(), "the key file is gone");
    std::fs::write(settings_of(&stage.authority), format!("{SHARES}{rest}")).unwrap();
    stage.broker.launch();
    (stage, issued, shares)
}

impl Furnished {
    fn comes_to(&self, issued: &Issued) -> String {
        outcome(&self.broker, &self.robot, &self.upstream, issued)
    }

    fn bring(&self, share: &str) -> Answer {
        self.broker.run_with(&["custody", "unseal", "--json"], share)
    }

    /// What is said where it is refused.
    fn refused(&self, share: &str) -> String {
        let answer = self.bring(share);
        assert!(!answer.status.success(), "{answer:?}");
        let said: serde_json::Value = serde_json::from_str(&answer.stderr).unwrap();
        format!("{}: {}", said["error"]["code"].as_str().unwrap(), said["error"]["message"].as_str().unwrap())
    }
}

#[test]
fn any_two_of_five_shares_open_nothing_and_any_three_do() {
    let (stage, issued, shares) = shared("");
    let pairs = (0..5).flat_map(|a| (a + 1..5).map(move |b| [a, b]));
    for pair in pairs {
        assert_eq!(stage.comes_to(&issued), "broker-sealed");
        for (given, at) in (1..).zip(pair) {
            let standing = stage.bring(&shares[at]).json();
            assert_eq!((&standing["state"], &standing["given"]), (&"sealed".into(), &given.into()));
            assert_eq!(standing["threshold"], 3);
        }
        assert_eq!(stage.comes_to(&issued), "broker-sealed", "with {pair:?}");
        // The three others, from the beginning.
        stage.broker.cli(&["custody", "seal"]);
        assert_eq!(stage.broker.cli_json(&["custody", "status"])["given"], 0);
        let others = (0..5).filter(|at| !pair.contains(at));
        let brought: Vec<_> = others.map(|at| stage.bring(&shares[at]).json()).collect();
        assert_eq!(brought[2]["state"], "open", "without {pair:?}");
        assert_eq!(stage.comes_to(&issued), "200");
        stage.broker.cli(&["custody", "seal"]);
    }
}

#[test]
fn a_share_that_is_wrong_foreign_or_given_already_is_refused_with_the_reason() {
    let (stage, issued, shares) = shared("");
    let (_, _, foreign) = shared("");
    let slipped = shares[1].replacen("-2-3-", "-3-3-", 1);
    assert_eq!(stage.bring(&shares[0]).json()["given"], 1);
    assert_eq!(stage.refused(&slipped), "not-unsealed: this is no share, or a character of it is wrong");
    assert_eq!(stage.refused("not a share"), "not-unsealed: this is no share, or a character of it is wrong");
    assert_eq!(stage.refused(&foreign[1]), "not-unsealed: this share belongs to another set");
    assert_eq!(stage.refused(&shares[0]), "not-unsealed: this share was given already");
    assert_eq!(stage.broker.cli_json(&["custody", "status"])["given"], 1, "what was given stays given");
    stage.bring(&shares[1]);
    assert_eq!(stage.bring(&shares[2]).json()["state"], "open");
    assert_eq!(stage.comes_to(&issued), "200");
    assert_eq!(stage.refused(&shares[3]), "conflict: the broker is not sealed");
    let acts = stage.broker.cli(&["journal", "show"]).stdout;
    assert!(
        acts.contains("share given custody by uid") && acts.contains("custody unsealed custody by uid"),
        "{acts}"
    );
    for share in shares.iter().chain(&foreign) {
        let value = share.rsplit('-').nth(1).unwrap();
        assert!(!stage.broker.output().contains(value) && !acts.contains(value));
    }
}

#[test]
fn where_operators_have_to_be_distinct_one_cannot_bring_two_shares() {
    let (stage, issued, shares) = shared("distinct-operators = true\n");
    assert_eq!(stage.bring(&shares[0]).json()["given"], 1);
    assert_eq!(stage.refused(&shares[1]), "not-unsealed: this operator has given a share already");
    assert_eq!(stage.comes_to(&issued), "broker-sealed");
}

#[test]
fn shares_are_encrypted_to_their_operators_and_age_opens_them() {
    let mut stage = Furnished::with("");
    stage.broker.stop();
    let elsewhere = tempfile::tempdir().unwrap();
    let out = elsewhere.path().join("shares");
    let mut arguments = vec![
        "custody".to_owned(),
        "init".into(),
        "--shares".into(),
        "3".into(),
        "--threshold".into(),
        "2".into(),
    ];
    let identities: Vec<_> = (1..=3).map(|n| identity(&elsewhere.path().join(format!("{n}.txt")))).collect();
    for (_, recipient) in &identities {
        arguments.extend(["--to".into(), recipient.clone()]);
    }
    arguments.extend(["--out".into(), out.display().to_string()]);
    let few: Vec<&str> =
        arguments.iter().filter(|text| **text != identities[2].1).map(String::as_str).collect();
    let few: Vec<&str> = few
        .iter()
        .enumerate()
        .filter(|(at, text)| **text != "--to" || few[at + 1] != "--out")
        .map(|(_, text)| *text)
        .collect();
    assert!(stage.broker.run(&few).stderr.contains("3 shares and 2 recipients"));
    stage.broker.cli(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    std::fs::write(settings_of(&stage.authority), SHARES).unwrap();
    stage.broker.launch();
    for (number, (file, _)) in (1..).zip(&identities).take(2) {
        let share = out.join(format!("share-{number}.age"));
        let opened =
            std::process::Command::new("age").arg("-d").arg("-i").arg(file).arg(share).output().unwrap();
        assert!(opened.status.success(), "{opened:?}");
        stage.bring(&String::from_utf8(opened.stdout).unwrap());
    }
    assert_eq!(stage.broker.cli_json(&["custody", "status"])["state"], "open");
    let again = stage.broker.run(&["custody", "init", "--shares", "3", "--threshold", "2"]);
    assert!(again.stderr.contains("another broker runs"), "{again:?}");
    stage.broker.stop();
    let again = stage.broker.run(&["custody", "init", "--shares", "3", "--threshold", "2"]);
    assert!(again.stderr.contains("was made with kek = \"shares\""), "{again:?}");
}

/// A fresh identity in this file, and its recipient.
pub(crate) fn identity(file: &Path) -> (std::path::PathBuf, String) {
    let made = std::process::Command::new("age-keygen").arg("-o").arg(file).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let text = std::fs::read_to_string(file).unwrap();
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    (file.to_owned(), recipient.to_owned())
}

#[test]
fn after_a_seal_under_load_the_next_call_is_refused_and_unsealing_lets_calls_on() {
    let stage = Furnished::with("");
    let issued = stage.broker.permit("c", "robot", &items(&stage.upstream), &[]);
    let request = item(&stage.upstream, "1", &issued.text).bytes(Way::Absolute, Some(&stage.robot));
    let sealed = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let (mut through, mut refused) = (0, 0);
                    while refused < 5 {
                        let is_sealed = sealed.load(std::sync::atomic::Ordering::SeqCst);
                        match acknowledged(stage.broker.listen(), &stage.broker.log(), &request) {
                            Some(503) => refused += 1,
                            // Cut off where the seal came during the call.
                            through_or_cut => {
                                assert!(!is_sealed, "a call that began after the seal: {through_or_cut:?}");
                                through += u32::from(through_or_cut == Some(200));
                            }
                        }
                    }
                    through
                })
            })
            .collect();
        while stage.upstream.requests().len() < 20 {
            std::thread::yield_now();
        }
        stage.broker.cli(&["custody", "seal"]);
        sealed.store(true, std::sync::atomic::Ordering::SeqCst);
        let through: u32 = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
        assert!(through >= 20);
    });
    let health = stage.broker.cli_json(&["custody", "status"]);
    assert_eq!((&health["state"], &health["reason"]), (&"sealed".into(), &"an operator sealed it".into()));
    let refused = stage.broker.run_with(
        &["credential", "add", "d", "--kind", "bearer", "--to", &stage.upstream.url(), "--json"],
        &shaped("sk_live_"),
    );
    assert!(refused.stderr.contains("\"broker-sealed\""), "{refused:?}");
    stage.broker.cli(&["custody", "unseal"]);
    assert_eq!(stage.comes_to(&issued), "200");
    let events = stage.broker.cli(&["journal", "show", "--json"]).stdout;
    assert_eq!(events.matches("\"event\":\"custody-sealed\"").count(), 1);
    assert_eq!(events.matches("\"event\":\"custody-unsealed\"").count(), 1);
}

/// Where in the process's memory one of these stands: the address, and whether that page is locked.
fn sights(pid: u32, needle: &[u8]) -> Vec<(u64, bool)> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).expect("the scan needs root");
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).expect("the scan needs root");
    let mut sights = Vec::new();
    let mut range: Option<(u64, u64)> = None;
    for line in maps.lines() {
        let Some(flags) = line.strip_prefix("VmFlags:") else {
            range = written(line).or(range);
            continue;
        };
        let Some((from, to)) = range.take() else { continue };
        let is_locked = flags.split_whitespace().any(|flag| flag == "lo");
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            let found = memchr::memmem::find_iter(&bytes, needle);
            sights.extend(found.map(|at| (from + at as u64, is_locked)));
        }
    }
    sights
}

/// The range that this line begins, where the process can write there.
fn written(line: &str) -> Option<(u64, u64)> {
    let (range, rest) = line.split_once(' ')?;
    let (from, to) = range.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    rest.starts_with("rw").then_some((address(from)?, address(to)?))
}

#[test]
fn t88_a_memory_scan_finds_the_root_key_in_locked_pages_and_after_a_seal_neither_it_nor_the_secret() {
    let stage = Furnished::with("");
    let issued = stage.broker.permit("c", "robot", &items(&stage.upstream), &[]);
    for way in [Way::Absolute, Way::Connect, Way::BaseUrl] {
        let answer = stage.broker.call(way, Some(&stage.robot), &item(&stage.upstream, "1", &issued.text));
        assert_eq!(answer.status, 200);
    }
    let root = std::fs::read(stage.broker.data().join("keys/kek")).unwrap();
    let canary = cloakroom_testkit::TAIL.as_bytes();
    let pid = stage.broker.pid();
    let before = sights(pid, &root);
    assert!(!before.is_empty(), "the scan does not find what is there");
    assert!(
        before.iter().all(|(_, is_locked)| *is_locked),
        "a root key outside of locked pages: {before:x?}"
    );
    assert!(!sights(pid, canary).is_empty(), "what is looked for in replies");
    stage.broker.cli(&["custody", "seal"]);
    let after = crate::support::eventually("the memory is wiped", || {
        let left = [sights(pid, &root), sights(pid, canary)].concat();
        left.is_empty().then_some(left)
    });
    assert!(after.is_empty());
    assert_eq!(stage.comes_to(&issued), "broker-sealed");
    assert!([sights(pid, &root), sights(pid, canary)].concat().is_empty(), "a refused call opens nothing");
    assert!(hunt(stage.broker.output().as_bytes()).is_empty());
}
