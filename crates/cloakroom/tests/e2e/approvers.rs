//! Who the approvers are, and that nobody becomes one by writing a file or a row.

use crate::approvals::{enrol, signed_with, ssh_key};
use crate::support::{Furnished, items, outcome};
use cloakroom_testkit::{Answer, Broker, Issued, TestAuthority, TlsUpstream, Workload};
use std::path::PathBuf;

struct House {
    broker: Broker,
    upstream: TlsUpstream,
    robot: Workload,
    desk: tempfile::TempDir,
    _authority: TestAuthority,
}

impl House {
    fn new(settings: &str) -> Self {
        let desk = tempfile::tempdir().unwrap();
        let Furnished { broker, upstream, robot, authority } = Furnished::with(settings);
        Self { broker, upstream, robot, desk, _authority: authority }
    }

    fn key(&self, name: &str) -> PathBuf {
        ssh_key(self.desk.path(), name)
    }

    /// Grants as whoever has this SSH key.
    fn grant_with(&self, approval: &str, key: &std::path::Path) -> Answer {
        let text = self.broker.cli(&["approval", "text", approval]).stdout;
        let signature = signed_with(self.desk.path(), &text, "cloakroom", key);
        self.broker.run(&["approval", "grant", approval, "--ssh-signature", &signature])
    }

    fn names(&self) -> Vec<String> {
        let listed = self.broker.cli_json(&["approver", "list"]);
        listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    }

    fn call(&self, issued: &Issued) -> String {
        outcome(&self.broker, &self.robot, &self.upstream, issued)
    }

