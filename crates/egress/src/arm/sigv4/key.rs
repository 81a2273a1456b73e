//! The key of one day, region and service, and what is signed with it.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use cloakroom_model::hexadecimal;
use cloakroom_policy::sigv4::ALGORITHM;
use zeroize::Zeroizing;

/// A signing key, what it is for, and when it signs.
pub(super) struct SigningKey {
    key: Zeroizing<Vec<u8>>,
    stamp: String,
    scope: String,
}

impl SigningKey {
    /// Of a secret access key, for the day of this time stamp.
    pub(super) fn new(secret: &str, stamp: String, region: &str, service: &str) -> Self {
        let day = stamp.get(..8).unwrap_or_default();
        let mut key = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
        key.extend_from_slice(b"AWS4");
        key.extend_from_slice(secret.as_bytes());
        for word in [day, region, service, "aws4_request"] {
            key = code(&key, word.as_bytes());
        }
        let scope = format!("{day}/{region}/{service}/aws4_request");
        Self { key, stamp, scope }
    }

    /// `20130524T000000Z`.
    pub(super) fn stamp(&self) -> &str {
        &self.stamp
    }

    /// `20130524/us-east-1/s3/aws4_request`.
    pub(super) fn scope(&self) -> &str {
        &self.scope
    }

    /// The signature of a request with this canonical form.
    pub(super) fn sign_request(&self, request: &str) -> String {
        let hash = super::canonical::hashed(request.as_bytes());
        self.sign(&format!("{ALGORITHM}\n{}\n{}\n{hash}", self.stamp, self.scope))
    }

    /// The signature of this text.
    pub(super) fn sign(&self, text: &str) -> String {
        hexadecimal(&code(&self.key, text.as_bytes()))
    }
}

fn code(key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(sign(&Key::new(HMAC_SHA256, key), text).as_ref().to_vec())
}
