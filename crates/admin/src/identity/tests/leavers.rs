//! Those whose roles change or who leave: what they made has no more than they have, and who asks is no matter of what is written.

use super::{Browser, roles};
use crate::house::{House, POLICY, Told, issue_body};
use crate::identity::Newcomer;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{MemberId, MemberRecord, Name, Role, Roles, Timestamp};
use cloakroom_policy::ApprovalRules;
use http::HeaderMap;
use serde_json::json;

/// A member with this key who has logged in with it.
async fn member(house: &House, name: &str, key: &str, roles: Roles) -> Browser {
    let row = MemberRecord {
        id: MemberId::fresh().unwrap(),
        name: Name::parse(name).unwrap(),
        roles,
        key: key.to_owned(),
        created: Timestamp::now(),
        removed: None,
    };
    house.admin.store.add_member(row).await.unwrap();
    seated(house, name, key).await
}

async fn seated(house: &House, name: &str, key: &str) -> Browser {
    let who = Newcomer { name: name.to_owned(), key: Some(key.to_owned()), roles: Roles::default() };
    Browser::of(house.admin.begin_session(who, &HeaderMap::new()).await.unwrap())
}

async fn token(house: &House, of: &Browser, name: &str, roles: &[Role]) -> String {
    let body = json!({ "name": name, "roles": roles, "expires_in": 3600 });
    let told = of.ask(house, "POST", "/api/v1/tokens", Some(body)).await;
    told.json()["text"].as_str().unwrap_or_else(|| panic!("{told:?}")).to_owned()
}

async fn who(house: &House, token: &str) -> Told {
    house.ask_with(token, "GET", "/api/v1/whoami", None).await
}

#[tokio::test]
async fn t84_an_api_token_of_somebody_who_was_removed_opens_nothing_and_nobody_elses_ends() {
    let house = House::new();
    let ann = member(&house, "ann", "webauthn a", roles(&[Role::Operator])).await;
    let bob = member(&house, "bob", "webauthn b", roles(&[Role::Operator])).await;
    let (of_ann, of_bob) = (
        token(&house, &ann, "a", &[Role::Operator]).await,
        token(&house, &bob, "b", &[Role::Operator]).await,
    );
    let local = house.token(Role::Operator).await;
    assert_eq!(who(&house, &of_ann).await.json()["roles"], json!(["operator"]));
    house.ok("DELETE", "/api/v1/members/ann", None).await;
    let told = house.ask_with(&of_ann, "POST", "/api/v1/workloads", Some(json!({ "name": "w" }))).await;
    assert_eq!((told.status, told.code().as_str()), (401, "not-authenticated"));
    for others in [&of_bob, &local] {
        assert_eq!(who(&house, others).await.json()["roles"], json!(["operator"]));
    }
    // The name is free again, and whoever has it now inherits nothing.
    member(&house, "ann", "webauthn c", roles(&[Role::Operator])).await;
    assert_eq!(who(&house, &of_ann).await.status, 401);
}

#[tokio::test]
async fn t84_an_api_token_has_the_roles_that_its_maker_has_now_even_where_no_row_says_it_ended() {
    let house = House::new();
    let approver = house.approver_key();
    let ann = member(&house, "ann", &approver, roles(&[Role::Operator])).await;
    let text = token(&house, &ann, "both", &[Role::Operator, Role::Approver]).await;
    assert_eq!(who(&house, &text).await.json()["roles"], json!(["operator", "approver"]));
    let row = house.admin.store.api_tokens().await.unwrap().pop().unwrap();
    let again = cloakroom_model::ApiTokenRecord {
        id: cloakroom_model::ApiTokenId::fresh().unwrap(),
        name: Name::parse("kept").unwrap(),
        hash: house.admin.api_token_hash("ckt_kept"),
        ..row
    };
    house.ok("DELETE", "/api/v1/members/ann", None).await;
    assert_eq!(who(&house, &text).await.status, 401);
    // As a token that was made when nothing ended with its maker: what is left is what the passkey is good for.
    house.admin.store.add_api_token(again.clone()).await.unwrap();
    assert_eq!(who(&house, "ckt_kept").await.json()["roles"], json!(["approver"]));
    // As one of which only the name of its maker was known, and nobody had it.
    let nobodys = cloakroom_model::ApiTokenRecord {
        id: cloakroom_model::ApiTokenId::fresh().unwrap(),
        name: Name::parse("nobodys").unwrap(),
        hash: house.admin.api_token_hash("ckt_nobodys"),
        owner_key: Some(String::new()),
        ..again
    };
    house.admin.store.add_api_token(nobodys).await.unwrap();
    assert_eq!(who(&house, "ckt_nobodys").await.status, 401);
}

