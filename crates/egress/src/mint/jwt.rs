//! Signed assertions (RFC 7515 compact serialisation, RFC 7519 claims).

use super::recipe::{Algorithm, Signer};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Serialize;
use serde_json::json;

/// Claims of an assertion; which of them are needed says RFC 7523, section 3, and GitHub for its apps.
#[derive(Serialize)]
pub(super) struct Claims<'a> {
    pub(super) iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) aud: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<&'a str>,
    /// Seconds since 1970.
    pub(super) iat: u64,
    pub(super) exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jti: Option<String>,
}

/// Whether the key is one, and of the algorithm's kind.
///
/// # Errors
/// One sentence, which holds nothing of the key.
pub(super) fn check(signer: &Signer) -> Result<(), &'static str> {
    signer.key().map(drop)
}

/// The assertion, signed.
///
/// # Errors
/// When the key is not one, or signing fails.
pub(super) fn sign(signer: &Signer, claims: &Claims<'_>) -> Result<String, &'static str> {
    let mut header = json!({ "alg": signer.algorithm.name(), "typ": "JWT" });
    if let Some(id) = &signer.key_id {
        header["kid"] = id.as_str().into();
    }
    let claims = serde_json::to_vec(claims).map_err(|_| "the claims cannot be written")?;
    let mut text = URL_SAFE_NO_PAD.encode(header.to_string());
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut text);
    let signature = signer.key()?.sign(text.as_bytes()).map_err(|_| "the assertion could not be signed")?;
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Ok(text)
}

/// An identifier that no other JWT has (RFC 7519, section 4.1.7).
///
/// # Errors
/// When the operating system gives no random bytes.
pub(super) fn fresh_id() -> Result<String, &'static str> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| "the operating system gives no random bytes")?;
    Ok(URL_SAFE_NO_PAD.encode(id))
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    fn key(&self) -> Result<Key, &'static str> {
        let der = PrivateKeyDer::from_pem_slice(self.private_key.as_bytes())
            .map_err(|_| "the private key is not in PEM")?;
        let other = |_| "the private key is not of the kind that the algorithm needs";
        let ecdsa = |algorithm: &'static EcdsaSigningAlgorithm| match &der {
            PrivateKeyDer::Pkcs8(key) => EcdsaKeyPair::from_pkcs8(algorithm, key.secret_pkcs8_der()),
            other => EcdsaKeyPair::from_private_key_der(algorithm, other.secret_der()),
        };
        Ok(match self.algorithm {
            Algorithm::Rs256 => Key::Rsa(Box::new(
                match &der {
                    PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
                    other => RsaKeyPair::from_der(other.secret_der()),
                }
                .map_err(other)?,
            )),
            Algorithm::Es256 => Key::Ecdsa(ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(other)?),
            Algorithm::Es384 => Key::Ecdsa(ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING).map_err(other)?),
            Algorithm::EdDsa => Key::Ed25519(Ed25519KeyPair::from_pkcs8(der.secret_der()).map_err(other)?),
        })
    }
}

impl Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
                Ok(signature)
            }
            Self::Ecdsa(key) => Ok(key.sign(&SystemRandom::new(), message)?.as_ref().to_vec()),
            Self::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

impl Algorithm {
    pub(in crate::mint) const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
        UnparsedPublicKey, VerificationAlgorithm,
    };
    use rcgen::PublicKeyData;

    fn signer(algorithm: Algorithm, kind: &'static rcgen::SignatureAlgorithm) -> (Signer, Vec<u8>) {
        let pair = rcgen::KeyPair::generate_for(kind).unwrap();
        let public = pair.der_bytes().to_vec();
        (Signer { private_key: pair.serialize_pem(), algorithm, key_id: Some("k1".into()) }, public)
    }

    #[test]
    fn an_assertion_verifies_with_the_public_key_alone() {
        let cases: [(Algorithm, &'static rcgen::SignatureAlgorithm, &dyn VerificationAlgorithm); 4] = [
            (Algorithm::Rs256, &rcgen::PKCS_RSA_SHA256, &RSA_PKCS1_2048_8192_SHA256),
            (Algorithm::Es256, &rcgen::PKCS_ECDSA_P256_SHA256, &ECDSA_P256_SHA256_FIXED),
            (Algorithm::Es384, &rcgen::PKCS_ECDSA_P384_SHA384, &ECDSA_P384_SHA384_FIXED),
            (Algorithm::EdDsa, &rcgen::PKCS_ED25519, &ED25519),
        ];
        for (algorithm, kind, verifier) in cases {
            let (signer, public) = signer(algorithm, kind);
            let claims = Claims {
                iss: "app",
                sub: None,
                aud: Some("https://as"),
                scope: None,
                iat: 1,
                exp: 2,
                jti: None,
            };
            let text = sign(&signer, &claims).unwrap();
            let (message, signature) = text.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let public = UnparsedPublicKey::new(verifier, public);
            public.verify(message.as_bytes(), &signature).unwrap();
            assert!(public.verify(b"another", &signature).is_err());
            let (header, claims) = message.split_once('.').unwrap();
            let json = |part: &str| -> serde_json::Value {
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
            };
            assert_eq!(json(header), json!({ "alg": algorithm.name(), "kid": "k1", "typ": "JWT" }));
            assert_eq!(json(claims), json!({ "iss": "app", "aud": "https://as", "iat": 1, "exp": 2 }));
        }
    }

    #[test]
    fn a_key_of_another_kind_is_refused_before_it_is_needed() {
        let (mut signer, _) = signer(Algorithm::Es256, &rcgen::PKCS_ECDSA_P256_SHA256);
        assert!(check(&signer).is_ok());
        for algorithm in [Algorithm::Rs256, Algorithm::Es384, Algorithm::EdDsa] {
            signer.algorithm = algorithm;
            assert!(check(&signer).is_err(), "{}", algorithm.name());
        }
        signer.private_key = "no key".into();
        assert!(check(&signer).is_err());
    }
}
