//! Carries the spans of calls to the operator's collector: OpenTelemetry over HTTP, in the JSON encoding. Never in the way of a call, and
//! lost where the collector takes none: the journal is the record, not this.

use super::carrier::way_out;
use crate::failure::Failure;
use crate::settings::TracesSetting;
use bytes::Bytes;
use cloakroom_egress::{Upstream, UpstreamSettings};
use cloakroom_model::Meters;
use cloakroom_proxy::CallTrace;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// So many calls go into one message at most.
const BATCH: usize = 256;
/// How long calls are gathered for one message.
const GATHER: Duration = Duration::from_millis(500);
/// Tries for one message, and the pause before the second; each later one is twice as long.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// What carries spans.
pub(super) struct Traces {
    setting: TracesSetting,
    upstream: Upstream,
}

impl Traces {
    /// Opens the way out: under the rules of every destination, with the ranges that are allowed here.
    pub(super) fn open(setting: &TracesSetting, calls: &UpstreamSettings) -> Result<Self, Failure> {
        let upstream = way_out(calls, &setting.allowed)?;
        Ok(Self { setting: setting.clone(), upstream })
    }

    /// Carries what comes, until nothing can come any more.
    pub(super) async fn run(self, meters: Arc<Meters>, mut calls: Receiver<CallTrace>) {
        let mut batch = Vec::with_capacity(BATCH);
        while calls.recv_many(&mut batch, BATCH).await > 0 {
            if batch.len() < BATCH {
                let gather =
                    async { while batch.len() < BATCH && calls.recv_many(&mut batch, BATCH).await > 0 {} };
                // What has come by then goes.
                let _ = tokio::time::timeout(GATHER, gather).await;
            }
            let spans = batch.iter().map(|call| 1 + call.steps.len() as u64).sum();
            match self.deliver(&document(&batch)).await {
                true => meters.spans_taken(spans),
                false => meters.spans_dropped(spans),
            }
            batch.clear();
        }
    }

    /// Whether the collector took it. SPEC: OTLP/HTTP, "Failures": only 429, 502, 503 and 504 are worth another try.
    async fn deliver(&self, document: &Value) -> bool {
        let body = Bytes::from(document.to_string());
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=TRIES {
            let mut fields = HeaderMap::new();
            fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            fields.insert(header::USER_AGENT, HeaderValue::from_static("cloakroom"));
            match self.upstream.notify(&self.setting.to, &self.setting.target, fields, body.clone()).await {
                Ok(status) if status.is_success() => return true,
                Ok(status) => {
                    tracing::warn!(%status, attempt, "the collector did not take spans");
                    if !is_worth_a_try(status) {
                        return false;
                    }
                }
                Err(reason) => tracing::warn!(%reason, attempt, "the collector was not reached"),
            }
            if attempt < TRIES {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
        false
    }
}

fn is_worth_a_try(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// `ExportTraceServiceRequest` in the JSON encoding of OTLP.
fn document(calls: &[CallTrace]) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let resource = [attribute("service.name", "cloakroom"), attribute("service.version", version)];
    let spans: Vec<Value> = calls.iter().flat_map(spans).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{ "scope": { "name": "cloakroom.calls", "version": version }, "spans": spans }],
    }] })
}

/// The span of the call, and one for each of its steps.
fn spans(call: &CallTrace) -> Vec<Value> {
    const SERVER: u8 = 2;
    const INTERNAL: u8 = 1;
    let span = |id: u64, parent: Option<u64>, name: &str, kind: u8, from: Duration, to: Duration| {
        let at = |since: Duration| (u128::from(call.began) + since.as_nanos()).to_string();
        let mut span = json!({
            "traceId": format!("{:032x}", call.trace),
            "spanId": format!("{id:016x}"),
            "name": name,
            "kind": kind,
            "startTimeUnixNano": at(from),
            "endTimeUnixNano": at(to),
        });
        if let Some(parent) = parent {
            span["parentSpanId"] = format!("{parent:016x}").into();
        }
        span
    };
    let mut own = span(call.span, call.parent, call.method, SERVER, Duration::ZERO, call.took);
    own["attributes"] = attributes(call).into();
    if call.code.is_some_and(|code| code.status() >= 500) {
        own["status"] = json!({ "code": 2 });
    }
    let steps = call.steps.iter().zip(1..).map(|((step, from, to), number)| {
        span(call.span.wrapping_add(number), Some(call.span), step.as_str(), INTERNAL, *from, *to)
    });
    std::iter::once(own).chain(steps).collect()
}

/// Ids, names that the operator chose, and numbers. Nothing that a workload wrote.
fn attributes(call: &CallTrace) -> Vec<Value> {
    let mut all = vec![
        attribute("http.request.method", call.method),
        attribute("cloakroom.request", &call.request.to_string()),
    ];
    all.extend(call.way.map(|way| attribute("cloakroom.way", way.as_str())));
    all.extend(call.workload.as_ref().map(|name| attribute("cloakroom.workload", name.as_str())));
    if let Some(to) = &call.destination {
        all.push(attribute("server.address", &to.host().to_string()));
        all.push(number("server.port", to.port().into()));
        all.push(attribute("url.scheme", to.scheme().as_str()));
    }
    all.extend(call.status.map(|status| number("http.response.status_code", status.into())));
    all.extend(call.code.map(|code| attribute("error.type", code.as_str())));
    all
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// SPEC: 64-bit integers are strings in the JSON encoding of protocol buffers.
fn number(key: &str, value: i64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::{Code, RequestId, Step, Timestamp};

    #[test]
    fn a_call_is_a_span_and_its_steps_are_spans_in_it() {
        let request = RequestId::new(Timestamp::from_millis(1), [7; 10]);
        let ms = Duration::from_millis;
        let call = CallTrace {
            request,
            trace: 0xABC,
            span: 0x10,
            parent: Some(0x99),
            began: 1_000,
            took: ms(5),
            steps: vec![(Step::Authorize, ms(0), ms(1)), (Step::Send, ms(1), ms(4))],
            method: "GET",
            way: None,
            workload: None,
            destination: "https://api.example.com".parse().ok(),
            status: None,
            code: Some(Code::UpstreamTimeout),
        };
        let spans = spans(&call);
        assert_eq!(spans.len(), 3);
        assert_eq!(spans[0]["traceId"], format!("{:032x}", 0xABC));
        assert_eq!(
            (&spans[0]["parentSpanId"], &spans[0]["status"]["code"]),
            (&"0000000000000099".into(), &2.into())
        );
        assert_eq!(spans[0]["endTimeUnixNano"], "5001000");
        assert_eq!((&spans[2]["name"], &spans[2]["parentSpanId"]), (&"send".into(), &spans[0]["spanId"]));
        assert_ne!(spans[1]["spanId"], spans[2]["spanId"]);
        let attributes = spans[0]["attributes"].to_string();
        for known in ["api.example.com", "upstream-timeout", &request.to_string(), "\"443\""] {
            assert!(attributes.contains(known), "{known} {attributes}");
        }
    }
}
