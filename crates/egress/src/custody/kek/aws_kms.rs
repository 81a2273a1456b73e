//! A root key wrapped by a key of AWS KMS, which never leaves it.
//!
//! The context goes along as KMS' encryption context: it is authenticated, and stands in CloudTrail beside each use. Whose key material
//! is rotated, and when, is AWS' business: a ciphertext says which material made it.
//!
//! SPEC: AWS KMS API Reference, `Encrypt`, `Decrypt`; errors as in "Common Errors" there.

use super::provider::{Answer, Provider, ProviderError};
use super::service::{WayOut, of_failure, secret_text};
use crate::arm::{aws_endpoint, sign_own};
use crate::custody::AccessKey;
use crate::secret::Secret;
use crate::source::asker::{Question, Reply};
use crate::source::aws::{KEY_NOT_TAKEN, WRONG_CLOCK};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{Destination, Timestamp};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::PathBuf;
use zeroize::Zeroizing;

const SERVICE: &str = "kms";
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// The one member of the encryption context.
const CONTEXT: &str = "cloakroom";

/// A key of AWS KMS, and where the access key is that may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsKmsSettings {
    /// Such as `eu-west-1`.
    pub region: String,
    /// `https://HOST[:PORT]`, where it is not AWS's own for the region.
    pub server: Option<String>,
    /// Id, ARN or alias of a symmetric key.
    pub key: String,
    /// The file with the access key, as AWS hands it out: read for each question, so that it can be replaced.
    pub credentials: PathBuf,
}

impl AwsKmsSettings {
    /// Whether it makes sense, before anything is asked.
    ///
    /// # Errors
    /// One sentence.
    pub fn check(&self) -> Result<(), &'static str> {
        self.destination()?;
        let fine =
            (1..=2048).contains(&self.key.len()) && self.key.bytes().all(|byte| byte.is_ascii_graphic());
        fine.then_some(()).ok_or("the key is an id, an ARN or an alias")
    }

    fn destination(&self) -> Result<Destination, &'static str> {
        aws_endpoint(SERVICE, &self.region, self.server.as_deref())
    }
}

/// The service.
pub(in crate::custody) struct AwsKms {
    settings: AwsKmsSettings,
    way_out: WayOut,
}

impl AwsKms {
    pub(in crate::custody) fn new(settings: AwsKmsSettings, way_out: WayOut) -> Self {
        Self { settings, way_out }
    }

    async fn ask(&self, action: &'static str, body: &Value) -> Result<Value, ProviderError> {
        let to = self.settings.destination().map_err(|_| ODD)?;
        let text = secret_text(&self.settings.credentials)?;
        let key = AccessKey::deposited(text.as_bytes()).map_err(ProviderError::Refused)?;
        let question = self.question(&to, action, body, &key, Timestamp::now())?;
        let reply = self.way_out.asker().ask(&to, question).await.map_err(of_failure)?;
        match reply.status {
            StatusCode::OK => serde_json::from_slice(&reply.body).map_err(|_| ODD),
            _ => Err(unwilling(&reply)),
        }
    }

    fn question(
        &self,
        to: &Destination,
        action: &'static str,
        body: &Value,
        key: &AccessKey,
        at: Timestamp,
    ) -> Result<Question, ProviderError> {
        let body = Zeroizing::new(body.to_string().into_bytes());
        let mut fields = HeaderMap::new();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
        fields.insert(TARGET, HeaderValue::from_static(action));
        sign_own(&mut fields, (to, "/"), &body, key, (&self.settings.region, SERVICE), at)
            .map_err(|_| ODD)?;
        Ok(Question { method: Method::POST, target: "/".into(), fields, body })
    }

    async fn encrypt(&self, context: &[u8], root: &Secret) -> Result<Vec<u8>, ProviderError> {
        let plaintext = Zeroizing::new(STANDARD.encode(root.expose()));
        let body = json!({
            "KeyId": self.settings.key,
            "Plaintext": *plaintext,
            "EncryptionContext": { CONTEXT: STANDARD.encode(context) },
        });
        bytes(&self.ask("TrentService.Encrypt", &body).await?["CiphertextBlob"])
    }

    async fn decrypt(&self, context: &[u8], wrapped: &[u8]) -> Result<Secret, ProviderError> {
        // SECURITY: the key is named although the ciphertext names one too: what another key made does not open.
        let body = json!({
            "KeyId": self.settings.key,
            "CiphertextBlob": STANDARD.encode(wrapped),
            "EncryptionContext": { CONTEXT: STANDARD.encode(context) },
        });
        let opened = bytes(&self.ask("TrentService.Decrypt", &body).await?["Plaintext"])?;
        Ok(Secret::new(Zeroizing::new(opened)))
    }
}