    /// A start that has to fail; what it says.
    fn refused_start(&self) -> String {
        let refused = self.broker.run(&["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.stderr.contains("it is not known who the approvers are"), "{refused:?}");
        refused.stderr
    }
}

#[test]
fn an_approver_is_enrolled_by_those_there_are_and_removed_by_them() {
    let mut house = House::new("[approval]\nquorum = 2\n");
    let (bob, carol) = (house.key("bob"), house.key("carol"));
    enrol(&house.broker, "bob", &bob);
    let public = carol.with_extension("pub");
    let asked =
        house.broker.cli_json(&["approver", "enrol", "carol", "--public-key", public.to_str().unwrap()]);
    let id = asked["id"].as_str().unwrap();
    assert_eq!((&asked["kind"], &asked["needed"]), (&"approver".into(), &2.into()));
    let text = house.broker.cli(&["approval", "show", id]).stdout;
    assert!(text.starts_with("approver change: 2 (enrol an approver)\nname: \"carol\"\n"), "{text}");
    assert!(text.contains("approvers before: \"bob\", \"first\"\nsignatures needed: 2\n"), "{text}");
    // She cannot enrol herself, nor one of two alone.
    assert!(!house.grant_with(id, &carol).status.success());
    assert_eq!(house.broker.cli_json(&["approval", "grant", id])["state"], "pending");
    assert!(!house.broker.run(&["approval", "grant", id]).status.success(), "the same one again");
    assert_eq!(house.names(), ["first", "bob"]);
    assert!(house.grant_with(id, &bob).status.success());
    assert_eq!(house.names(), ["first", "bob", "carol"]);
    // What two signed ends when one of them is removed.
    let issued = house.broker.issue("c", "robot", &items(&house.upstream), &[]);
    house.broker.cli(&["approval", "grant", &issued.approval]);
    assert!(house.grant_with(&issued.approval, &carol).status.success());
    assert_eq!(house.call(&issued), "200");
    let asked = house.broker.cli_json(&["approver", "remove", "carol"]);
    let id = asked["id"].as_str().unwrap();
    house.broker.cli(&["approval", "grant", id]);
    assert_eq!(house.call(&issued), "200", "one of two has signed the removal");
    assert!(house.grant_with(id, &bob).status.success());
    assert_eq!(house.call(&issued), "placeholder-revoked");
    house.broker.restart();
    assert_eq!(house.names(), ["first", "bob"]);
    let record = house.broker.cli(&["journal", "show"]).stdout;
    for act in
        ["approver change asked for", "approver change signed", "approver enrolled", "approver removed"]
    {
        assert!(record.contains(act), "{act}: {record}");
    }
    let denied = house.broker.cli_json(&["approver", "remove", "bob"]);
    assert_eq!(
        house.broker.cli_json(&["approval", "deny", denied["id"].as_str().unwrap()])["state"],
        "denied"
    );
    assert!(!house.broker.run(&["approver", "remove", "nobody"]).status.success());
    assert_eq!(house.names(), ["first", "bob"]);
}

#[test]
fn t78_an_edit_of_approver_pub_alone_is_found_and_trusted_only_on_record() {
    let mut house = House::new("");
    let mallory = house.key("mallory");
    house.broker.stop();
    let file = house.broker.data().join("approver.pub");
    let before = std::fs::read_to_string(&file).unwrap();
    let line = std::fs::read_to_string(mallory.with_extension("pub")).unwrap();
    std::fs::write(&file, format!("{before}{line}")).unwrap();
    assert!(house.refused_start().contains("not those that were trusted first"));
    // A comment is no edit.
    std::fs::write(&file, format!("# the first\n{before}")).unwrap();
    house.broker.launch();
    assert_eq!(house.names(), ["first"]);
    house.broker.stop();
    // A lost key: the operator says so, and it stays on record.
    std::fs::write(&file, &line).unwrap();
    house.refused_start();
    house.broker.launch_with(&["--trust-approvers"]);
    assert!(house.broker.output().contains("because --trust-approvers says so"), "{}", house.broker.output());
    house.broker.restart();
    assert_eq!(house.names(), ["mallory"]);
    let record = house.broker.cli(&["journal", "show"]).stdout;
    assert!(record.contains("approver.pub, by --trust-approvers"), "{record}");
}

#[test]
fn t78_a_directory_that_is_in_use_is_never_trusted_on_first_use_again() {
    let mut house = House::new("");
    let (bob, mallory) = (house.key("bob"), house.key("mallory"));
    enrol(&house.broker, "bob", &bob);
    let issued = house.broker.issue("c", "robot", &items(&house.upstream), &[]);
    house.broker.stop();
    let (file, kept) = (house.broker.data().join("approver.pub"), house.broker.data().join("keys/approvers"));
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::copy(mallory.with_extension("pub"), &file).unwrap();
    std::fs::remove_file(&kept).unwrap();
    assert_eq!(house.broker.tamper("DELETE FROM approver_change", []), 1);
    assert!(house.refused_start().contains("this is not the first start"));
    // Nor with the file as it was: what the rows said is gone.
    std::fs::write(&file, before).unwrap();
    assert!(house.refused_start().contains("--trust-approvers"));
    // Nor where the journal is gone as well, and only the rows tell.
    let lost = [house.broker.data().join("journal"), house.broker.data().join("keys/journal")];
    let aside = [house.desk.path().join("journal"), house.desk.path().join("key")];
    for (from, to) in lost.iter().zip(&aside) {
        std::fs::rename(from, to).unwrap();
    }
    assert!(house.refused_start().contains("this is not the first start"));
    assert!(!kept.exists());
    std::fs::remove_dir_all(&lost[0]).unwrap();
    for (to, from) in lost.iter().zip(&aside) {
        std::fs::rename(from, to).unwrap();
    }
    house.broker.launch_with(&["--trust-approvers"]);
    assert!(kept.exists());
    assert_eq!(house.names(), ["first"]);
    assert_eq!(house.call(&issued), "placeholder-pending");
    let record = house.broker.cli(&["journal", "show"]).stdout;
    assert_eq!(record.matches("approver.pub, on first use").count(), 1, "{record}");
    assert_eq!(record.matches("approver.pub, by --trust-approvers").count(), 1, "{record}");
}

#[test]
fn t78_a_row_that_makes_somebody_an_approver_or_is_gone_keeps_the_broker_from_starting() {
    let mut house = House::new("");
    let (bob, mallory) = (house.key("bob"), house.key("mallory"));
    enrol(&house.broker, "bob", &bob);
    let asked = house.broker.cli_json(&["approver", "remove", "bob"]);
    house.broker.cli(&["approval", "grant", asked["id"].as_str().unwrap()]);
    house.broker.stop();
    let line = std::fs::read_to_string(mallory.with_extension("pub")).unwrap();
    let key: Vec<&str> = line.split(' ').take(2).collect();
    let forged = "INSERT INTO approver_change (sequence, act, name, key, needed, signatures, made)
         SELECT 3, 'enrol', 'mallory', ?1, 1, signatures, 1 FROM approver_change WHERE sequence = 1";
    assert_eq!(house.broker.tamper(forged, [key.join(" ")]), 1);
    assert!(house.refused_start().contains("change 3 of the approvers has 0 of 1 signatures"));
    assert_eq!(house.broker.tamper("DELETE FROM approver_change WHERE sequence = 3", []), 1);
    // bob's removal is undone: by a row that is gone, and by one that is edited.
    let edit = "UPDATE approver_change SET act = 'enrol', name = 'bobby' WHERE sequence = 2";
    assert_eq!(house.broker.tamper(edit, []), 1);
    house.refused_start();
    assert_eq!(house.broker.tamper("DELETE FROM approver_change WHERE sequence = 2", []), 1);
    assert!(house.refused_start().contains("change 2 of the approvers is gone"));
    std::fs::remove_file(house.broker.data().join("keys/approvers")).unwrap();
    assert!(house.refused_start().contains("keys/approvers is missing"));
}

#[test]
fn t78_a_row_that_is_written_while_the_broker_runs_makes_nobody_an_approver() {
    let house = House::new("");
    let issued = house.broker.permit("c", "robot", &items(&house.upstream), &[]);
    assert_eq!(house.call(&issued), "200");
    let forged = "INSERT INTO approver_change (sequence, act, name, key, needed, signatures, made)
         VALUES (1, 'enrol', 'mallory', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFAHWdwNvVTdaxQpRArK3qngNmi+fwTCtYyCRpZadoG8', 1, '[]', 1)";
    assert_eq!(house.broker.tamper_running(forged, []), 1);
    // Found with the next change of anything; until it is mended nobody is an approver, and nothing is permitted.
    house.broker.workload("another");
    assert_eq!(house.call(&issued), "placeholder-revoked");
    assert!(house.names().is_empty());
    assert!(house.broker.output().contains("nobody's signature counts"), "{}", house.broker.output());
    house.broker.tamper_running("DELETE FROM approver_change", []);
    house.broker.workload("a-third");
    assert_eq!(house.call(&issued), "200");
    assert_eq!(house.upstream.requests().len(), 2);
}
