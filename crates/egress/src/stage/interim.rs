//! An informational reply on its way to the workload: early hints, processing (RFC 9110, section 15.2).

use crate::scrub::{Finder, scrub_fields};
use http::{HeaderMap, StatusCode};

/// An informational reply without secrets.
#[derive(Clone, Debug)]
pub struct Interim {
    /// 102 to 199.
    pub status: StatusCode,
    /// Its fields.
    pub fields: HeaderMap,
}

impl Interim {
    /// Takes the secret out, as out of any head.
    pub(super) fn scrub(status: StatusCode, fields: HeaderMap, finder: &Finder) -> Self {
        Self { status, fields: scrub_fields(fields, finder).0 }
    }
}
