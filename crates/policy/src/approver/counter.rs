//! Passkeys count their signatures. Of all that are stored, in the order in which they were accepted, the counts of one key
//! go up; where one does not, the key has a copy, or the row was put there.

use super::passkey;
use cloakroom_model::{Rows, Signature, Timestamp};
use std::collections::{HashMap, HashSet};

/// The stored signatures of passkeys that are out of order: none of them counts.
#[derive(Debug, Default)]
pub(crate) struct Backwards<'r>(HashSet<&'r str>);

impl<'r> Backwards<'r> {
    /// Of all rows: what was denied or withdrawn was signed all the same.
    pub(crate) fn of(rows: &'r Rows) -> Self {
        let mut by_key: HashMap<&str, Vec<(Timestamp, u32, &str)>> = HashMap::new();
        for signature in signatures(rows) {
            if let Some((at, count)) = passkey::count(signature) {
                by_key.entry(&signature.key).or_default().push((at, count, &signature.signature));
            }
        }
        Self(by_key.into_values().flat_map(out_of_order).collect())
    }

    pub(crate) fn has(&self, signature: &Signature) -> bool {
        self.0.contains(signature.signature.as_str())
    }
}

fn out_of_order(mut signatures: Vec<(Timestamp, u32, &str)>) -> Vec<&str> {
    signatures.sort_unstable();
    // A copy of a row is no further signature; for the other row's text it does not verify anyway.
    signatures.dedup();
    let mut last = 0;
    let mut wrong = Vec::new();
    for (_, count, signature) in signatures {
        // A key that never counts says zero for ever.
        if count > last || (count == 0 && last == 0) {
            last = count;
        } else {
            wrong.push(signature);
        }
    }
    wrong
}

/// The highest count that is stored for this key.
pub(super) fn highest(rows: &Rows, key: &str) -> u32 {
    counts(rows, key).map(|(_, count)| count).max().unwrap_or(0)
}

/// When the last signature that is stored for this key was accepted.
pub(super) fn latest(rows: &Rows, key: &str) -> Option<Timestamp> {
    counts(rows, key).map(|(at, _)| at).max()
}

fn counts<'r>(rows: &'r Rows, key: &'r str) -> impl Iterator<Item = (Timestamp, u32)> {
    signatures(rows).filter(move |one| one.key == key).filter_map(passkey::count)
}

fn signatures(rows: &Rows) -> impl Iterator<Item = &Signature> {
    let of_approvals = rows.approvals.iter().flat_map(|row| &row.signatures);
    of_approvals.chain(rows.approver_changes.iter().flat_map(|change| &change.signatures))
}
