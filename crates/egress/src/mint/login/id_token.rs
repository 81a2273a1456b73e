//! An ID token, verified (OpenID Connect Core 1.0, section 3.1.3.7; RFC 7515, RFC 7519, RFC 8725).

use super::key_set::KeySet;
use crate::mint::recipe::Algorithm;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_model::SignOnSubject;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The longest that is read, in bytes.
const LONGEST: usize = 16 * 1024;
/// How far two clocks may be apart, in seconds.
const SLACK: u64 = 60;

/// What a token has to say to be the answer to one sign-on.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    /// Seconds since 1970.
    pub(super) now: u64,
}

/// What a token says that holds.
pub(super) struct Claims {
    pub(super) subject: SignOnSubject,
    pub(super) all: Map<String, Value>,
}

/// What is read of the header. One that has to be understood and is not (`crit`) makes the token none.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    /// Whether there is one: also `null`, which is no list, makes the header invalid (RFC 7515, section 4.1.11).
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

fn is_there<'de, D: Deserializer<'de>>(member: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(member).map(|_| true)
}

/// The token's claims, where it was signed by a key of the set, by its issuer, for this client and this sign-on, and counts now.
///
/// # Errors
/// One sentence, which holds nothing of the token.
pub(super) fn verified(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<Claims, &'static str> {
    let all = signed(token, keys)?;
    let text = |name: &str| all.get(name).and_then(Value::as_str);
    let issuer = text("iss").filter(|issuer| *issuer == expected.issuer);
    let issuer = issuer.ok_or("the ID token is of another issuer")?;
    // SECURITY: of a token that is for others too nobody knows who passed it on.
    let own = Value::from(expected.client_id);
    let is_own =
        |audience: &Value| *audience == own || audience.as_array().is_some_and(|all| *all == [own.clone()]);
    if !all.get("aud").is_some_and(is_own) || all.get("azp").is_some_and(|party| *party != own) {
        return Err("the ID token is for another client");
    }
    let same = |nonce: &str| verify_slices_are_equal(nonce.as_bytes(), expected.nonce.as_bytes()).is_ok();
    if !text("nonce").is_some_and(same) {
        return Err("the ID token is of another sign-on");
    }
    in_time(&all, expected.now)?;
    let subject = text("sub").and_then(|subject| SignOnSubject::new(issuer, subject));
    let subject = subject.ok_or("the ID token does not say who it is about")?;
    Ok(Claims { subject, all })
}

/// The claims that a key of the set has signed.
fn signed(token: &str, keys: &KeySet) -> Result<Map<String, Value>, &'static str> {
    const MALFORMED: &str = "the ID token is not one";
    if token.len() > LONGEST {
        return Err("the ID token is too long");
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
    let (header, payload) = signed.split_once('.').ok_or(MALFORMED)?;
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED);
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| MALFORMED)?;
    let is_jwt = header.typ.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("JWT"));
    if header.crit || !is_jwt {
        return Err("the ID token is of a kind that is not known here");
    }
    // SECURITY: a list, on which neither "none" nor a keyed hash stands (RFC 8725, section 3.1 and 3.2).
    let listed = Algorithm::ALL.into_iter().find(|one| one.name() == header.alg);
    let algorithm = listed.ok_or("the ID token is not signed by an algorithm that counts")?;
    let key = keys.only(algorithm, header.kid.as_deref());
    let key =
        key.ok_or("the provider has no key, or not only one, that the ID token could be signed with")?;
    if !key.verifies(signed.as_bytes(), &decoded(signature)?) {
        return Err("the ID token is not signed by the provider");
    }
    serde_json::from_slice(&decoded(payload)?).map_err(|_| MALFORMED)
}

