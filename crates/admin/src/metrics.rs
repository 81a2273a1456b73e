//! `GET /metrics` on the console listener: counters in Prometheus' text format. Labels come from closed sets only, so no
//! stranger makes a series, and nothing here names a workload, a credential or a destination.

use crate::Problem;
use crate::admin::Admin;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use cloakroom_model::Reading;
use http::header;
use std::fmt::{Display, Write};
use std::sync::Arc;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) async fn show(State(admin): State<Arc<Admin>>) -> Result<Response, Problem> {
    let records = admin.journal.records();
    let text = text(&admin.events.meters().read(), records);
    Ok(([(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, "no-store")], text).into_response())
}

fn text(reading: &Reading, records: u64) -> String {
    let Reading { calls, counted_uses, undelivered, witnesses_silent, witnessed, refusals, events } = reading;
    let mut out = String::new();
    let one = |out: &mut String, name: &str, kind: &str, help: &str, value: u64| {
        family(out, name, kind, help);
        let _ = writeln!(out, "{name} {value}");
    };
    one(&mut out, "cloakroom_calls_total", "counter", "Calls authorized and on record.", *calls);
    one(&mut out, "cloakroom_counted_uses_total", "counter", "Counted uses that were spent.", *counted_uses);
    one(
        &mut out,
        "cloakroom_events_undelivered_total",
        "counter",
        "Security events that the webhook did not deliver.",
        *undelivered,
    );
    one(&mut out, "cloakroom_journal_records", "gauge", "Records in the journal.", records);
    one(
        &mut out,
        "cloakroom_journal_witnesses_silent",
        "gauge",
        "Witnesses that did not take the last checkpoint.",
        *witnesses_silent,
    );
    one(
        &mut out,
        "cloakroom_journal_witnessed_records",
        "gauge",
        "Records signed by a checkpoint that every witness took.",
        *witnessed,
    );
    labelled(&mut out, "cloakroom_refusals_total", "Refusals and failures by code.", "code", refusals);
    labelled(&mut out, "cloakroom_events_total", "Security events by kind.", "event", events);
    out
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn labelled(out: &mut String, name: &str, help: &str, label: &str, counts: &[(impl Display, u64)]) {
    family(out, name, "counter", help);
    for (value, count) in counts {
        let _ = writeln!(out, "{name}{{{label}=\"{value}\"}} {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::{Code, EventKind, Meters};

    #[test]
    fn every_code_and_kind_has_its_line_and_nothing_else_has() {
        let meters = Meters::default();
        meters.call(2);
        meters.refusal(Code::PlaceholderSpent);
        meters.event(EventKind::SpentUsed);
        let text = text(&meters.read(), 7);
        for line in [
            "cloakroom_calls_total 1",
            "cloakroom_counted_uses_total 2",
            "cloakroom_journal_records 7",
            "cloakroom_refusals_total{code=\"placeholder-spent\"} 1",
            "cloakroom_refusals_total{code=\"internal-fault\"} 0",
            "cloakroom_events_total{event=\"spent-used\"} 1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
        let samples = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(samples, 6 + Code::ALL.len() + EventKind::ALL.len());
    }
}
