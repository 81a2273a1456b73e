//! Authorization servers that answer what no real one does: whatever they say, nothing of it is shown, and nothing of it is kept.

use super::Login;
use crate::support::{item, items, setup};
use cloakroom_testkit::{Coding, Received, Reply, Setup, TlsUpstream, Way, shaped};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A double of an authorization server; its token endpoint says what a test wants, by how often it was asked.
pub(super) struct Double {
    setup: Setup,
    server: TlsUpstream,
    asked: Arc<AtomicUsize>,
    device: Arc<Mutex<String>>,
}

impl Double {
    pub(super) fn new(token: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let setup = setup();
        let (asked, device) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(String::new())));
        let (count, said) = (Arc::clone(&asked), Arc::clone(&device));
        let usual = r#"{"device_code":"the device's code","user_code":"WDJB-MJHT","verification_uri":"https://as.example/device","expires_in":60,"interval":1}"#;
        usual.clone_into(&mut said.lock().unwrap());
        let server =
            TlsUpstream::start(&setup.authority, move |request: &Received| match request.target.as_str() {
                "/device" => Reply::ok("application/json", said.lock().unwrap().clone()),
                _ => token(count.fetch_add(1, Ordering::SeqCst)),
            });
        Self { setup, server, asked, device }
    }

    /// A good answer, made of the canary.
    pub(super) fn granted() -> Reply {
        Reply::ok("application/json", tokens())
    }

    pub(super) fn say_of_device(&self, said: &str) {
        said.clone_into(&mut self.device.lock().unwrap());
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(super) fn begin(&self, more: &[&str]) -> Login {
        let url = self.server.url();
        let (token, authorize, device) =
            (format!("{url}/token"), format!("{url}/authorize"), format!("{url}/device"));
        let mut arguments =
            vec!["credential", "add", "c", "--to", "https://api.example.com", "--client-id", "app"];
        arguments.extend(["--token-endpoint", &token, "--authorization-endpoint", &authorize]);
        arguments.extend(["--device-endpoint", &device]);
        arguments.extend(more);
        Login::start(&self.setup.broker, &arguments)
    }

    /// Answers a login at the console, past any browser.
    fn answer(&self, login: &Login) -> String {
        let state =
            login.url().split(['?', '&']).find_map(|pair| pair.strip_prefix("state=")).unwrap().to_owned();
        let address = self.setup.broker.console().to_owned();
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET /oauth/callback?state={state}&code={} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n", shaped("code-")).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        self.setup.broker.log().lock().unwrap().push(answer.clone().into_bytes());
        answer
    }
}

fn tokens() -> String {
    format!(
        r#"{{"access_token":"{}","token_type":"Bearer","expires_in":3600,"refresh_token":"{}"}}"#,
        shaped("at-"),
        shaped("rt-")
    )
}

