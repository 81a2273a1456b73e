//! A secret as a string in a JSON body. The bytes around it stay as they were sent.

use super::edit::{Edit, Splice};
use super::{Placing, misplaced, unwritable};
use cloakroom_model::{Call, Refusal};
use std::ops::Range;
use zeroize::Zeroizing;

/// The string literal in `span`, quotes included.
pub(super) fn edit(placing: &Placing, call: &Call, span: Range<usize>) -> Result<Edit, Refusal> {
    let literal = call.body.head.get(span.clone()).ok_or_else(misplaced)?;
    let sent: String = serde_json::from_slice(literal).map_err(|_| misplaced())?;
    if sent != *placing.text {
        return Err(misplaced());
    }
    let text = placing.secret_text()?;
    // Room for the worst escape of every byte, so that growing leaves no copy behind.
    let mut with = Zeroizing::new(Vec::with_capacity(2 + 6 * text.len()));
    serde_json::to_writer(&mut *with, text).map_err(|_| unwritable())?;
    Ok(Edit::Body(Splice { range: span, with }))
}
