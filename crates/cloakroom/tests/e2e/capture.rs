//! Workloads that run an OAuth grant themselves, with placeholders: what the token endpoint grants becomes placeholders.

mod hostile;
mod replies;

use crate::support::{item, setup};
use cloakroom_testkit::{
    Broker, Issued, Received, Reply, Request, Response, Setup, TlsUpstream, Way, shaped,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, OnceLock};

/// What the token endpoint answers next.
type Next = Arc<Mutex<Box<dyn Fn(&Received) -> Reply + Send>>>;

/// A workload with a placeholder for a deposited secret, a token endpoint, and a service that echoes what it is sent.
struct Stage {
    setup: Setup,
    endpoint: TlsUpstream,
    service: TlsUpstream,
    issued: Issued,
    next: Next,
}

/// Shows what a call presents, and what the first one presented.
fn service() -> impl Fn(&Received) -> Reply {
    let first = OnceLock::new();
    move |request| {
        let presented = request.header("authorization").unwrap_or_default().to_owned();
        let first = first.get_or_init(|| presented.clone());
        let reply = Reply::ok("text/plain", format!("you sent {presented}"));
        reply.with("x-echo", &presented).with("x-first", first)
    }
}

fn granting(reply: Value) -> impl Fn(&Received) -> Reply + Send {
    move |_| Reply::ok("application/json", reply.to_string())
}

fn google() -> Value {
    json!({
        "access_token": shaped("ya29."), "expires_in": 3599, "scope": "https://www.googleapis.com/auth/gmail.readonly",
        "token_type": "Bearer",
    })
}

/// A refresh token's placeholder may be used at the token endpoint, an access token's at the service.
fn policy(endpoint: &str, service: &str, place: &str, more: &str) -> String {
    format!(
        r#"
version = 1
[[permit]]
name = "exchange"
to = "{endpoint}"
call = "POST /token"
place = "{place}"
body = {{ type = "form" }}
capture = "oauth"
{more}
[[permit]]
name = "read items"
to = "{service}"
call = "GET /v1/items/{{id}}"
place = "header authorization bearer"
presents = "access-token"
"#
    )
}

impl Stage {
    fn new(secret: &str, place: &str, more: &str) -> Self {
        Self::with(secret, |endpoint, service| policy(endpoint, service, place, more), &[])
    }

    fn with(secret: &str, policy: impl Fn(&str, &str) -> String, options: &[&str]) -> Self {
        let setup = setup();
        let next: Next = Arc::new(Mutex::new(Box::new(granting(google()))));
        let answering = Arc::clone(&next);
        let endpoint =
            TlsUpstream::start(&setup.authority, move |request| (answering.lock().unwrap())(request));
        let service = TlsUpstream::start(&setup.authority, service());
        setup.broker.deposit("c", "bearer", &[&endpoint.url(), &service.url()], secret);
        let issued = setup.broker.permit("c", "robot", &policy(&endpoint.url(), &service.url()), options);
        Self { setup, endpoint, service, issued, next }
    }

    fn refreshing() -> Self {
        Self::new(&shaped("1//0g"), "form refresh_token", "")
    }

    fn answers(&self, reply: impl Fn(&Received) -> Reply + Send + 'static) {
        *self.next.lock().unwrap() = Box::new(reply);
    }

    fn broker(&self) -> &Broker {
        &self.setup.broker
    }

    fn send(&self, request: &Request) -> Response {
        self.broker().call(Way::Connect, Some(&self.setup.robot), request)
    }

    fn refresh_with(&self, placeholder: &str) -> Response {
        let form = format!("grant_type=refresh_token&client_id=app&refresh_token={placeholder}");
        self.send(&self.form(&form))
    }

    fn form(&self, form: &str) -> Request {
        Request::new("POST", &self.endpoint.authority(), "/token")
            .with_body("application/x-www-form-urlencoded", form)
    }

    fn refresh(&self) -> Response {
        self.refresh_with(&self.issued.text)
    }

    fn item(&self, placeholder: &str) -> Response {
        self.send(&item(&self.service, "1", placeholder))
    }

