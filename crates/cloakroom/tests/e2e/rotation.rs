//! Another root key, and everything brought under it while the broker serves, dies and starts again.

use crate::support::{Furnished, eventually, items, outcome};
use cloakroom_testkit::{Broker, Issued, shaped};
use serde_json::Value;

/// Under which version each credential of the database is sealed, by the bytes themselves.
fn versions(broker: &Broker) -> Vec<u32> {
    let version = |sealed: &Vec<u8>| match sealed.as_slice() {
        [1, ..] => 0,
        [2, a, b, c, d, ..] => u32::from_be_bytes([*a, *b, *c, *d]),
        other => panic!("{other:?}"),
    };
    broker.sealed().iter().map(version).collect()
}

fn stage(credentials: usize) -> (Furnished, Vec<Issued>) {
    let stage = Furnished::with("");
    for number in 1..credentials {
        stage.broker.deposit(&format!("c{number}"), "bearer", &[&stage.upstream.url()], &shaped("sk_live_"));
    }
    let name = |number: usize| if number == 0 { "c".to_owned() } else { format!("c{number}") };
    let permit = |number| stage.broker.permit(&name(number), "robot", &items(&stage.upstream), &[]);
    let issued = (0..credentials).map(permit).collect();
    (stage, issued)
}

impl Furnished {
    fn all_open(&self, issued: &[Issued]) {
        for one in issued {
            assert_eq!(outcome(&self.broker, &self.robot, &self.upstream, one), "200", "{}", one.id);
        }
    }
}

fn status(broker: &Broker) -> Value {
    broker.cli_json(&["custody", "status"])
}

#[test]
fn a_root_key_is_rotated_everything_is_brought_under_it_and_the_older_one_is_destroyed() {
    let (mut stage, issued) = stage(3);
    assert_eq!(versions(&stage.broker), [0, 0, 0]);
    // Everything is in the one file once the broker has stopped.
    stage.broker.stop();
    let older = std::fs::read(stage.broker.data().join("cloakroom.db")).unwrap();
    stage.broker.launch();
    let turned = stage.broker.cli_json(&["custody", "rotate-kek"]);
    assert_eq!((&turned["current"], &turned["minimum"]), (&1.into(), &0.into()));
    stage.broker.deposit("new", "bearer", &[&stage.upstream.url()], &shaped("sk_live_"));
    assert_eq!(versions(&stage.broker), [0, 0, 0, 1]);
    let both = serde_json::json!([{"version": 0, "sealed": 3, "held": true}, {"version": 1, "sealed": 1, "held": true}]);
    assert_eq!(status(&stage.broker)["versions"], both);
    stage.all_open(&issued);
    let done = stage.broker.cli_json(&["custody", "rewrap"]);
    assert_eq!((&done["minimum"], &done["rewrap"]), (&1.into(), &Value::Null));
    assert_eq!(done["versions"], serde_json::json!([{"version": 1, "sealed": 4, "held": true}]));
    assert_eq!(versions(&stage.broker), [1, 1, 1, 1]);
    stage.all_open(&issued);
    stage.broker.stop();
    stage.broker.launch();
    stage.all_open(&issued);
    // One step wrong: rows of before, under what was destroyed.
    stage.broker.stop();
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(stage.broker.data().join(format!("cloakroom.db{end}")));
    }
    std::fs::write(stage.broker.data().join("cloakroom.db"), older).unwrap();
    stage.broker.launch();
    assert_eq!(outcome(&stage.broker, &stage.robot, &stage.upstream, &issued[0]), "broker-sealed");
}

#[test]
fn a_rewrap_that_is_killed_at_fifty_points_goes_on_and_every_credential_opens() {
    const CREDENTIALS: usize = 30;
    // Before and after a row is stored, the first and the second of a start: (place, rows stored).
    const PLACES: [(&str, usize); 4] =
        [("rewrap-row:1", 0), ("rewrapped:1", 1), ("rewrap-row:2", 1), ("rewrap-row:1", 0)];
    let (mut stage, issued) = stage(CREDENTIALS);
    stage.broker.cli(&["custody", "rotate-kek"]);
    stage.broker.stop();
    // At each start the rewrap goes on by itself, and dies where it is that turn's place, at another row each time.
    let mut done = 0;
    for (kill, (place, stored)) in (0..50).zip(PLACES.iter().cycle()) {
        stage.broker.die_at(Some(place));
        stage.broker.launch();
        if kill == 0 {
            // The request that begins it may lose its answer.
            let _ = stage.broker.run(&["custody", "rewrap"]);
        }
        assert!(!stage.broker.wait().success());
        let under = versions(&stage.broker).iter().filter(|version| **version == 1).count();
        assert_eq!(under, done + stored, "kill {kill}");
        done = under;
    }
    assert!(done < CREDENTIALS);
    // And once more where all is done but for the older key, which is there still.
    stage.broker.die_at(Some("rewrap-clean"));
    stage.broker.launch();
    assert!(!stage.broker.wait().success());
    assert_eq!(versions(&stage.broker), vec![1; CREDENTIALS]);
    let roots = std::fs::read_to_string(stage.broker.data().join("keys/root.json")).unwrap();
    assert!(roots.contains("\"minimum\": 0"), "{roots}");
    stage.broker.die_at(None);
    stage.broker.launch();
    let mut shown = done;
    let last = eventually("the rewrap ends", || {
        let status = status(&stage.broker);
        if let Some(now) = status["rewrap"]["done"].as_u64() {
            assert_eq!(status["rewrap"]["total"], CREDENTIALS);
            let now = usize::try_from(now).unwrap();
            assert!(now >= shown, "progress goes back: {shown}, then {now}");
            shown = now;
        }
        (status["minimum"] == 1).then_some(status)
    });
    assert_eq!(last["versions"], serde_json::json!([{"version": 1, "sealed": CREDENTIALS, "held": true}]));
    assert_eq!(versions(&stage.broker), vec![1; CREDENTIALS]);
    stage.all_open(&issued);
}

#[test]
fn a_row_that_does_not_open_keeps_the_older_root_key() {
    let (mut stage, issued) = stage(2);
    stage.broker.stop();
    let spoil =
        "UPDATE credential SET sealed = (SELECT sealed FROM credential WHERE name = 'c') WHERE name = ?1";
    assert_eq!(stage.broker.tamper(spoil, ["c1"]), 1);
    stage.broker.launch();
    stage.broker.cli(&["custody", "rotate-kek"]);
    let stopped = stage.broker.run(&["custody", "rewrap"]);
    assert!(!stopped.status.success() && stopped.stderr.contains("does not open"), "{stopped:?}");
    let held = status(&stage.broker);
    assert_eq!((&held["minimum"], &held["versions"][0]["held"]), (&0.into(), &true.into()));
    assert_eq!(outcome(&stage.broker, &stage.robot, &stage.upstream, &issued[0]), "200");
    // The way out: it is removed.
    stage.broker.cli(&["credential", "remove", "c1"]);
    assert_eq!(stage.broker.cli_json(&["custody", "rewrap"])["minimum"], 1);
    assert_eq!(outcome(&stage.broker, &stage.robot, &stage.upstream, &issued[0]), "200");
}

#[test]
fn a_sealed_broker_rotates_and_rewraps_nothing() {
    let (stage, _) = stage(1);
    stage.broker.cli(&["custody", "seal"]);
    for act in ["rotate-kek", "rewrap"] {
        let refused = stage.broker.run(&["custody", act, "--json"]);
        assert!(refused.stderr.contains("\"broker-sealed\""), "{refused:?}");
    }
    assert!(!stage.broker.data().join("keys/root.json").exists());
}
