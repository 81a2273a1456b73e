//! Grants: the broker exchanges them at a real authorization server; the workload holds a placeholder for what comes of it.

use crate::authorization_server::AuthorizationServer;
use crate::support::{eventually, item, items, setup};
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
        let requests = self.upstream.requests();
        let last = requests.last().unwrap().header("authorization").unwrap();
        last.strip_prefix("Bearer ").unwrap().to_owned()
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
    eventually("it has ended", || {
        let shown = setup.broker.cli_json(&["credential", "show", "c"]);
        let ends = shown["renewal"]["ends"].as_str().unwrap().to_owned();
        (ends < cloakroom_model::Timestamp::now().to_string()).then_some(())
    });
    let answer = call();
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

/// A token endpoint of our own, where no real one can be had: Google's and GitHub's. It verifies the assertion with the public key.
mod assertions {
    use super::*;
    use crate::clients::{installed, run, script, surroundings};
    use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use std::process::Command;
    use std::sync::Arc;

    struct Signing {
        pem: String,
        public: Vec<u8>,
    }

    fn signing() -> Signing {
        let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let body = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        Signing { pem, public: pair.public_key().as_ref().to_vec() }
    }

    /// The claims, where the signature holds.
    fn verified(assertion: &str, public: &[u8]) -> Option<Value> {
        let (message, signature) = assertion.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
            .verify(message.as_bytes(), &signature)
            .ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(message.split_once('.')?.1).ok()?).ok()
    }

    fn bearer_of(upstream: &TlsUpstream) -> Option<String> {
        upstream.requests().last()?.header("authorization").map(str::to_owned)
    }

    /// A service account's credential `c`, and a placeholder for it.
    fn service_account() -> (Setup, TlsUpstream, TlsUpstream, Issued) {
        let setup = setup();
        let signing = signing();
        let public = Arc::new(signing.public);
        let endpoint = TlsUpstream::start(&setup.authority, move |request| {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let assertion =
                form.split('&').find_map(|pair| pair.strip_prefix("assertion=")).unwrap_or_default();
            let claims = verified(assertion, &public);
            let fine = claims.is_some_and(|claims| {
                claims["iss"] == "robot@project.iam.example"
                    && claims["scope"] == "mail"
                    && claims["exp"].is_u64()
            });
            let grant = form.contains("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
            if !fine || !grant {
                return Reply::status("400 Bad Request").with_body("{\"error\":\"invalid_grant\"}");
            }
            let reply = format!(r#"{{"access_token":"{}","expires_in":3600}}"#, shaped("ya29."));
            Reply::ok("application/json", reply)
        });
        let upstream = TlsUpstream::start(&setup.authority, service);
        let file = serde_json::json!({
            "type": "service_account", "client_email": "robot@project.iam.example", "private_key": signing.pem,
            "private_key_id": "k1", "token_uri": format!("{}/token", endpoint.url()),
        });
        let to = upstream.url();
        let arguments =
            ["credential", "add", "c", "--to", &to, "--grant", "google-service-account", "--scope", "mail"];
        let added = setup.broker.run_with(&arguments, &file.to_string());
        assert!(added.status.success(), "{added:?}");
        let issued = setup.broker.permit("c", "robot", &items(&upstream), &[]);
        (setup, endpoint, upstream, issued)
    }

    #[test]
    fn a_google_service_account_signs_for_its_access_token() {
        let (setup, _endpoint, upstream, issued) = service_account();
        let answer = setup.broker.call(Way::Connect, Some(&setup.robot), &item(&upstream, "1", &issued.text));
        assert_eq!(answer.text(), format!("you sent Bearer {}", issued.text));
        assert_eq!(bearer_of(&upstream), Some(format!("Bearer {}", shaped("ya29."))));
    }

    /// octokit as anyone uses it, with the placeholder of an app's installation: the broker does the app's part.
    #[test]
    fn octokit_works_with_the_installation_of_a_github_app() {
        let Some(clients) = installed() else { return };
        let setup = setup();
        let signing = signing();
        let public = Arc::new(signing.public);
        let endpoint = TlsUpstream::start(&setup.authority, move |request| {
            let assertion =
                request.header("authorization").unwrap_or_default().trim_start_matches("Bearer ").to_owned();
            if verified(&assertion, &public).is_none_or(|claims| claims["iss"] != "12345") {
                return Reply::status("401 Unauthorized").with_body("{}");
            }
            let reply = format!(r#"{{"token":"{}","expires_at":"2030-01-01T00:00:00Z"}}"#, shaped("ghs_"));
            Reply::status("201 Created").with("content-type", "application/json").with_body(reply)
        });
        let upstream = TlsUpstream::start(&setup.authority, |request| {
            let presented = request.header("authorization").unwrap_or_default();
            if presented.split(' ').nth(1) != Some(shaped("ghs_").as_str()) {
                return Reply::status("401 Unauthorized")
                    .with("content-type", "application/json")
                    .with_body("{}");
            }
            let user = serde_json::json!({ "login": "ann", "id": 1, "bio": presented });
            Reply::ok("application/json", user.to_string())
        });
        let (to, url) = (upstream.url(), format!("{}/app/installations/7/access_tokens", endpoint.url()));
        let mut arguments =
            vec!["credential", "add", "c", "--to", &to, "--grant", "github-app", "--issuer", "12345"];
        arguments.extend(["--installation", "7", "--token-endpoint", &url]);
        let added = setup.broker.run_with(&arguments, &signing.pem);
        assert!(added.status.success(), "{added:?}");
        let permits = crate::support::policy(&to, "GET /user", "header authorization bearer", "");
        let issued = setup.broker.permit("c", "robot", &permits, &[]);
        // Node looks for modules upwards from the script.
        let directory = tempfile::tempdir_in(clients.join("node")).unwrap();
        for file in ["common.mjs", "use_octokit.mjs"] {
            std::fs::copy(script(file), directory.path().join(file)).unwrap();
        }
        let mut command = Command::new("node");
        command.arg(directory.path().join("use_octokit.mjs")).arg("proxy");
        surroundings(&mut command, &setup.broker, &setup.robot);
        command.env("DESTINATION", &to).env("PLACEHOLDER", &issued.text);
        assert!(run(&setup.broker, command).contains(&issued.text));
    }

    /// google-auth with the placeholder of a service account, which the broker signs for.
    #[test]
    fn google_auth_works_with_a_minted_access_token() {
        let Some(clients) = installed() else { return };
        let (setup, _endpoint, upstream, issued) = service_account();
        let mut command = Command::new(clients.join("venv/bin/python"));
        command.arg(script("use_google_auth.py"));
        surroundings(&mut command, &setup.broker, &setup.robot);
        command.env("DESTINATION", upstream.url()).env("PLACEHOLDER", &issued.text);
        assert!(run(&setup.broker, command).contains(&issued.text));
        assert_eq!(bearer_of(&upstream), Some(format!("Bearer {}", shaped("ya29."))));
    }

    /// The server takes an ID token of another issuer and says for whom the access token is.
    #[test]
    fn a_token_of_another_issuer_is_exchanged() {
        let setup = setup();
        let seen: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let forms = Arc::clone(&seen);
        let endpoint = TlsUpstream::start(&setup.authority, move |request| {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let has = |pair: &str| form.split('&').any(|own| own == pair);
            let subject = format!("subject_token={}", shaped("subject-"));
            let fine = has("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange")
                && has(&subject)
                && has("subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token")
                && has(&format!("actor_token={}", shaped("actor-")))
                && has("audience=billing")
                && has("resource=https%3A%2F%2Fapi.example.com%2F")
                && has("scope=read");
            forms.lock().unwrap().push(form.clone());
            if !fine {
                return Reply::status("400 Bad Request").with_body("{\"error\":\"invalid_request\"}");
            }
            let reply = serde_json::json!({
                "access_token": shaped("exchanged-"), "token_type": "Bearer", "expires_in": 60,
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            });
            Reply::ok("application/json", reply.to_string())
        });
        let upstream = TlsUpstream::start(&setup.authority, service);
        let mut actor = tempfile::NamedTempFile::new().unwrap();
        actor.write_all(shaped("actor-").as_bytes()).unwrap();
        let (to, url) = (upstream.url(), format!("{}/token", endpoint.url()));
        let actor = actor.path().display().to_string();
        let mut arguments = vec!["credential", "add", "c", "--to", &to, "--grant", "token-exchange"];
        arguments.extend(["--token-endpoint", &url, "--subject-token-type", "id-token", "--scope", "read"]);
        arguments.extend(["--actor-token-file", &actor, "--audience", "billing"]);
        arguments.extend(["--resource", "https://api.example.com/"]);
        let added = setup.broker.run_with(&arguments, &shaped("subject-"));
        assert!(added.status.success(), "{added:?}");
        let issued = setup.broker.permit("c", "robot", &items(&upstream), &[]);
        let call =
            || setup.broker.call(Way::Connect, Some(&setup.robot), &item(&upstream, "1", &issued.text));
        assert_eq!(call().text(), format!("you sent Bearer {}", issued.text));
        assert_eq!(bearer_of(&upstream), Some(format!("Bearer {}", shaped("exchanged-"))));
        assert_eq!(call().status, 200);
        assert_eq!(seen.lock().unwrap().len(), 1, "shared while it is valid");
        // Another subject is another exchange, and this server does not take it.
        let rotated = setup.broker.run_with(&["credential", "rotate", "c"], &shaped("other-"));
        assert!(rotated.status.success(), "{rotated:?}");
        assert_eq!(call().code().as_deref(), Some("credential-unavailable"));
        assert_eq!(upstream.requests().len(), 2);
    }

    /// Two policies for one installation: each gets an access token that is good for what it needs, and only that.
    #[test]
    fn an_installation_is_narrowed_to_what_each_policy_needs() {
        let setup = setup();
        let signing = signing();
        let asked: Arc<std::sync::Mutex<Vec<Value>>> = Arc::default();
        let noted = Arc::clone(&asked);
        let endpoint = TlsUpstream::start(&setup.authority, move |request| {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            // Another access token for each request.
            let mut asked = noted.lock().unwrap();
            asked.push(body);
            let token = shaped(&format!("ghs_{}", asked.len()));
            let reply = format!(r#"{{"token":"{token}","expires_at":"2030-01-01T00:00:00Z"}}"#);
            Reply::status("201 Created").with("content-type", "application/json").with_body(reply)
        });
        let upstream = TlsUpstream::start(&setup.authority, service);
        let (to, url) = (upstream.url(), format!("{}/app/installations/7/access_tokens", endpoint.url()));
        let mut arguments =
            vec!["credential", "add", "c", "--to", &to, "--grant", "github-app", "--issuer", "12345"];
        arguments.extend(["--installation", "7", "--token-endpoint", &url]);
        arguments.extend(["--repository", "demo", "--repository", "other"]);
        arguments.extend(["--permission", "issues=write", "--permission", "contents=read"]);
        let added = setup.broker.run_with(&arguments, &signing.pem);
        assert!(added.status.success(), "{added:?}");
        let permit = |call: &str| {
            let permits = crate::support::policy(&to, call, "header authorization bearer", "");
            setup.broker.permit("c", "robot", &permits, &[]).text
        };
        let (issues, files, again, elsewhere) = (
            permit("GET /repos/octo/demo/issues"),
            permit("GET /repos/octo/other/contents/{path...}"),
            permit("GET /repos/octo/demo/issues/{number}"),
            permit("GET /repos/octo/secret/issues"),
        );
        let call = |path: &str, text: &str| {
            let request = cloakroom_testkit::Request::new("GET", &upstream.authority(), path)
                .with("authorization", &format!("Bearer {text}"));
            setup.broker.call(Way::Connect, Some(&setup.robot), &request)
        };
        let bearer = |number: usize| Some(format!("Bearer {}", shaped(&format!("ghs_{number}"))));
        assert_eq!(call("/repos/octo/demo/issues", &issues).text(), format!("you sent Bearer {issues}"));
        assert_eq!(bearer_of(&upstream), bearer(1));
        assert_eq!(call("/repos/octo/other/contents/a", &files).status, 200);
        assert_eq!(
            bearer_of(&upstream),
            bearer(2),
            "what one policy may do, the other's access token cannot"
        );
        // The same needs share an access token while it is valid.
        assert_eq!(call("/repos/octo/demo/issues/1", &again).status, 200);
        assert_eq!(bearer_of(&upstream), bearer(1));
        // What the operator left out, no policy brings in.
        let refused = call("/repos/octo/secret/issues", &elsewhere);
        assert_eq!(refused.code().as_deref(), Some("login-required"), "{}", refused.text());
        let expected = [
            serde_json::json!({"repositories": ["demo"], "permissions": {"issues": "read"}}),
            serde_json::json!({"repositories": ["other"], "permissions": {"contents": "read"}}),
        ];
        assert_eq!(*asked.lock().unwrap(), expected);
        assert_eq!(call("/repos/octo/demo/issues", &issues).status, 200, "the others go on");
    }

    #[test]
    fn t67_a_minted_access_token_is_used_no_more_once_its_placeholder_is_revoked() {
        let (setup, endpoint, upstream, issued) = service_account();
        let other = setup.broker.permit("c", "robot", &items(&upstream), &[]);
        let call =
            |text: &str| setup.broker.call(Way::Connect, Some(&setup.robot), &item(&upstream, "1", text));
        assert_eq!((call(&issued.text).status, call(&other.text).status), (200, 200));
        assert_eq!(endpoint.requests().len(), 1, "one access token for both, while it is valid");
        setup.broker.cli(&["placeholder", "revoke", &issued.id]);
        assert_ne!(call(&issued.text).status, 200);
        assert_eq!(call(&other.text).status, 200);
        setup.broker.cli(&["credential", "remove", "c"]);
        assert_ne!(call(&other.text).status, 200);
        assert_eq!((endpoint.requests().len(), upstream.requests().len()), (1, 3));
    }

    #[test]
    fn a_github_app_asks_for_no_more_than_it_was_narrowed_to() {
        let setup = setup();
        let signing = signing();
        let public = Arc::new(signing.public);
        let endpoint = TlsUpstream::start(&setup.authority, move |request| {
            let assertion =
                request.header("authorization").unwrap_or_default().trim_start_matches("Bearer ").to_owned();
            let fine = verified(&assertion, &public).is_some_and(|claims| claims["iss"] == "12345");
            let wanted = serde_json::json!({"repositories": ["hello"], "permissions": {"contents": "read"}});
            let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            if !fine || asked != wanted || request.target != "/app/installations/7/access_tokens" {
                return Reply::status("401 Unauthorized").with_body("{}");
            }
            let reply = format!(r#"{{"token":"{}","expires_at":"2030-01-01T00:00:00Z"}}"#, shaped("ghs_"));
            Reply::status("201 Created").with("content-type", "application/json").with_body(reply)
        });
        let upstream = TlsUpstream::start(&setup.authority, service);
        let (to, url) = (upstream.url(), format!("{}/app/installations/7/access_tokens", endpoint.url()));
        let mut arguments =
            vec!["credential", "add", "c", "--to", &to, "--grant", "github-app", "--issuer", "12345"];
        arguments.extend(["--installation", "7", "--repository", "hello", "--permission", "contents=read"]);
        arguments.extend(["--token-endpoint", &url]);
        let added = setup.broker.run_with(&arguments, &signing.pem);
        assert!(added.status.success(), "{added:?}");
        let issued = setup.broker.permit("c", "robot", &items(&upstream), &[]);
        let answer = setup.broker.call(Way::Connect, Some(&setup.robot), &item(&upstream, "1", &issued.text));
        assert_eq!(answer.text(), format!("you sent Bearer {}", issued.text));
        assert_eq!(bearer_of(&upstream), Some(format!("Bearer {}", shaped("ghs_"))));
    }
}
