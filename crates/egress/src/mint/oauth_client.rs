//! How an OAuth client says who it is to its authorization server (RFC 6749, section 2.3; RFC 7523, section 2.2).

use super::ask::{Form, encoded, sensitive};
use super::exchange::ASSERTED;
use super::jwt::{self, Claims};
use super::recipe::{Authentication, OAuthClient};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use zeroize::Zeroizing;

/// What an assertion of the client's is called in a form (RFC 7523, section 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl OAuthClient {
    /// Whether its id stands in no form that it authenticates: RFC 8628, section 3.1, wants it there.
    pub(super) fn says_id_only_in_header(&self) -> bool {
        self.secret.is_some() && self.authentication == Authentication::Basic
    }

    /// Into a form or its fields, for the server `audience`, at so many seconds since 1970. A client without a secret only says its id.
    pub(super) fn authenticate(
        &self,
        audience: &str,
        now: u64,
        form: &mut Form,
        fields: &mut HeaderMap,
    ) -> Result<(), &'static str> {
        match (&self.secret, &self.signer, self.authentication) {
            (_, Some(signer), Authentication::PrivateKeyJwt) => {
                let claims = Claims {
                    iss: &self.id,
                    sub: Some(&self.id),
                    aud: Some(audience),
                    scope: None,
                    iat: now,
                    exp: now + ASSERTED,
                    jti: Some(jwt::fresh_id()?),
                };
                form.add("client_id", &self.id);
                form.add("client_assertion_type", ASSERTION_TYPE);
                form.add("client_assertion", &Zeroizing::new(jwt::sign(signer, &claims)?));
            }
            (Some(secret), _, Authentication::Basic) => {
                // Both halves are form-encoded first.
                let pair = Zeroizing::new([encoded(&self.id), b":".to_vec(), encoded(secret)].concat());
                let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
                fields.insert(header::AUTHORIZATION, sensitive(&value)?);
            }
            (secret, _, _) => {
                form.add("client_id", &self.id);
                form.add_some("client_secret", secret.as_deref());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::recipe::{Algorithm, Signer};
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    #[test]
    fn a_client_with_a_key_asserts_who_it_is_and_sends_no_secret() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let signer = Signer { private_key: pair.serialize_pem(), algorithm: Algorithm::Es256, key_id: None };
        let authentication = Authentication::PrivateKeyJwt;
        let mut client = OAuthClient { id: "app".into(), secret: None, authentication, signer: Some(signer) };
        client.check().unwrap();
        let (mut form, mut fields) = (Form::default(), HeaderMap::new());
        client.authenticate("https://as.example.com", 1_000, &mut form, &mut fields).unwrap();
        assert!(fields.is_empty());
        let body = String::from_utf8(form.finish(&mut fields).to_vec()).unwrap();
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        let start = format!("client_id=app&client_assertion_type={kind}&client_assertion=");
        let assertion = body.strip_prefix(&start).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).unwrap()).unwrap();
        let mut claims: Value = serde_json::from_slice(&claims).unwrap();
        assert!(claims["jti"].take().as_str().is_some_and(|id| id.len() >= 20));
        let expected = json!({ "iss": "app", "sub": "app", "aud": "https://as.example.com", "iat": 1000, "exp": 1300, "jti": null });
        assert_eq!(claims, expected);
        client.authentication = Authentication::Basic;
        assert!(client.check().is_err(), "a key that is not used");
        client.signer = None;
        client.authentication = Authentication::PrivateKeyJwt;
        assert!(client.check().is_err(), "no key to sign with");
    }
}
