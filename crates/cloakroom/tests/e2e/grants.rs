//! Grants: the broker exchanges them at a real authorization server; the workload holds a placeholder for what comes of it.

mod assertions;

use crate::authorization_server::AuthorizationServer;
use crate::support::{eventually, item, items, presented, setup};
use cloakroom_testkit::{
    Broker, H2Upstream, Issued, Received, Reply, Response, Setup, TlsUpstream, Way, shaped,
};
use serde_json::Value;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Echoes what it got, in head and body; an access token `?bad` in the path is called invalid.
fn service(request: &Received) -> Reply {
    let presented = request.header("authorization").unwrap_or_default().to_owned();
    if request.target.ends_with("/refused") {
        return Reply::status("401 Unauthorized")
            .with("www-authenticate", "Bearer error=\"invalid_token\"")
            .with_body(presented);
    }
    Reply::ok("text/plain", format!("you sent {presented}")).with("x-echo", &presented)
}

struct Stage {
    setup: Setup,
    upstream: TlsUpstream,
    server: AuthorizationServer,
    issued: Issued,
}

impl Stage {
    /// A credential made from this grant, and a placeholder for it.
    fn new(grant: &str, secret: impl FnOnce(&AuthorizationServer) -> String) -> Option<Self> {
        let setup = setup();
        let upstream = TlsUpstream::start(&setup.authority, service);
        let server = AuthorizationServer::start(&setup.authority, &[])?;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(shaped("client-").as_bytes()).unwrap();
        let (endpoint, to, client_secret) =
            (server.endpoint(), upstream.url(), file.path().display().to_string());
        let mut arguments = vec!["credential", "add", "c", "--to", &to, "--grant", grant];
        arguments.extend(["--token-endpoint", &endpoint, "--client-id", "app"]);
        if grant == "refresh-token" {
            arguments.extend(["--client-secret-file", &client_secret]);
        }
        let added = setup.broker.run_with(&arguments, &secret(&server));
        assert!(added.status.success(), "{added:?}");
        let issued = setup.broker.permit("c", "robot", &items(&upstream), &[]);
        Some(Self { setup, upstream, server, issued })
    }

    fn refreshing() -> Option<Self> {
        Self::new("refresh-token", |server| server.test("refresh").as_str().unwrap().to_owned())
    }

    fn broker(&self) -> &Broker {
        &self.setup.broker
    }

    fn call_item(&self, id: &str) -> Response {
        let request = item(&self.upstream, id, &self.issued.text);
        self.broker().call(Way::Connect, Some(&self.setup.robot), &request)
    }

    fn call(&self) -> Response {
        self.call_item("1")
    }

    /// What reached the destination last.
    fn presented(&self) -> String {
        presented(&self.upstream)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(!self.server.issued().is_empty());
            self.server.hunt(self.broker());
        }
    }
}

#[test]
fn a_refresh_token_becomes_an_access_token_and_neither_is_seen_by_the_workload() {
    let Some(stage) = Stage::refreshing() else { return };
    assert_eq!(stage.server.requests(), 0, "nothing is exchanged before a call is authorized");
    let answer = stage.call();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.text(), format!("you sent Bearer {}", stage.issued.text));
    assert!(stage.server.issued().contains(&stage.presented()));
    for _ in 0..5 {
        assert_eq!(stage.call().status, 200);
    }
    assert_eq!(stage.server.requests(), 1, "the access token is shared while it is valid");
}

#[test]
fn refreshes_while_everything_is_brought_under_another_root_key_lose_no_refresh_token() {
    let Some(mut stage) = Stage::refreshing() else { return };
    for round in 1..=4 {
        // A seal forgets the access token, so that the next call refreshes.
        stage.broker().cli(&["custody", "seal"]);
        assert_eq!(stage.call().code().as_deref(), Some("broker-sealed"));
        stage.broker().cli(&["custody", "unseal"]);
        stage.broker().cli(&["custody", "rotate-kek"]);
        let exchanged = stage.server.requests();
        std::thread::scope(|scope| {
            let called = scope.spawn(|| stage.call().status);
            let done = stage.broker().cli_json(&["custody", "rewrap"]);
            assert_eq!(done["minimum"], round);
            assert_eq!(called.join().unwrap(), 200);
        });
        assert_eq!(stage.server.requests(), exchanged + 1);
    }
    // What was kept is what the server gave last: a start goes on with it.
    stage.setup.broker.stop();
    stage.setup.broker.launch();
    assert_eq!(stage.call().status, 200);
}

