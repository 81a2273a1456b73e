//! The whole API in process, on the admin socket.

use super::{Route, routes};
use crate::house::{CANARY, House, POLICY, ends, golden, issue_body};
use crate::identity::tests::Browser;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{EventKind, Role, SecurityEvent, WorkloadId};
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};

#[tokio::test]
async fn a_credential_goes_from_deposit_to_grant_and_each_act_is_on_record() {
    let (house, issued) = House::granted().await;
    assert_eq!(issued["state"], "pending");
    let path = format!("/api/v1/placeholders/{}", issued["id"].as_str().unwrap());
    let shown = house.ok("GET", &path, None).await;
    assert_eq!(shown["state"], "active");
    assert!(!shown.to_string().contains(issued["placeholder"].as_str().unwrap()));
    assert_eq!(
        house.acts(),
        ["credential added", "workload added", "placeholder issued", "approval granted"]
    );
    house.ok("POST", &format!("{path}/revoke"), None).await;
    assert_eq!(house.ok("GET", &path, None).await["state"], "revoked");
    // A second time changes nothing and records nothing.
    house.ok("POST", &format!("{path}/revoke"), None).await;
    assert_eq!(house.acts().last().unwrap(), "placeholder revoked");
    assert_eq!(house.acts().len(), 5);
}

#[tokio::test]
async fn an_act_is_in_force_when_it_is_answered() {
    let house = House::new();
    let added = house.workload("robot").await;
    let key = added["key"].as_str().unwrap();
    let id: WorkloadId = added["id"].as_str().unwrap().parse().unwrap();
    let showing = cloakroom_policy::Showing {
        key: Some(key),
        certificate: None,
        boot: None,
        source: cloakroom_model::Source::User(0),
    };
    let known = || house.admin.policies.load().recognise(&showing).map(|known| known.workload);
    assert_eq!(known(), Some(id));
    house.ok("DELETE", "/api/v1/workloads/robot", None).await;
    assert_eq!(known(), None);
}

#[tokio::test]
async fn names_are_taken_once_and_free_again_after_removal() {
    let house = House::new();
    house.deposit("c").await;
    house.workload("robot").await;
    let again = house.deposit_body("c").await;
    assert_eq!(house.refused("POST", "/api/v1/credentials", Some(again)).await, (409, "name-taken".into()));
    let again = Some(json!({ "name": "robot" }));
    assert_eq!(house.refused("POST", "/api/v1/workloads", again).await, (409, "name-taken".into()));
    assert_eq!(house.acts().len(), 2);
    house.ok("DELETE", "/api/v1/credentials/c", None).await;
    house.ok("DELETE", "/api/v1/workloads/robot", None).await;
    house.deposit("c").await;
    house.workload("robot").await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_the_nearest_name_is_suggested() {
    let house = House::new();
    house.deposit("stripe-live").await;
    for path in [
        "/api/v1/credentials/nothing",
        "/api/v1/workloads/nothing",
        "/api/v1/placeholders/ph_01HF7YAT00QTXS9F8T1S4ZKZ8M",
        "/api/v1/placeholders/nothing",
        "/api/v1/approvals/ap_01HF7YAT00QTXS9F8T1S4ZKZ8M",
        "/api/v1/explain/01HF7YAT00QTXS9F8T1S4ZKZ8M",
    ] {
        assert_eq!(house.refused("GET", path, None).await, (404, "not-found".into()), "{path}");
    }
    assert_eq!(house.refused("GET", "/api/v1/nothing", None).await, (404, "no-such-route".into()));
    assert_eq!(house.refused("PUT", "/api/v1/health", None).await, (405, "method-not-allowed".into()));
    let (_, answer) = house.call("GET", "/api/v1/credentials/stripe-lvie", None).await;
    assert_eq!(answer["hint"], "did you mean \"stripe-live\"?");
}

#[tokio::test]
async fn a_request_one_step_wrong_is_refused_and_changes_nothing() {
    let house = House::new();
    house.deposit("c").await;
    house.workload("robot").await;
    let good = house.deposit_body("d").await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        Some(body)
    };
    for (body, code) in [
        (with(&|body| body["name"] = json!("no name")), "malformed-request"),
        (with(&|body| body["name"] = json!("other")), "secret-not-accepted"),
        (with(&|body| body["kind"] = json!("magic")), "malformed-request"),
        (with(&|body| body["destinations"] = json!([])), "malformed-request"),
        (with(&|body| body["destinations"] = json!(["ftp://x"])), "malformed-request"),
        (with(&|body| body["more"] = json!(1)), "malformed-request"),
        (with(&|body| body["secret"]["ciphertext"] = json!("AAAA")), "secret-not-accepted"),
        (None, "malformed-request"),
    ] {
        assert_eq!(house.refused("POST", "/api/v1/credentials", body).await.1, code);
    }
    let elsewhere = POLICY.replace("api.example.com", "evil.example.com");
    let signs = POLICY.replace("header authorization bearer", "sigv4 eu-west-1 s3");
    for (policy, code) in [
        ("version = 2", "bad-policy"),
        (elsewhere.as_str(), "destination-outside-credential"),
        (signs.as_str(), "bad-policy"),
    ] {
        let refused = house.refused("POST", "/api/v1/placeholders", Some(issue_body(policy))).await;
        assert_eq!(refused, (422, code.into()));
    }
    let mut none = issue_body(POLICY);
    none["uses"] = json!(0);
    assert_eq!(
        house.refused("POST", "/api/v1/placeholders", Some(none)).await,
        (400, "malformed-request".into())
    );
    assert_eq!(house.acts().len(), 2);
    let rows = house.admin.store.load().await.unwrap();
    assert_eq!((rows.credentials.len(), rows.placeholders.len()), (1, 0));
}

