//! `cloakroom serve` and `cloakroom try` as an operator meets them: files, locks, signals, and who is let in where.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cloakroom_testkit::{Broker, BrokerBuilder};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_cloakroom");

fn started() -> Broker {
    BrokerBuilder::bare(BINARY).start()
}

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn the_first_start_makes_everything_for_its_owner_alone() {
    let broker = started();
    let mode = |name: &str| std::fs::metadata(broker.data().join(name)).unwrap().permissions().mode() & 0o777;
    for name in ["", "keys", "journal"] {
        assert_eq!(mode(name), 0o700, "{name}");
    }
    for name in [
        "cloakroom.db",
        "keys/kek",
        "keys/lookup",
        "keys/journal",
        "ca.key",
        "approver.key",
        "approver.pub",
        "admin.sock",
        "listen",
    ] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}

#[test]
fn a_second_broker_on_one_data_directory_is_refused_and_the_first_goes_on() {
    let broker = started();
    let answer = broker.run(&["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"]);
    assert_eq!(answer.status.code(), Some(1));
    assert!(answer.stderr.starts_with("error: another broker runs on "), "{}", answer.stderr);
    broker.cli(&["workload", "add", "still-there"]);
}

#[test]
fn a_socket_left_behind_by_a_crash_is_replaced() {
    let mut broker = started();
    broker.cli(&["workload", "add", "kept"]);
    broker.kill();
    assert!(broker.data().join("admin.sock").exists());
    assert_eq!(broker.run(&["workload", "list"]).status.code(), Some(4));
    broker.launch();
    assert_eq!(broker.cli_json(&["workload", "list"])[0]["name"], "kept");
}

#[test]
fn a_signal_ends_the_broker_with_success_and_closes_the_journal() {
    let mut broker = started();
    assert_eq!(broker.stop().code(), Some(0));
    let verdict = broker.verify_journal();
    assert_eq!(verdict["unfinished_bytes"], 0);
    assert!(broker.cli(&["journal", "show"]).stdout.contains("stop"));
    assert!(!broker.data().join("admin.sock").exists());
}

#[test]
fn a_lost_key_is_not_replaced_while_there_is_something_that_needs_it() {
    for name in ["lookup", "kek"] {
        let mut broker = started();
        broker.stop();
        std::fs::remove_file(broker.data().join("keys").join(name)).unwrap();
        let answer = broker.run(&["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"]);
        assert_eq!(answer.status.code(), Some(1), "{answer:?}");
        assert!(answer.stderr.contains(&format!("keys/{name} is missing")), "{}", answer.stderr);
        assert!(!broker.data().join("keys").join(name).exists());
    }
}

#[test]
fn t78_a_lost_approver_is_not_replaced_while_there_may_be_approvals() {
    for lost in [&["approver.pub"][..], &["approver.pub", "approver.key"]] {
        let mut broker = started();
        broker.stop();
        lost.iter().for_each(|name| std::fs::remove_file(broker.data().join(name)).unwrap());
        let answer = broker.run(&["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"]);
        assert_eq!(answer.status.code(), Some(1), "{answer:?}");
        assert!(answer.stderr.contains("approver.pub"), "{}", answer.stderr);
        assert!(answer.stderr.contains("hint: restore it from a backup"), "{}", answer.stderr);
        lost.iter().for_each(|name| assert!(!broker.data().join(name).exists(), "{name}"));
    }
}

/// What a start said that fails.
fn failed_start(data: &std::path::Path, arguments: &[&str]) -> String {
    let output =
        Command::new(BINARY).arg("serve").args(arguments).env("CLOAKROOM_DATA", data).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_first_start_that_fails_makes_no_keys() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = tempfile::tempdir().unwrap();
    let short = data.path().join("passphrase");
    std::fs::write(&short, "short").unwrap();
    for (arguments, why) in [
        (&["--listen", &address, "--console", "127.0.0.1:0"][..], "cannot listen on"),
        (&["--listen", "127.0.0.1:0", "--console", &address], "cannot listen on"),
        (
            &[
                "--listen",
                "127.0.0.1:0",
                "--console",
                "127.0.0.1:0",
                "--passphrase-file",
                short.to_str().unwrap(),
            ],
            "passphrase",
        ),
    ] {
        let data = tempfile::tempdir().unwrap();
        let told = failed_start(data.path(), arguments);
        assert!(told.contains(why), "{told}");
        assert!(!data.path().join("approver.key").exists() && !data.path().join("approver.pub").exists());
        assert_eq!(std::fs::read_dir(data.path().join("keys")).unwrap().count(), 0, "{told}");
    }
}

#[test]
fn the_first_start_that_succeeds_warns_of_a_key_that_an_earlier_one_made() {
    let mut broker = started();
    let warned = |broker: &mut Broker, times: usize| {
        broker.stop();
        let told = broker.output();
        assert_eq!(told.matches("trust on first use").count(), times, "{told}");
    };
    warned(&mut broker, 1);
    broker.launch();
    warned(&mut broker, 1);
    let never_trusted = |broker: &Broker| {
        std::fs::remove_file(broker.data().join("keys/approvers")).unwrap();
        std::fs::remove_dir_all(broker.data().join("journal")).unwrap();
        std::fs::remove_file(broker.data().join("keys/journal")).unwrap();
    };
    // As a start leaves it that died before it trusted anybody: nothing recorded, nothing stored.
    never_trusted(&broker);
    broker.launch();
    warned(&mut broker, 2);
    // As an operator begins who has a key elsewhere.
    never_trusted(&broker);
    std::fs::remove_file(broker.data().join("approver.key")).unwrap();
    broker.launch();
    warned(&mut broker, 3);
    assert!(broker.output().contains("whoever holds a key of this file"), "{}", broker.output());
}

