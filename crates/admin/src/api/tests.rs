//! The whole API in process, on the admin socket.

use super::routes;
use crate::house::{CANARY, House, POLICY, issue_body};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::WorkloadId;
use http::StatusCode;
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
    for (method, path, ..) in routes() {
        let (status, text) = house.call_as(House::own_uid() + 1, method, path, Some(json!({}))).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}");
        assert!(text.contains("peer-not-permitted"));
    }
    assert!(house.acts().is_empty());
}

#[tokio::test]
async fn t86_no_route_that_reads_ever_shows_a_secret_a_key_or_a_placeholder() {
    let (house, issued) = House::granted().await;
    let key = house.workload("other").await["key"].as_str().unwrap().to_owned();
    let placeholder = issued["placeholder"].as_str().unwrap();
    let rotated = json!({ "secret": house.sealed("c").await });
    house.ok("POST", "/api/v1/credentials/c/rotate", Some(rotated)).await;
    house.ok("POST", "/api/v1/lessons", Some(json!({ "workload": "robot", "seconds": 60 }))).await;
    let mut asked = 0;
    for (method, path, ..) in routes().into_iter().filter(|(method, ..)| *method == "GET") {
        let path = path
            .replace("{credential}", "c")
            .replace("{workload}", "robot")
            .replace("{placeholder}", issued["id"].as_str().unwrap())
            .replace("{approval}", issued["approval"].as_str().unwrap())
            .replace("{request}", "01HF7YAT00QTXS9F8T1S4ZKZ8M");
        let (status, text) = house.call_as(House::own_uid(), method, &path, None).await;
        // What there is none of in this house tells nothing either.
        let is_none = ["explain", "logins/", "issuer"].iter().any(|word| path.contains(word));
        assert!(status == StatusCode::OK || is_none, "{path}: {text}");
        let encoded = STANDARD.encode(CANARY);
        for never in [CANARY, &encoded[..encoded.len() - 4], &key, placeholder, "sealed", "ciphertext"] {
            assert!(!text.contains(never), "{path} shows {never}");
        }
        asked += 1;
    }
    assert_eq!(asked, 25);
}

#[tokio::test]
async fn t75_hostile_text_in_an_admin_request_comes_back_escaped_or_not_at_all() {
    let house = House::new();
    let (status, text) =
        house.call_as(House::own_uid(), "GET", "/api/v1/credentials/%1B%5B2J%0D%0Aevil", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(!text.bytes().any(|byte| byte.is_ascii_control()), "{text:?}");
}

mod drop_off;
