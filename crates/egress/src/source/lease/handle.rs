//! What it takes to end a lease, as it is sealed beside it: JSON.

use super::super::vault::Access;
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Opened for one renewal or one attempt to end the lease.
///
/// SECURITY: neither `Clone` nor `Debug`: the login is in it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::source) struct Handle<A = Access> {
    /// The source.
    pub(in crate::source) access: A,
    /// Its name of the lease, where that came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::source) lease: Option<String>,
    /// Names the login that it was asked for with, where the broker made that login: the lease ends with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::source) accessor: Option<String>,
}

impl Handle<&Access> {
    pub(super) fn write(&self) -> Option<Secret> {
        serde_json::to_vec(self).ok().map(|text| Secret::new(Zeroizing::new(text)))
    }
}

impl Handle {
    pub(super) fn read(text: &Secret) -> Option<Self> {
        serde_json::from_slice(text.expose()).ok()
    }
}
