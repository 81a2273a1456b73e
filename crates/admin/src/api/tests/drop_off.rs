//! Parcels over the API: each becomes what its label says, once.

use super::*;
use cloakroom_egress::custody::{DropKey, Label, Parcel};
use cloakroom_model::{CredentialKind, Name, Timestamp};
use std::time::Duration;
use zeroize::Zeroizing;

impl House {
    async fn drop_key(&self) -> DropKey {
        let shown = self.ok("GET", "/api/v1/drop-off", None).await;
        serde_json::from_value(shown["keys"][0]["key"].clone()).unwrap()
    }

    async fn parcel(&self, name: &str) -> Value {
        sealed(&self.drop_key().await, name, Duration::from_secs(60))
    }

    async fn drop_off(&self, parcel: Value) -> (u16, String) {
        self.refused("POST", "/api/v1/parcels", Some(parcel)).await
    }
}

fn sealed(key: &DropKey, name: &str, good_for: Duration) -> Value {
    let label = Label {
        name: Name::parse(name).unwrap(),
        kind: CredentialKind::Bearer,
        destinations: vec!["https://api.example.com".parse().unwrap()],
        expires: Timestamp::now().plus(good_for),
    };
    let secret = Zeroizing::new(CANARY.as_bytes().to_vec());
    serde_json::to_value(Parcel::seal(key, label, &secret).unwrap()).unwrap()
}

#[tokio::test]
async fn a_parcel_becomes_the_credential_that_its_label_says_and_is_on_record() {
    let house = House::new();
    let parcel = house.parcel("c").await;
    let added = house.ok("POST", "/api/v1/parcels", Some(parcel)).await;
    assert_eq!(
        (&added["name"], &added["kind"], &added["destinations"]),
        (&json!("c"), &json!("bearer"), &json!(["https://api.example.com"]))
    );
    assert_eq!(house.acts(), ["drop-off taken", "credential added"]);
    house.workload("robot").await;
    house.issue().await;
}

#[tokio::test]
async fn a_parcel_is_taken_once_also_after_its_credential_is_gone() {
    let house = House::new();
    let parcel = house.parcel("c").await;
    house.ok("POST", "/api/v1/parcels", Some(parcel.clone())).await;
    assert_eq!(house.drop_off(parcel.clone()).await, (409, "name-taken".into()));
    house.ok("DELETE", "/api/v1/credentials/c", None).await;
    assert_eq!(house.drop_off(parcel).await, (409, "drop-off-taken".into()));
    assert_eq!(house.acts().last().unwrap(), "drop-off refused: drop-off-taken");
    assert_eq!(house.ok("GET", "/api/v1/credentials", None).await, json!([]));
}

#[tokio::test]
async fn a_parcel_one_step_wrong_is_refused_with_its_code_and_becomes_nothing() {
    let house = House::new();
    let (good, stranger) = (house.parcel("c").await, House::new());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut parcel = good.clone();
        change(&mut parcel);
        parcel
    };
    let key = house.drop_key().await;
    let far = Duration::from_secs(91 * 86_400);
    for (parcel, refusal) in [
        (with(&|p| p["label"]["name"] = json!("d")), (422, "drop-off-not-opened")),
        (with(&|p| p["label"]["kind"] = json!("query")), (422, "drop-off-not-opened")),
        (
            with(&|p| p["label"]["destinations"] = json!(["https://evil.example.com"])),
            (422, "drop-off-not-opened"),
        ),
        (with(&|p| p["label"]["expires"] = json!(Timestamp::now().plus(far))), (422, "drop-off-not-opened")),
        (with(&|p| p["id"] = json!("0".repeat(32))), (422, "drop-off-not-opened")),
        (with(&|p| p["secret"]["ciphertext"] = json!("AAAA")), (422, "drop-off-not-opened")),
        (with(&|p| p["secret"]["encapsulated"] = json!("AAAA")), (422, "drop-off-not-opened")),
        (with(&|p| p["key"] = json!("0".repeat(16))), (422, "drop-off-key-unknown")),
        (stranger.parcel("c").await, (422, "drop-off-key-unknown")),
        (sealed(&key, "c", Duration::ZERO), (422, "drop-off-expired")),
        (sealed(&key, "c", far), (422, "drop-off-expired")),
        (with(&|p| p["parcel"] = json!(2)), (400, "malformed-request")),
        (with(&|p| p["more"] = json!(1)), (400, "malformed-request")),
        (with(&|p| p["label"]["more"] = json!(1)), (400, "malformed-request")),
        (with(&|p| p["label"]["destinations"] = json!([])), (400, "malformed-request")),
    ] {
        assert_eq!(house.drop_off(parcel.clone()).await, (refusal.0, refusal.1.into()), "{parcel}");
    }
    assert_eq!(house.ok("GET", "/api/v1/credentials", None).await, json!([]));
    house.ok("POST", "/api/v1/parcels", Some(good)).await;
}

#[tokio::test]
async fn a_replaced_key_opens_parcels_for_the_overlap_and_without_one_not_at_all() {
    let house = House::new();
    let (one, two) = (house.parcel("c").await, house.parcel("d").await);
    let rotated = house.ok("POST", "/api/v1/drop-off/rotate", Some(json!({ "overlap": 3600 }))).await;
    assert_eq!(rotated["keys"].as_array().unwrap().len(), 2);
    assert!(rotated["keys"][0].get("ends").is_none() && rotated["keys"][1]["ends"].is_string());
    house.ok("POST", "/api/v1/parcels", Some(one)).await;
    house.ok("POST", "/api/v1/drop-off/rotate", Some(json!({ "overlap": 0 }))).await;
    assert_eq!(house.drop_off(two).await, (422, "drop-off-key-unknown".into()));
    let too_long = house.refused("POST", "/api/v1/drop-off/rotate", Some(json!({ "overlap": 91 * 86_400 })));
    assert_eq!(too_long.await, (400, "malformed-request".into()));
}

#[tokio::test]
async fn t91_without_a_journal_no_parcel_is_taken() {
    let house = House::new();
    let parcel = house.parcel("c").await;
    house.admin.journal.close().unwrap();
    assert_eq!(house.drop_off(parcel.clone()).await, (503, "journal-unavailable".into()));
    // And it is good still.
    let parcel: Parcel = serde_json::from_value(parcel).unwrap();
    house.admin.drop_box.take(&parcel, Timestamp::now()).unwrap();
}
