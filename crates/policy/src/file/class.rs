//! Reading what a permit says about reads and writes.

use super::complaint::Complaints;
use super::permit::word;
use super::reader::Table;
use crate::class::{Known, Refuse, Speaks, Terms};
use crate::permit::Permit;
use std::collections::BTreeSet;

/// `speaks`, `reads`, `writes` and `refuse`.
pub(super) fn read(table: &Table<'_, '_>, to: &mut Complaints<'_>) -> Terms {
    let protocols = Speaks::ALL.map(|speaks| (speaks.as_str(), speaks));
    let speaks = table.value("speaks").and_then(|value| word(&value, &protocols, to)).unwrap_or_default();
    let refuse = table.value("refuse").and_then(|value| word(&value, &[("writes", Refuse::Writes)], to));
    Terms {
        speaks,
        reads: known("reads", speaks, table, to),
        writes: known("writes", speaks, table, to),
        refuse,
    }
}

fn known(key: &str, speaks: Speaks, table: &Table<'_, '_>, to: &mut Complaints<'_>) -> BTreeSet<Known> {
    let mut all = BTreeSet::new();
    let Some(value) = table.value(key) else { return all };
    for (item, text) in value.texts(to) {
        match Known::parse(text) {
            Ok(known) if fits(&known, speaks) => drop(all.insert(known)),
            Ok(_) => item.complain(
                to,
                format!("{text:?} means nothing in what the permit speaks"),
                "methods go with speaks = \"json-rpc\" or \"mcp\", tools with \"mcp\", actions with \"aws\"",
            ),
            Err(error) => item.complain(
                to,
                format!("{text:?}: {error}"),
                "write: \"POST /v1/search\", \"method NAME\", \"tool NAME\" or \"action NAME\"",
            ),
        }
    }
    all
}

fn fits(known: &Known, speaks: Speaks) -> bool {
    match known {
        Known::Call(_) => true,
        Known::Method(_) => matches!(speaks, Speaks::JsonRpc | Speaks::Mcp),
        Known::Tool(_) => speaks == Speaks::Mcp,
        Known::Action(_) => speaks == Speaks::Aws,
    }
}

/// A line that no call of the permit can match is a slip, and a slip in `writes` lets a write pass.
pub(super) fn fit(permit: &Permit, table: &Table<'_, '_>, to: &mut Complaints<'_>) {
    for (key, all) in [("reads", &permit.terms.reads), ("writes", &permit.terms.writes)] {
        for known in all {
            let Known::Call(template) = known else { continue };
            if !permit.calls.iter().any(|call| call.overlaps(template))
                && let Some(value) = table.value(key)
            {
                let message = format!("{:?} is no call that the permit allows", known.to_string());
                value.complain(to, message, "compare method and path with call");
            }
        }
    }
}