#[test]
fn t78_nothing_is_exchanged_for_a_call_before_a_human_granted_it() {
    let Some(mut stage) = Stage::refreshing() else { return };
    let rest = "approve = \"each-call\"";
    let to = stage.upstream.url();
    let permits = crate::support::policy(&to, "GET /v1/items/{id}", "header authorization bearer", rest);
    stage.issued = stage.broker().permit("c", "robot", &permits, &[]);
    let waits = stage.call();
    assert_eq!(waits.code().as_deref(), Some("approval-required"), "{}", waits.text());
    let id = serde_json::from_str::<Value>(&waits.text()).unwrap()["approval"].as_str().unwrap().to_owned();
    assert_eq!((stage.server.requests(), stage.upstream.connections()), (0, 0));
    stage.broker().cli(&["approval", "grant", &id]);
    assert_eq!(stage.server.requests(), 0, "granting exchanges nothing either");
    assert_eq!(stage.call().status, 200);
    assert_eq!((stage.server.requests(), stage.upstream.requests().len()), (1, 1));
}

#[test]
fn nothing_is_exchanged_for_a_call_that_is_refused() {
    let Some(stage) = Stage::refreshing() else { return };
    let request = item(&stage.upstream, "1", &stage.issued.text);
    let request = cloakroom_testkit::Request { method: "DELETE".into(), ..request };
    let answer = stage.broker().call(Way::Connect, Some(&stage.setup.robot), &request);
    assert_eq!(answer.code().as_deref(), Some("call-not-permitted"));
    assert_eq!(stage.server.requests(), 0);
    assert_eq!(stage.call().status, 200);
}

#[test]
fn t103_many_calls_at_once_make_one_exchange() {
    let Some(stage) = Stage::refreshing() else { return };
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| assert_eq!(stage.call().status, 200));
        }
    });
    assert_eq!((stage.server.requests(), stage.upstream.requests().len()), (1, 50));
}

#[test]
fn t104_a_replaced_refresh_token_survives_a_kill_right_after_its_use() {
    let Some(mut stage) = Stage::refreshing() else { return };
    stage.server.test("short");
    for round in 1..=4 {
        assert_eq!(stage.call().status, 200, "round {round}");
        // The server takes each refresh token once: an old one would end the grant.
        stage.setup.broker.kill();
        stage.setup.broker.launch();
    }
    let rounds = stage.server.requests();
    assert_eq!(rounds, 4, "after a start the access token is made anew");
    assert_eq!(stage.server.test("seen")["refused"], 0);
}

/// A call that the broker does not survive, and the broker after it.
fn dies_at(stage: &mut Stage, place: &str) {
    stage.setup.broker.die_at(Some(place));
    stage.setup.broker.restart();
    let unanswered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stage.call()));
    assert!(unanswered.is_err(), "the broker survived {place}");
    stage.setup.broker.wait();
    stage.setup.broker.die_at(None);
    stage.setup.broker.launch();
}

#[test]
fn t104_a_refresh_token_that_died_with_the_broker_is_told_from_one_that_was_revoked() {
    let Some(mut stage) = Stage::refreshing() else { return };
    dies_at(&mut stage, "refresh-token-received");
    let answer = stage.call();
    assert_eq!(answer.code().as_deref(), Some("login-required"), "{}", answer.text());
    assert!(answer.text().contains("cut off"), "{}", answer.text());
    let shown = stage.broker().cli_json(&["credential", "show", "c"]);
    assert!(shown["renewal"]["reason"].as_str().unwrap().contains("cut off"), "{shown}");
    let fresh = stage.server.test("refresh");
    assert!(
        stage.broker().run_with(&["credential", "rotate", "c"], fresh.as_str().unwrap()).status.success()
    );
    assert_eq!(stage.call().status, 200);
    stage.server.test("revoke");
    stage.setup.broker.restart();
    let answer = stage.call();
    assert!(answer.text().contains("revoked") && !answer.text().contains("cut off"), "{}", answer.text());
}