/// What a token endpoint may answer instead of an access token, every one with the canary in it.
fn oddities() -> Vec<(&'static str, Reply)> {
    let secret = shaped("at-");
    let long =
        format!(r#"{{"padding":"{}","access_token":"{secret}","token_type":"Bearer"}}"#, "x".repeat(70_000));
    vec![
        (
            "a redirect",
            Reply::status("302 Found").with("location", &format!("https://evil.example/?token={secret}")),
        ),
        ("a page", Reply::ok("text/html", format!("<html><body>{secret}</body></html>"))),
        ("another success", Reply::status("201 Created").with_body(tokens())),
        (
            "a page of errors that repeats the form",
            Reply::status("400 Bad Request").with_body(format!("code={secret}")),
        ),
        (
            "an error with words",
            Reply::status("400 Bad Request")
                .with_body(format!(r#"{{"error":"{secret}","error_description":"{secret}"}}"#)),
        ),
        ("a coding nobody asked for", Reply::ok("application/json", tokens()).coded(Coding::Gzip)),
        ("too much", Reply::ok("application/json", long)),
        ("no type that can be placed", Reply::ok("application/json", tokens().replace("Bearer", "mac"))),
        (
            "a refresh token that ends lines",
            Reply::ok("application/json", tokens().replace("rt-", "rt-\\r\\n")),
        ),
        (
            "no refresh token although it ends",
            Reply::ok(
                "application/json",
                format!(r#"{{"access_token":"{secret}","token_type":"Bearer","expires_in":60}}"#),
            ),
        ),
    ]
}

#[test]
fn t105_whatever_a_token_endpoint_says_to_a_login_nothing_of_it_is_shown_or_kept() {
    let oddities = Arc::new(Mutex::new(oddities()));
    let told = Arc::clone(&oddities);
    let double = Double::new(move |_| told.lock().unwrap().pop().unwrap().1);
    let names: Vec<&str> = oddities.lock().unwrap().iter().rev().map(|(name, _)| *name).collect();
    for name in names {
        let login = double.begin(&[]);
        let page = double.answer(&login);
        assert!(page.contains("422"), "{name}: {page}");
        let code = login.failure();
        assert!(
            ["server-unavailable", "refused", "reply-not-usable"].contains(&code.as_str()),
            "{name}: {code}"
        );
        assert_eq!(double.setup.broker.cli_json(&["credential", "list"]), serde_json::json!([]), "{name}");
    }
    // The broker's end hunts the canary in everything that was shown, logged and stored.
}

#[test]
fn t105_whatever_a_token_endpoint_says_to_a_refresh_no_call_goes_out_and_nothing_of_it_is_shown() {
    for (name, reply) in oddities().into_iter().filter(|(name, _)| !name.starts_with("no refresh token")) {
        let reply = Mutex::new(Some(reply));
        let double =
            Double::new(move |_| reply.lock().unwrap().take().unwrap_or_else(|| Reply::status("500 Oh")));
        let broker = &double.setup.broker;
        let upstream = TlsUpstream::start(&double.setup.authority, cloakroom_testkit::echo);
        let (to, endpoint) = (upstream.url(), format!("{}/token", double.server.url()));
        let arguments = [
            "credential",
            "add",
            "c",
            "--to",
            &to,
            "--grant",
            "refresh-token",
            "--client-id",
            "app",
            "--token-endpoint",
            &endpoint,
        ];
        assert!(broker.run_with(&arguments, &shaped("rt0-")).status.success());
        let issued = broker.permit("c", "robot", &items(&upstream), &[]);
        let answer =
            broker.call(Way::Connect, Some(&double.setup.robot), &item(&upstream, "1", &issued.text));
        let code = answer.code().unwrap_or_else(|| panic!("{name}: {}", answer.text()));
        assert!(["credential-unavailable", "login-required"].contains(&code.as_str()), "{name}: {code}");
        assert!(upstream.requests().is_empty(), "{name}");
    }
}

#[test]
fn an_access_token_without_an_end_is_kept_as_it_is_where_no_refresh_token_comes_along() {
    let double = Double::new(|_| {
        Reply::ok(
            "application/json",
            format!(r#"{{"access_token":"{}","token_type":"bearer","scope":"repo"}}"#, shaped("gho_")),
        )
    });
    let upstream = TlsUpstream::start(&double.setup.authority, |request| {
        let fits = request.header("authorization") == Some(format!("Bearer {}", shaped("gho_")).as_str());
        if fits { Reply::ok("text/plain", "fine") } else { Reply::status("401 Unauthorized").with_body("no") }
    });
    let login = double.begin(&["--to", &upstream.url()]);
    assert!(double.answer(&login).contains("Logged in"));
    assert!(login.end().status.success());
    let issued = double.setup.broker.permit("c", "robot", &items(&upstream), &[]);
    let answer = double.setup.broker.call(
        Way::Connect,
        Some(&double.setup.robot),
        &item(&upstream, "1", &issued.text),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(double.asked(), 1, "there is nothing to exchange");
}

#[test]
fn t102_without_a_known_issuer_an_answer_has_to_come_from_where_the_person_was_sent() {
    let double = Double::new(|_| Double::granted());
    let login = double.begin(&[]);
    let state =
        login.url().split(['?', '&']).find_map(|pair| pair.strip_prefix("state=")).unwrap().to_owned();
    let address = double.setup.broker.console().to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(stream, "GET /oauth/callback?state={state}&code=x&iss=https%3A%2F%2Fother.example HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert_eq!(login.failure(), "wrong-issuer", "{page}");
    assert_eq!(double.asked(), 0);
}
