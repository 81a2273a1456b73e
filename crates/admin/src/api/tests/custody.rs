//! Shares over the API: what was sealed for one unsealing is good for no other and for nothing else, and who brings one is told apart.

use super::*;
use cloakroom_egress::custody::{Intake, KekSource, init_shares};
use cloakroom_model::Role;
use zeroize::Zeroizing;

const UNSEAL: &str = "/api/v1/custody/unseal";

/// A sealed broker with these shares, all of which unseal it.
struct Shared {
    house: House,
    shares: Vec<Vec<u8>>,
}

impl Shared {
    fn new(count: u8, distinct: bool) -> Self {
        let mut shares = Vec::new();
        let house = House::keyed(|keys| {
            let made = init_shares(keys, count, count, None).unwrap();
            made.keep().unwrap();
            let line = |share: &cloakroom_egress::custody::Share| {
                let mut line = Vec::new();
                share.write_to(&mut line).unwrap();
                line
            };
            shares.extend(made.shares.iter().map(line));
            KekSource::Shares { roots: keys.join("root.json"), distinct }
        });
        Self { house, shares }
    }

    async fn standing(&self) -> Value {
        self.house.ok("GET", "/api/v1/custody", None).await
    }

    /// What an operator sends who brings the share at this place now.
    async fn part(&self, at: usize) -> Value {
        let intake = Intake { public_key: self.standing().await["intake"].as_str().unwrap().to_owned() };
        let share = Zeroizing::new(self.shares[at].clone());
        json!({ "part": intake.seal_part(share).unwrap() })
    }

    async fn parts(&self) -> Vec<Value> {
        let mut parts = Vec::new();
        for at in 0..self.shares.len() {
            parts.push(self.part(at).await);
        }
        parts
    }

    async fn give(&self, part: &Value) -> Value {
        self.house.ok("POST", UNSEAL, Some(part.clone())).await
    }

    async fn seal(&self) {
        assert_eq!(self.house.ok("POST", "/api/v1/custody/seal", None).await["state"], "sealed");
    }
}

fn not_unsealed() -> (u16, String) {
    let (status, code) = (crate::ProblemCode::NotUnsealed.status().as_u16(), "not-unsealed".to_owned());
    (status, code)
}

#[tokio::test]
async fn what_unsealed_once_or_was_given_before_a_seal_does_not_unseal_again() {
    let shared = Shared::new(2, false);
    let recorded = shared.parts().await;
    assert_eq!(shared.give(&recorded[0]).await["given"], 1);
    assert_eq!(shared.give(&recorded[1]).await["state"], "open");
    assert!(shared.standing().await["intake"].is_null(), "nothing is wanted of anybody");
    shared.seal().await;
    let again = shared.parts().await;
    for part in &recorded {
        assert_eq!(shared.house.refused("POST", UNSEAL, Some(part.clone())).await, not_unsealed());
    }
    // A seal in the middle ends what was given, and what is still on its way.
    assert_eq!(shared.give(&again[0]).await["given"], 1);
    shared.seal().await;
    for part in &again {
        assert_eq!(shared.house.refused("POST", UNSEAL, Some(part.clone())).await, not_unsealed());
    }
    assert_eq!(shared.standing().await["given"], 0);
    for part in shared.parts().await {
        shared.give(&part).await;
    }
    assert_eq!(shared.standing().await["state"], "open");
}

#[tokio::test]
async fn a_share_on_its_way_is_no_deposit_under_any_name_and_a_deposit_is_no_share() {
    let shared = Shared::new(2, false);
    let recorded = shared.parts().await;
    let deposit = json!({ "part": shared.house.sealed("custody-unseal").await });
    assert_eq!(shared.house.refused("POST", UNSEAL, Some(deposit)).await, not_unsealed());
    for part in &recorded {
        shared.give(part).await;
    }
    assert_eq!(shared.standing().await["state"], "open");
    for name in ["custody-unseal", "c"] {
        let body = json!({ "name": name, "kind": "bearer", "destinations": ["https://evil.example"], "secret": recorded[0]["part"] });
        let (status, code) = shared.house.refused("POST", "/api/v1/credentials", Some(body)).await;
        assert_eq!((status / 100, code.as_str()), (4, "secret-not-accepted"), "{name}");
    }
    // A deposit that was sealed as one is taken.
    shared.house.deposit("custody-unseal").await;
}

#[tokio::test]
async fn where_operators_have_to_be_distinct_an_api_token_counts_as_whoever_made_it() {
    let shared = Shared::new(3, true);
    assert_eq!(shared.give(&shared.part(0).await).await["given"], 1);
    let token = shared.house.token(Role::Operator).await;
    let told = shared.house.ask_with(&token, "POST", UNSEAL, Some(shared.part(1).await)).await;
    assert_eq!((told.status, told.code().as_str()), (not_unsealed().0, "not-unsealed"));
    assert!(told.text.contains("this operator has given a share already"), "{}", told.text);
    assert_eq!(shared.standing().await["given"], 1);
    // The other way about: what the token gave, its maker gave.
    shared.seal().await;
    let told = shared.house.ask_with(&token, "POST", UNSEAL, Some(shared.part(1).await)).await;
    assert_eq!(told.json()["given"], 1, "{}", told.text);
    let own = Some(shared.part(0).await);
    assert_eq!(shared.house.refused("POST", UNSEAL, own).await, not_unsealed());
}

#[tokio::test]
async fn where_operators_need_not_be_distinct_an_api_token_brings_a_further_share() {
    let shared = Shared::new(2, false);
    shared.give(&shared.part(0).await).await;
    let token = shared.house.token(Role::Operator).await;
    let told = shared.house.ask_with(&token, "POST", UNSEAL, Some(shared.part(1).await)).await;
    assert_eq!(told.json()["state"], "open", "{}", told.text);
}
