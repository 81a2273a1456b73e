//! `cloakroom policy replay`: how recorded calls would fare under a policy.

use super::recorded::Recorded;
use crate::Outcome;
use crate::cli::ReplayArguments;
use crate::exit::Exit;
use crate::output::{Output, table};
use cloakroom_model::{Destination, Intent};
use cloakroom_policy::{Policy, Replayed};
use serde::Serialize;
use std::collections::BTreeMap;

/// No more lines are shown to people.
const SHOWN: usize = 50;

/// Calls that look the same in the journal.
#[derive(Serialize)]
struct Line {
    calls: u64,
    destination: Destination,
    method: String,
    path: String,
    /// The permits that allowed them.
    allowed_by: Vec<String>,
    #[serde(flatten)]
    fate: Replayed,
}

/// Refused calls: the journal keeps their destination.
#[derive(Default, Serialize)]
struct Refused {
    calls: u64,
    /// Those that went where the policy leads, or would have.
    to_named_destinations: u64,
    to_others: u64,
    /// Those of which no destination is on record.
    unknown: u64,
}

#[derive(Serialize)]
struct Report {
    calls: u64,
    /// Nothing on record stands against them.
    open: u64,
    refused: u64,
    lines: Vec<Line>,
    refused_then: Refused,
    /// What the policy looks at and the journal does not keep.
    not_on_record: Vec<&'static str>,
}

pub(super) fn run(options: &ReplayArguments, output: &Output) -> Outcome {
    let policy = super::policy::read(&options.file)?;
    let recorded = Recorded::read(&options.journal, options.since)?;
    let wanted = |intent: &&Intent| {
        options.workload.is_none_or(|workload| workload == intent.workload)
            && options
                .placeholder
                .is_none_or(|placeholder| intent.uses.iter().any(|used| used.placeholder == placeholder))
    };
    let report = report(&policy, recorded.intents.iter().filter(wanted), &recorded.refused);
    output.data(&report, || text(&report))?;
    if !report.not_on_record.is_empty() {
        output.hint(&format!(
            "not on record, so not judged: {}; a call shown as open can still be refused for these",
            report.not_on_record.join(", ")
        ));
    }
    Ok(if report.refused == 0 { Exit::Done } else { Exit::Refused })
}

fn report<'i>(
    policy: &Policy,
    intents: impl Iterator<Item = &'i Intent>,
    refused: &[Option<Destination>],
) -> Report {
    type Key = (Destination, String, String);
    let mut seen: BTreeMap<Key, (u64, Vec<String>)> = BTreeMap::new();
    for intent in intents {
        let key = (intent.destination.clone(), intent.method.clone(), intent.path.clone());
        let (calls, permits) = seen.entry(key).or_default();
        *calls += 1;
        for used in intent.uses.iter().filter(|used| !permits.contains(&used.permit)).collect::<Vec<_>>() {
            permits.push(used.permit.clone());
        }
    }
    let line = |((destination, method, path), (calls, allowed_by)): (Key, (u64, Vec<String>))| {
        let fate = policy.replay(&destination, &method, &path);
        Line { calls, destination, method, path, allowed_by, fate }
    };
    let mut lines: Vec<Line> = seen.into_iter().map(line).collect();
    // What would be refused first, then what comes most often.
    lines.sort_by_key(|line| (is_open(line), std::cmp::Reverse(line.calls)));
    let count = |open: bool| lines.iter().filter(|line| is_open(line) == open).map(|line| line.calls).sum();
    let mut not_on_record: Vec<&'static str> = lines
        .iter()
        .flat_map(|line| match &line.fate {
            Replayed::Open { unknown, .. } => unknown.clone(),
            Replayed::Refused { .. } => Vec::new(),
        })
        .collect();
    not_on_record.sort_unstable();
    not_on_record.dedup();
    let (open, refused_now) = (count(true), count(false));
    Report {
        calls: open + refused_now,
        open,
        refused: refused_now,
        refused_then: refused_then(policy, refused),
        lines,
        not_on_record,
    }
}

fn is_open(line: &Line) -> bool {
    matches!(line.fate, Replayed::Open { .. })
}

fn refused_then(policy: &Policy, refused: &[Option<Destination>]) -> Refused {
    let named = policy.destinations();
    let mut counted = Refused::default();
    for destination in refused {
        counted.calls += 1;
        match destination {
            None => counted.unknown += 1,
            Some(destination) if named.contains(destination) => counted.to_named_destinations += 1,
            Some(_) => counted.to_others += 1,
        }
    }
    counted
}

fn text(report: &Report) -> String {
    let row = |line: &Line| {
        let (fate, why) = match &line.fate {
            Replayed::Open { permits, .. } => ("open", permits.join(", ")),
            Replayed::Refused { because } => ("refused", (*because).to_owned()),
        };
        let call = format!("{} {}{}", line.method, line.destination, line.path);
        vec![line.calls.to_string(), fate.to_owned(), call, line.allowed_by.join(", "), why]
    };
    let rows: Vec<Vec<String>> = report.lines.iter().take(SHOWN).map(row).collect();
    let mut lines = Vec::new();
    if !rows.is_empty() {
        lines.push(table(&["CALLS", "FATE", "CALL", "ALLOWED BY", "WOULD BE"], &rows));
    }
    if report.lines.len() > SHOWN {
        lines.push(format!("{} more: --json has all", report.lines.len() - SHOWN));
    }
    lines.push(format!("{} recorded calls: {} open, {} refused", report.calls, report.open, report.refused));
    let then = &report.refused_then;
    if then.calls > 0 {
        lines.push(format!(
            "{} recorded refusals, of which the journal keeps the destination alone: {} to destinations of this policy, {} to others, {} to none that is on record",
            then.calls, then.to_named_destinations, then.to_others, then.unknown
        ));
    }
    lines.join("\n")
}
