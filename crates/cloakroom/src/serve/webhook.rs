//! Carries security events to the operator's own URL: signed, retried, and never in the way of a call.
//!
//! The signature is that of Standard Webhooks: HMAC-SHA-256 over `ID.TIMESTAMP.BODY`, in `webhook-id`, `webhook-timestamp` and
//! `webhook-signature`. The journal has each event before it is carried, so what is lost here is not lost.

use crate::failure::{Failure, plain};
use crate::settings::WebhookSetting;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloakroom_egress::{Upstream, UpstreamSettings};
use cloakroom_model::{EventKind, RequestId, SecurityEvent, Timestamp};
use cloakroom_store::Events;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use zeroize::Zeroizing;

/// Events that wait while one is delivered.
pub(super) const QUEUE: usize = 1024;
/// How long the first retry waits; each later one twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Tries for one event: the last about four minutes after the first.
const TRIES: u32 = 10;
/// How long a receiver may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// What carries events.
pub(super) struct Webhook {
    setting: WebhookSetting,
    key: hmac::Key,
    upstream: Upstream,
}

impl Webhook {
    /// Reads the secret and opens the way out: under the rules of every destination, with the ranges that are allowed here.
    pub(super) fn open(setting: &WebhookSetting, calls: &UpstreamSettings) -> Result<Self, Failure> {
        let settings = UpstreamSettings {
            allowed: setting.allowed.clone(),
            header_timeout: PATIENCE,
            idle_timeout: PATIENCE,
            ..calls.clone()
        };
        let upstream = Upstream::assert_opened(settings)
            .map_err(|error| Failure::failed(error.to_string()).hinting(error.hint()))?;
        Ok(Self { setting: setting.clone(), key: secret(&setting.secret_file)?, upstream })
    }

    /// Delivers until the broker ends.
    pub(super) async fn run(self, events: Arc<Events>, mut carried: Receiver<SecurityEvent>) {
        let mut told = 0;
        while let Some(event) = carried.recv().await {
            // That something was not delivered is on record and in the metrics: carrying it too would never end.
            if event.severity < self.setting.min_severity || event.event == EventKind::Undelivered {
                continue;
            }
            if !self.deliver(&event).await {
                events.meters().undelivered();
            }
            let dropped = events.meters().read().undelivered;
            if dropped > told {
                told = dropped;
                events.raise(SecurityEvent::new(EventKind::Undelivered));
            }
        }
    }

    /// Whether the receiver took it.
    async fn deliver(&self, event: &SecurityEvent) -> bool {
        let Ok(id) = RequestId::fresh() else { return false };
        let id = format!("evt_{id}");
        let body = document(event);
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=TRIES {
            match self.post(&id, &body).await {
                Ok(status) if status.is_success() => return true,
                Ok(StatusCode::GONE) => {
                    tracing::warn!(%id, "the webhook's receiver wants no more events (410)");
                    return false;
                }
                Ok(status) => {
                    tracing::warn!(%id, %status, attempt, "the webhook's receiver did not take an event")
                }
                Err(reason) => {
                    tracing::warn!(%id, %reason, attempt, "the webhook's receiver was not reached")
                }
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
        let body = Bytes::from(body.to_owned());
        let posted = self.upstream.notify(&self.setting.to, &self.setting.target, fields, body).await;
        posted.map_err(|refusal| refusal.to_string())
    }

    fn fields(&self, id: &str, timestamp: &str, body: &str) -> Result<HeaderMap, header::InvalidHeaderValue> {
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        fields.insert(header::USER_AGENT, HeaderValue::from_static("cloakroom"));
        fields.insert("webhook-id", HeaderValue::from_str(id)?);
        fields.insert("webhook-timestamp", HeaderValue::from_str(timestamp)?);
        fields.insert("webhook-signature", HeaderValue::from_str(&sign(&self.key, id, timestamp, body))?);
        Ok(fields)
    }
}

fn sign(key: &hmac::Key, id: &str, timestamp: &str, body: &str) -> String {
    let tag = hmac::sign(key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

/// The body. Ids and parsed nouns only: the peer is an address that the broker read from the socket.
fn document(event: &SecurityEvent) -> String {
    let at = event.at.to_string();
    let mut data = serde_json::to_value(event).unwrap_or_default();
    if let Some(members) = data.as_object_mut() {
        members.insert("at".into(), at.clone().into());
    }
    serde_json::json!({ "type": "cloakroom.security-event", "timestamp": at, "data": data }).to_string()
}

/// `whsec_` and 24 to 64 bytes in base64, in a file of its owner's alone.
fn secret(path: &Path) -> Result<hmac::Key, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::bad_input(format!("[events.webhook] cannot read {}: {}", path.display(), plain(&error)))
            .hinting("name a file with the webhook's secret: whsec_ and 24 to 64 bytes in base64")
    };
    let mode = path.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Failure::bad_input(format!("[events.webhook] {} can be read by others", path.display()))
            .hinting("make it its owner's alone: chmod 600"));
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(unreadable)?);
    let bytes = text.trim().strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    let bytes = bytes.map(Zeroizing::new).filter(|bytes| (24..=64).contains(&bytes.len()));
    bytes.map(|bytes| hmac::Key::new(hmac::HMAC_SHA256, &bytes)).ok_or_else(|| {
        Failure::bad_input(format!("[events.webhook] {} holds no webhook secret", path.display()))
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
            secret(&path).is_ok()
        };
        let good = format!("whsec_{}\n", STANDARD.encode([7; 32]));
        assert!(write(&good, 0o600));
        assert!(!write(&good, 0o640));
        assert!(!write(&STANDARD.encode([7; 32]), 0o600));
        assert!(!write(&format!("whsec_{}", STANDARD.encode([7; 23])), 0o600));
        assert!(!write("whsec_?", 0o600));
        assert!(secret(&dir.path().join("none")).is_err());
    }
}
