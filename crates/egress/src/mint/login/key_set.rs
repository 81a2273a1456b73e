//! The keys of an OpenID provider (RFC 7517), and which of them a token can be signed with.

use crate::mint::recipe::Algorithm;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

/// As published. Keys of kinds that are not known here are passed over.
#[derive(Deserialize)]
pub(super) struct KeySet {
    keys: Vec<Value>,
}

/// What is read of a key (RFC 7517, section 4; RFC 7518, section 6; RFC 8037).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A public key, for one algorithm.
pub(super) struct PublicKey {
    algorithm: Algorithm,
    /// Modulus and exponent; or the point, and nothing.
    parts: (Vec<u8>, Vec<u8>),
}

impl KeySet {
    /// `None` where it is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The only key that a token which says this can be signed with. SECURITY: of two nobody knows which is meant, so neither is.
    pub(super) fn only(&self, algorithm: Algorithm, id: Option<&str>) -> Option<PublicKey> {
        let keys = self.keys.iter().filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok());
        let named = keys.filter(|key| id.is_none() || key.kid.as_deref() == id);
        let mut fit = named.filter_map(|key| key.public(algorithm));
        fit.next().filter(|_| fit.next().is_none())
    }
}

impl Jwk {
    /// SECURITY: the key has to be of the algorithm's own kind, whatever the token says (RFC 8725, section 3.1).
    fn public(&self, algorithm: Algorithm) -> Option<PublicKey> {
        let verifies = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && self.key_ops.as_ref().is_none_or(|all| all.iter().any(|one| one == "verify"))
            && self.alg.as_deref().is_none_or(|named| named == algorithm.name());
        let kind = (self.kty.as_str(), self.crv.as_deref());
        let parts = match (algorithm, kind) {
            (Algorithm::Rs256, ("RSA", None)) => (bytes(self.n.as_ref())?, bytes(self.e.as_ref())?),
            (Algorithm::Es256, ("EC", Some("P-256"))) => self.point(32)?,
            (Algorithm::Es384, ("EC", Some("P-384"))) => self.point(48)?,
            (Algorithm::EdDsa, ("OKP", Some("Ed25519"))) => (bytes(self.x.as_ref())?, Vec::new()),
            _ => return None,
        };
        verifies.then_some(PublicKey { algorithm, parts })
    }

    /// Uncompressed (SEC 1, section 2.3.3).
    fn point(&self, length: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let (x, y) = (bytes(self.x.as_ref())?, bytes(self.y.as_ref())?);
        (x.len() == length && y.len() == length).then(|| ([&[4], &x[..], &y[..]].concat(), Vec::new()))
    }
}

impl PublicKey {
    /// Whether it signed this (RFC 7518, section 3).
    pub(super) fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        let (first, second) = &self.parts;
        let verified = match self.algorithm {
            Algorithm::Rs256 => RsaPublicKeyComponents { n: first, e: second }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                signed,
                signature,
            ),
            Algorithm::Es256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, first).verify(signed, signature)
            }
            Algorithm::Es384 => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, first).verify(signed, signature)
            }
            Algorithm::EdDsa => UnparsedPublicKey::new(&ED25519, first).verify(signed, signature),
        };
        verified.is_ok()
    }
}

/// Base64url without padding, and something in it; RSA's numbers without leading zeros.
fn bytes(text: Option<&String>) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text?).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}
