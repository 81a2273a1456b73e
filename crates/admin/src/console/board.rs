//! The rows as they are in force, with what is looked up in them: a page of a few rows costs the same among ten thousand.

use crate::api::view::{self, Relations};
use cloakroom_model::{
    ApprovalRecord, CredentialId, CredentialRecord, PlaceholderId, PlaceholderRecord, Rows, Timestamp,
    WorkloadId, WorkloadRecord,
};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// The rows, and where each stands.
pub(crate) struct Board {
    pub(crate) rows: Arc<Rows>,
    places: OnceLock<Places>,
}

#[derive(Default)]
struct Places {
    credentials: HashMap<CredentialId, usize>,
    workloads: HashMap<WorkloadId, usize>,
    placeholders: HashMap<PlaceholderId, usize>,
    approvals: HashMap<PlaceholderId, Vec<usize>>,
    children: HashMap<PlaceholderId, Vec<PlaceholderId>>,
    /// Approvals that nobody has decided, oldest first.
    undecided: Vec<usize>,
}

impl Board {
    /// Nothing is looked up until somebody looks.
    pub(crate) fn new(rows: Arc<Rows>) -> Self {
        Self { rows, places: OnceLock::new() }
    }

    fn places(&self) -> &Places {
        self.places.get_or_init(|| Places::of(&self.rows))
    }

    /// Approvals that wait for a human, oldest first.
    pub(crate) fn undecided(&self) -> impl Iterator<Item = &ApprovalRecord> {
        let now = Timestamp::now();
        let rows = self.places().undecided.iter().filter_map(|at| self.rows.approvals.get(*at));
        rows.filter(move |row| {
            row.expires.is_none_or(|end| end > now)
                && self
                    .placeholder(row.placeholder)
                    .is_some_and(|one| view::state(one, self, now) == "pending")
        })
    }

    /// What descends from a placeholder, directly.
    pub(crate) fn children(&self, of: PlaceholderId) -> &[PlaceholderId] {
        self.places().children.get(&of).map_or(&[], Vec::as_slice)
    }

    /// The name of a workload that was ever known.
    pub(crate) fn workload_name(&self, id: WorkloadId) -> String {
        self.workload(id).map_or_else(|| id.to_string(), |row| row.name.to_string())
    }

    /// The name of a credential that was ever known.
    pub(crate) fn credential_name(&self, id: CredentialId) -> String {
        self.credential(id).map_or_else(|| id.to_string(), |row| row.name.to_string())
    }
}

impl Relations for Board {
    fn credential(&self, id: CredentialId) -> Option<&CredentialRecord> {
        self.places().credentials.get(&id).and_then(|at| self.rows.credentials.get(*at))
    }

    fn workload(&self, id: WorkloadId) -> Option<&WorkloadRecord> {
        self.places().workloads.get(&id).and_then(|at| self.rows.workloads.get(*at))
    }

    fn placeholder(&self, id: PlaceholderId) -> Option<&PlaceholderRecord> {
        self.places().placeholders.get(&id).and_then(|at| self.rows.placeholders.get(*at))
    }

    fn approvals_of(&self, id: PlaceholderId) -> impl Iterator<Item = &ApprovalRecord> {
        let places = self.places().approvals.get(&id).into_iter().flatten();
        places.filter_map(|at| self.rows.approvals.get(*at))
    }

    fn placeholders(&self) -> &[PlaceholderRecord] {
        &self.rows.placeholders
    }
}

impl Places {
    fn of(rows: &Rows) -> Self {
        let mut places = Self {
            credentials: rows.credentials.iter().enumerate().map(|(at, row)| (row.id, at)).collect(),
            workloads: rows.workloads.iter().enumerate().map(|(at, row)| (row.id, at)).collect(),
            placeholders: rows.placeholders.iter().enumerate().map(|(at, row)| (row.id, at)).collect(),
            ..Self::default()
        };
        for row in &rows.placeholders {
            if let Some(parent) = row.parent {
                places.children.entry(parent).or_default().push(row.id);
            }
        }
        for (at, row) in rows.approvals.iter().enumerate() {
            places.approvals.entry(row.placeholder).or_default().push(at);
            if row.decided.is_none() && !row.denied && row.withdrawn.is_none() {
                places.undecided.push(at);
            }
        }
        places
    }
}