fn in_time(all: &Map<String, Value>, now: u64) -> Result<(), &'static str> {
    let second = |name: &str| all.get(name).and_then(Value::as_f64).filter(|at| at.is_finite() && *at >= 0.0);
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit for millions of years")]
    let (earliest, latest) = (now.saturating_sub(SLACK) as f64, (now + SLACK) as f64);
    let end = second("exp").ok_or("the ID token does not say when it ends")?;
    let begun = second("iat").ok_or("the ID token does not say when it was made")?;
    if end <= earliest {
        return Err("the ID token has ended: compare the clocks");
    }
    let not_before = match all.get("nbf") {
        None => 0.0,
        Some(_) => second("nbf").ok_or("the ID token does not say from when on it counts")?,
    };
    if begun > latest || not_before > latest {
        return Err("the ID token does not count yet: compare the clocks");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mint::jwt::{Claims as Own, sign};
    use crate::mint::recipe::Signer;
    use aws_lc_rs::hmac;
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm};
    use serde_json::json;

    const NOW: u64 = 1_000_000;

    fn expected() -> Expected<'static> {
        Expected { issuer: "https://id.example.com", client_id: "cloakroom", nonce: "the nonce", now: NOW }
    }

    fn claims() -> Value {
        json!({
            "iss": "https://id.example.com", "sub": "ann", "aud": "cloakroom", "nonce": "the nonce",
            "iat": NOW, "exp": NOW + 300, "groups": ["a"],
        })
    }

    fn encoded(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    /// A key of a provider, and the same in its key set.
    struct Own256 {
        pair: aws_lc_rs::signature::EcdsaKeyPair,
        public: Value,
    }

    impl Own256 {
        fn new() -> Self {
            use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            let point = pair.public_key().as_ref().to_vec();
            let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
            let public = json!({ "kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "x": x, "y": y });
            Self { pair, public }
        }

        fn signed(&self, header: &Value, claims: &Value) -> String {
            let text = format!("{}.{}", encoded(header), encoded(claims));
            let random = aws_lc_rs::rand::SystemRandom::new();
            let signature = self.pair.sign(&random, text.as_bytes()).unwrap();
            format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        }
    }

    fn set(keys: &[&Value]) -> KeySet {
        KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn why(token: &str, keys: &KeySet) -> Result<String, &'static str> {
        verified(token, keys, &expected()).map(|claims| claims.subject.subject().to_owned())
    }

    #[test]
    fn t101_an_id_token_that_is_one_step_wrong_lets_nobody_in() {
        let key = Own256::new();
        let (keys, header) = (set(&[&key.public]), json!({ "alg": "ES256", "kid": "one", "typ": "JWT" }));
        assert_eq!(why(&key.signed(&header, &claims()), &keys), Ok("ann".into()));
        for (name, value, reason) in [
            ("iss", json!("https://id.example.com/"), "another issuer"),
            ("iss", json!(null), "another issuer"),
            ("aud", json!("other"), "another client"),
            ("aud", json!(["cloakroom", "other"]), "another client"),
            ("aud", json!([]), "another client"),
            ("aud", json!(null), "another client"),
            ("azp", json!("other"), "another client"),
            ("nonce", json!("another nonce"), "another sign-on"),
            ("nonce", json!(null), "another sign-on"),
            ("exp", json!(NOW - SLACK), "has ended"),
            ("exp", json!(null), "when it ends"),
            ("exp", json!("2100"), "when it ends"),
            ("iat", json!(NOW + SLACK + 1), "not count yet"),
            ("iat", json!(null), "when it was made"),
            ("nbf", json!(NOW + SLACK + 1), "not count yet"),
            ("nbf", json!("soon"), "from when on"),
            ("sub", json!(""), "who it is about"),
            ("sub", json!(7), "who it is about"),
            ("sub", json!("ann\n"), "who it is about"),
        ] {
            let mut wrong = claims();
            wrong[name] = value.clone();
            let why = why(&key.signed(&header, &wrong), &keys).unwrap_err();
            assert!(why.contains(reason), "{name} {value}: {why}");
        }
        for (name, value) in [
            ("aud", json!(["cloakroom"])),
            ("azp", json!("cloakroom")),
            ("exp", json!(NOW - SLACK + 1)),
            ("iat", json!(NOW as f64 + 0.5)),
            ("nbf", json!(NOW)),
        ] {
            let mut fine = claims();
            fine[name] = value.clone();
            assert_eq!(why(&key.signed(&header, &fine), &keys), Ok("ann".into()), "{name} {value}");
        }
    }

    #[test]
    fn t101_a_token_s_header_decides_neither_how_nor_with_which_key_it_is_verified() {
        let key = Own256::new();
        let keys = set(&[&key.public]);
        for (header, reason) in [
            (json!({ "alg": "none", "kid": "one" }), "algorithm"),
            (json!({ "alg": "HS256", "kid": "one" }), "algorithm"),
            (json!({ "alg": "es256", "kid": "one" }), "algorithm"),
            (json!({ "alg": "RS256", "kid": "one" }), "no key"),
            (json!({ "alg": "ES384", "kid": "one" }), "no key"),
            (json!({ "alg": "ES256", "kid": "two" }), "no key"),
            (json!({ "alg": "ES256", "kid": "one", "crit": ["b64"], "b64": false }), "of a kind"),
            (json!({ "alg": "ES256", "kid": "one", "crit": null }), "of a kind"),
            (json!({ "alg": "ES256", "kid": "one", "crit": [] }), "of a kind"),
            (json!({ "alg": "ES256", "kid": "one", "crit": false }), "of a kind"),
            (json!({ "alg": "ES256", "kid": "one", "typ": "logout+jwt" }), "of a kind"),
            (json!({ "kid": "one" }), "is not one"),
        ] {
            let why = why(&key.signed(&header, &claims()), &keys).unwrap_err();
            assert!(why.contains(reason), "{header}: {why}");
        }
        // A keyed hash whose key is what everybody knows.
        let text = format!("{}.{}", encoded(&json!({ "alg": "HS256" })), encoded(&claims()));
        let known = hmac::Key::new(hmac::HMAC_SHA256, key.public["x"].as_str().unwrap().as_bytes());
        let forged = format!("{text}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&known, text.as_bytes())));
        assert!(why(&forged, &keys).unwrap_err().contains("algorithm"));
        let bare = format!("{}.{}.", encoded(&json!({ "alg": "none" })), encoded(&claims()));
        assert!(why(&bare, &keys).unwrap_err().contains("algorithm"));
    }

    #[test]
    fn t101_what_was_not_signed_or_by_another_key_is_nobody_s_word() {
        let (key, other) = (Own256::new(), Own256::new());
        let header = json!({ "alg": "ES256", "kid": "one" });
        let token = key.signed(&header, &claims());
        assert!(why(&token, &set(&[&other.public])).unwrap_err().contains("not signed"));
        let mut changed = claims();
        changed["sub"] = "eve".into();
        let (head, rest) = token.split_once('.').unwrap();
        let swapped = format!("{head}.{}.{}", encoded(&changed), rest.split_once('.').unwrap().1);
        assert!(why(&swapped, &set(&[&key.public])).unwrap_err().contains("not signed"));
        assert!(why(&token, &set(&[&key.public, &other.public])).unwrap_err().contains("not only one"));
        assert!(why(&token, &set(&[])).is_err());
        for (member, value) in [("use", json!("enc")), ("alg", json!("ES384")), ("key_ops", json!(["sign"]))]
        {
            let mut public = key.public.clone();
            public[member] = value;
            assert!(why(&token, &set(&[&public])).unwrap_err().contains("no key"), "{member}");
        }
        let nameless = key.signed(&json!({ "alg": "ES256" }), &claims());
        assert_eq!(why(&nameless, &set(&[&key.public])), Ok("ann".into()), "there is only one");
        for odd in [
            "",
            ".",
            "..",
            "a.b",
            "a.b.c",
            &"x".repeat(LONGEST + 1),
            &format!("{token}.x"),
            &format!(" {token}"),
        ] {
            assert!(why(odd, &set(&[&key.public])).is_err(), "{odd}");
        }
    }

    /// What signs our own assertions makes tokens that verify here, by each of the algorithms.
    #[test]
    fn each_algorithm_on_the_list_verifies_what_it_signed() {
        let kinds: [(Algorithm, &'static SignatureAlgorithm); 3] = [
            (Algorithm::Es256, &PKCS_ECDSA_P256_SHA256),
            (Algorithm::Es384, &PKCS_ECDSA_P384_SHA384),
            (Algorithm::EdDsa, &PKCS_ED25519),
        ];
        for (algorithm, kind) in kinds {
            let pair = KeyPair::generate_for(kind).unwrap();
            let signer = Signer { private_key: pair.serialize_pem(), algorithm, key_id: Some("one".into()) };
            let raw = pair.public_key_raw();
            let half = |at: usize| URL_SAFE_NO_PAD.encode(&raw[1 + at * (raw.len() / 2)..][..raw.len() / 2]);
            let public = match algorithm {
                Algorithm::EdDsa => {
                    json!({ "kty": "OKP", "crv": "Ed25519", "kid": "one", "x": URL_SAFE_NO_PAD.encode(raw) })
                }
                _ => {
                    let curve = if algorithm == Algorithm::Es256 { "P-256" } else { "P-384" };
                    json!({ "kty": "EC", "crv": curve, "kid": "one", "x": half(0), "y": half(1) })
                }
            };
            let own = Own {
                iss: "https://id.example.com",
                sub: Some("ann"),
                aud: Some("cloakroom"),
                scope: None,
                iat: NOW,
                exp: NOW + 60,
                jti: None,
            };
            let token = sign(&signer, &own).unwrap();
            // It has no nonce: everything else holds.
            assert_eq!(
                why(&token, &set(&[&public])),
                Err("the ID token is of another sign-on"),
                "{algorithm:?}"
            );
        }
    }
}
