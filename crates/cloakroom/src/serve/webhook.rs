//! Carries security events to the operator's own URL: signed, retried, and never in the way of a call. The journal has each event before
//! it is carried, so what is lost here is not lost.

use super::carrier::{Carrier, webhook_key};
use crate::failure::Failure;
use crate::settings::WebhookSetting;
use cloakroom_egress::UpstreamSettings;
use cloakroom_model::{EventKind, RequestId, SecurityEvent, Severity};
use cloakroom_store::Events;
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;

/// Events that wait while one is delivered.
pub(super) const QUEUE: usize = 1024;

/// What carries events.
pub(super) struct Webhook {
    min_severity: Severity,
    carrier: Carrier,
}

impl Webhook {
    /// Reads the secret and opens the way out: under the rules of every destination, with the ranges that are allowed here.
    pub(super) fn open(setting: &WebhookSetting, calls: &UpstreamSettings) -> Result<Self, Failure> {
        let key = webhook_key("[events.webhook]", &setting.secret_file)?;
        let carrier = Carrier::open(&setting.to, &setting.target, &setting.allowed, calls)?.signing(key);
        Ok(Self { min_severity: setting.min_severity, carrier })
    }

    /// Delivers until the broker ends.
    pub(super) async fn run(self, events: Arc<Events>, mut carried: Receiver<SecurityEvent>) {
        let mut told = 0;
        while let Some(event) = carried.recv().await {
            // That something was not delivered is on record and in the metrics: carrying it too would never end.
            if event.severity < self.min_severity || event.event == EventKind::Undelivered {
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
        self.carrier.deliver("a security event", &format!("evt_{id}"), &document(event)).await
    }
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
