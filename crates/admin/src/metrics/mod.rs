//! `GET /metrics` on the console listener, in Prometheus' text format. Labels come from closed sets only, so no stranger makes a series,
//! and nothing here names a workload, a credential, a placeholder or a destination.

mod exposition;

use crate::Problem;
use crate::admin::Admin;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use cloakroom_model::{Reading, Spread, Step, Timestamp};
use cloakroom_store::Verdict;
use exposition::{Exposition, Kind};
use http::header;
use std::sync::Arc;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the making of access tokens and the reading of secrets elsewhere can have come to.
const RENEWALS: [&str; 5] = ["unused", "fresh", "due", "unavailable", "login-required"];

pub(crate) async fn show(State(admin): State<Arc<Admin>>) -> Result<Response, Problem> {
    let text = Gathered::from(&admin).await?.text();
    Ok(([(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, "no-store")], text).into_response())
}

/// All that is told, at one moment.
struct Gathered {
    reading: Reading,
    journal: Recording,
    connections: (u64, usize),
    /// How many credentials are in which state, in the order of [`RENEWALS`].
    renewals: [u64; RENEWALS.len()],
    parked: usize,
    proposals: usize,
    ready: bool,
}

/// How the record goes.
struct Recording {
    records: u64,
    flushes: Spread,
    writable: bool,
}

impl Gathered {
    async fn from(admin: &Admin) -> Result<Self, Problem> {
        let (now, mut renewals) = (Timestamp::now(), [0; RENEWALS.len()]);
        for row in admin.store.load().await?.credentials.iter().filter(|row| row.removed.is_none()) {
            let state = admin.custody.health(row.id).map(|health| health.state(now));
            if let Some(at) = state.and_then(|state| RENEWALS.iter().position(|known| *known == state)) {
                renewals[at] += 1;
            }
        }
        let waiting = admin.parking.list().iter().filter(|one| one.verdict == Verdict::Waiting).count();
        Ok(Self {
            reading: admin.events.meters().read(),
            journal: Recording {
                records: admin.journal.records(),
                flushes: admin.journal.flush_times(),
                writable: admin.journal.is_writable(),
            },
            connections: admin.custody.connections().unwrap_or_default(),
            renewals,
            parked: waiting,
            proposals: admin.proposals.list().len(),
            ready: admin.readiness().is_ready(),
        })
    }

    fn text(self) -> String {
        let mut out = Exposition::default();
        let Self { reading, journal, connections, renewals, parked, proposals, ready } = self;
        calls(&mut out, &reading);
        record(&mut out, &reading, &journal);
        let (made, kept) = connections;
        out.one(
            Kind::Counter,
            "cloakroom_upstream_connections_total",
            "Connections made to destinations.",
            made,
        );
        out.one(
            Kind::Gauge,
            "cloakroom_upstream_connections_kept",
            "Connections kept for reuse.",
            kept as u64,
        );
        out.each(
            Kind::Gauge,
            "cloakroom_credentials_renewed",
            "Credentials whose secret is renewed or read elsewhere, by how that goes.",
            "state",
            RENEWALS.into_iter().zip(renewals),
        );
        out.one(Kind::Gauge, "cloakroom_calls_parked", "Calls that wait for a human.", parked as u64);
        out.one(
            Kind::Gauge,
            "cloakroom_proposals_waiting",
            "Requests of workloads that wait for an operator.",
            proposals as u64,
        );
        out.one(Kind::Gauge, "cloakroom_ready", "Whether calls are served: 1, or 0.", ready.into());
        out.into_text()
    }
}

fn calls(out: &mut Exposition, reading: &Reading) {
    let Reading {
        calls,
        counted_uses,
        under_way,
        steps,
        refusals,
        events,
        undelivered,
        spans,
        spans_dropped,
        ..
    } = reading;
    out.one(Kind::Counter, "cloakroom_calls_total", "Calls authorized and on record.", *calls);
    out.one(Kind::Gauge, "cloakroom_calls_under_way", "Calls whose answer has not ended.", *under_way);
    out.one(Kind::Counter, "cloakroom_counted_uses_total", "Counted uses that were spent.", *counted_uses);
    let steps = steps.iter().map(|(step, spread): &(Step, Spread)| (step.as_str(), spread.clone()));
    out.durations("cloakroom_call_stage_seconds", "How long the stages of calls took.", "stage", steps);
    let refusals = refusals.iter().map(|(code, count)| (code, *count));
    out.each(Kind::Counter, "cloakroom_refusals_total", "Refusals and failures by code.", "code", refusals);
    let events = events.iter().map(|(kind, count)| (kind, *count));
    out.each(Kind::Counter, "cloakroom_events_total", "Security events by kind.", "event", events);
    out.one(
        Kind::Counter,
        "cloakroom_events_undelivered_total",
        "Security events that the webhook did not deliver.",
        *undelivered,
    );
    let told = [("taken", *spans), ("dropped", *spans_dropped)];
    out.each(Kind::Counter, "cloakroom_spans_total", "Spans by what became of them.", "outcome", told);
}

