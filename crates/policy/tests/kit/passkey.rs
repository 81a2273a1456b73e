//! An authenticator in software, with its browser.

use super::NOW;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_model::Signature;
use cloakroom_policy::Purpose;

pub struct Passkey {
    pub pair: EcdsaKeyPair,
    /// Where its browser is.
    pub origin: &'static str,
    /// Who the authenticator thinks asks.
    pub party: &'static str,
}

impl Passkey {
    pub fn new() -> Self {
        let kind = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(kind, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(kind, document.as_ref()).unwrap();
        Self { pair, origin: "https://console.example.org", party: "console.example.org" }
    }

    /// The words of the key, as it was enrolled after so many signatures.
    pub fn key(&self, counter: u32) -> String {
        let point = self.pair.public_key().as_ref();
        let head = [0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32];
        let cose = [&head[..], &point[1..33], &[0x22, 0x58, 32], &point[33..]].concat();
        let (key, id) = (URL_SAFE_NO_PAD.encode(cose), URL_SAFE_NO_PAD.encode("id"));
        format!("webauthn {key} {id} https://console.example.org console.example.org {counter}")
    }

    /// A row's signature over this text: the so many-th, accepted so many milliseconds later.
    pub fn signs(&self, text: &str, counter: u32, later: u64) -> Signature {
        let party = digest(&SHA256, self.party.as_bytes());
        let data = [party.as_ref(), &[0x05], &counter.to_be_bytes()].concat();
        let challenge = URL_SAFE_NO_PAD.encode(Purpose::Approval.digest(text));
        let client =
            format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{}"}}"#, self.origin);
        let signed = [&data[..], digest(&SHA256, client.as_bytes()).as_ref()].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &signed).unwrap();
        let parts =
            [&data[..], client.as_bytes(), signature.as_ref()].map(|part| URL_SAFE_NO_PAD.encode(part));
        Signature { key: self.key(0), signature: format!("{}.{}", NOW.millis() + later, parts.join(".")) }
    }
}