#[tokio::test]
async fn t76_only_a_signature_over_the_text_as_it_is_now_grants() {
    let house = House::new();
    house.deposit("c").await;
    house.workload("robot").await;
    let (one, two) = (house.issue().await, house.issue().await);
    let path = |issued: &Value| format!("/api/v1/approvals/{}", issued["approval"].as_str().unwrap());
    let text = house.ok("GET", &path(&one), None).await["text"].as_str().unwrap().to_owned();
    let stranger = Ed25519KeyPair::generate().unwrap();
    let bytes = [b"cloakroom approval v1\n", text.as_bytes()].concat();
    let by_stranger = json!({ "signature": {
        "key": STANDARD.encode(stranger.public_key()), "signature": STANDARD.encode(stranger.sign(&bytes)) } });
    let wrong =
        [house.signature(&text.replace("GET", "PUT")), house.signature(&format!("{text} ")), by_stranger];
    for signature in wrong {
        let refused = house.refused("POST", &format!("{}/grant", path(&one)), Some(signature)).await;
        assert_eq!(refused, (403, "signature-not-valid".into()));
    }
    // The text of one approval grants no other.
    let good = house.signature(&text);
    let refused = house.refused("POST", &format!("{}/grant", path(&two)), Some(good.clone())).await;
    assert_eq!(refused, (403, "signature-not-valid".into()));
    house.ok("POST", &format!("{}/grant", path(&one)), Some(good.clone())).await;
    assert_eq!(
        house.refused("POST", &format!("{}/grant", path(&one)), Some(good)).await,
        (409, "conflict".into())
    );
    assert_eq!(house.refused("POST", &format!("{}/deny", path(&one)), None).await, (409, "conflict".into()));
}

#[tokio::test]
async fn t78_a_denied_or_moot_approval_cannot_be_granted() {
    let house = House::new();
    house.deposit("c").await;
    house.workload("robot").await;
    let (denied, revoked) = (house.issue().await, house.issue().await);
    house.ok("POST", &format!("/api/v1/approvals/{}/deny", denied["approval"].as_str().unwrap()), None).await;
    house.ok("POST", &format!("/api/v1/placeholders/{}/revoke", revoked["id"].as_str().unwrap()), None).await;
    for issued in [denied, revoked] {
        let path = format!("/api/v1/approvals/{}", issued["approval"].as_str().unwrap());
        let text = house.ok("GET", &path, None).await["text"].as_str().unwrap().to_owned();
        let signature = Some(house.signature(&text));
        assert_eq!(
            house.refused("POST", &format!("{path}/grant"), signature).await,
            (409, "conflict".into())
        );
    }
}

