//! Learning what a workload needs, with curl; and what is said of it afterwards: lint, replay, drift.

use crate::clients::{run, surroundings};
use crate::support::{BINARY, item, items, setup};
use cloakroom_testkit::{Setup, TlsUpstream, Way, echo, shaped};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

/// `cloakroom learn`, as an operator runs it.
struct Lesson(Child, BufReader<std::process::ChildStderr>);

impl Lesson {
    /// Returns when the lesson goes on.
    fn begin(setup: &Setup) -> Self {
        let mut child = Command::new(BINARY)
            .args(["learn", "--workload", "robot", "--for", "1h"])
            .env("CLOAKROOM_DATA", setup.broker.data())
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut talk = BufReader::new(child.stderr.take().unwrap());
        for words in ["workload robot is in a lesson until", "Ctrl-C ends the lesson"] {
            let mut line = String::new();
            talk.read_line(&mut line).unwrap();
            assert!(line.contains(words), "{line}");
        }
        Self(child, talk)
    }

    /// Ctrl-C. The value is the proposal.
    fn end(self, setup: &Setup) -> String {
        let Self(mut child, mut talk) = self;
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let (mut proposal, mut rest) = (String::new(), String::new());
        child.stdout.take().unwrap().read_to_string(&mut proposal).unwrap();
        talk.read_to_string(&mut rest).unwrap();
        assert!(child.wait().unwrap().success(), "{rest}");
        setup.broker.log().lock().unwrap().extend([proposal.clone().into_bytes(), rest.into_bytes()]);
        proposal
    }
}

/// What curl gets for these arguments: its status, and what it told.
fn curl(setup: &Setup, token: &str, arguments: &[&str]) -> (String, String) {
    let mut command = Command::new("curl");
    surroundings(&mut command, &setup.broker, &setup.robot);
    let authorization = format!("Authorization: Bearer {token}");
    command
        .args(["-q", "--silent", "--show-error", "-w", "\n%{http_code}", "-H", &authorization])
        .args(arguments);
    let told = run(&setup.broker, command);
    let (body, status) = told.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[test]
fn t80_what_is_refused_in_a_lesson_passes_with_what_it_proposes() {
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, echo);
    let broker = &setup.broker;
    let url = |path: &str| format!("{}{path}", upstream.url());
    let (whoami, list, create) =
        (url("/v1/whoami"), url("/v1/charges/ch_12ab34?limit=3"), url("/v1/charges"));
    let json = r#"{"note":{"text":"remember"},"n":5}"#;
    let note = url("/v1/notes");
    let calls: [&[&str]; 4] = [
        &[&whoami],
        &[&list],
        &["-d", "amount=500&currency=usd", &create],
        &["-H", "content-type: application/json", "-d", json, &note],
    ];
    let lesson = Lesson::begin(&setup);
    for call in calls {
        let (status, told) = curl(&setup, "sk_test_not_the_one", call);
        assert_eq!(status, "403", "{told}");
        assert!(told.contains("call-not-permitted") && told.contains("in a lesson"), "{told}");
    }
    let proposal = lesson.end(&setup);
    assert_eq!(upstream.requests().len(), 0, "nothing of a lesson is sent");
    for words in [
        "GET /v1/charges/{id}",
        "GET /v1/whoami",
        "POST /v1/charges",
        "\"/note/text\"",
        "# the place is a guess",
    ] {
        assert!(proposal.contains(words), "{words}\n{proposal}");
    }
    for value in ["sk_test", "ch_12ab34", "usd", "remember"] {
        assert!(!proposal.contains(value), "{value}\n{proposal}");
    }

    // The proposal is a policy; nothing is permitted until it is approved.
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk-"));
    let issued = broker.issue("c", "robot", &proposal, &[]);
    let pending = broker.call(Way::Absolute, Some(&setup.robot), &item(&upstream, "1", &issued.text));
    assert_eq!(pending.code().as_deref(), Some("placeholder-pending"));
    broker.cli(&["approval", "grant", &issued.approval, "--yes"]);
    for call in calls {
        let (status, told) = curl(&setup, &issued.text, call);
        assert_eq!(status, "200", "{told}");
    }
    assert_eq!(upstream.requests().len(), calls.len());
    // One step further, and it is refused.
    for (call, code) in [
        (&["-d", "amount=500&currency=usd&capture=false", &create][..], "body-not-permitted"),
        (&["-d", "amount=much", &create][..], "body-not-permitted"),
        (&["-X", "DELETE", &list][..], "call-not-permitted"),
    ] {
        let (status, told) = curl(&setup, &issued.text, call);
        assert!(status == "403" && told.contains(code), "{told}");
    }

    // The record of it under the same policy, and under a narrower one.
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (same, data) = (write("same.toml", &proposal), broker.data().to_str().unwrap().to_owned());
    assert!(broker.run(&["policy", "check", &same]).status.success());
    let replayed = broker.cli_json(&["policy", "replay", &same, "--journal", &data]);
    assert_eq!((&replayed["open"], &replayed["refused"]), (&4.into(), &0.into()), "{replayed}");
    assert!(replayed["not_on_record"].as_array().unwrap().contains(&"body".into()), "{replayed}");
    let narrow = write("narrow.toml", &items(&upstream));
    let replay = broker.run(&["policy", "replay", &narrow, "--journal", &data, "--json"]);
    assert_eq!(replay.status.code(), Some(3), "{replay:?}");
    assert_eq!(replay.json()["refused"], 4, "{replay:?}");
    assert!(replay.json()["refused_then"]["to_named_destinations"].as_u64().unwrap() >= 8, "{replay:?}");

    // And what of it is wide, or grew.
    let lint = broker.run(&["policy", "lint", "--placeholder", &issued.id, "--deny", "--json"]);
    assert_eq!(lint.status.code(), Some(3), "{lint:?}");
    assert!(lint.stdout.contains("\"no-rate\"") && !lint.stdout.contains("unused-permit"), "{lint:?}");
    let drift = broker.cli_json(&["drift", "--last", "2"]);
    let now = drift["periods"].as_array().unwrap().last().unwrap();
    for (key, value) in [("placeholders", 1), ("tuples", 4), ("destinations", 1), ("writes", 2), ("calls", 4)]
    {
        assert_eq!(now[key], value, "{key}: {drift}");
    }
    broker.cli(&["placeholder", "revoke", &issued.id]);
    let drift = broker.cli_json(&["drift", "--by", "month", "--last", "1"]);
    assert_eq!(drift["periods"][0]["tuples"], 0, "{drift}");
}