fn record(out: &mut Exposition, reading: &Reading, journal: &Recording) {
    out.one(Kind::Gauge, "cloakroom_journal_records", "Records in the journal.", journal.records);
    out.one(
        Kind::Gauge,
        "cloakroom_journal_writable",
        "Whether the journal can be written, as far as is known: 1, or 0.",
        journal.writable.into(),
    );
    out.durations(
        "cloakroom_journal_flush_seconds",
        "How long flushes of the journal took.",
        "",
        [("", journal.flushes.clone())],
    );
    out.one(
        Kind::Gauge,
        "cloakroom_journal_witnesses_silent",
        "Witnesses that did not take the last checkpoint.",
        reading.witnesses_silent,
    );
    out.one(
        Kind::Gauge,
        "cloakroom_journal_witnessed_records",
        "Records signed by a checkpoint that every witness took.",
        reading.witnessed,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::{Code, EventKind, Meters};
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn gathered(meters: &Meters) -> Gathered {
        Gathered {
            reading: meters.read(),
            journal: Recording { records: 7, flushes: Spread::default(), writable: true },
            connections: (5, 2),
            renewals: [0, 1, 0, 0, 3],
            parked: 1,
            proposals: 2,
            ready: false,
        }
    }

    #[test]
    fn every_code_kind_and_stage_has_its_lines_and_nothing_else_has() {
        let meters = Meters::default();
        meters.call(2);
        meters.step(Step::Send, Duration::from_millis(3));
        meters.refusal(Code::PlaceholderSpent);
        meters.event(EventKind::SpentUsed);
        let text = gathered(&meters).text();
        for line in [
            "cloakroom_calls_total 1",
            "cloakroom_counted_uses_total 2",
            "cloakroom_journal_records 7",
            "cloakroom_journal_writable 1",
            "cloakroom_ready 0",
            "cloakroom_call_stage_seconds_count{stage=\"send\"} 1",
            "cloakroom_call_stage_seconds_count{stage=\"scrub\"} 0",
            "cloakroom_refusals_total{code=\"placeholder-spent\"} 1",
            "cloakroom_refusals_total{code=\"internal-fault\"} 0",
            "cloakroom_events_total{event=\"spent-used\"} 1",
            "cloakroom_credentials_renewed{state=\"login-required\"} 3",
            "cloakroom_upstream_connections_kept 2",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let histograms = (Step::ALL.len() + 1) * (cloakroom_model::CLASSES + 2);
        let labelled = Code::ALL.len() + EventKind::ALL.len() + RENEWALS.len() + 2;
        assert_eq!(samples.len(), 13 + labelled + histograms, "{text}");
        let distinct: BTreeSet<&str> =
            samples.iter().filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series).collect();
        assert_eq!(distinct.len(), samples.len(), "no series twice");
    }

    /// Every metric that the dashboard asks for is one that is told.
    #[test]
    fn the_dashboard_names_only_metrics_that_there_are() {
        let board = include_str!("../../../../packaging/grafana/cloakroom.json");
        let board: serde_json::Value = serde_json::from_str(board).unwrap();
        let text = gathered(&Meters::default()).text();
        let told: BTreeSet<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split(['{', ' ']).next())
            .collect();
        let mut asked = BTreeSet::new();
        for panel in board["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let words =
                    target["expr"].as_str().unwrap().split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                asked.extend(words.filter(|word| word.starts_with("cloakroom_")).map(str::to_owned));
            }
        }
        assert!(asked.len() > 10, "{asked:?}");
        for name in &asked {
            assert!(told.contains(name.as_str()), "{name} is asked for and not told");
        }
    }
}