#[tokio::test]
async fn t91_without_a_journal_nothing_is_changed() {
    let (house, issued) = House::granted().await;
    let before = house.admin.store.load().await.unwrap();
    let pending = house.issue().await;
    let text =
        house.ok("GET", &format!("/api/v1/approvals/{}", pending["approval"].as_str().unwrap()), None).await;
    let signature = house.signature(text["text"].as_str().unwrap());
    let secret = house.sealed("c").await;
    let fresh = house.deposit_body("d").await;
    let with_pending = house.admin.store.load().await.unwrap();
    assert_ne!(before, with_pending);
    house.admin.journal.close().unwrap();
    let (id, approval) = (issued["id"].as_str().unwrap(), pending["approval"].as_str().unwrap());
    for (method, path, body) in [
        ("POST", "/api/v1/credentials".to_owned(), Some(fresh)),
        ("POST", "/api/v1/credentials/c/rotate".into(), Some(json!({ "secret": secret }))),
        ("DELETE", "/api/v1/credentials/c".into(), None),
        ("POST", "/api/v1/workloads".into(), Some(json!({ "name": "other" }))),
        ("DELETE", "/api/v1/workloads/robot".into(), None),
        ("POST", "/api/v1/placeholders".into(), Some(issue_body(POLICY))),
        ("POST", format!("/api/v1/placeholders/{id}/revoke"), None),
        ("POST", format!("/api/v1/approvals/{approval}/grant"), Some(signature)),
        ("POST", format!("/api/v1/approvals/{approval}/deny"), None),
    ] {
        assert_eq!(house.refused(method, &path, body).await, (503, "journal-unavailable".into()), "{path}");
    }
    assert_eq!(house.admin.store.load().await.unwrap(), with_pending);
}

#[tokio::test]
async fn another_user_may_do_nothing_on_any_route() {
    let house = House::new();
    for Route { method, path, .. } in routes() {
        let (status, text) = house.call_as(House::own_uid() + 1, method, path, Some(json!({}))).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}");
        assert!(text.contains("peer-not-permitted"));
    }
    assert!(house.acts().is_empty());
}

#[tokio::test]
async fn t86_no_route_ever_shows_a_secret_and_none_that_reads_a_key_or_a_placeholder() {
    let (house, issued) = House::granted().await;
    house.admin.feeds.end();
    let key = house.workload("other").await["key"].as_str().unwrap().to_owned();
    let token = house.token(Role::Reader).await;
    let placeholder = issued["placeholder"].as_str().unwrap();
    let rotated = json!({ "secret": house.sealed("c").await });
    house.ok("POST", "/api/v1/credentials/c/rotate", Some(rotated)).await;
    house.ok("POST", "/api/v1/lessons", Some(json!({ "workload": "robot", "seconds": 60 }))).await;
    let encoded = STANDARD.encode(CANARY);
    let secrets = [CANARY, &encoded[..encoded.len() - 4]];
    let filled = |path: &str| {
        let path = path.replace("{credential}", "c").replace("{workload}", "robot");
        let path = path.replace("{placeholder}", issued["id"].as_str().unwrap());
        let path = path.replace("{approval}", issued["approval"].as_str().unwrap());
        path.replace("{request}", "01HF7YAT00QTXS9F8T1S4ZKZ8M")
    };
    let (reads, changes): (Vec<Route>, Vec<Route>) = routes()
        .into_iter()
        .filter(|route| !route.path.ends_with(".json"))
        .partition(|route| route.method == "GET");
    assert_eq!(reads.len(), 26);
    for route in reads {
        let path = filled(route.path);
        let (status, text) = house.call_as(House::own_uid(), "GET", &path, None).await;
        // What there is none of in this house tells nothing either.
        let is_none = ["explain", "logins/", "issuer"].iter().any(|word| path.contains(word));
        assert!(status == StatusCode::OK || is_none, "{path}: {text}");
        for never in secrets.into_iter().chain([&key, placeholder, &token, "ciphertext"]) {
            assert!(!text.contains(never), "{path} shows {never}");
        }
    }
    for route in changes {
        let (_, text) =
            house.call_as(House::own_uid(), route.method, &filled(route.path), Some(json!({}))).await;
        assert!(secrets.iter().all(|never| !text.contains(never)), "{} {}", route.method, route.path);
    }
}