#[test]
fn t104_a_kill_before_the_question_or_after_the_disk_loses_nothing() {
    let Some(mut stage) = Stage::refreshing() else { return };
    for place in ["refresh-asked", "refresh-kept"] {
        dies_at(&mut stage, place);
        let answer = stage.call();
        assert_eq!(answer.status, 200, "{place}: {}", answer.text());
    }
    assert_eq!(stage.server.test("seen")["refused"], 0);
}

/// A token endpoint over HTTP/2 that resets the second question so. What the third is answered with says whether it may be one.
fn refreshed_past(reset: h2::Reason) -> (String, usize, String) {
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, service);
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    let endpoint = H2Upstream::start_with(&setup.authority, move |_, mut respond| {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        async move {
            let (status, body) = match number {
                0 | 2 if number == 0 || reset == h2::Reason::REFUSED_STREAM => {
                    let seconds = if number == 0 { 1 } else { 3600 };
                    (
                        200,
                        format!(
                            r#"{{"access_token":"{}","token_type":"Bearer","expires_in":{seconds}}}"#,
                            shaped("at-")
                        ),
                    )
                }
                1 => return respond.send_reset(reset),
                _ => (400, r#"{"error":"invalid_grant"}"#.to_owned()),
            };
            let reply = http::Response::builder().status(status).body(()).unwrap();
            let mut stream = respond.send_response(reply, false).unwrap();
            stream.send_data(body.into(), true).unwrap();
        }
    });
    let (to, url) = (upstream.url(), format!("{}/token", endpoint.url()));
    let arguments = ["credential", "add", "c", "--to", &to, "--grant", "refresh-token", "--client-id", "app"];
    let added =
        setup.broker.run_with(&[&arguments[..], &["--token-endpoint", &url]].concat(), &shaped("rt-"));
    assert!(added.status.success(), "{added:?}");
    let issued = setup.broker.permit("c", "robot", &items(&upstream), &[]);
    let call = || setup.broker.call(Way::Connect, Some(&setup.robot), &item(&upstream, "1", &issued.text));
    assert_eq!(call().status, 200);
    // It asks shortly before the end, beside a call that still has the old one: until then each call works.
    let answer = eventually("it has asked again", || {
        let answer = call();
        (answer.status != 200 || count.load(Ordering::SeqCst) > 2).then_some(answer)
    });
    let outcome = (answer.code().unwrap_or_else(|| answer.status.to_string()), count.load(Ordering::SeqCst));
    let later = eventually("it is asked again", || {
        let answer = call();
        (answer.code().as_deref() != Some("credential-unavailable")).then(|| answer.text())
    });
    (outcome.0, outcome.1, later)
}

#[test]
fn t65_a_refresh_goes_out_again_only_where_the_server_says_that_it_processed_nothing() {
    let (outcome, asked, _) = refreshed_past(h2::Reason::REFUSED_STREAM);
    assert_eq!((outcome.as_str(), asked), ("200", 3));
    // Here it may have: it is not repeated within the call, and what comes of it later is told as what it is.
    let (outcome, asked, later) = refreshed_past(h2::Reason::INTERNAL_ERROR);
    assert_eq!((outcome.as_str(), asked), ("credential-unavailable", 2));
    assert!(later.contains("login-required") && later.contains("cut off"), "{later}");
}

#[test]
fn t103_many_calls_at_the_end_of_an_access_token_make_one_exchange() {
    let Some(stage) = Stage::refreshing() else { return };
    stage.server.test("short");
    assert_eq!(stage.call().status, 200);
    stage.server.test("long");
    eventually("it has ended", || {
        let shown = stage.broker().cli_json(&["credential", "show", "c"]);
        (shown["renewal"]["state"] == "due").then_some(())
    });
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| assert_eq!(stage.call().status, 200));
        }
    });
    assert_eq!((stage.server.requests(), stage.upstream.requests().len()), (2, 51));
    assert_eq!(stage.server.test("seen")["refused"], 0);
}

#[test]
fn an_access_token_that_has_ended_is_replaced() {
    let Some(stage) = Stage::refreshing() else { return };
    stage.server.test("short");
    assert_eq!(stage.call().status, 200);
    let first = stage.presented();
    eventually("another access token", || {
        assert_eq!(stage.call().status, 200);
        (stage.presented() != first).then_some(())
    });
    assert_eq!(stage.server.test("seen")["refused"], 0);
}

