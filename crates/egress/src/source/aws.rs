//! AWS Secrets Manager: one secret, read with an access key that signs the question.
//!
//! SPEC: AWS Secrets Manager API Reference, `GetSecretValue`.

use super::asker::{Asker, Question, Reply};
use super::value;
use crate::arm::{aws_endpoint, sign_own};
use crate::custody::AccessKey;
use crate::mint::{Failure, retry_after};
use crate::secret::Secret;
use cloakroom_model::{Destination, Timestamp};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

const SERVICE: &str = "secretsmanager";
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// Where the secret is.
///
/// SECURITY: the key signs questions to this server and nothing else.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AwsSecret {
    /// The access key, as AWS hands it out.
    key: String,
    region: String,
    /// `https://HOST[:PORT]`, where it is not AWS's own for the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    /// Name or ARN.
    secret: String,
    /// The label of the version; else `AWSCURRENT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<String>,
    /// The member of the JSON object that it holds; else the whole of it is the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl AwsSecret {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        AccessKey::deposited(self.key.as_bytes())?;
        self.destination()?;
        let words = [Some(&self.secret), self.stage.as_ref(), self.field.as_ref()];
        let fine = words.into_iter().flatten().all(|word| !word.is_empty() && word.len() <= 2048);
        fine.then_some(()).ok_or("a secret, a stage and a field have names")
    }

    /// As operators see it.
    pub(super) fn place(&self) -> String {
        let field = self.field.as_deref().map(|field| format!(", field {field}")).unwrap_or_default();
        let stage = self.stage.as_deref().map(|stage| format!(", stage {stage}")).unwrap_or_default();
        let server = self.server.as_deref().map(|server| format!("{server} ")).unwrap_or_default();
        format!("{server}{} {}{field}{stage}", self.region, self.secret)
    }

    /// Takes another access key.
    pub(super) fn renew(&mut self, fresh: &str) {
        fresh.clone_into(&mut self.key);
    }

    pub(super) async fn fetch(&self, asker: &Asker<'_>) -> Result<Secret, Failure> {
        let destination = self.destination().map_err(|reason| Failure::Unavailable(reason, None))?;
        let question = self.question(&destination, Timestamp::now())?;
        let reply = asker.ask(&destination, question).await?;
        if reply.status != StatusCode::OK {
            return Err(unwilling(&reply));
        }
        self.picked(&reply.body)
    }

    fn destination(&self) -> Result<Destination, &'static str> {
        aws_endpoint(SERVICE, &self.region, self.server.as_deref())
    }

    fn question(&self, to: &Destination, at: Timestamp) -> Result<Question, Failure> {
        let mut body = json!({ "SecretId": self.secret });
        if let Some(stage) = &self.stage {
            body["VersionStage"] = stage.as_str().into();
        }
        let body = Zeroizing::new(body.to_string().into_bytes());
        let mut fields = HeaderMap::new();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
        fields.insert(TARGET, HeaderValue::from_static("secretsmanager.GetSecretValue"));
        let key = AccessKey::deposited(self.key.as_bytes()).map_err(Failure::Refused)?;
        let unsigned = |_| Failure::Unavailable("the question to the source cannot be signed", None);
        sign_own(&mut fields, (to, "/"), &body, &key, (&self.region, SERVICE), at).map_err(unsigned)?;
        Ok(Question { method: Method::POST, target: "/".into(), fields, body })
    }

    fn picked(&self, body: &[u8]) -> Result<Secret, Failure> {
        let none = Failure::Unavailable("the source answered with something else than a text", None);
        let document: Value = serde_json::from_slice(body).map_err(|_| none)?;
        let text = document["SecretString"].as_str().ok_or(none)?;
        match &self.field {
            None => value::secret(text),
            Some(field) => {
                let odd = |_| Failure::Unavailable("the secret is no JSON object", None);
                value::secret(value::field(&serde_json::from_str(text).map_err(odd)?, field)?)
            }
        }
    }
}

/// What AWS says in the errors of all its services where the clock of whoever signed is wrong.
pub(crate) const WRONG_CLOCK: [&str; 3] = ["Signature expired", "not yet current", "RequestExpired"];
/// The same where it does not take the access key, or what was signed with it.
pub(crate) const KEY_NOT_TAKEN: [&str; 5] = [
    "UnrecognizedClient",
    "InvalidClientTokenId",
    "InvalidSignature",
    "SignatureDoesNotMatch",
    "ExpiredToken",
];

