//! Workloads that run an OAuth grant themselves, with placeholders: what the token endpoint grants becomes placeholders.

use crate::clients::{installed, run, script, surroundings};
use crate::support::{item, setup};
use cloakroom_testkit::{
    Broker, Coding, Issued, Received, Reply, Request, Response, Setup, TlsUpstream, Way, shaped,
};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::{Arc, Mutex};

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

fn service(request: &Received) -> Reply {
    let presented = request.header("authorization").unwrap_or_default().to_owned();
    Reply::ok("text/plain", format!("you sent {presented}")).with("x-echo", &presented)
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
        let service = TlsUpstream::start(&setup.authority, service);
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

#[test]
fn an_access_token_in_memory_is_gone_after_a_start_and_its_placeholder_says_so() {
    let mut stage = Stage::refreshing();
    let placeholder = stage.access_token(&stage.refresh());
    stage.setup.broker.kill();
    stage.setup.broker.launch();
    let answer = stage.item(&placeholder);
    assert_eq!(answer.code().as_deref(), Some("placeholder-expired"), "{}", answer.text());
    let again = stage.access_token(&stage.refresh());
    assert_ne!(again, placeholder);
    assert_eq!(stage.item(&again).status, 200);
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

#[test]
fn t09_no_token_reaches_the_workload_from_a_reply_of_another_form() {
    let stage = Stage::refreshing();
    let token = shaped("ya29.");
    let body = google().to_string();
    let refused: Vec<(&str, Reply)> = vec![
        (
            "201 instead of 200",
            Reply::status("201 Created").with("content-type", "application/json").with_body(body.clone()),
        ),
        ("204", Reply::status("204 No Content").with("x-token", &token)),
        (
            "302",
            Reply::status("302 Found")
                .with("location", &format!("https://app.example/#access_token={token}")),
        ),
        (
            "302 with a body",
            Reply::status("302 Found").with("content-type", "application/json").with_body(body.clone()),
        ),
        ("not JSON", Reply::ok("application/json", format!("access_token={token}"))),
        ("not labelled", Reply::status("200 OK").with_body(body.clone())),
        ("labelled as text", Reply::ok("text/plain", body.clone())),
        ("labelled twice", Reply::ok("application/json", body.clone()).with("content-type", "text/plain")),
        ("an HTML page", Reply::ok("text/html", format!("<p>{token}</p>"))),
        ("a list", Reply::ok("application/json", format!("[{body}]"))),
        ("nested", Reply::ok("application/json", format!("{{\"data\":{body}}}"))),
        ("another name", Reply::ok("application/json", body.replace("access_token", "accessToken"))),
        (
            "a name twice",
            Reply::ok(
                "application/json",
                body.replacen('{', &format!("{{\"access_token\":\"{token}x\","), 1),
            ),
        ),
        ("something after it", Reply::ok("application/json", format!("{body}{body}"))),
        (
            "a token that is a list",
            Reply::ok("application/json", format!("{{\"access_token\":[\"{token}\"]}}")),
        ),
        (
            "a token with a line end",
            Reply::ok("application/json", body.replace(&token, &format!("{token}\\r\\nx: y"))),
        ),
        ("a token of another type", Reply::ok("application/json", body.replace("Bearer", "DPoP"))),
        ("expires_in is negative", Reply::ok("application/json", body.replace("3599", "-1"))),
        ("expires_in is an object", Reply::ok("application/json", body.replace("3599", "{}"))),
        ("grants and refuses", Reply::ok("application/json", body.replacen('{', "{\"error\":\"no\",", 1))),
        ("gzip without its label", Reply::ok("application/json", Coding::Gzip.encode(body.as_bytes()))),
        (
            "a label without gzip",
            Reply::ok("application/json", body.clone()).with("content-encoding", "gzip"),
        ),
        (
            "an unknown coding",
            Reply::ok("application/json", body.clone()).with("content-encoding", "compress"),
        ),
        ("oversized", Reply::ok("application/json", format!("{}{body}", " ".repeat(70_000)))),
        ("a token in a header alone", Reply::ok("application/json", "{}").with("x-access-token", &token)),
        (
            "a partial reply",
            Reply::status("206 Partial Content")
                .with("content-type", "application/json")
                .with_body(body.clone()),
        ),
        (
            "a form with a name twice",
            Reply::ok("application/x-www-form-urlencoded", format!("access_token={token}&access_token=b")),
        ),
    ];
    for (what, reply) in refused {
        stage.answers(move |_| reply.clone());
        let answer = stage.refresh();
        assert_eq!(answer.code().as_deref(), Some("response-not-scrubbable"), "{what}: {}", answer.text());
    }
    // What passes, passes without them: members, fields and trailers that nobody expected stay behind.
    let mut odd = google();
    odd["session"] = json!({ "inner": token });
    odd["password"] = token.clone().into();
    odd["id_token"] = shaped("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.").into();
    odd["scope"] = token.clone().into();
    let passed: Vec<(&str, Reply)> = vec![
        ("gzip", Reply::ok("application/json", body.clone()).coded(Coding::Gzip)),
        (
            "members and fields",
            Reply::ok("application/json", odd.to_string())
                .with("x-access-token", &token)
                .with("set-cookie", &token),
        ),
        (
            "in pieces, with a trailer",
            Reply::ok("application/json", body.clone()).in_chunks_of(7).with_trailer("x-token", &token),
        ),
    ];
    for (what, reply) in passed {
        stage.answers(move |_| reply.clone());
        let answer = stage.refresh();
        let names: Vec<String> = answer.json().as_object().unwrap().keys().cloned().collect();
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        assert!(
            names
                .iter()
                .all(|name| ["access_token", "expires_in", "scope", "token_type"].contains(&name.as_str())),
            "{what}: {names:?}"
        );
        assert!(answer.header("x-access-token").is_none() && answer.header("set-cookie").is_none(), "{what}");
    }
}

#[test]
fn t09_errors_of_a_token_endpoint_pass_without_secrets() {
    let stage = Stage::refreshing();
    let error = json!({ "error": "invalid_grant", "error_description": "revoked" });
    let said = error.clone();
    stage.answers(move |_| {
        Reply::status("400 Bad Request").with("content-type", "application/json").with_body(said.to_string())
    });
    let answer = stage.refresh();
    assert_eq!((answer.status, answer.json()), (400, error));
    // GitHub and Slack say so with status 200.
    stage.answers(granting(json!({ "ok": false, "error": "invalid_refresh_token" })));
    assert_eq!(stage.refresh().json(), json!({ "ok": false, "error": "invalid_refresh_token" }));
    // A page that echoes the form, and errors that bring a token.
    let echo = |request: &Received| {
        Reply::status("500 Oops").with("content-type", "text/html").with_body(request.body.clone())
    };
    stage.answers(echo);
    let answer = stage.refresh();
    assert_eq!((answer.status, text(&answer.json()["error"])), (500, "server_error".to_owned()));
    let echo = |request: &Received| {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let error = json!({ "error": "invalid_request", "error_description": form });
        Reply::status("400 Bad Request").with("content-type", "application/json").with_body(error.to_string())
    };
    stage.answers(echo);
    assert_eq!(text(&stage.refresh().json()["error"]), "invalid_request");
    for (name, value) in
        [("access_token", shaped("ya29.")), ("error_description", format!("use {} now", shaped("ya29.")))]
    {
        let mut error = json!({ "error": "invalid_request" });
        error[name] = value.into();
        stage.answers(move |_| {
            Reply::status("400 Bad Request")
                .with("content-type", "application/json")
                .with_body(error.to_string())
        });
        assert_eq!(stage.refresh().status, 400);
    }
}

#[test]
fn an_id_token_is_replaced_where_the_permit_says_so_and_withheld_else() {
    let id_token = shaped("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.");
    let mut reply = google();
    reply["id_token"] = id_token.into();
    for (more, is_there) in
        [("", false), ("id_token = \"withhold\"", false), ("id_token = \"replace\"", true)]
    {
        let stage = Stage::new(&shaped("1//0g"), "form refresh_token", more);
        stage.answers(granting(reply.clone()));
        let answer = stage.refresh();
        assert_eq!(answer.json()["id_token"].is_string(), is_there, "{more}: {}", answer.text());
        if is_there {
            // No permit says what it may be presented for.
            let placeholder = text(&answer.json()["id_token"]);
            assert_eq!(placeholder.split('.').count(), 3);
            assert_eq!(stage.item(&placeholder).code().as_deref(), Some("place-not-permitted"));
        }
    }
}

#[test]
fn replies_of_the_forms_that_services_use_are_understood() {
    let stage = Stage::refreshing();
    let slack = json!({
        "ok": true, "access_token": shaped("xoxb-1-2-"), "token_type": "bot", "scope": "chat:write", "bot_user_id": "U1", "app_id": "A1",
        "team": { "id": "T1", "name": "team" }, "enterprise": null, "incoming_webhook": { "url": shaped("https://hooks.example/") },
        "authed_user": { "id": "U2", "scope": "users:read", "access_token": shaped("xoxp-3-4-"), "token_type": "user" },
    });
    stage.answers(granting(slack));
    let answer = stage.refresh().json();
    let (bot, user) = (text(&answer["access_token"]), text(&answer["authed_user"]["access_token"]));
    assert!(bot.starts_with("xoxb-") && user.starts_with("xoxp-"), "{answer}");
    assert_eq!(
        (&answer["team"]["id"], &answer["authed_user"]["id"], &answer["incoming_webhook"]),
        (&json!("T1"), &json!("U2"), &Value::Null)
    );
    for (placeholder, real) in [(bot, shaped("xoxb-1-2-")), (user, shaped("xoxp-3-4-"))] {
        assert_eq!(stage.item(&placeholder).status, 200);
        assert_eq!(stage.service.last().header("authorization"), Some(format!("Bearer {real}").as_str()));
    }
    let github = format!("access_token={}&scope=repo%2Cgist&token_type=bearer", shaped("gho_"));
    stage.answers(move |_| Reply::ok("application/x-www-form-urlencoded; charset=utf-8", github.clone()));
    let answer = stage.refresh();
    assert_eq!(answer.header("content-type"), Some("application/x-www-form-urlencoded"));
    let form = answer.text();
    let placeholder = form.split('&').find_map(|pair| pair.strip_prefix("access_token=")).unwrap().to_owned();
    assert!(
        placeholder.starts_with("gho_") && form.ends_with("&scope=repo%2Cgist&token_type=bearer"),
        "{form}"
    );
    assert_eq!(stage.item(&placeholder).status, 200);
    let microsoft = json!({
        "token_type": "Bearer", "scope": "Mail.Read User.Read", "expires_in": "3599", "ext_expires_in": 3599,
        "access_token": shaped("eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJhIn0."), "client_info": "eyJ1aWQiOiIxIn0",
    });
    stage.answers(granting(microsoft));
    let answer = stage.refresh().json();
    assert_eq!((&answer["ext_expires_in"], &answer["client_info"]), (&json!(3599), &Value::Null));
    assert_eq!(stage.item(&text(&answer["access_token"])).status, 200);
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

/// The library as anyone uses it: refresh token and OAuth client's secret are placeholders, and the server replaces the refresh token each time.
#[test]
fn google_auth_refreshes_with_placeholders() {
    let Some(clients) = installed() else { return };
    let stage = Stage::refreshing();
    let (endpoint, service) = (stage.endpoint.url(), stage.service.url());
    stage.broker().deposit("client", "bearer", &[&endpoint, &service], &shaped("GOCSPX-"));
    let beside = policy(&endpoint, &service, "form client_secret", "").replacen("\"oauth\"", "\"beside\"", 1);
    let only: String = beside.split("[[permit]]").take(2).collect::<Vec<_>>().join("[[permit]]");
    let client = stage.broker().permit("client", "robot", &only, &[]);
    let round = std::sync::atomic::AtomicUsize::new(0);
    let expected = Mutex::new(shaped("1//0g"));
    stage.answers(move |request| {
        // Each refresh token is taken once, with the right secret.
        let form = String::from_utf8_lossy(&request.body).replace("%2F", "/");
        let mut expected = expected.lock().unwrap();
        let wanted = [format!("refresh_token={expected}"), format!("client_secret={}", shaped("GOCSPX-"))];
        if !wanted.iter().all(|pair| form.split('&').any(|own| own == pair)) {
            return Reply::status("400 Bad Request")
                .with("content-type", "application/json")
                .with_body("{\"error\":\"invalid_grant\"}");
        }
        let round = round.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        *expected = shaped(&format!("1//0g{round}"));
        let mut reply = google();
        reply["access_token"] = shaped(&format!("ya29.{round}")).into();
        reply["refresh_token"] = expected.clone().into();
        reply["id_token"] = shaped("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.").into();
        Reply::ok("application/json", reply.to_string())
    });
    let mut command = Command::new(clients.join("venv/bin/python"));
    command.arg(script("use_google_auth.py"));
    surroundings(&mut command, stage.broker(), &stage.setup.robot);
    command
        .env("DESTINATION", &service)
        .env("TOKEN_URI", format!("{endpoint}/token"))
        .env("PLACEHOLDER", &stage.issued.text)
        .env("CLIENT_SECRET", &client.text);
    assert!(run(stage.broker(), command).contains("refreshed"));
    assert_eq!(stage.endpoint.requests().len(), 2);
    let presented: Vec<String> =
        stage.service.requests().iter().map(|one| one.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(presented, [0, 1].map(|round| format!("Bearer {}", shaped(&format!("ya29.{round}")))));
}
