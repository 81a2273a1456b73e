//! The issuer by itself: what it signs is verified with what it publishes.

use super::*;
use crate::custody::KekSource;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

const AUDIENCE: &str = "sts.amazonaws.com";
const LIFETIME: Duration = Duration::from_secs(300);

struct Stage {
    directory: tempfile::TempDir,
    custody: Custody,
    issuer: Issuer,
}

fn settings(directory: &tempfile::TempDir) -> IssuerSettings {
    IssuerSettings {
        url: "https://id.example.com".into(),
        audiences: vec![AUDIENCE.into()],
        lifetime: LIFETIME,
        file: directory.path().join("issuer.json"),
    }
}

fn stage() -> Stage {
    let directory = tempfile::tempdir().unwrap();
    let custody = Custody::assert_unlocked(KekSource::KeyFile(directory.path().join("kek"))).unwrap();
    let issuer = Issuer::open(settings(&directory), &custody).unwrap();
    Stage { directory, custody, issuer }
}

fn token(issuer: &Issuer, now: Timestamp) -> Zeroizing<String> {
    let (workload, credential) = (Name::parse("robot").unwrap(), Name::parse("backups").unwrap());
    issuer.token(Subject { workload: Some(&workload), credential: &credential }, AUDIENCE, now).unwrap()
}

/// The claims, where a key of the set verifies the token.
fn verified(issuer: &Issuer, token: &str, now: Timestamp) -> Option<Value> {
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decoded(header)).unwrap();
    let set: Value = serde_json::from_str(&issuer.key_set(now).unwrap()).unwrap();
    let key = set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"])?;
    let part = |name: &str| decoded(key[name].as_str().unwrap());
    RsaPublicKeyComponents { n: part("n"), e: part("e") }
        .verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decoded(signature))
        .ok()?;
    serde_json::from_slice(&decoded(claims)).ok()
}

#[test]
fn a_token_says_who_asks_for_what_and_is_verified_with_the_published_key() {
    let Stage { issuer, .. } = stage();
    let now = Timestamp::now();
    let claims = verified(&issuer, &token(&issuer, now), now).unwrap();
    assert_eq!(claims["iss"], "https://id.example.com");
    assert_eq!(claims["sub"], "cloakroom:workload:robot:credential:backups");
    assert_eq!(claims["aud"], AUDIENCE);
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 300);
    let again = verified(&issuer, &token(&issuer, now), now).unwrap();
    assert_ne!(claims["jti"], again["jti"]);
    let discovery: Value = serde_json::from_str(&issuer.discovery()).unwrap();
    assert_eq!(discovery["jwks_uri"], "https://id.example.com/jwks.json");
}

#[test]
fn no_token_is_signed_for_an_audience_that_the_settings_do_not_name() {
    let Stage { issuer, .. } = stage();
    let credential = Name::parse("backups").unwrap();
    for other in ["", "sts.amazonaws.com.", "STS.AMAZONAWS.COM", "//iam.googleapis.com/x"] {
        let subject = Subject { workload: None, credential: &credential };
        assert!(issuer.token(subject, other, Timestamp::now()).is_err(), "{other}");
    }
}

#[test]
fn a_key_that_was_replaced_is_published_until_its_last_token_has_ended() {
    let Stage { issuer, .. } = stage();
    let (span, now) = (Duration::from_secs(3600), Timestamp::now());
    issuer.rotate(span).unwrap();
    assert!(matches!(issuer.rotate(span), Err(IssuerError::Announced(_))));
    let ids: Vec<String> = issuer.keys(now).unwrap().into_iter().map(|key| key.id).collect();
    assert_eq!(ids.len(), 2, "the next one is published before it signs");
    let change = issuer.keys(now).unwrap()[1].signs_from;
    let before = change.minus(Duration::from_millis(1));
    let last = token(&issuer, before);
    let first = token(&issuer, change);
    let end = change.plus(LIFETIME + SLACK);
    for (text, at, is) in [
        (&last, before, true),
        (&last, change.plus(LIFETIME), true),
        (&last, end.minus(Duration::from_millis(1)), true),
        (&last, end, false),
        (&first, now, true),
        (&first, end, true),
    ] {
        assert_eq!(verified(&issuer, text, at).is_some(), is, "{at}");
    }
    assert_eq!(issuer.keys(end).unwrap().len(), 1);
}

#[test]
fn a_key_that_is_withdrawn_verifies_nothing_any_more() {
    let Stage { issuer, directory, custody } = stage();
    let now = Timestamp::now();
    let text = token(&issuer, now);
    issuer.withdraw().unwrap();
    assert!(verified(&issuer, &text, now).is_none());
    let again = Issuer::open(settings(&directory), &custody).unwrap();
    assert_eq!(again.key_set(now).unwrap(), issuer.key_set(now).unwrap(), "and stays so after a start");
    assert!(verified(&again, &token(&issuer, Timestamp::now()), Timestamp::now()).is_some());
}

#[test]
fn t87_a_file_of_keys_that_was_edited_is_refused_and_shows_no_key() {
    let Stage { issuer, directory, custody } = stage();
    let file = directory.path().join("issuer.json");
    let good = std::fs::read_to_string(&file).unwrap();
    let modulus: Value = serde_json::from_str(&issuer.key_set(Timestamp::now()).unwrap()).unwrap();
    assert!(
        !good.contains(modulus["keys"][0]["n"].as_str().unwrap()),
        "nothing that is published is read from it"
    );
    let value: Value = serde_json::from_str(&good).unwrap();
    let edit = |change: fn(&mut Value)| {
        let mut edited = value.clone();
        change(&mut edited);
        std::fs::write(&file, edited.to_string()).unwrap();
        Issuer::open(settings(&directory), &custody).map(|_| ())
    };
    for change in [
        (|it| it["keys"][0]["signs_from"] = json!(1)) as fn(&mut Value),
        |it| it["keys"][0]["made"] = json!(1),
        |it| it["keys"][0]["sealed"] = json!("AQAB"),
        |it| it["keys"] = json!([]),
        |it| it["version"] = json!(2),
        |it| it["more"] = json!(1),
    ] {
        assert!(matches!(edit(change), Err(CustodyError::Damaged { .. })));
    }
    assert!(edit(|_| {}).is_ok());
    let other = Custody::assert_unlocked(KekSource::KeyFile(directory.path().join("other"))).unwrap();
    assert!(Issuer::open(settings(&directory), &other).is_err());
}