#[test]
fn the_document_is_what_is_checked_in_and_names_every_operation_once() {
    let document = super::openapi::document(&routes());
    let mut ids: Vec<&str> = Vec::new();
    for methods in document["paths"].as_object().unwrap().values() {
        ids.extend(methods.as_object().unwrap().values().map(|one| one["operationId"].as_str().unwrap()));
    }
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!((ids.len(), all), (routes().len(), routes().len()));
    golden("../../docs/openapi.json", &format!("{}\n", serde_json::to_string_pretty(&document).unwrap()));
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let house = House::new();
    for name in ["one", "two", "three"] {
        house.workload(name).await;
    }
    let mut path = "/api/v1/workloads?limit=2".to_owned();
    let mut names = Vec::new();
    loop {
        let answer = house.tell("GET", &path, &[], "").await;
        let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let page: Vec<Value> = serde_json::from_slice(&bytes).unwrap();
        assert!(page.len() <= 2);
        names.extend(page.iter().map(|one| one["name"].as_str().unwrap().to_owned()));
        let Some(link) = link else { break };
        path = format!("/api/v1/workloads{}", link.split(['<', '>']).nth(1).unwrap());
    }
    assert_eq!(names, ["one", "two", "three"]);
    for wrong in ["limit=0", "limit=1001", "after=%0a", "page=1"] {
        let path = format!("/api/v1/workloads?{wrong}");
        assert_eq!(house.refused("GET", &path, None).await, (400, "malformed-request".into()), "{wrong}");
    }
}

#[tokio::test]
async fn a_change_that_is_bound_to_what_was_looked_at_is_made_on_that_alone() {
    let (house, issued) = House::granted().await;
    let path = format!("/api/v1/placeholders/{}", issued["id"].as_str().unwrap());
    let tag = async |path: &str| {
        let answer = house.tell("GET", path, &[], "").await;
        answer.headers()["etag"].to_str().unwrap().to_owned()
    };
    let before = tag(&path).await;
    assert_eq!(tag(&path).await, before, "looking changes nothing");
    house.ok("POST", &format!("{path}/freeze"), None).await;
    let acts = house.acts().len();
    let stale = house.tell("POST", &format!("{path}/revoke"), &[("if-match", &before)], "").await;
    assert_eq!(stale.status(), 412);
    assert_eq!(house.acts().len(), acts, "nothing was done");
    let now = tag(&path).await;
    let bound = house.tell("POST", &format!("{path}/thaw"), &[("if-match", &now)], "").await;
    assert_eq!(bound.status(), 200);
    let credential = tag("/api/v1/credentials/c").await;
    house
        .ok("POST", "/api/v1/credentials/c/rotate", Some(json!({ "secret": house.sealed("c").await })))
        .await;
    let stale = house.tell("DELETE", "/api/v1/credentials/c", &[("if-match", &credential)], "").await;
    assert_eq!(stale.status(), 412);
    // Two who rotate at once: one of them does.
    let root = tag("/api/v1/custody").await;
    let twice = [
        house.tell("POST", "/api/v1/custody/rotate", &[("if-match", &root)], "").await,
        house.tell("POST", "/api/v1/custody/rotate", &[("if-match", &root)], "").await,
    ];
    assert_eq!(twice.map(|answer| answer.status().as_u16()), [200, 412]);
    let keys = tag("/api/v1/drop-off").await;
    let body = r#"{"overlap":60}"#;
    let twice = [
        house.tell("POST", "/api/v1/drop-off/rotate", &[("if-match", &keys)], body).await,
        house.tell("POST", "/api/v1/drop-off/rotate", &[("if-match", &keys)], body).await,
    ];
    assert_eq!(twice.map(|answer| answer.status().as_u16()), [200, 412]);
    let any = house.tell("DELETE", "/api/v1/workloads/robot", &[("if-match", "*")], "").await;
    assert_eq!(any.status(), 200);
}

