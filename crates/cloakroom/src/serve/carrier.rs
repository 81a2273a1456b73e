//! Posts to a place of the operator's: under the rules of every way out, tried again, given up in the end, and never in the way of a call.

use crate::failure::{Failure, plain};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloakroom_egress::{Upstream, UpstreamSettings};
use cloakroom_model::{Destination, Timestamp};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ipnet::IpNet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long the first retry waits; each later one twice as long.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Tries for one message: the last about four minutes after the first.
pub(super) const TRIES: u32 = 10;
/// How long a receiver may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// One place, and how it is posted to.
pub(super) struct Carrier {
    to: Destination,
    target: String,
    upstream: Upstream,
    /// Fields of every post.
    fields: HeaderMap,
    /// Signs every post, where it is a webhook that wants that.
    key: Option<hmac::Key>,
}

/// The way out that a place of the operator's is reached by, with the ranges that are allowed there.
pub(super) fn way_out(calls: &UpstreamSettings, allowed: &[IpNet]) -> Result<Upstream, Failure> {
    let settings = UpstreamSettings {
        allowed: allowed.to_vec(),
        header_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        ..calls.clone()
    };
    Upstream::assert_opened(settings)
        .map_err(|error| Failure::failed(error.to_string()).hinting(error.hint()))
}

impl Carrier {
    /// Opens the way out to scheme, host and port, and a path.
    pub(super) fn open(
        to: &Destination,
        target: &str,
        allowed: &[IpNet],
        calls: &UpstreamSettings,
    ) -> Result<Self, Failure> {
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        fields.insert(header::USER_AGENT, HeaderValue::from_static("cloakroom"));
        Ok(Self {
            to: to.clone(),
            target: target.to_owned(),
            upstream: way_out(calls, allowed)?,
            fields,
            key: None,
        })
    }

    /// With the signature of Standard Webhooks: HMAC-SHA-256 over `ID.TIMESTAMP.BODY`.
    pub(super) fn signing(self, key: hmac::Key) -> Self {
        Self { key: Some(key), ..self }
    }

    /// With one more field.
    pub(super) fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.fields.insert(name, value);
        self
    }

    /// Whether the receiver took it. `what` it is, for the log.
    pub(super) async fn deliver(&self, what: &'static str, id: &str, body: &str) -> bool {
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=TRIES {
            match self.post(id, body).await {
                Ok(status) if status.is_success() => return true,
                Ok(StatusCode::GONE) => {
                    tracing::warn!(what, %id, "the receiver wants no more (410)");
                    return false;
                }
                Ok(status) => tracing::warn!(what, %id, %status, attempt, "the receiver did not take it"),
                Err(reason) => tracing::warn!(what, %id, %reason, attempt, "the receiver was not reached"),
            }
            if attempt < TRIES {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
        false
    }

    async fn post(&self, id: &str, body: &str) -> Result<StatusCode, String> {
        let timestamp = (Timestamp::now().millis() / 1000).to_string();
        let fields = self.fields(id, &timestamp, body).map_err(|error| error.to_string())?;
        let posted = self.upstream.notify(&self.to, &self.target, fields, Bytes::from(body.to_owned())).await;
        posted.map_err(|refusal| refusal.to_string())
    }

    fn fields(&self, id: &str, timestamp: &str, body: &str) -> Result<HeaderMap, header::InvalidHeaderValue> {
        let mut fields = self.fields.clone();
        let Some(key) = &self.key else { return Ok(fields) };
        fields.insert("webhook-id", HeaderValue::from_str(id)?);
        fields.insert("webhook-timestamp", HeaderValue::from_str(timestamp)?);
        fields.insert("webhook-signature", HeaderValue::from_str(&sign(key, id, timestamp, body))?);
        Ok(fields)
    }
}

fn sign(key: &hmac::Key, id: &str, timestamp: &str, body: &str) -> String {
    let tag = hmac::sign(key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

/// What a file of its owner's alone says. `section` of the settings, and what it should hold, for those who mend it.
pub(super) fn read_private(section: &str, path: &Path, what: &str) -> Result<Zeroizing<String>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::bad_input(format!("{section} cannot read {}: {}", path.display(), plain(&error)))
            .hinting(format!("name a file with {what}"))
    };
    let mode = path.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Failure::bad_input(format!("{section} {} can be read by others", path.display()))
            .hinting("make it its owner's alone: chmod 600"));
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(unreadable)?);
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// `whsec_` and 24 to 64 bytes in base64, in a file of its owner's alone.
pub(super) fn webhook_key(section: &str, path: &Path) -> Result<hmac::Key, Failure> {
    let text = read_private(section, path, "the webhook's secret: whsec_ and 24 to 64 bytes in base64")?;
    let bytes = text.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    let bytes = bytes.map(Zeroizing::new).filter(|bytes| (24..=64).contains(&bytes.len()));
    bytes.map(|bytes| hmac::Key::new(hmac::HMAC_SHA256, &bytes)).ok_or_else(|| {
        Failure::bad_input(format!("{section} {} holds no webhook secret", path.display()))
            .hinting("write whsec_ and 24 to 64 random bytes in base64, and nothing else")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification's reference implementations.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let bytes = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        let signed = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_refused_that_is_short_misspelled_or_readable_by_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            webhook_key("[events.webhook]", &path).is_ok()
        };
        let good = format!("whsec_{}\n", STANDARD.encode([7; 32]));
        assert!(write(&good, 0o600));
        assert!(!write(&good, 0o640));
        assert!(!write(&STANDARD.encode([7; 32]), 0o600));
        assert!(!write(&format!("whsec_{}", STANDARD.encode([7; 23])), 0o600));
        assert!(!write("whsec_?", 0o600));
        assert!(webhook_key("[events.webhook]", &dir.path().join("none")).is_err());
    }
}
