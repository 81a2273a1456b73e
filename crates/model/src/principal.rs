//! Who asks: a workload whose identity has been proven.

use crate::{Name, WorkloadId};
use serde::{Deserialize, Serialize};

/// What a workload showed to prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The workload key, in `Proxy-Authorization` or `Cloakroom-Workload`.
    Key,
}

/// A verified workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    workload: WorkloadId,
    name: Name,
    evidence: Evidence,
}

impl Principal {
    /// ASSERTION POINT: the caller declares that it has verified `evidence` for this workload.
    pub fn assert_verified(workload: WorkloadId, name: Name, evidence: Evidence) -> Self {
        Self { workload, name, evidence }
    }

    /// The workload's id.
    pub fn workload(&self) -> WorkloadId {
        self.workload
    }

    /// The workload's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What it showed.
    pub fn evidence(&self) -> Evidence {
        self.evidence
    }
}