#[test]
fn a_directory_for_certificates_that_is_not_there_costs_no_workload() {
    let broker = started();
    let missing = broker.data().join("nowhere");
    let add = ["workload", "add", "robot", "--mtls", "--out", missing.to_str().unwrap()];
    let answer = broker.run(&add);
    assert_eq!(answer.status.code(), Some(2), "{answer:?}");
    assert!(answer.stderr.contains("nowhere is no directory"), "{}", answer.stderr);
    assert_eq!(broker.cli_json(&["workload", "list"]).as_array().unwrap().len(), 0);
    std::fs::create_dir(&missing).unwrap();
    broker.cli(&add);
}

#[test]
fn a_listener_with_tls_is_printed_as_one_and_run_refuses_it_with_the_reason() {
    let settings = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(settings.path(), "[listen.tls]\ncertificate = \"own\"\n").unwrap();
    let broker = BrokerBuilder::bare(BINARY).argument("--config").argument(settings.path()).start();
    let added = broker.cli(&["workload", "add", "robot", "--keep"]);
    assert!(added.stderr.contains("HTTPS_PROXY=https://robot:cwk_"), "{added:?}");
    assert!(added.stderr.contains("--proxy-cacert"), "{added:?}");
    let refused = broker.run(&["run", "--workload", "robot", "--", "true"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("the broker's listener speaks TLS"), "{refused:?}");
}

#[test]
fn t99_a_log_that_cannot_be_written_does_not_end_the_broker() {
    use std::io::{BufRead, BufReader};
    let data = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut broker = Command::new(env!("CARGO_BIN_EXE_cloakroom"))
        .args(["serve", "--json", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .stdout(Stdio::piped())
        .stderr(full)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(broker.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    for _ in 0..3 {
        // A refusal is logged.
        let answer = ask(ready["listen"].as_str().unwrap(), "NONSENSE\r\n\r\n");
        assert_eq!(status(&answer), "400", "{answer}");
    }
    broker.kill().unwrap();
    broker.wait().unwrap();
}

#[test]
fn t83_the_console_answers_to_its_own_names_alone() {
    let broker = started();
    let port = broker.console().rsplit_once(':').unwrap().1.to_owned();
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            let answer = ask(
                broker.console(),
                &format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
            );
            assert_eq!(status(&answer), "200", "{host}: {answer}");
        }
    }
    for host in [
        "evil.example",
        "evil.example:8481",
        "localhost.evil.example",
        "127.0.0.2",
        "0.0.0.0",
        "2130706433",
        "",
    ] {
        let answer =
            ask(broker.console(), &format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        assert_eq!(status(&answer), "403", "{host}: {answer}");
        assert!(answer.contains("host-not-permitted"), "{answer}");
    }
    for head in ["", "Host: localhost\r\nHost: localhost\r\n", "Host: localhost\r\nHost: evil.example\r\n"] {
        let answer = ask(broker.console(), &format!("GET / HTTP/1.1\r\n{head}Connection: close\r\n\r\n"));
        assert!(["400", "403"].contains(&status(&answer)), "{head:?}: {answer}");
    }
}

#[test]
fn t84_a_stranger_finds_no_admin_route_on_any_listener() {
    let broker = started();
    broker.cli(&["workload", "add", "robot"]);
    let routes = ["health", "intake", "credentials", "workloads", "placeholders", "approvals", "proposals"];
    for address in [broker.console().to_owned(), broker.listen().to_string()] {
        for route in routes {
            for method in ["GET", "POST", "DELETE"] {
                let request = format!(
                    "{method} /api/v1/{route} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                let answer = ask(&address, &request);
                assert!(status(&answer).starts_with('4'), "{address} {route}: {answer}");
                assert!(!answer.contains("robot") && !answer.contains("public_key"), "{answer}");
            }
        }
    }
}

#[test]
fn the_passphrase_of_the_first_start_is_the_passphrase() {
    let directory = tempfile::tempdir().unwrap();
    let (right, wrong) = (directory.path().join("right"), directory.path().join("wrong"));
    std::fs::write(&right, "correct horse battery\n").unwrap();
    std::fs::write(&wrong, "incorrect horse battery\n").unwrap();
    let mut broker = BrokerBuilder::bare(BINARY).argument("--passphrase-file").argument(&right).start();
    broker.restart();
    broker.stop();
    let listen = ["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"];
    let answer = broker.run(&[&listen[..], &["--passphrase-file", wrong.to_str().unwrap()]].concat());
    assert_eq!(answer.status.code(), Some(1), "{answer:?}");
    assert!(answer.stderr.contains("the passphrase is wrong"), "{}", answer.stderr);
    let answer = broker.run(&listen);
    assert_eq!(answer.status.code(), Some(2), "{answer:?}");
    assert!(answer.stderr.contains("made with a passphrase"), "{}", answer.stderr);
}

#[test]
fn the_tour_goes_as_told() {
    let home = tempfile::tempdir().unwrap();
    let output =
        Command::new(BINARY).arg("try").env("HOME", home.path()).env("NO_COLOR", "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.matches("ok: ").count(), 3, "{text}");
    for code in ["call-not-permitted", "destination-not-permitted", "place-not-permitted"] {
        assert!(text.contains(&format!("403 {code}")), "{text}");
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "the tour left something behind");
    let output = Command::new(BINARY).args(["try", "--json"]).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["ok"], true);
}
