//! Whether the broker runs, in figures.

use super::CustodyView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/v1/health`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
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
    /// The console's certificate, where an ACME server gives it.
    #[serde(default)]
    pub certificate: Option<CertificateView>,
    /// Where workloads are heard: `http://ADDRESS`, `unix:PATH`, `vsock:PORT`, `transparent:ADDRESS`.
    #[serde(default)]
    pub listeners: Vec<String>,
    /// How the broker's process is closed in.
    #[serde(default)]
    pub confinement: Vec<LayerView>,
    /// Blocks of memory for secrets that could not be locked, so that they may be swapped out.
    #[serde(default)]
    pub unlocked_blocks: usize,
}

/// A certificate that is renewed while the broker runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateView {
    /// The names that it is for.
    pub names: Vec<String>,
    /// When it ends; absent where none is there.
    #[serde(default)]
    pub ends: Option<String>,
    /// When it is renewed.
    #[serde(default)]
    pub due: Option<String>,
    /// Why it was not, the last time.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// One layer of the process's confinement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LayerView {
    /// `memory`, `privileges`, `files` or `calls`.
    pub name: String,
    /// `holds`, `in-part`, `missing` where the system does not have it, `off` where the settings say so.
    pub state: String,
    /// What holds, or why it does not.
    pub detail: String,
}
