//! What reading secrets needs from one reading to the next: how the broker is logged in, in memory only.

use super::vault::Sessions;

/// Shared by all readings.
#[derive(Default)]
pub(crate) struct Desk {
    pub(super) sessions: Sessions,
}
