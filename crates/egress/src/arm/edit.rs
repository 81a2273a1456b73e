//! Edits of a call, and splicing them into its bytes.

use super::misplaced;
use cloakroom_model::Refusal;
use http::{HeaderName, HeaderValue};
use std::ops::Range;
use zeroize::Zeroizing;

/// Bytes that take the place of a range.
pub(super) struct Splice {
    pub(super) range: Range<usize>,
    pub(super) with: Zeroizing<Vec<u8>>,
}

/// What one secret changes.
pub(super) enum Edit {
    /// The only value of this field.
    Header(HeaderName, HeaderValue),
    /// Part of the `Cookie` field.
    Cookie(Splice),
    /// The encoded value of this query pair.
    Query(usize, Zeroizing<String>),
    /// This encoded path segment.
    Path(usize, Zeroizing<String>),
    /// Part of the body's head.
    Body(Splice),
}

/// `original` with every splice in its place.
///
/// # Errors
/// `internal-fault` where two splices overlap or reach beyond the text.
pub(super) fn splice(original: &[u8], mut splices: Vec<Splice>) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    splices.sort_by_key(|splice| splice.range.start);
    let added: usize = splices.iter().map(|splice| splice.with.len()).sum();
    // The full capacity at once: growing would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(original.len() + added));
    let mut at = 0;
    for splice in splices {
        text.extend_from_slice(original.get(at..splice.range.start).ok_or_else(misplaced)?);
        text.extend_from_slice(&splice.with);
        at = splice.range.end;
    }
    text.extend_from_slice(original.get(at..).ok_or_else(misplaced)?);
    Ok(text)
}