#[test]
fn a_revoked_grant_asks_for_a_login_and_a_new_one_heals_it() {
    let Some(stage) = Stage::refreshing() else { return };
    stage.server.test("revoke");
    for _ in 0..3 {
        let answer = stage.call();
        assert_eq!(
            (answer.status, answer.code().as_deref()),
            (503, Some("login-required")),
            "{}",
            answer.text()
        );
    }
    assert_eq!(stage.server.requests(), 1, "what is worth nothing is not tried again");
    assert!(stage.upstream.requests().is_empty());
    let fresh = stage.server.test("refresh");
    let rotated = stage.broker().run_with(&["credential", "rotate", "c"], fresh.as_str().unwrap());
    assert!(rotated.status.success(), "{rotated:?}");
    let answer = stage.call();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn t107_a_server_that_is_down_is_said_so_and_no_call_goes_out_without() {
    let Some(stage) = Stage::refreshing() else { return };
    stage.server.test("down");
    let answer = stage.call();
    assert_eq!(
        (answer.status, answer.code().as_deref()),
        (503, Some("credential-unavailable")),
        "{}",
        answer.text()
    );
    assert!(answer.header("retry-after").is_some(), "{}", answer.text());
    assert!(stage.upstream.requests().is_empty());
    stage.server.test("up");
    eventually("it heals by itself", || (stage.call().status == 200).then_some(()));
}

#[test]
fn client_credentials_are_exchanged_too() {
    let Some(stage) = Stage::new("client-credentials", |_| shaped("client-")) else { return };
    let answer = stage.call();
    assert_eq!(answer.text(), format!("you sent Bearer {}", stage.issued.text));
    assert!(stage.server.issued().contains(&stage.presented()));
    // With another secret the server refuses, in its own words, which nobody repeats.
    let rotated = stage.broker().run_with(&["credential", "rotate", "c"], &shaped("wrong-"));
    assert!(rotated.status.success(), "{rotated:?}");
    assert_eq!(stage.call().code().as_deref(), Some("login-required"));
}

#[test]
fn a_destination_that_calls_the_access_token_invalid_gets_its_answer_through_scrubbed() {
    let Some(stage) = Stage::refreshing() else { return };
    let answer = stage.call_item("refused");
    assert_eq!((answer.status, answer.text()), (401, format!("Bearer {}", stage.issued.text)));
    assert_eq!(stage.call().status, 200);
    // It was made a moment ago: a workload cannot make the broker exchange for each call.
    assert_eq!(stage.server.requests(), 1);
}

#[test]
fn a_grant_that_is_not_complete_is_refused_before_it_is_sealed() {
    let setup = setup();
    let to = "https://api.example.com";
    for (arguments, hint) in [
        (vec!["--grant", "refresh-token", "--to", to, "--client-id", "app"], "--token-endpoint"),
        (
            vec!["--grant", "refresh-token", "--to", to, "--token-endpoint", "https://a.example/t"],
            "--client-id",
        ),
        (vec!["--grant", "jwt-bearer", "--to", to, "--token-endpoint", "https://a.example/t"], "--issuer"),
        (
            vec!["--grant", "refresh-token", "--client-id", "app", "--token-endpoint", "https://a.example/t"],
            "--to",
        ),
        (vec!["--kind", "oauth", "--to", to], "--grant"),
    ] {
        let answer =
            setup.broker.run_with(&[&["credential", "add", "c"], &arguments[..]].concat(), &shaped("sk-"));
        assert_eq!(answer.status.code(), Some(2), "{answer:?}");
        assert!(answer.stderr.contains(hint), "{hint}: {answer:?}");
    }
    let plain = [
        "--grant",
        "refresh-token",
        "--to",
        to,
        "--client-id",
        "app",
        "--token-endpoint",
        "http://a.example/t",
    ];
    let answer = setup.broker.run_with(&[&["credential", "add", "c"], &plain[..]].concat(), &shaped("sk-"));
    assert!(!answer.status.success() && answer.stderr.contains("token endpoint"), "{answer:?}");
}
