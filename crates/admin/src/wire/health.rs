//! Whether the broker runs, in figures.

use super::CustodyView;
use serde::{Deserialize, Serialize};

/// `GET /api/v1/health`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Health {
    /// `ok`; `sealed` where no secret opens.
    pub status: String,
    /// The broker's version.
    pub version: String,
    /// Credentials held.
    pub credentials: usize,
    /// Workloads known.
    pub workloads: usize,
    /// Placeholders in force.
    pub active: usize,
    /// Approvals that wait.
    pub pending: usize,
    /// Placeholders stored as active that do not verify.
    pub unverified: usize,
    /// Whether the locks on workloads' networks were proved lately.
    #[serde(default)]
    pub locked: bool,
    /// How custody stands.
    #[serde(default)]
    pub custody: Option<CustodyView>,
}
