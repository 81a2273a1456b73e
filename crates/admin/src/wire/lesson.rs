//! Lessons as JSON.

use cloakroom_model::Name;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /api/v1/lessons`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLesson {
    /// The workload, by name or id.
    pub workload: String,
    /// After so many seconds it ends by itself.
    pub seconds: u64,
}

/// A lesson under way.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LessonView {
    /// Whose calls are refused and looked at.
    #[schema(value_type = String)]
    pub workload: Name,
    /// How many there were.
    pub calls: u64,
    /// Until when.
    pub until: String,
}

/// What a lesson proposes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LearnedView {
    /// Whose calls they were.
    #[schema(value_type = String)]
    pub workload: Name,
    /// How many.
    pub calls: u64,
    /// How many permits the proposal has.
    pub permits: usize,
    /// What could not be proposed.
    pub left_out: Vec<String>,
    /// The proposal, a policy file with comments.
    pub policy: String,
}