impl Provider for AwsKms {
    fn name(&self) -> &'static str {
        "aws-kms"
    }

    fn wrap<'a>(&'a self, context: &'a [u8], root: &'a Secret) -> Answer<'a, Vec<u8>> {
        Box::pin(self.encrypt(context, root))
    }

    fn unwrap<'a>(&'a self, context: &'a [u8], wrapped: &'a [u8]) -> Answer<'a, Secret> {
        Box::pin(self.decrypt(context, wrapped))
    }
}

const ODD: ProviderError =
    ProviderError::Unavailable("AWS KMS answered with something else than was asked for");

fn bytes(value: &Value) -> Result<Vec<u8>, ProviderError> {
    value.as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or(ODD)
}

/// What an error means. Errors are told by their names, in whichever form they come; none of their words is repeated.
fn unwilling(reply: &Reply) -> ProviderError {
    let has = |names: &[&str]| reply.mentions(names);
    let (later, person) = (ProviderError::Unavailable, ProviderError::Refused);
    match reply.status.as_u16() {
        400..=403 if has(&WRONG_CLOCK) => later("AWS KMS says that this machine's clock is wrong"),
        // A key that lets the broker in can be replaced in its file, and what was taken away given back: KMS is asked again.
        400..=403 if has(&KEY_NOT_TAKEN) => later("AWS KMS does not take the access key"),
        400..=403 if has(&["AccessDenied"]) => later("AWS KMS does not permit the broker to use the key"),
        400 if has(&["DisabledException"]) => later("the key is disabled at AWS KMS"),
        400 if has(&["KMSInvalidState"]) => {
            later("the key is about to be deleted, or not usable, at AWS KMS")
        }
        400 if has(&["Throttling", "LimitExceeded"]) => later("AWS KMS is busy"),
        400 if has(&["InvalidCiphertext", "IncorrectKey"]) => {
            person("what was wrapped does not open with this key of AWS KMS")
        }
        400 | 404 if has(&["NotFoundException"]) => person("AWS KMS has no such key"),
        400 if has(&["InvalidKeyUsage", "ValidationException"]) => {
            person("the key at AWS KMS does not encrypt and decrypt")
        }
        429 | 500..=599 => later("AWS KMS is not available"),
        _ => ODD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

    fn settings() -> AwsKmsSettings {
        let (region, key) = ("eu-west-1".into(), "alias/cloakroom".into());
        AwsKmsSettings { region, server: None, key, credentials: "/run/key".into() }
    }

    #[test]
    fn settings_one_step_wrong_are_refused() {
        assert_eq!(settings().check(), Ok(()));
        assert_eq!(settings().destination().unwrap().to_string(), "https://kms.eu-west-1.amazonaws.com");
        let wrong: [fn(&mut AwsKmsSettings); 5] = [
            |one| one.region = "eu-west-1.evil.example/".into(),
            |one| one.region = String::new(),
            |one| one.server = Some("http://127.0.0.1".into()),
            |one| one.key = String::new(),
            |one| one.key = "a key".into(),
        ];
        for make in wrong {
            let mut one = settings();
            make(&mut one);
            assert!(one.check().is_err(), "{one:?}");
        }
    }

    #[test]
    fn what_a_person_has_to_mend_is_told_from_what_passes() {
        let judged = |status: u16, name: &str| {
            let body = json!({ "__type": name, "message": CANARY }).to_string().into_bytes();
            let status = StatusCode::from_u16(status).unwrap();
            unwilling(&Reply { status, fields: HeaderMap::new(), body: Zeroizing::new(body) })
        };
        for (name, words) in [
            ("InvalidCiphertextException", "does not open"),
            ("com.amazonaws.kms#IncorrectKeyException", "does not open"),
            ("NotFoundException", "no such key"),
            ("InvalidKeyUsageException", "encrypt and decrypt"),
        ] {
            let ProviderError::Refused(reason) = judged(400, name) else { panic!("{name}") };
            assert!(reason.contains(words) && !reason.contains(CANARY), "{reason}");
        }
        for (status, name, words) in [
            (400, "AccessDeniedException", "permit"),
            (400, "DisabledException", "disabled"),
            (400, "KMSInvalidStateException", "deleted"),
            (400, "ThrottlingException", "busy"),
            (400, "UnrecognizedClientException", "access key"),
            (403, "InvalidSignatureException", "access key"),
            (500, "KMSInternalException", "not available"),
            (503, "", "not available"),
            (302, "", "something else"),
        ] {
            let ProviderError::Unavailable(reason) = judged(status, name) else { panic!("{name}") };
            assert!(reason.contains(words) && !reason.contains(CANARY), "{reason}");
        }
    }
}
