//! What people see: whatever a workload or a policy file says, it is visible on the terminal and does nothing there.

use crate::support::BINARY;
use cloakroom_testkit::{Broker, BrokerBuilder, Request, TestAuthority, TlsUpstream, Way, echo, shaped};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Escapes that move a cursor or name a window, overrides of direction, what is not seen, letters that pass for others, HTML.
const HOSTILE: &str = "a\u{202e}b\u{2066}c\u{200b}d\u{feff}p\u{430}ypal <script>alert(1)</script> \\u{1b} &amp; \u{1f600}\u{0301}";
const CONTROL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\napproval granted\u{9b}31m\u{85}\u{0}";

/// The page of an approval as a browser reads it: what stands between its tags.
fn page(broker: &Broker, approval: &str) -> String {
    let mut stream = TcpStream::connect(broker.console()).unwrap();
    let head = format!("GET /approve/{approval} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    assert!(!page.contains("<script>"), "{page}");
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
        .into_iter()
        .fold(page, |page, (written, read)| page.replace(written, read))
}

/// A text with no control characters, for where policy files take none.
fn quoted_toml(text: &str) -> String {
    let escaped: String = text.chars().map(|c| format!("\\U{:08X}", u32::from(c))).collect();
    format!("\"{escaped}\"")
}

#[test]
fn t75_t77_hostile_text_is_visible_and_harmless_on_every_terminal() {
    let authority = TestAuthority::new();
    let broker = BrokerBuilder::new(BINARY, &authority).start();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let robot = broker.workload("robot");
    let long = "x".repeat(900);
    let policy = format!(
        "version = 1\n[[permit]]\nname = {}\nto = \"{}\"\ncall = [\"POST /v1/mails\", {}]\nplace = \"header authorization bearer\"\nquery = {{ fields = {{ {} = {{ in = [{}, {}] }} }} }}\napprove = \"writes\"\n",
        quoted_toml(HOSTILE),
        upstream.url(),
        quoted_toml("GET /p\u{430}y\u{202e}\u{200b}/{rest...}"),
        quoted_toml(HOSTILE),
        quoted_toml(&format!("{HOSTILE}{CONTROL}").replace(['\u{0}'], "")),
        quoted_toml(&long),
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &policy).unwrap();
    let issued = broker.issue("c", "robot", &policy, &[]);
    let mut shown: Vec<(String, String)> = Vec::new();
    let mut see = |arguments: &[&str]| {
        let answer = broker.run(arguments);
        let text = answer.stdout.clone() + &answer.stderr;
        shown.push((arguments.join(" "), text.clone()));
        text
    };
    see(&["policy", "check", &file.path().display().to_string()]);
    see(&["approval", "list"]);
    let text = see(&["approval", "show", &issued.approval]);
    for needle in [
        "\\u{202e}",
        "\\u{200b}",
        "! the name ",
        "looks like",
        "has characters that are not seen",
        "mixes letters of Latin and Cyrillic",
        "every path below /p\\u{430}y\\u{202e}\\u{200b}/, of one segment or more",
        "phrase: ",
    ] {
        assert!(text.contains(needle), "{needle:?} is not in\n{text}");
    }
    let on_console = page(&broker, &issued.approval);
    let document = broker.cli_json(&["approval", "show", &issued.approval]);
    let lines =
        document["remarks"].as_array().unwrap().iter().chain([&document["text"], &document["phrase"]]);
    lines.for_each(|words| {
        assert!(on_console.contains(words.as_str().unwrap()), "{words} is not in\n{on_console}")
    });
    see(&["approval", "grant", &issued.approval]);
    see(&["placeholder", "show", &issued.id]);
    let body =
        serde_json::json!({ HOSTILE: format!("{HOSTILE}{CONTROL}{long}").replace('\u{0}', "") }).to_string();
    let request = Request::new("POST", &upstream.authority(), "/v1/mails")
        .with("authorization", &format!("Bearer {}", issued.text))
        .with("x-note", "approval granted \u{1b}[2J".replace('\u{1b}', "%1b").as_str())
        .with_body("application/json", body);
    let answer = broker.call(Way::Absolute, Some(&robot), &request);
    let document: Value = serde_json::from_str(&answer.text()).unwrap();
    let id = document["approval"].as_str().unwrap().to_owned();
    see(&["approval", "list"]);
    let call = see(&["approval", "show", &id]);
    assert!(call.lines().all(|line| line.len() < 260), "{call}");
    assert_eq!(
        call.lines().filter(|line| line.contains("approval granted") && !line.contains('"')).count(),
        0,
        "{call}"
    );
    let on_console = page(&broker, &id);
    assert!(
        on_console.contains(broker.cli_json(&["approval", "show", &id])["text"].as_str().unwrap()),
        "{on_console}"
    );
    see(&["approval", "grant", &id]);
    let wanted =
        serde_json::json!({ "policy": policy, "reason": format!("{HOSTILE}{CONTROL}").replace('\u{0}', "") })
            .to_string();
    let mut wire = broker.wire();
    let head = format!(
        "POST /.cloakroom/requests HTTP/1.1\r\nhost: b\r\ncloakroom-workload: {}\r\ncontent-length: {}\r\n\r\n{wanted}",
        robot.key,
        wanted.len()
    );
    wire.send(head.as_bytes());
    let asked = wire.receive("POST").unwrap();
    assert_eq!(asked.status, 202, "{}", asked.text());
    let proposal =
        serde_json::from_str::<Value>(&asked.text()).unwrap()["proposal"].as_str().unwrap().to_owned();
    see(&["proposal", "list"]);
    let reason = see(&["proposal", "show", &proposal]);
    assert!(reason.contains("\\u{1b}[2J") && reason.contains("its reason"), "{reason}");
    see(&["proposal", "accept", &proposal]);
    see(&["journal", "show"]);
    let request_id = answer.header("cloakroom-request").unwrap().to_owned();
    see(&["explain", &request_id]);
    for (command, text) in &shown {
        let odd = text.chars().find(|c| !matches!(c, '\n' | ' '..='~'));
        // The command line speaks English with an ellipsis; nothing of the workload's is let through with it.
        assert!(odd.is_none_or(|c| c == '\u{2026}'), "cloakroom {command} prints {odd:?}:\n{text}");
    }
}

#[test]
fn t75_two_screens_of_one_approval_show_one_phrase_and_others_another() {
    let authority = TestAuthority::new();
    let broker = BrokerBuilder::new(BINARY, &authority).start();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    drop(broker.workload("robot"));
    let one = broker.issue("c", "robot", &crate::support::items(&upstream), &[]);
    let two = broker.issue("c", "robot", &crate::support::items(&upstream), &[]);
    let json = |id: &str| broker.cli_json(&["approval", "show", id]);
    let phrase = json(&one.approval)["phrase"].as_str().unwrap().to_owned();
    assert_eq!(phrase, cloakroom_policy::phrase(json(&one.approval)["text"].as_str().unwrap()));
    assert_ne!(json(&two.approval)["phrase"], *phrase);
    let shown = broker.cli(&["approval", "show", &one.approval]);
    assert!(shown.stderr.contains(&format!("phrase: {phrase}\n")), "{shown:?}");
    assert_eq!(
        shown.stdout,
        broker.cli(&["approval", "text", &one.approval]).stdout,
        "the text alone, byte for byte"
    );
    let remarks = json(&one.approval)["remarks"].clone();
    assert!(
        remarks.as_array().unwrap().iter().all(|line| shown.stderr.contains(line.as_str().unwrap())),
        "{remarks}"
    );
    assert!(broker.cli(&["approval", "grant", &one.approval]).stderr.contains(&phrase));
    // A row that was edited meanwhile has another text, and so another phrase.
    let before = json(&two.approval)["phrase"].clone();
    let mut broker = broker;
    broker.stop();
    assert_eq!(broker.tamper("UPDATE placeholder SET uses = 7 WHERE id = ?1", [&two.id]), 1);
    broker.launch();
    let json = |id: &str| broker.cli_json(&["approval", "show", id]);
    assert_ne!(json(&two.approval)["phrase"], before);
    assert_eq!(json(&one.approval)["phrase"], *phrase);
}
