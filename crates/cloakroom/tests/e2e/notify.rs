//! Word of what waits for a human: by letter through a real mail server, by signed webhook, to Slack's like and to ntfy; bounded, tried
//! again, and with nothing in it that a workload wrote.

use crate::clients::{installed, script};
use crate::support::{BINARY, eventually, policy, propose};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_testkit::{
    Broker, BrokerBuilder, Received, Reply, Request, TestAuthority, TlsUpstream, Way, Workload, echo, hunt,
    shaped,
};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const SECRET: [u8; 32] = [9; 32];
const HOSTILE: &str = "</script><img src=x onerror=alert(1)>\u{202e}";

/// aiosmtpd, and the letters that it took.
struct MailServer {
    child: Child,
    port: u64,
    letters: Arc<Mutex<Vec<Value>>>,
}

impl MailServer {
    fn start(authority: &TestAuthority, security: &str, user: &str) -> Option<Self> {
        let python = installed()?.join("venv/bin/python");
        let files = authority.leaf_files("mail", &["127.0.0.1"]);
        let mut child = Command::new(python)
            .arg(script("mail_server.py"))
            .args(&files)
            .args([security, user, &shaped("mail-")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let letters = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&letters);
        drop(std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| taken.lock().unwrap().push(serde_json::from_str(&line).unwrap()));
        }));
        Some(Self { child, port: ready["port"].as_u64().unwrap(), letters })
    }

    fn letters(&self) -> Vec<Value> {
        self.letters.lock().unwrap().clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of its owner's alone.
fn private(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

struct Stage {
    broker: Broker,
    robot: Workload,
    upstream: TlsUpstream,
    _authority: TestAuthority,
}

impl Stage {
    fn new(authority: TestAuthority, every: &str, notify: &str) -> Self {
        let config = authority.directory().join("notify.toml");
        std::fs::write(&config, format!("[notify]\nevery = \"{every}\"\n{notify}")).unwrap();
        let broker = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(config).start();
        let upstream = TlsUpstream::start(&authority, echo);
        broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
        let robot = broker.workload("robot");
        Self { broker, robot, upstream, _authority: authority }
    }

    /// Something waits: a policy with a hostile name.
    fn issue(&self) -> String {
        let named = policy(&self.upstream.url(), "GET /v1/items/{id}", "header authorization bearer", "");
        self.broker.issue("c", "robot", &named.replace("the permit", HOSTILE), &[]).approval
    }

    /// A call of a workload waits, with hostile text in it.
    fn park(&self) -> String {
        let each = policy(
            &self.upstream.url(),
            "POST /v1/mails",
            "header authorization bearer",
            "approve = \"each-call\"",
        );
        let issued = self.broker.permit("c", "robot", &each, &[]);
        let mut request = Request::new("POST", &self.upstream.authority(), "/v1/mails")
            .with("authorization", &format!("Bearer {}", issued.text))
            .with("content-type", "application/json");
        request.body = json!({ "to": HOSTILE }).to_string().into_bytes();
        let waits = self.broker.call(Way::Absolute, Some(&self.robot), &request);
        assert_eq!(waits.code().as_deref(), Some("approval-required"));
        let listed = self.broker.cli_json(&["approval", "list"]);
        listed.as_array().unwrap().iter().find(|one| one["kind"] == "call").unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// A workload asks for more, in hostile words.
    fn propose(&self) -> String {
        let named = policy(&self.upstream.url(), "GET /v1/more", "header authorization bearer", "");
        propose(&self.broker, &self.robot, &named.replace("the permit", HOSTILE), HOSTILE)
    }

    /// Where the console shows an item.
    fn link(&self, id: &str) -> String {
        let port = self.broker.console().rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
        format!("http://localhost:{port}/inbox/{id}")
    }
}

fn email(server: &MailServer, user: &str, password: &Path, more: &str) -> String {
    format!(
        "[notify.email]\nserver = \"127.0.0.1:{}\"\nuser = \"{user}\"\npassword-file = \"{}\"\nfrom = \"cloakroom@example.com\"\nto = [\"ann@example.com\", \"bob@example.com\"]\nallow-address = [\"127.0.0.0/8\"]\n{more}\n",
        server.port,
        password.display()
    )
}

#[test]
fn a_letter_links_the_very_thing_that_waits_over_tls_from_the_first_byte_or_after_starttls() {
    for (security, more) in [("implicit", ""), ("starttls", "starttls = true")] {
        let authority = TestAuthority::new();
        // Busy at first: it is tried again.
        let Some(server) = MailServer::start(&authority, security, "busy") else { return };
        let password = private(authority.directory(), "password", &shaped("mail-"));
        let stage = Stage::new(authority, "1s", &email(&server, "busy", &password, more));
        let approval = stage.issue();
        let letter = eventually("a letter", || server.letters().first().cloned());
        assert_eq!((&letter["tls"], &letter["user"]), (&true.into(), &"busy".into()), "{letter}");
        assert_eq!(letter["to"], json!(["ann@example.com", "bob@example.com"]));
        let text = letter["text"].as_str().unwrap();
        assert!(text.contains("Subject: [cloakroom] a policy waits: robot with c\r\n"), "{text}");
        assert!(text.contains(&stage.link(&approval)), "{text}");
        assert!(!text.contains("onerror") && text.is_ascii() && hunt(text.as_bytes()).is_empty(), "{text}");
    }
}

#[test]
fn a_mail_server_that_is_not_who_it_says_or_knows_no_such_password_gets_no_letter_and_holds_nobody_up() {
    let authority = TestAuthority::new();
    let Some(server) = MailServer::start(&authority, "implicit", "user") else { return };
    let wrong = private(authority.directory(), "password", "not the password");
    let stage = Stage::new(authority, "1s", &email(&server, "user", &wrong, ""));
    stage.issue();
    eventually("it is said", || {
        stage.broker.output().contains("does not accept the user name and password").then_some(())
    });
    // Another authority's certificate, where this broker does not trust it.
    let (own, strange) = (TestAuthority::new(), TestAuthority::new());
    let Some(server) = MailServer::start(&strange, "implicit", "user") else { return };
    let password = private(own.directory(), "password", &shaped("mail-"));
    let stage = Stage::new(own, "1s", &email(&server, "user", &password, ""));
    stage.issue();
    eventually("it is said", || {
        stage.broker.output().contains("the destination's certificate does not verify").then_some(())
    });
    assert!(server.letters().is_empty());
    // The broker goes on.
    stage.park();
}

/// What a receiver got, in order.
fn bodies(receiver: &TlsUpstream) -> Vec<(Received, Value)> {
    let read = |request: Received| {
        assert!(hunt(&request.body).is_empty(), "the canary in a message");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert!(!body.to_string().contains("onerror"), "{body}");
        (request, body)
    };
    receiver.requests().into_iter().map(read).collect()
}

#[test]
fn a_webhook_slack_and_ntfy_are_told_once_of_each_thing_and_of_many_at_once() {
    let authority = TestAuthority::new();
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let flaky = move |_: &Received| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status("503 Service Unavailable"),
        _ => Reply::status("204 No Content"),
    };
    let receiver = TlsUpstream::start(&authority, flaky);
    let slack = TlsUpstream::start(&authority, |_| Reply::ok("text/plain", "ok".to_owned()));
    let ntfy = TlsUpstream::start(&authority, |_| Reply::ok("application/json", "{}".to_owned()));
    let files = tempfile::tempdir().unwrap();
    let secret = private(files.path(), "secret", &format!("whsec_{}", STANDARD.encode(SECRET)));
    let url = private(files.path(), "slack", &format!("{}/services/T0/B0/x", slack.url()));
    let token = private(files.path(), "token", &shaped("tk_"));
    let stage = Stage::new(
        authority,
        "4s",
        &format!(
            "[notify.webhook]\nurl = \"{}/hook\"\nsecret-file = \"{}\"\nallow-address = [\"127.0.0.0/8\"]\n\
             [notify.slack]\nurl-file = \"{}\"\nallow-address = [\"127.0.0.0/8\"]\n\
             [notify.ntfy]\nurl = \"{}/alerts\"\ntoken-file = \"{}\"\nallow-address = [\"127.0.0.0/8\"]\n",
            receiver.url(),
            secret.display(),
            url.display(),
            ntfy.url(),
            token.display()
        ),
    );
    let call = stage.park();
    let link = stage.link(&call);
    let names = |body: &Value| {
        body["data"]["items"]
            .as_array()
            .is_some_and(|items| items.iter().any(|one| one["link"] == link.as_str()))
    };
    let (request, body) =
        eventually("the webhook is told", || bodies(&receiver).into_iter().find(|(_, body)| names(body)));
    assert_eq!(body["type"], "cloakroom.waiting");
    let ids: Vec<String> =
        receiver.requests().iter().map(|one| one.header("webhook-id").unwrap().to_owned()).collect();
    eventually("a second try", || (receiver.requests().len() > 1).then_some(()));
    assert_eq!(receiver.requests()[1].header("webhook-id"), Some(ids[0].as_str()), "the same again");
    let field = |name: &str| request.header(name).unwrap();
    let sent = std::str::from_utf8(&request.body).unwrap();
    let signed = format!("{}.{}.{sent}", field("webhook-id"), field("webhook-timestamp"));
    let signature = STANDARD.decode(field("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), signed.as_bytes(), &signature).unwrap();
    let words = format!("<{link}|a call waits: robot with c>");
    eventually("slack is told", || {
        bodies(&slack).into_iter().find(|(_, body)| body["text"] == words.as_str())
    });
    let (request, told) = eventually("ntfy is told", || {
        bodies(&ntfy).into_iter().find(|(_, body)| body["click"] == link.as_str())
    });
    assert_eq!((&told["topic"], &*request.target), (&"alerts".into(), "/"));
    assert_eq!(request.header("authorization"), Some(&*format!("Bearer {}", shaped("tk_"))));

    // What a workload asks for is told of without its words.
    let link = stage.link(&stage.propose());
    let text = eventually("slack is told of it", || {
        let told = bodies(&slack).into_iter().map(|(_, body)| body["text"].as_str().unwrap().to_owned());
        told.into_iter().find(|text| text.contains(&link))
    });
    assert!(text.contains("a workload asks for more: robot"), "{text}");
    eventually("the webhook is told of it", || {
        bodies(&receiver).into_iter().find(|(_, body)| body.to_string().contains(&link))
    });

    // A dozen more: each is told of once, and several in one message.
    let before = receiver.requests().len();
    let issued: Vec<String> = (0..12).map(|_| stage.issue()).collect();
    let told = || {
        let later: Vec<Value> = bodies(&receiver).into_iter().skip(before).map(|(_, body)| body).collect();
        let count = |body: &Value| {
            body["data"]["items"].as_array().map_or(0, Vec::len) as u64
                + body["data"]["more"].as_u64().unwrap()
        };
        (later.iter().map(count).sum::<u64>(), later.len())
    };
    eventually("all are told of", || (told().0 == issued.len() as u64).then_some(()));
    assert!(told().1 < issued.len(), "several in one message");
}

#[test]
fn settings_that_tell_nobody_or_have_a_secret_that_others_can_read_stop_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let start = |notify: &str| {
        let config = directory.path().join("settings.toml");
        std::fs::write(&config, notify).unwrap();
        let output = Command::new(BINARY)
            .args(["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--data"])
            .arg(directory.path().join("data"))
            .arg("--config")
            .arg(config)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(start("[notify]\n").contains("[notify] names nobody to tell"));
    let open = directory.path().join("open");
    std::fs::write(&open, "https://hooks.slack.com/services/T0/B0/x").unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = start(&format!("[notify.slack]\nurl-file = \"{}\"\n", open.display()));
    assert!(told.contains("can be read by others") && !told.contains("/services/"), "{told}");
    assert!(start("[notify.ntfy]\nurl = \"https://ntfy.sh/\"\n").contains("names no topic"));
    assert!(
        start("[notify.email]\nserver = \"m.example\"\nfrom = \"a@b\"\nto = [\"a@b\\r\\nRCPT TO:<c@d>\"]\n")
            .contains("not addresses")
    );
}
