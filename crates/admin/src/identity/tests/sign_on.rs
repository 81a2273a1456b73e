//! Those whom a provider vouches for: who they are here, and what they never are.

use super::{Browser, roles};
use crate::house::{House, POLICY, ends, issue_body};
use crate::identity::SingleSignOn;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_egress::login::Provider;
use cloakroom_model::{MemberId, MemberRecord, Name, Role, Roles, SignOnSubject, Timestamp};
use cloakroom_policy::ApprovalRules;
use http::HeaderMap;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

const ISSUER: &str = "https://id.example.com";

fn subject(issuer: &str, subject: &str) -> SignOnSubject {
    SignOnSubject::new(issuer, subject).unwrap()
}

/// Asks this provider from now on; its `staff` are this here.
fn asks(house: &mut House, issuer: &str, staff: &[Role]) {
    let (scopes, groups) = (vec!["groups".into()], Some("groups".into()));
    let provider = Provider { issuer: issuer.into(), client_id: "cloakroom".into(), scopes, groups };
    let mapped = [("staff".to_owned(), roles(staff))].into();
    Arc::get_mut(&mut house.admin).unwrap().sign_on = Some(SingleSignOn::new(provider, None, mapped));
}

/// Logs in as the provider vouches; the code of the refusal otherwise.
async fn logs_in(house: &House, who: &SignOnSubject, groups: &[&str]) -> Result<Browser, String> {
    let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
    let newcomer = house.admin.newcomer(who, &groups).await.map_err(|problem| problem.code().to_string())?;
    Ok(Browser::of(house.admin.begin_session(newcomer, &HeaderMap::new()).await.unwrap()))
}

async fn status(house: &House, browser: &Browser) -> u16 {
    browser.ask(house, "GET", "/api/v1/whoami", None).await.status
}

