//! Replies of token endpoints: of the forms that services use, of every other form, and google-auth as a client.

use super::*;
use crate::clients::{installed, run, script, surroundings};
use cloakroom_testkit::Coding;
use std::process::Command;

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