#[tokio::test]
async fn what_is_asked_for_again_with_the_same_key_is_made_once() {
    let house = House::new();
    let ask = async |key: &str, body: &str| {
        let answer = house.tell("POST", "/api/v1/workloads", &[("idempotency-key", key)], body).await;
        let (status, replayed) =
            (answer.status().as_u16(), answer.headers().contains_key("idempotency-replayed"));
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let told: Value = serde_json::from_slice(&bytes).unwrap();
        (status, replayed, told)
    };
    let first = ask("k1", r#"{"name":"robot"}"#).await;
    let again = ask("k1", r#"{"name":"robot"}"#).await;
    assert_eq!((first.0, first.1, again.0, again.1), (200, false, 200, true));
    assert_eq!(first.2, again.2, "the key that is shown once, too");
    assert_eq!(house.acts().len(), 1);
    let other = ask("k1", r#"{"name":"other"}"#).await;
    assert_eq!((other.0, other.2["code"].as_str()), (422, Some("idempotency-key-reused")));
    // What was refused made nothing, so it may be tried again.
    assert_eq!(ask("k2", r#"{"name":"robot"}"#).await.2["code"], "name-taken");
    house.ok("DELETE", "/api/v1/workloads/robot", None).await;
    assert_eq!(ask("k2", r#"{"name":"robot"}"#).await.0, 200);
    assert_eq!(ask("", r#"{"name":"x"}"#).await.2["code"], "malformed-request");
    // Another caller's key is another key.
    let token = house.token(Role::Operator).await;
    let field = format!("Bearer {token}");
    let fields =
        [("authorization", field.as_str()), ("idempotency-key", "k1"), ("content-type", "application/json")];
    let told = house.ask("POST", "/api/v1/workloads", &fields, r#"{"name":"robot"}"#).await;
    assert_eq!(told.code(), "name-taken");
}

#[tokio::test]
async fn approvals_and_security_events_are_told_as_they_happen() {
    let house = House::new();
    house.deposit("c").await;
    house.workload("robot").await;
    let first = house.issue().await;
    let mut body = house.tell("GET", "/api/v1/events", &[], "").await.into_body();
    let mut next = async || {
        let frame = body.frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    };
    let told = next().await.unwrap();
    assert!(
        told.starts_with("event: approval\ndata: {") && told.contains(first["approval"].as_str().unwrap())
    );
    house.admin.events.raise(SecurityEvent::new(EventKind::SpentUsed));
    assert!(next().await.unwrap().starts_with("event: security-event\ndata: {"));
    house.ok("POST", &format!("/api/v1/approvals/{}/deny", first["approval"].as_str().unwrap()), None).await;
    let told = next().await.unwrap();
    assert!(told.contains("\"denied\"") && !told.contains(first["placeholder"].as_str().unwrap()), "{told}");
    house.admin.feeds.end();
    assert_eq!(next().await, None, "it ends with the broker");
}

#[tokio::test]
async fn whoever_listens_and_may_no_more_is_told_nothing_and_makes_room() {
    let house = House::new();
    let token = format!("Bearer {}", house.token(Role::Auditor).await);
    let browser = Browser::with(&house, "ann", [Role::Auditor].into_iter().collect()).await;
    let cookie = browser.cookie.as_str();
    let session = house.ok("GET", "/api/v1/sessions", None).await[0]["id"].as_str().unwrap().to_owned();
    for (field, ended) in [
        (("authorization", token.as_str()), "/api/v1/tokens/for-auditor".to_owned()),
        (("cookie", cookie), format!("/api/v1/sessions/{session}")),
    ] {
        let mut body = house.answer(ends(), "GET", "/api/v1/events", &[field], "").await.into_body();
        house.admin.events.raise(SecurityEvent::new(EventKind::SpentUsed));
        let told = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(told.starts_with(b"event: security-event"), "{told:?}");
        house.ok("DELETE", &ended, None).await;
        house.admin.events.raise(SecurityEvent::new(EventKind::SpentUsed));
        assert!(body.frame().await.is_none(), "{ended}");
    }
}

#[tokio::test]
async fn t75_hostile_text_in_an_admin_request_comes_back_escaped_or_not_at_all() {
    let house = House::new();
    let (status, text) =
        house.call_as(House::own_uid(), "GET", "/api/v1/credentials/%1B%5B2J%0D%0Aevil", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(!text.bytes().any(|byte| byte.is_ascii_control()), "{text:?}");
}

mod custody;
mod drop_off;
