//! Passkeys: enrolled by a link and used in real Chromium, and every step of it that is wrong, at the console and in rows that
//! were written past it.

use crate::approvals::{signed_with, ssh_key};
use crate::clients::{installed, script};
use crate::support::{Furnished, items, outcome, policy};
use cloakroom_testkit::{Broker, Issued, Request, TestAuthority, TlsUpstream, Way, Workload};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Chromium with a virtual authenticator.
struct Browser {
    child: Child,
    says: BufReader<ChildStdout>,
    told: ChildStdin,
}

impl Browser {
    fn start() -> Option<Self> {
        let clients = installed()?;
        // Node looks for packages beside the program.
        let program = clients.join("node/approve_with_passkeys.mjs");
        std::fs::copy(script("approve_with_passkeys.mjs"), &program).unwrap();
        let mut child =
            Command::new("node").arg(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (says, told) = (BufReader::new(child.stdout.take().unwrap()), child.stdin.take().unwrap());
        Some(Self { child, says, told })
    }

    fn ask(&mut self, command: &str) -> Value {
        writeln!(self.told, "{command}").unwrap();
        let mut line = String::new();
        assert_ne!(self.says.read_line(&mut line).unwrap(), 0, "the browser is gone at {command}");
        let said: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(said["ok"], true, "{command}: {said}");
        said
    }

    fn outcome(&mut self, command: &str) -> String {
        let said = self.ask(command);
        said["outcome"].as_str().unwrap_or_else(|| panic!("{command}: {said}")).to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A broker with its first approver, and `ann`, who has a passkey.
struct House {
    broker: Broker,
    browser: Browser,
    upstream: TlsUpstream,
    robot: Workload,
    desk: tempfile::TempDir,
    _authority: TestAuthority,
}

impl House {
    fn new(settings: &str) -> Option<Self> {
        let browser = Browser::start()?;
        let desk = tempfile::tempdir().unwrap();
        let Furnished { broker, upstream, robot, authority } = Furnished::with(settings);
        let mut house = Self { broker, browser, upstream, robot, desk, _authority: authority };
        house.enrol_ann();
        Some(house)
    }

    fn enrol_ann(&mut self) {
        let link = self.broker.cli_json(&["approver", "enrol", "ann", "--passkey"]);
        let link = link["url"].as_str().unwrap();
        assert_eq!(self.browser.outcome(&format!("enrol {link}")), "pending");
        assert_eq!(self.browser.outcome(&format!("enrol {link}")), "no-button", "good once");
        let waiting = self.broker.cli_json(&["approval", "list"]);
        let asked = waiting.as_array().unwrap().iter().find(|one| one["kind"] == "approver").unwrap();
        let id = asked["id"].as_str().unwrap();
        let text = self.broker.cli(&["approval", "text", id]).stdout;
        assert!(text.contains("passkey (ES256), good at http://localhost:"), "{text}");
        // Nobody signed yet, so nobody has a passkey.
        assert_eq!(self.browser.outcome(&format!("grant {}", self.page(id))), "no-button");
        assert_eq!(self.broker.cli_json(&["approver", "list"]).as_array().unwrap().len(), 1);
        assert_eq!(self.broker.cli_json(&["approval", "grant", id])["state"], "granted");
        assert_eq!(self.broker.cli_json(&["approver", "list"])[1]["kind"], "passkey");
    }

    /// The page of an approval, at the one origin where passkeys are good.
    fn page(&self, approval: &str) -> String {
        let port = self.broker.console().rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
        format!("http://localhost:{port}/approve/{approval}")
    }

    fn issue(&self, more: &[&str]) -> Issued {
        self.broker.issue("c", "robot", &items(&self.upstream), more)
    }

    fn call(&self, issued: &Issued) -> String {
        outcome(&self.broker, &self.robot, &self.upstream, issued)
    }

    fn press(&mut self, act: &str, issued: &Issued) -> Value {
        let page = self.page(&issued.approval);
        self.browser.ask(&format!("{act} {page}"))
    }

    /// What the browser would hand in, handed out.
    fn said(&mut self, how: &str, issued: &Issued) -> Value {
        let mut said = self.press(how, issued);
        said.as_object_mut().unwrap().remove("ok");
        said
    }

    /// Hands in what a browser said, or somebody else.
    fn hand_in(&self, issued: &Issued, act: &str, said: &Value) -> (u16, String) {
        let page = self.page(&issued.approval);
        let authority = page.split('/').nth(2).unwrap().to_owned();
        let mut stream = TcpStream::connect(authority.replace("localhost", "127.0.0.1")).unwrap();
        let (path, body) = (format!("/approve/{}/{act}", issued.approval), said.to_string());
        let length = body.len();
        write!(stream, "POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let told: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        let word = told["code"].as_str().or(told["state"].as_str()).unwrap().to_owned();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), word)
    }

    /// Ann's key, as a row names it.
    fn key(&self) -> String {
        self.broker.cli_json(&["approver", "list"])[1]["key"].as_str().unwrap().to_owned()
    }

    /// Writes this past the console: the broker has stopped.
    fn write_row(&self, issued: &Issued, signatures: &Value) {
        let statement =
            "UPDATE approval SET signature = ?2, gathered = NULL, decided = 1 WHERE placeholder = ?1";
        assert_eq!(self.broker.tamper(statement, [&issued.id, &signatures.to_string()]), 1);
        let statement = "UPDATE placeholder SET state = 'active' WHERE id = ?1";
        assert_eq!(self.broker.tamper(statement, [&issued.id]), 1);
    }
}

/// A row's signatures: one, accepted at this time.
fn row(key: &str, at: u64, said: &Value) -> Value {
    let part = |name: &str| said[name].as_str().unwrap();
    let signature =
        format!("{at}.{}.{}.{}", part("authenticator_data"), part("client_data"), part("signature"));
    json!([{ "key": key, "signature": signature }])
}

#[test]
fn a_passkey_grants_what_its_page_shows_and_the_call_passes() {
    let Some(mut house) = House::new("") else { return };
    let issued = house.issue(&[]);
    let shown = house.press("text", &issued);
    let told = house.broker.cli_json(&["approval", "show", &issued.approval]);
    assert_eq!(
        (&shown["text"], &shown["digest"]),
        (&told["text"], &told["digest"]),
        "the same on both screens"
    );
    assert_eq!(told["page"], house.page(&issued.approval).as_str());
    assert_eq!(house.call(&issued), "placeholder-pending");
    let granted = house.press("grant", &issued);
    assert_eq!(granted["outcome"], "granted", "{granted}");
    assert_eq!(house.call(&issued), "200");
    assert_eq!(house.press("grant", &issued)["outcome"], "no-button", "once");
    // The next console has another port: what was signed at the last one counts still.
    house.broker.restart();
    assert_eq!(house.call(&issued), "200");
    let record = house.broker.cli(&["journal", "show"]).stdout;
    assert!(record.contains("passkey invited") && record.contains("approver enrolled"), "{record}");
    assert!(
        record.lines().any(|line| line.contains("approval granted") && line.contains("console")),
        "{record}"
    );
    assert_eq!(house.upstream.requests().len(), 2);
}

#[test]
fn a_passkey_says_no_and_lets_one_parked_call_go() {
    let Some(mut house) = House::new("") else { return };
    let (refused, kept) = (house.issue(&[]), house.issue(&[]));
    let yes = house.said("raw", &refused);
    assert_eq!(house.hand_in(&refused, "deny", &yes), (403, "signature-not-valid".into()), "a yes is no no");
    let no = house.said("no", &kept);
    assert_eq!(house.hand_in(&kept, "grant", &no), (403, "signature-not-valid".into()), "a no is no yes");
    assert_eq!(house.hand_in(&refused, "deny", &no), (403, "signature-not-valid".into()), "another's no");
    assert_eq!(house.press("deny", &refused)["outcome"], "denied");
    let state =
        |issued: &Issued| house.broker.cli_json(&["placeholder", "show", &issued.id])["state"].clone();
    assert_eq!((state(&refused), state(&kept)), ("denied".into(), "pending".into()));
    assert_ne!(house.call(&refused), "200");
    let each = policy(
        &house.upstream.url(),
        "POST /v1/mails",
        "header authorization bearer",
        "approve = \"each-call\"",
    );
    let issued = house.broker.permit("c", "robot", &each, &[]);
    let mut request = Request::new("POST", &house.upstream.authority(), "/v1/mails")
        .with("authorization", &format!("Bearer {}", issued.text))
        .with("content-type", "application/json");
    request.body = b"{\"to\":\"<b>ann</b>\"}".to_vec();
    let waits = house.broker.call(Way::Absolute, Some(&house.robot), &request);
    assert_eq!(waits.code().as_deref(), Some("approval-required"));
    let listed = house.broker.cli_json(&["approval", "list"]);
    let parked = listed.as_array().unwrap().iter().find(|one| one["kind"] == "call").unwrap().clone();
    let page = house.page(parked["id"].as_str().unwrap());
    let text = house.browser.ask(&format!("text {page}"))["text"].as_str().unwrap().to_owned();
    assert!(text.contains("<b>ann</b>"), "shown as it is, as text: {text}");
    assert_eq!(house.browser.outcome(&format!("grant {page}")), "granted");
    assert_eq!(house.broker.call(Way::Absolute, Some(&house.robot), &request).status, 200);
    let again = house.broker.call(Way::Absolute, Some(&house.robot), &request);
    assert_eq!(again.code().as_deref(), Some("approval-required"));
    assert_eq!(house.upstream.requests().len(), 1);
}

#[test]
fn t78_an_approval_by_passkey_that_is_one_step_wrong_is_none_at_the_console_and_none_in_a_row() {
    let Some(mut house) = House::new("") else { return };
    let [good, other, replayed, cut, unverified] = [0; 5].map(|_| house.issue(&[]));
    let key = house.key();
    let of_good = house.said("raw", &good);
    let of_other = house.said("raw", &other);
    let mut truncated = house.said("raw", &cut);
    let short = truncated["authenticator_data"].as_str().unwrap();
    truncated["authenticator_data"] = short[..short.len() - 4].into();
    let touched = house.said("unverified", &unverified);
    for (issued, said) in [(&replayed, &of_good), (&cut, &truncated), (&unverified, &touched)] {
        assert_eq!(house.hand_in(issued, "grant", said), (403, "signature-not-valid".into()));
    }
    let mut stranger = of_good.clone();
    stranger["passkey"] = "c3RyYW5nZXI".into();
    assert_eq!(house.hand_in(&good, "grant", &stranger), (403, "signature-not-valid".into()));
    // The authenticator does not know the person: the browser hands nothing in.
    house.browser.ask("verify false");
    assert_eq!(house.press("grant", &good)["outcome"], "failed");
    house.browser.ask("verify true");
    house.broker.stop();
    house.write_row(&good, &row(&key, 1, &of_good));
    house.write_row(&replayed, &row(&key, 1, &of_good));
    house.write_row(&cut, &row(&key, 3, &truncated));
    house.write_row(&unverified, &row(&key, 4, &touched));
    // As if another key had signed, and as if the command line's had.
    let first = std::fs::read_to_string(house.broker.data().join("approver.pub")).unwrap();
    let first = first.split(' ').next().unwrap();
    house.write_row(&other, &row(first, 2, &of_other));
    house.broker.launch();
    for issued in [&replayed, &cut, &unverified, &other] {
        assert_eq!(house.call(issued), "placeholder-revoked");
    }
    assert_eq!(house.upstream.requests().len(), 0);
    // What ann did sign counts, whoever wrote it down.
    assert_eq!(house.call(&good), "200");
}

#[test]
fn t78_a_passkeys_counter_that_goes_back_is_refused_at_the_console_and_in_a_row() {
    let Some(mut house) = House::new("") else { return };
    let [first, second, third] = [0; 3].map(|_| house.issue(&[]));
    let key = house.key();
    house.browser.ask("count 40");
    assert_eq!(house.press("grant", &first)["outcome"], "granted");
    // The copy has signed less often.
    let told = house.browser.ask("count 20");
    assert_eq!(told["before"][0], 41, "{told}");
    let refused = house.press("grant", &second);
    assert!(refused["said"].as_str().unwrap().contains("counter went back"), "{refused}");
    let copied = house.said("raw", &third);
    house.broker.stop();
    house.write_row(&third, &row(&key, 4_000_000_000_000, &copied));
    house.broker.launch();
    assert_eq!(house.call(&first), "200");
    assert_eq!(house.call(&second), "placeholder-pending");
    assert_eq!(house.call(&third), "placeholder-revoked");
    let record = house.broker.cli(&["journal", "show"]).stdout;
    assert!(record.contains("approval-forged"), "{record}");
}

#[test]
fn t76_what_a_passkey_signed_is_the_text_as_it_was_shown() {
    let Some(mut house) = House::new("") else { return };
    let issued = house.issue(&[]);
    let said = house.said("raw", &issued);
    // Between the screen and the button the row becomes another.
    let statement = "UPDATE placeholder SET policy = replace(policy, '/v1/items', '/v1/itemt') WHERE id = ?1";
    assert_eq!(house.broker.tamper_running(statement, [&issued.id]), 1);
    assert_eq!(house.hand_in(&issued, "grant", &said), (403, "signature-not-valid".into()));
    assert_eq!(
        house
            .broker
            .tamper_running(&statement.replace("items', '/v1/itemt", "itemt', '/v1/items"), [&issued.id]),
        1
    );
    assert_eq!(house.hand_in(&issued, "grant", &said), (200, "granted".into()));
    assert_eq!(house.call(&issued), "200");
    assert_eq!(house.hand_in(&issued, "grant", &said).0, 409, "a second time");
}

#[test]
fn t78_of_two_approvers_neither_is_who_asked_one_has_a_passkey_and_one_an_ssh_key() {
    let settings = "[approval]\nquorum = 2\nnot-requester = true\n";
    let Some(mut house) = House::new(settings) else { return };
    let bob = ssh_key(house.desk.path(), "bob");
    // Two approvers, and two have to sign: ann does so in her browser.
    let public = bob.with_extension("pub");
    let asked =
        house.broker.cli_json(&["approver", "enrol", "bob", "--public-key", public.to_str().unwrap()]);
    let id = asked["id"].as_str().unwrap().to_owned();
    assert_eq!(house.broker.cli_json(&["approval", "grant", &id])["state"], "pending");
    let page = house.page(&id);
    assert_eq!(house.browser.outcome(&format!("grant {page}")), "granted");
    let issued = house.issue(&["--requester", "first"]);
    assert!(!house.broker.run(&["approval", "grant", &issued.approval]).status.success(), "who asked");
    let half = house.press("grant", &issued);
    assert_eq!((&half["outcome"], house.call(&issued).as_str()), (&"pending".into(), "placeholder-pending"));
    let text = house.broker.cli(&["approval", "text", &issued.approval]).stdout;
    let signature = signed_with(house.desk.path(), &text, "cloakroom", &bob);
    house.broker.cli(&["approval", "grant", &issued.approval, "--ssh-signature", &signature]);
    assert_eq!(house.call(&issued), "200");
    // One byte of the row.
    house.broker.stop();
    let statement = "UPDATE placeholder SET policy = replace(policy, '/v1/items', '/v1/itemt') WHERE id = ?1";
    assert_eq!(house.broker.tamper(statement, [&issued.id]), 1);
    house.broker.launch();
    assert_eq!(house.call(&issued), "placeholder-revoked");
}

#[test]
fn t81_the_approvers_page_runs_its_own_script_alone() {
    let Some(mut house) = House::new("") else { return };
    let hostile = "</pre><img src=x onerror=window.ran=1><script>window.ran=1</script>";
    let named = items(&house.upstream).replace("the permit", hostile);
    let issued = house.broker.issue("c", "robot", &named, &[]);
    assert!(house.press("text", &issued)["text"].as_str().unwrap().contains(hostile), "text, to the letter");
    let probed = house.press("probe", &issued);
    let policy = probed["headers"]["content-security-policy"].as_str().unwrap();
    assert!(
        policy.contains("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!((&probed["ran"], &probed["headers"]["cache-control"]), (&"not".into(), &"no-store".into()));
    let refused = probed["refused"].to_string();
    assert!(
        refused.contains("Content Security Policy") && refused.contains("http://127.0.0.1:9/x"),
        "{refused}"
    );
    // Nobody can enrol without a link, and a name that is not the console's gets no page.
    let strange = house.page(&issued.approval).replace("localhost", "127.0.0.1");
    let told = house.browser.ask(&format!("grant {strange}"));
    assert_eq!(told["outcome"], "no-button", "{told}");
    assert!(told["said"].as_str().unwrap().contains("open this page at http://localhost:"), "{told}");
    let nowhere = house.page(&issued.id);
    assert_eq!(house.browser.outcome(&format!("grant {nowhere}")), "no-button", "by the placeholder's id");
    let link = nowhere.replace("/approve/", "/enrol/");
    assert_eq!(house.browser.outcome(&format!("enrol {link}")), "no-button");
}