#[test]
fn in_a_lesson_nothing_passes_and_after_it_everything_is_as_before() {
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, echo);
    let broker = &setup.broker;
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk-"));
    let issued = broker.permit("c", "robot", &items(&upstream), &[]);
    let other = broker.workload("other");
    let theirs = broker.permit("c", "other", &items(&upstream), &[]);
    let status = |way, text: &str, by| broker.call(way, Some(by), &item(&upstream, "1", text)).status;
    let ways = [Way::Absolute, Way::Connect, Way::BaseUrl];
    for way in ways {
        assert_eq!(status(way, &issued.text, &setup.robot), 200);
    }
    let lesson = Lesson::begin(&setup);
    for way in ways {
        let answer = broker.call(way, Some(&setup.robot), &item(&upstream, "1", &issued.text));
        assert_eq!(answer.code().as_deref(), Some("call-not-permitted"));
        assert_eq!(status(way, &theirs.text, &other), 200, "others are in no lesson");
    }
    // A stolen placeholder is told of in a lesson too.
    let stolen = broker.call(Way::Absolute, Some(&setup.robot), &item(&upstream, "1", &theirs.text));
    assert_eq!(stolen.code().as_deref(), Some("wrong-workload"));
    // Not twice at the same time; and anybody who operates the broker can end it.
    let twice = broker.run(&["learn", "--workload", "robot"]);
    assert!(twice.status.code() == Some(1) && twice.stderr.contains("in a lesson already"), "{twice:?}");
    let proposal = lesson.end(&setup);
    assert!(
        proposal.contains("call = [\"GET /v1/items/{id}\"]") && !proposal.contains("guess"),
        "{proposal}"
    );
    for way in ways {
        assert_eq!(status(way, &issued.text, &setup.robot), 200);
    }
    let none = broker.run(&["learn", "--workload", "robot", "--end"]);
    assert!(none.status.code() == Some(1) && none.stderr.contains("in no lesson"), "{none:?}");
    let acts = broker.cli(&["journal", "show"]).stdout;
    assert!(acts.contains("lesson begun robot") && acts.contains("lesson ended robot"), "{acts}");
}
