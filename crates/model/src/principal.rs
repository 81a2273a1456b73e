//! Who asks: a workload whose identity has been proven.

use crate::{Name, Proofs, Source, WorkloadId};

/// A verified workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    workload: WorkloadId,
    name: Name,
    shown: Proofs,
    source: Source,
}

impl Principal {
    /// ASSERTION POINT: the caller declares that it has verified all that was `shown` for this workload, on a connection
    /// from `source`.
    pub fn assert_verified(workload: WorkloadId, name: Name, shown: Proofs, source: Source) -> Self {
        Self { workload, name, shown, source }
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
    pub fn shown(&self) -> Proofs {
        self.shown
    }

    /// Where it asks from.
    pub fn source(&self) -> Source {
        self.source
    }
}