/// What an error means. Errors are told by their names, in whichever form they come; none of their words is repeated.
fn unwilling(reply: &Reply) -> Failure {
    let has = |names: &[&str]| reply.mentions(names);
    let later = |reason| Failure::Unavailable(reason, retry_after(&reply.fields));
    match reply.status.as_u16() {
        // A clock that is wrong is put right without another key.
        400..=403 if has(&WRONG_CLOCK) => later("the source says that this machine's clock is wrong"),
        400..=403 if has(&KEY_NOT_TAKEN) => Failure::Refused("the source does not take the access key"),
        400..=403 if has(&["AccessDenied"]) => {
            later("the source does not permit the broker to read this secret")
        }
        400 | 404 if has(&["ResourceNotFound"]) => {
            later("the source has no such secret, or no such version of it")
        }
        429 | 500..=599 => later("the source is busy or not available"),
        400 if has(&["Throttling"]) => later("the source is busy or not available"),
        _ => later("the source answered with something else than a secret"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

    fn secret(field: Option<&str>) -> AwsSecret {
        let key = format!("aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {CANARY}");
        AwsSecret {
            key,
            region: "eu-west-1".into(),
            server: None,
            secret: "app/api".into(),
            stage: None,
            field: field.map(str::to_owned),
        }
    }

    #[test]
    fn the_question_is_signed_with_all_that_says_what_is_asked() {
        let secret = secret(None);
        let to = secret.destination().unwrap();
        assert_eq!(to.to_string(), "https://secretsmanager.eu-west-1.amazonaws.com");
        let question = secret.question(&to, Timestamp::from_millis(1_700_000_000_000)).unwrap();
        let signed = question.fields["authorization"].to_str().unwrap();
        assert!(signed.contains("/20231114/eu-west-1/secretsmanager/aws4_request, "), "{signed}");
        assert!(signed.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target, "), "{signed}");
        assert!(question.fields["authorization"].is_sensitive());
        assert!(!signed.contains(CANARY) && !String::from_utf8_lossy(&question.body).contains(CANARY));
    }

    #[test]
    fn one_step_wrong_is_refused() {
        assert_eq!(secret(None).check(), Ok(()));
        let wrong: [fn(&mut AwsSecret); 7] = [
            |one| one.key = CANARY.into(),
            |one| one.region = "eu-west-1.evil.example/".into(),
            |one| one.region = String::new(),
            |one| one.server = Some("http://127.0.0.1".into()),
            |one| one.secret = String::new(),
            |one| one.stage = Some(String::new()),
            |one| one.field = Some(String::new()),
        ];
        for make in wrong {
            let mut one = secret(None);
            make(&mut one);
            assert!(one.check().is_err(), "{}", one.place());
        }
    }

    #[test]
    fn the_secret_is_the_whole_text_or_a_member_of_it() {
        let answer = |text: &str| json!({ "SecretString": text }).to_string().into_bytes();
        let text = |one: &AwsSecret, body: &[u8]| one.picked(body).map(|secret| secret.expose().to_vec());
        assert_eq!(text(&secret(None), &answer(CANARY)).unwrap(), CANARY.as_bytes());
        let object = answer(&json!({ "key": CANARY }).to_string());
        assert_eq!(text(&secret(Some("key")), &object).unwrap(), CANARY.as_bytes());
        for body in [answer("no object"), answer("{}"), b"{}".to_vec(), b"<html>".to_vec(), Vec::new()] {
            assert!(text(&secret(Some("key")), &body).is_err());
        }
    }

    #[test]
    fn a_key_that_is_over_is_told_from_one_that_may_not_read() {
        let judged = |status: u16, body: &str| {
            unwilling(&Reply {
                status: StatusCode::from_u16(status).unwrap(),
                fields: HeaderMap::new(),
                body: Zeroizing::new(body.as_bytes().to_vec()),
            })
        };
        assert!(matches!(judged(400, r#"{"__type":"UnrecognizedClientException"}"#), Failure::Refused(_)));
        assert!(matches!(judged(403, "<Code>SignatureDoesNotMatch</Code>"), Failure::Refused(_)));
        for (status, body) in [
            (400, r#"{"__type":"InvalidSignatureException","message":"Signature expired: now"}"#),
            (400, r#"{"__type":"AccessDeniedException"}"#),
            (400, r#"{"__type":"ResourceNotFoundException"}"#),
            (503, "busy"),
            (302, ""),
            (201, "{}"),
        ] {
            assert!(matches!(judged(status, body), Failure::Unavailable(..)), "{status} {body}");
        }
    }
}