    /// The placeholder of the access token that a reply grants.
    fn access_token(&self, reply: &Response) -> String {
        assert_eq!(reply.status, 200, "{}", reply.text());
        text(&reply.json()["access_token"])
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[test]
fn t09_what_a_refresh_grants_becomes_a_placeholder_that_works_where_the_policy_says() {
    let stage = Stage::refreshing();
    let reply = stage.refresh();
    let placeholder = stage.access_token(&reply);
    let sent = String::from_utf8(stage.endpoint.last().body).unwrap();
    assert!(sent.ends_with(&format!("refresh_token={}", shaped("1//0g").replace('/', "%2F"))), "{sent}");
    assert!(placeholder.starts_with("ya29.") && placeholder != stage.issued.text);
    let others = json!({ "expires_in": 3599, "scope": google()["scope"], "token_type": "Bearer", "access_token": placeholder });
    assert_eq!(reply.json(), others);
    let answer = stage.item(&placeholder);
    assert_eq!(answer.text(), format!("you sent Bearer {placeholder}"));
    assert_eq!(
        stage.service.last().header("authorization"),
        Some(format!("Bearer {}", shaped("ya29.")).as_str())
    );
    // The same token again is the same placeholder.
    assert_eq!(stage.access_token(&stage.refresh()), placeholder);
}

#[test]
fn t09_a_captured_token_goes_nowhere_else_and_the_deposited_one_not_where_it_goes() {
    let stage = Stage::refreshing();
    let placeholder = stage.access_token(&stage.refresh());
    let requests = (stage.endpoint.requests().len(), stage.service.requests().len());
    let code = |answer: Response| answer.code().unwrap_or_else(|| answer.text());
    // The refresh token as an access token, and the access token as a refresh token.
    assert_eq!(code(stage.item(&stage.issued.text)), "place-not-permitted");
    assert_eq!(code(stage.refresh_with(&placeholder)), "place-not-permitted");
    // Another call, another place, twice, and altered.
    let delete = Request { method: "DELETE".into(), ..item(&stage.service, "1", &placeholder) };
    assert_eq!(code(stage.send(&delete)), "call-not-permitted");
    let raw = Request::new("GET", &stage.service.authority(), "/v1/items/1").with("x-key", &placeholder);
    assert_eq!(code(stage.send(&raw)), "place-not-permitted");
    let twice = item(&stage.service, "1", &placeholder).with("x-key", &placeholder);
    assert_eq!(code(stage.send(&twice)), "place-not-permitted");
    let mut altered = placeholder.clone();
    altered.truncate(altered.len() - 1);
    altered.push(if placeholder.ends_with('a') { 'b' } else { 'a' });
    assert!(["unknown-placeholder", "place-not-permitted"].contains(&code(stage.item(&altered)).as_str()));
    // Another workload.
    let other = stage.broker().workload("other");
    let theirs = stage.broker().call(Way::Connect, Some(&other), &item(&stage.service, "1", &placeholder));
    assert_ne!(theirs.status, 200);
    assert_eq!(
        (stage.endpoint.requests().len(), stage.service.requests().len()),
        requests,
        "nothing went out"
    );
}

#[test]
fn t67_a_captured_token_ends_with_the_placeholder_that_was_presented_for_it() {
    let stage = Stage::refreshing();
    let placeholder = stage.access_token(&stage.refresh());
    assert_eq!(stage.item(&placeholder).status, 200);
    stage.broker().cli(&["placeholder", "freeze", &stage.issued.id]);
    assert_eq!(stage.item(&placeholder).code().as_deref(), Some("placeholder-frozen"));
    stage.broker().cli(&["placeholder", "thaw", &stage.issued.id]);
    assert_eq!(stage.item(&placeholder).status, 200);
    stage.broker().cli(&["placeholder", "revoke", &stage.issued.id]);
    assert_ne!(stage.item(&placeholder).status, 200);
    assert_eq!(stage.service.requests().len(), 2);
}

#[test]
fn uses_of_a_captured_token_are_uses_of_the_placeholder_that_was_presented() {
    let permits = |endpoint: &str, service: &str| policy(endpoint, service, "form refresh_token", "");
    let stage = Stage::with(&shaped("1//0g"), permits, &["--uses", "3"]);
    let placeholder = stage.access_token(&stage.refresh());
    assert_eq!((stage.item(&placeholder).status, stage.item(&placeholder).status), (200, 200));
    assert_eq!(stage.item(&placeholder).code().as_deref(), Some("placeholder-spent"));
    assert_eq!(stage.refresh().code().as_deref(), Some("placeholder-spent"));
}

#[test]
fn t105_a_captured_token_is_gone_when_it_ends() {
    let stage = Stage::refreshing();
    let mut reply = google();
    reply["expires_in"] = json!(0);
    stage.answers(granting(reply));
    let placeholder = stage.access_token(&stage.refresh());
    assert_eq!(stage.item(&placeholder).code().as_deref(), Some("placeholder-expired"));
    assert!(stage.service.requests().is_empty());
}

#[test]
fn t103_a_replaced_refresh_token_keeps_its_placeholder_and_survives_a_kill_right_after() {
    let mut stage = Stage::refreshing();
    for round in 1..=3 {
        let fresh = shaped(&format!("1//0g{round}"));
        let mut reply = google();
        reply["refresh_token"] = fresh.clone().into();
        stage.answers(granting(reply));
        let answer = stage.refresh();
        assert_eq!(text(&answer.json()["refresh_token"]), stage.issued.text, "round {round}");
        stage.setup.broker.kill();
        stage.setup.broker.launch();
        stage.answers(granting(google()));
        assert_eq!(stage.refresh().status, 200);
        let sent = String::from_utf8(stage.endpoint.last().body).unwrap();
        assert!(sent.ends_with(&fresh.replace('/', "%2F")), "round {round}: {sent}");
    }
}

/// The OAuth client's secret is what is deposited; what it is exchanged for is captured whole.
fn confidential() -> Stage {
    let permits = |endpoint: &str, service: &str| {
        let more = format!(
            r#"
[[permit]]
name = "refresh"
to = "{endpoint}"
call = "POST /token"
place = "form refresh_token"
body = {{ type = "form" }}
presents = "refresh-token"
capture = "oauth"
"#
        );
        policy(endpoint, service, "header authorization basic-password", &more)
    };
    Stage::with(&shaped("GOCSPX-"), permits, &[])
}

#[test]
fn a_captured_refresh_token_is_sealed_replaced_and_there_after_a_kill() {
    let mut stage = confidential();
    let first = shaped("refresh-one-");
    let mut reply = google();
    reply["refresh_token"] = first.clone().into();
    stage.answers(granting(reply));
    let basic = format!("app:{}", stage.issued.text);
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, basic);
    let exchange =
        stage.form("grant_type=authorization_code&code=abc").with("authorization", &format!("Basic {basic}"));
    let answer = stage.send(&exchange);
    let (access, refresh) = (stage.access_token(&answer), text(&answer.json()["refresh_token"]));
    assert!(access != refresh && refresh != stage.issued.text);
    assert_eq!(stage.item(&access).status, 200);
    // As a refresh token it goes to the token endpoint only.
    assert_eq!(stage.item(&refresh).code().as_deref(), Some("place-not-permitted"));
    let second = shaped("refresh-two-");
    let mut reply = google();
    reply["refresh_token"] = second.clone().into();
    stage.answers(granting(reply));
    stage.setup.broker.kill();
    stage.setup.broker.launch();
    for expected in [first, second.clone(), second] {
        let answer = stage.refresh_with(&refresh);
        assert_eq!(text(&answer.json()["refresh_token"]), refresh, "{}", answer.text());
        let sent = String::from_utf8(stage.endpoint.last().body).unwrap();
        assert!(sent.ends_with(&expected), "{sent}");
        stage.setup.broker.kill();
        stage.setup.broker.launch();
    }
    stage.broker().cli(&["placeholder", "revoke", &stage.issued.id]);
    let sealed = stage.broker().peek("SELECT count(*) FROM captured WHERE sealed IS NOT NULL");
    assert_eq!(format!("{sealed:?}"), "Integer(0)", "the ciphertext ends with the placeholder");
    assert_ne!(stage.refresh_with(&refresh).status, 200);
}

/// google-auth's way: the OAuth client's secret and the refresh token stand in one form, each a placeholder of its own.
#[test]
fn two_placeholders_in_one_exchange_need_one_that_captures() {
    let stage = Stage::refreshing();
    let (endpoint, service) = (stage.endpoint.url(), stage.service.url());
    stage.broker().deposit("client", "bearer", &[&endpoint, &service], &shaped("GOCSPX-"));
    let beside = policy(&endpoint, &service, "form client_secret", "").replacen("\"oauth\"", "\"beside\"", 1);
    let only: String = beside.split("[[permit]]").take(2).collect::<Vec<_>>().join("[[permit]]");
    let client = stage.broker().permit("client", "robot", &only, &[]);
    let form = |refresh: &str| {
        format!("grant_type=refresh_token&client_secret={}&refresh_token={refresh}", client.text)
    };
    let answer = stage.send(&stage.form(&form(&stage.issued.text)));
    assert_eq!(stage.item(&stage.access_token(&answer)).status, 200);
    // Alone it grants nothing.
    let alone =
        stage.send(&stage.form(&format!("grant_type=client_credentials&client_secret={}", client.text)));
    assert_eq!(alone.code().as_deref(), Some("call-not-permitted"), "{}", alone.text());
    let both =
        stage.broker().permit("client", "robot", &policy(&endpoint, &service, "form client_secret", ""), &[]);
    let form =
        format!("grant_type=refresh_token&client_secret={}&refresh_token={}", both.text, stage.issued.text);
    assert_eq!(stage.send(&stage.form(&form)).code().as_deref(), Some("call-not-permitted"));
}

#[test]
fn t87_a_captured_token_of_another_placeholder_does_not_open() {
    let mut stage = confidential();
    let mut reply = google();
    reply["refresh_token"] = shaped("refresh-one-").into();
    stage.answers(granting(reply));
    let basic = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("app:{}", stage.issued.text),
    );
    let exchange =
        stage.form("grant_type=authorization_code&code=abc").with("authorization", &format!("Basic {basic}"));
    let refresh = text(&stage.send(&exchange).json()["refresh_token"]);
    let more = |endpoint: &str, service: &str| {
        let more = format!(
            "[[permit]]\nname = \"r\"\nto = \"{endpoint}\"\ncall = \"POST /token\"\nplace = \"form refresh_token\"\nbody = {{ type = \"form\" }}\npresents = \"refresh-token\"\ncapture = \"oauth\"\n"
        );
        policy(endpoint, service, "header authorization basic-password", &more)
    };
    let policy = more(&stage.endpoint.url(), &stage.service.url());
    let other = stage.broker().permit("c", "robot", &policy, &[]);
    stage.setup.broker.kill();
    let moved = stage
        .broker()
        .tamper("UPDATE captured SET placeholder = ?1 WHERE token = 'refresh-token'", [&other.id]);
    assert_eq!(moved, 1);
    stage.setup.broker.launch();
    let answer = stage.refresh_with(&refresh);
    assert_eq!(answer.code().as_deref(), Some("broker-sealed"), "{}", answer.text());
}

#[test]
fn t106_without_capture_a_token_request_is_refused() {
    let permits = |endpoint: &str, service: &str| {
        let policy = policy(endpoint, service, "form refresh_token", "");
        policy.replace("capture = \"oauth\"\n", "").replace("presents = \"access-token\"\n", "")
    };
    let stage = Stage::with(&shaped("1//0g"), permits, &[]);
    let answer = stage.refresh();
    assert_eq!(answer.code().as_deref(), Some("body-not-permitted"), "{}", answer.text());
    assert!(stage.endpoint.requests().is_empty());
}