async fn add(house: &House, name: &str, subject: &str, roles: &[Role]) -> (u16, String) {
    let body = json!({ "name": name, "subject": subject, "roles": roles });
    let (status, told) = house.call("POST", "/api/v1/members/sign-on", Some(body)).await;
    (status.as_u16(), told["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_member_is_a_subject_of_one_issuer_and_of_no_other() {
    let mut house = House::new();
    assert_eq!(
        add(&house, "ann", "a1", &[Role::Operator]).await,
        (409, "conflict".into()),
        "nobody is asked"
    );
    asks(&mut house, ISSUER, &[]);
    assert_eq!(add(&house, "ann", "a1", &[Role::Operator]).await, (200, String::new()));
    for (name, subject, roles, code) in [
        ("ann", "a2", &[Role::Reader][..], "name-taken"),
        ("bob", "a1", &[Role::Reader], "name-taken"),
        ("bob", "", &[Role::Reader], "malformed-request"),
        ("bob", "b\n", &[Role::Reader], "malformed-request"),
        ("bob", "b1", &[], "malformed-request"),
        ("bob", "b1", &[Role::Reader, Role::Approver], "malformed-request"),
    ] {
        let (status, told) = add(&house, name, subject, roles).await;
        assert!(status >= 400 && told == code, "{name} {subject:?}: {status} {told}");
    }
    let ann = logs_in(&house, &subject(ISSUER, "a1"), &[]).await.unwrap();
    let told = ann.ask(&house, "GET", "/api/v1/whoami", None).await.json();
    assert_eq!((&told["name"], &told["roles"]), (&json!("person \"ann\""), &json!(["operator"])));
    assert!(house.admin.first_link().await.unwrap().is_none(), "an operator can log in");
    for (issuer, other) in
        [("https://other.example", "a1"), ("https://id.example.com/", "a1"), (ISSUER, "A1")]
    {
        let refused = logs_in(&house, &subject(issuer, other), &[]).await;
        assert_eq!(refused.err().as_deref(), Some("sign-on-unknown"), "{issuer} {other}");
    }
    // Another provider is asked: the people of the former one are nobody's, and the first link is offered again.
    asks(&mut house, "https://other.example", &[]);
    assert_eq!(status(&house, &ann).await, 401);
    assert!(house.admin.first_link().await.unwrap().is_some());
    asks(&mut house, ISSUER, &[]);
    assert_eq!(status(&house, &ann).await, 200);
    Arc::get_mut(&mut house.admin).unwrap().sign_on = None;
    assert_eq!(status(&house, &ann).await, 401, "nobody is asked");
}

#[tokio::test]
async fn nobody_is_an_approver_by_single_sign_on_whatever_row_or_setting_says_so() {
    let mut house = House::new();
    asks(&mut house, ISSUER, &[Role::Reader, Role::Approver]);
    // As if somebody had edited the row.
    let row = MemberRecord {
        id: MemberId::fresh().unwrap(),
        name: Name::parse("ann").unwrap(),
        roles: Roles::all(),
        key: subject(ISSUER, "a1").to_string(),
        created: Timestamp::now(),
        removed: None,
    };
    house.admin.store.add_member(row).await.unwrap();
    for (who, groups, expected) in
        [("a1", vec![], json!(["operator", "auditor", "reader"])), ("b1", vec!["staff"], json!(["reader"]))]
    {
        let browser = logs_in(&house, &subject(ISSUER, who), &groups).await.unwrap();
        assert_eq!(browser.ask(&house, "GET", "/api/v1/whoami", None).await.json()["roles"], expected);
        let told = browser.ask(&house, "POST", "/api/v1/approvals/nothing/grant", Some(json!({}))).await;
        assert_eq!(told.code(), "role-missing");
    }
}

#[tokio::test]
async fn what_groups_give_is_for_one_session_and_ends_with_the_settings_and_with_a_removal() {
    let mut house = House::new();
    asks(&mut house, ISSUER, &[Role::Operator]);
    let bob = subject(ISSUER, "b1");
    assert_eq!(logs_in(&house, &bob, &["other"]).await.err().as_deref(), Some("sign-on-unknown"));
    let browser = logs_in(&house, &bob, &["other", "staff"]).await.unwrap();
    let token = json!({ "name": "t", "roles": ["operator"], "expires_in": 60 });
    let told = browser.ask(&house, "POST", "/api/v1/tokens", Some(token.clone())).await;
    assert_eq!(told.code(), "role-missing", "it would outlive the session");
    let (own, link) = (
        json!({ "name": "bob", "subject": "b1", "roles": ["operator"] }),
        json!({ "name": "bob", "roles": ["operator"] }),
    );
    for (path, body) in [("/api/v1/members/sign-on", own), ("/api/v1/members", link)] {
        let told = browser.ask(&house, "POST", path, Some(body)).await;
        assert_eq!(told.code(), "role-missing", "{path}: so would that");
        assert!(told.text.contains("a provider's group"), "{}", told.text);
    }
    asks(&mut house, ISSUER, &[Role::Reader]);
    assert_eq!(status(&house, &browser).await, 401, "no group gives that role any more");
    asks(&mut house, ISSUER, &[Role::Operator]);
    assert_eq!(status(&house, &browser).await, 200);
    // Once a member, the table of members says what bob may do, and after that nothing does.
    assert_eq!(add(&house, "bob", "b1", &[Role::Reader]).await.0, 200);
    let told = browser.ask(&house, "GET", "/api/v1/whoami", None).await.json();
    assert_eq!(told["roles"], json!(["reader"]));
    let member = logs_in(&house, &bob, &["staff"]).await.unwrap();
    let of_member = json!({ "name": "t", "roles": ["reader"], "expires_in": 60 });
    let text = member.ask(&house, "POST", "/api/v1/tokens", Some(of_member)).await.json()["text"].clone();
    house.ok("DELETE", "/api/v1/members/bob", None).await;
    for browser in [&browser, &member] {
        assert_eq!(status(&house, browser).await, 401);
    }
    assert_eq!(house.ask_with(text.as_str().unwrap(), "GET", "/api/v1/whoami", None).await.status, 401);
    let again = logs_in(&house, &bob, &["staff"]).await;
    assert_eq!(again.err().as_deref(), Some("sign-on-unknown"), "no group brings back whom somebody removed");
}

#[tokio::test]
async fn an_operator_by_single_sign_on_who_has_an_approver_s_name_is_the_requester() {
    let other = Ed25519KeyPair::generate().unwrap();
    let other = format!("{} second", STANDARD.encode(other.public_key()));
    let rules = ApprovalRules { not_requester: true, ..ApprovalRules::default() };
    let mut house = House::beside(vec![other], rules);
    asks(&mut house, ISSUER, &[]);
    assert_eq!(add(&house, "second", "a1", &[Role::Operator]).await.0, 200);
    house.deposit("c").await;
    house.workload("robot").await;
    let second = logs_in(&house, &subject(ISSUER, "a1"), &[]).await.unwrap();
    let issued = second.ask(&house, "POST", "/api/v1/placeholders", Some(issue_body(POLICY))).await;
    assert_eq!(issued.status, 200, "{issued:?}");
    let path = format!("/api/v1/approvals/{}", issued.json()["approval"].as_str().unwrap());
    let text = house.ok("GET", &path, None).await["text"].as_str().unwrap().to_owned();
    assert!(text.contains("requested by: \"second\""), "{text}");
}

#[tokio::test]
async fn whom_a_group_lets_in_is_not_believed_who_asks() {
    for not_requester in [false, true] {
        let other = Ed25519KeyPair::generate().unwrap();
        let other = format!("{} second", STANDARD.encode(other.public_key()));
        let mut house =
            House::beside(vec![other], ApprovalRules { not_requester, ..ApprovalRules::default() });
        asks(&mut house, ISSUER, &[Role::Operator]);
        house.deposit("c").await;
        house.workload("robot").await;
        let bob = logs_in(&house, &subject(ISSUER, "b1"), &["staff"]).await.unwrap();
        let mut named = issue_body(POLICY);
        named["requester"] = json!("second");
        let told = bob.ask(&house, "POST", "/api/v1/placeholders", Some(named)).await;
        assert_eq!(told.code(), "role-missing", "{told:?}");
        let told = bob.ask(&house, "POST", "/api/v1/placeholders", Some(issue_body(POLICY))).await;
        let code = if not_requester { "role-missing" } else { "" };
        assert_eq!(told.code(), code, "{told:?}");
    }
}

#[tokio::test]
async fn an_answer_to_nothing_from_a_browser_that_began_nothing_keeps_nobody_from_logging_in() {
    let mut house = House::new();
    asks(&mut house, ISSUER, &[]);
    let path = "/sign-on/callback?state=x&code=y";
    let must_wait =
        |house: &House| house.admin.identity.attempts.must_wait(ends().remote.ip(), Instant::now());
    for _ in 0..20 {
        let told = house.ask("GET", path, &[("sec-fetch-site", "cross-site")], "").await;
        assert!(told.status >= 400 && told.status != 429, "{told:?}");
    }
    assert!(!must_wait(&house));
    for _ in 0..10 {
        house.ask("GET", path, &[("cookie", "cloakroom-sign-on-8481=guessed")], "").await;
    }
    assert!(must_wait(&house), "a browser that has begun one guesses");
    assert_eq!(house.ask("GET", path, &[], "").await.status, 429);
}