#[tokio::test]
async fn t82_the_sessions_of_somebody_who_was_removed_end_though_the_passkey_approves_still() {
    let house = House::new();
    let approver = house.approver_key();
    let ann = member(&house, "ann", &approver, roles(&[Role::Operator])).await;
    let bob = member(&house, "bob", "webauthn b", roles(&[Role::Reader])).await;
    let left = house.ok("DELETE", "/api/v1/members/ann", None).await;
    assert_eq!(left["roles"], json!(["approver"]), "what is left is said");
    assert_eq!(ann.ask(&house, "GET", "/api/v1/whoami", None).await.status, 401);
    assert_eq!(bob.ask(&house, "GET", "/api/v1/whoami", None).await.status, 200);
    let again = seated(&house, "ann", &approver).await;
    let told = again.ask(&house, "GET", "/api/v1/whoami", None).await.json();
    assert_eq!(told["roles"], json!(["approver"]));
}

#[tokio::test]
async fn whoever_asks_by_an_api_token_of_their_own_is_the_requester_and_cannot_approve_it() {
    let other = Ed25519KeyPair::generate().unwrap();
    let other = format!("{} second", STANDARD.encode(other.public_key()));
    let rules = ApprovalRules { not_requester: true, ..ApprovalRules::default() };
    let house = House::beside(vec![other], rules);
    house.deposit("c").await;
    house.workload("robot").await;
    // Under a name that is not the approver's: it is the passkey that says who it is.
    let ann = member(&house, "ann", &house.approver_key(), roles(&[Role::Operator])).await;
    let by_token = token(&house, &ann, "robot", &[Role::Operator]).await;
    let named = json!({ "requester": "second" });
    let mut body = issue_body(POLICY);
    body["requester"] = named["requester"].clone();
    let issued = [
        house.ask_with(&by_token, "POST", "/api/v1/placeholders", Some(body.clone())).await,
        house.ask_with(&by_token, "POST", "/api/v1/placeholders", Some(issue_body(POLICY))).await,
        ann.ask(&house, "POST", "/api/v1/placeholders", Some(body.clone())).await,
    ];
    for told in issued {
        assert_eq!(told.status, 200, "{told:?}");
        let path = format!("/api/v1/approvals/{}", told.json()["approval"].as_str().unwrap());
        let text = house.ok("GET", &path, None).await["text"].as_str().unwrap().to_owned();
        assert!(!text.contains("requested by: \"second\""), "{text}");
        let refused = house.refused("POST", &format!("{path}/grant"), Some(house.signature(&text))).await;
        assert_eq!(refused, (403, "signature-not-valid".to_owned()));
    }
    // Named at the broker's own machine, the other one is it, and the first may sign.
    let path = house.ok("POST", "/api/v1/placeholders", Some(body)).await["approval"].clone();
    let path = format!("/api/v1/approvals/{}", path.as_str().unwrap());
    let text = house.ok("GET", &path, None).await["text"].as_str().unwrap().to_owned();
    assert!(text.contains("requested by: \"second\""), "{text}");
    house.ok("POST", &format!("{path}/grant"), Some(house.signature(&text))).await;
}
