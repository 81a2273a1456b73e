//! Access tokens that are bound to a key (RFC 9449): the key is made here and sealed with the grant; each question and each call that
//! carries such an access token proves that its sender has the key.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cloakroom_model::{Destination, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// The field that a proof travels in (section 4.1).
pub(crate) const PROOF: HeaderName = HeaderName::from_static("dpop");
/// The field in which a server gives a nonce to prove with (sections 8 and 9).
pub(crate) const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// The longest nonce that is kept, and for how many destinations.
const LONGEST_NONCE: usize = 1024;
const MOST_NONCES: usize = 16;

/// A key pair, and the nonces that servers gave.
///
/// SECURITY: neither `Clone` nor `Debug`: the private half signs for whoever has it.
pub(crate) struct Prover {
    key: EcdsaKeyPair,
    nonces: Mutex<Vec<(Destination, String)>>,
}

/// A fresh private key, as it is sealed with the grant.
pub(super) fn fresh_key() -> Result<String, &'static str> {
    let failed = |_| "the cryptography library makes no key";
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
    Ok(STANDARD.encode(key.to_pkcs8v1().map_err(failed)?.as_ref()))
}

impl Prover {
    /// From the key as it is sealed.
    ///
    /// # Errors
    /// One sentence, which holds nothing of the key.
    pub(super) fn of(key: &str) -> Result<Self, &'static str> {
        let damaged = "the key for proofs of possession is none";
        let der = Zeroizing::new(STANDARD.decode(key).map_err(|_| damaged)?);
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).map_err(|_| damaged)?;
        Ok(Self { key, nonces: Mutex::default() })
    }

    /// A proof for one request to this URL, without query (section 4.2): `access_token` is the hash of the one that goes along.
    pub(crate) fn proof(
        &self,
        method: &Method,
        url: &str,
        access_token: Option<&str>,
        nonce: Option<&str>,
    ) -> Result<HeaderValue, &'static str> {
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.public() });
        let mut claims = json!({
            "jti": super::jwt::fresh_id()?,
            "htm": method.as_str(),
            "htu": url.split(['?', '#']).next(),
            "iat": Timestamp::now().millis() / 1000,
        });
        for (name, value) in [("ath", access_token), ("nonce", nonce)] {
            if let Some(value) = value {
                claims[name] = value.into();
            }
        }
        let mut text = URL_SAFE_NO_PAD.encode(header.to_string());
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut text);
        let failed = "the proof of possession could not be signed";
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).map_err(|_| failed)?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        HeaderValue::try_from(text).map_err(|_| failed)
    }

    /// The public key's thumbprint (RFC 7638): ties the code of a login to the key (section 10).
    pub(super) fn thumbprint(&self) -> String {
        // SPEC: members in this order, without blanks.
        let jwk = self.public();
        let (x, y) = (&jwk["x"], &jwk["y"]);
        URL_SAFE_NO_PAD
            .encode(digest(&SHA256, format!(r#"{{"crv":"P-256","kty":"EC","x":{x},"y":{y}}}"#).as_bytes()))
    }

    /// The nonce to prove with at this destination.
    pub(crate) fn nonce(&self, destination: &Destination) -> Option<String> {
        let nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.iter().find(|(of, _)| of == destination).map(|(_, nonce)| nonce.clone())
    }

    /// Keeps the nonce that a reply gives, if it gives one that is another than before.
    pub(crate) fn hear(&self, destination: &Destination, fields: &HeaderMap) -> bool {
        let said = fields.get(NONCE).and_then(|nonce| nonce.to_str().ok());
        let Some(said) = said.filter(|nonce| (1..=LONGEST_NONCE).contains(&nonce.len())) else {
            return false;
        };
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        if nonces.iter().any(|(of, nonce)| of == destination && nonce == said) {
            return false;
        }
        nonces.retain(|(of, _)| of != destination);
        if nonces.len() >= MOST_NONCES {
            nonces.remove(0);
        }
        nonces.push((destination.clone(), said.to_owned()));
        true
    }

    fn public(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.key.public_key().as_ref();
        let half = |from: usize| point.get(from..from + 32).map(|half| URL_SAFE_NO_PAD.encode(half));
        json!({ "kty": "EC", "crv": "P-256", "x": half(1), "y": half(33) })
    }
}

/// The hash of an access token, as a proof names it (section 4.2, `ath`).
pub(crate) fn hash_of(access_token: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, access_token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    #[test]
    fn a_proof_verifies_with_the_key_in_it_and_says_what_it_is_for() {
        let prover = Prover::of(&fresh_key().unwrap()).unwrap();
        let proof = prover.proof(&Method::POST, "https://as/token?x=1", Some("hash"), Some("n")).unwrap();
        let (message, signature) = proof.to_str().unwrap().rsplit_once('.').unwrap();
        let read =
            |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        let (header, claims) = message.split_once('.').unwrap();
        let (header, claims) = (read(header), read(claims));
        let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(header["jwk"][name].as_str().unwrap()).unwrap();
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        key.verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        assert_eq!((&header["typ"], &header["alg"]), (&json!("dpop+jwt"), &json!("ES256")));
        assert!(header["jwk"]["d"].is_null());
        let said = ["htm", "htu", "ath", "nonce"].map(|name| claims[name].as_str().unwrap().to_owned());
        assert_eq!(said, ["POST", "https://as/token", "hash", "n"]);
        let another = prover.proof(&Method::POST, "https://as/token", None, None).unwrap();
        assert_ne!(another, proof, "each proof is good once");
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        let prover = Prover::of(&fresh_key().unwrap()).unwrap();
        let jwk = prover.public();
        let canonical = format!(
            r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
            jwk["x"].as_str().unwrap(),
            jwk["y"].as_str().unwrap()
        );
        assert_eq!(prover.thumbprint(), hash_of(canonical.as_bytes()));
        // RFC 9449, section 7.1.
        let of_the_rfc = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
        assert_eq!(hash_of(of_the_rfc.as_bytes()), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    }

    #[test]
    fn a_nonce_is_news_once_and_there_are_not_many() {
        let prover = Prover::of(&fresh_key().unwrap()).unwrap();
        let to = |number: usize| format!("https://h{number}.example").parse::<Destination>().unwrap();
        let fields = |nonce: &str| HeaderMap::from_iter([(NONCE, HeaderValue::try_from(nonce).unwrap())]);
        assert!(!prover.hear(&to(0), &HeaderMap::new()) && prover.nonce(&to(0)).is_none());
        assert!(prover.hear(&to(0), &fields("a")) && !prover.hear(&to(0), &fields("a")));
        assert!(prover.hear(&to(0), &fields("b")));
        assert_eq!(prover.nonce(&to(0)).as_deref(), Some("b"));
        assert!(!prover.hear(&to(0), &fields(&"x".repeat(LONGEST_NONCE + 1))));
        (1..=MOST_NONCES).for_each(|number| assert!(prover.hear(&to(number), &fields("n"))));
        assert!(prover.nonce(&to(0)).is_none() && prover.nonce(&to(1)).is_some());
        assert!(Prover::of("no key").is_err());
    }
}
